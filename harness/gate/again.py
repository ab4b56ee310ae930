"""The second look at accuracy: what the first one left in doubt is scored and evaluated anew, on more of the text.

Owns the sessions of the second look, which windows and items they have, and the count of an artifact's weights in its
files. The machinery of sessions does the rest. Contract: both sides are measured anew, whatever the database holds (the
quality reference may be a stored one); an interruption leaves both sessions stored as interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.artifact import ArtifactStore
from harness.errors import UsageError
from harness.gate.confirming import Look, Second
from harness.gate.own_weights import weight_bytes
from harness.gate.sides import NAMES, CellPair, Name
from harness.runner.front import Plan, begin_session, carry_out
from harness.runner.progress import SessionProgress
from harness.runner.tasks import TaskPlan
from harness.store import Store
from harness.store.facts import CellFacts
from harness.store.records import RunKind
from harness.suite import RunSettings

#: A second look has at least so many more windows and items than the first, where the text and the task have them.
MORE_WINDOWS = 16
MORE_ITEMS = 50


@dataclass(frozen=True, slots=True)
class Looker:
    """Where second looks are taken.

    Attributes:
        store: the database.
        cache_dir: as of a session.
        progress: the display; more is shown in it afterwards.
    """

    store: Store
    cache_dir: Path
    progress: SessionProgress

    def look(
        self,
        name: Name,
        plan: Plan,
        looks: Mapping[RunKind, frozenset[str]],
        first: str,
        *,
        more: bool = True,
    ) -> tuple[str, dict[str, CellFacts]]:
        """One side's session of a second look: its id, and what it has of each cell by the cell's id.

        Args:
            name: the side.
            plan: of its first session.
            looks: ids of the cells that are scored, evaluated and timed.
            first: id of the first session.
            more: on more windows and items than the first.
        """
        session_id = begin_session(
            _doubted(plan, looks, more=more),
            self.store,
            about={"gate": {"side": name, "again": first}},
            title=f"{plan.suite.title} [gate {name}, again]",
            looks=looks,
            anew=True,
        )
        self.progress.note(f"{name}: measuring again what is in doubt (session {session_id})")
        carry_out(session_id, self.store, self.cache_dir, self.progress, close=False)
        return session_id, {one.cell.id: one for one in self.store.session_facts(session_id).cells}

    def counted(self, artifact_id: str | None) -> int | str | None:
        """Bytes of an artifact's weights, counted in its files; in words why they cannot be.

        None: of a format that only its own backend counts, and the files are still those that it counted.
        """
        store = ArtifactStore(self.cache_dir)
        known = [] if artifact_id is None else store.beginning(artifact_id)
        if not known:
            return "they are not in the cache"
        try:
            found = weight_bytes(known[0].path)
        except UsageError as error:
            return error.what
        return found if isinstance(found, int) else store.verify(known[0])


def look_again(
    looker: Looker,
    doubted: Mapping[str, frozenset[Look]],
    pairs: Mapping[str, CellPair],
    plans: Mapping[Name, Plan],
    first: Mapping[Name, str],
    artifacts: Mapping[Name, Mapping[str, str]],
) -> tuple[dict[Name, str], dict[str, Second]]:
    """Both sides' second looks: their sessions, none where nothing had to be scored, and what they gave by cell key.

    Args:
        looker: where.
        doubted: what is in doubt, by the key of the cell.
        pairs: the cells of both sides by key.
        plans: the plan of each side.
        first: the first session of each side.
        artifacts: ids of those of each side, by the id of the cell.
    """
    sessions: dict[Name, str] = {}
    facts: dict[Name, dict[str, CellFacts]] = {name: {} for name in NAMES}
    for name in NAMES:
        looks: dict[RunKind, frozenset[str]] = {
            kind: frozenset(pairs[key].of(name).id for key, found in doubted.items() if kind in found)
            for kind in ("score", "tasks")
        }
        if any(looks.values()):
            sessions[name], facts[name] = looker.look(name, plans[name], looks, first[name])
    seconds = {}
    for key, looks_of_cell in doubted.items():
        ids = {name: pairs[key].of(name).id for name in NAMES}
        counts: tuple[int | str | None, int | str | None] = (None, None)
        if "weights" in looks_of_cell:
            counts = (
                looker.counted(artifacts["base"][ids["base"]]),
                looker.counted(artifacts["head"][ids["head"]]),
            )
        seconds[key] = Second(
            facts["base"].get(ids["base"]), facts["head"].get(ids["head"]), looks_of_cell, counts
        )
    return sessions, seconds


def _doubted(plan: Plan, looks: Mapping[RunKind, frozenset[str]], *, more: bool) -> Plan:
    """The plan of the cells in doubt, with more windows and items where the suite has not all of them."""
    cells = []
    for one in plan.cells:
        if one.reason is not None or not any(one.cell.id in ids for ids in looks.values()):
            continue
        settings = one.settings
        if one.cell.id not in looks.get("timed", ()):
            settings = replace(settings, runs_width=None)  # nor is it timed until it is narrow enough
        cells.append(replace(one, settings=_more_windows(plan, settings) if more else settings))
    tasks = plan.tasks if looks.get("tasks") else None
    return replace(plan, cells=tuple(cells), tasks=_more_items(tasks) if more else tasks)


def _more_windows(plan: Plan, settings: RunSettings) -> RunSettings:
    scoring = plan.suite.scoring_of(None, settings.max_windows)
    if scoring is None or scoring.max_windows is None:
        return settings
    windows = scoring.max_windows + max(scoring.max_windows, MORE_WINDOWS)
    # What was given for fewer of them would end what is slow: it could never be confirmed.
    timeout_s = settings.timeout_s * windows / scoring.max_windows
    return replace(settings, max_windows=windows, timeout_s=timeout_s)


def _more_items(tasks: TaskPlan | None) -> TaskPlan | None:
    if tasks is None or tasks.tasks.limit is None:
        return tasks
    before = tasks.tasks.limit
    limit = before + max(before, MORE_ITEMS)
    more: dict[str, Any] = {"limit": limit, "timeout_s": tasks.tasks.timeout_s * limit / before}
    return replace(tasks, tasks=tasks.tasks.model_copy(update=more))
