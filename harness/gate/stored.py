"""Which stored runs a baseline is.

Owns the words of ``--baseline`` and the choice of stored points. Imports the store's history, whose figures are the
table's. Contract: the points of a cell are of one machine; which versions, builds and threads they have is told, so
that nothing is mixed unseen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.errors import UsageError
from harness.frameworks import framework
from harness.gate.metrics import GateMetric
from harness.store import Store
from harness.store.facts import CellFacts, first_look
from harness.store.history import HistoryPoint

_CONDITION = re.compile(
    r"(?P<framework>[A-Za-z][A-Za-z0-9_-]*)?\s*(?P<versions>(===?|[!<>~]=|[<>]).*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the words of ``--baseline`` mean.

    Attributes:
        text: as typed.
        session: id of the one session, None: a condition.
        framework: the one framework whose cells are judged, None: all.
        versions: what a framework's version has to satisfy, None: a session is named.
    """

    text: str
    session: str | None = None
    framework: str | None = None
    versions: SpecifierSet | None = None

    @classmethod
    def condition(cls, text: str) -> Baseline | None:
        """Read ``==VERSION`` or ``FRAMEWORK>=VERSION``; None: it is no condition, so the id of a session.

        Raises:
            UsageError: an unknown framework, or no version.
        """
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            return None
        if found["framework"] is not None:
            framework(found["framework"])
        try:
            versions = SpecifierSet(found["versions"])
        except InvalidSpecifier as error:
            raise UsageError(
                f"--baseline {text!r}: {error}",
                next_step="write a condition on the framework's version, such as 'llamacpp==0.3.35', or a session's id",
            ) from error
        return cls(text, framework=found["framework"], versions=versions)

    def covers(self, version: str | None) -> bool:
        """Whether a framework's version satisfies the condition; a build's own suffix does not count."""
        if version is None or self.versions is None:
            return False
        try:
            # As `2026.4.1-21919-f5b31`: what follows the release names the build.
            return self.versions.contains(Version(version.partition("-")[0]), prereleases=True)
        except InvalidVersion:
            return False


#: What has to be alike of two sessions: the wheels of one's own in place of pins, and the threads.
Build = tuple[tuple[str, ...], int | None]


class StoredRuns:
    """The baseline's points of each cell.

    Args:
        store: where they are.
        machine_id: this machine.
        baseline: what the words mean.
        metrics: what is judged.

    Raises:
        UsageError: the named session was measured on another machine, or by another tool.
    """

    def __init__(
        self, store: Store, machine_id: str, baseline: Baseline, metrics: Mapping[str, GateMetric]
    ) -> None:
        self._store = store
        self._machine_id = machine_id
        self.baseline = baseline
        self._names = [name for name, one in metrics.items() if one.unit == "process"]
        self._builds: dict[str, Build] = {}
        self._known: dict[str, Mapping[str, Any]] = {}
        self._cells: dict[str, dict[str, CellFacts]] = {}
        if baseline.session is not None:
            there = store.session_facts(baseline.session)
            if there.machine.id != machine_id:
                raise UsageError(
                    f"--baseline: session {baseline.session} was measured on another machine, {there.machine.name}",
                    next_step="name a session of this machine: `edgebench db sessions` lists them",
                )
            if there.source is not None:
                raise UsageError(
                    f"--baseline: session {baseline.session} was imported from {there.source.tool}",
                    next_step="name a session that edgebench measured here",
                )

    def history(self, cell_id: str) -> list[HistoryPoint]:
        """All points of a cell on this machine; none where it was never measured."""
        try:
            return self._store.history(cell_id, self._machine_id, self._names)
        except LookupError:
            return []

    def build(self, session_id: str) -> Build:
        """What of a session's set-up its framework's version does not tell."""
        if session_id not in self._builds:
            settings = self._settings(session_id)
            # A wheel's version says little of what is in it.
            wheels = sorted(word for word in settings.get("overrides") or () if word.endswith(".whl"))
            self._builds[session_id] = (tuple(wheels), settings.get("threads"))
        return self._builds[session_id]

    def _second(self, session_id: str) -> bool:
        """Whether a session is a gate's second look."""
        return first_look(self._settings(session_id)) is not None

    def _settings(self, session_id: str) -> Mapping[str, Any]:
        if session_id not in self._known:
            self._known[session_id] = self._store.session_state(session_id)["settings"]
        return self._known[session_id]

    def points(self, cell_id: str, heads: Collection[str | None] = ()) -> list[HistoryPoint]:
        """The baseline's points with runs that count, in order of time, of every version that the words cover.

        With a named session: its point, and those of its version and build, which tell how far sessions vary.

        Args:
            cell_id: the cell.
            heads: head's sessions, which are none of them.
        """
        there = [
            one
            for one in self.history(cell_id)
            # A second session minutes after the first says little of how far sessions vary.
            if one.runs and one.session_id not in heads and not self._second(one.session_id)
        ]
        if self.baseline.session is not None:
            named = [one for one in there if one.session_id == self.baseline.session]
            kinds = {(one.framework_version, self.build(one.session_id)) for one in named}
            return [one for one in there if (one.framework_version, self.build(one.session_id)) in kinds]
        return [
            one
            for one in there
            if self.baseline.covers(one.framework_version) and not self.build(one.session_id)[0]
        ]

    def cell(self, session_id: str, cell_id: str) -> CellFacts | None:
        """A cell of a stored session with its score and tasks."""
        if session_id not in self._cells:
            cells = self._store.session_facts(session_id).cells
            self._cells[session_id] = {one.cell.id: one for one in cells}
        return self._cells[session_id].get(cell_id)
