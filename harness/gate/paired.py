"""The live gate: both sides' sessions, carried out in interleaved pairs of runs.

Owns the order of runs and which pairs count. The machinery of sessions does the rest: a run of a gate is a run as any
other, stored before the next one starts. Contract: base and head of a pair run one after the other, in drawn order,
with the same prompts; an interruption leaves every finished run stored.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import EdgebenchError
from harness.frameworks import FrameworkEntry
from harness.gate import confirming
from harness.gate.again import Looker, look_again
from harness.gate.confirming import Look, Second
from harness.gate.design import Design, Limits, Rules
from harness.gate.metrics import GateMetric
from harness.gate.sides import NAMES, CellPair, Name, Side
from harness.runner.catalogue import Ready
from harness.runner.front import Plan, begin_session, session_claim, session_runner
from harness.runner.order import run_seed
from harness.runner.progress import SessionProgress
from harness.runner.session import SessionRunner
from harness.store import Store
from harness.store.facts import ArtifactFacts, CellFacts
from harness.store.records import RunRecord
from harness.table.flips import mcnemar_exact
from harness.table.stored import run_row

#: A side that fails so often before any pair succeeds is broken: more pairs would tell nothing new.
FAILURES = 2
#: Level of the test of who fails more often, once pairs succeed: 7 failures of one side alone.
FAILURES_ALPHA = 0.01


@dataclass(slots=True)
class PairedCell:
    """What became of one cell's pairs.

    Attributes:
        cells: the cell of both sides.
        missing: side -> why it has no figures; empty where both do.
        broken: side -> why its artifact does not compute the model's function.
        unconfirmed: why it is not sure that head's artifact is broken; empty where nothing speaks for it.
        discarded: pairs that were left out because a run of them is suspect.
        failed: side -> runs that failed.
        alone: side -> those of them whose partner of the other side did not fail.
        unsteady: how much more often head failed, where that is not sure; empty where it did not.
        flags: why runs of discarded pairs are suspect -> how often.
        metrics: in how many pairs that count a side had a figure, by the figure's name.
    """

    cells: CellPair
    missing: dict[Name, str] = field(default_factory=dict)
    broken: dict[Name, str] = field(default_factory=dict)
    unconfirmed: str = ""
    discarded: int = 0
    failed: dict[Name, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    alone: dict[Name, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    unsteady: str = ""
    flags: dict[str, int] = field(default_factory=dict)
    metrics: dict[Name, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in NAMES})


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs of a gate, all taken.

    Attributes:
        sessions: side -> id of its session.
        cells: what became of each, by its key.
        design: with every pair that counts.
        again: side -> id of the session of the second look at its accuracy; empty where there was none.
        seconds: the second looks, by the key of the cell.
    """

    sessions: Mapping[Name, str]
    cells: Mapping[str, PairedCell]
    design: Design[str]
    again: Mapping[Name, str] = field(default_factory=dict)
    seconds: Mapping[str, Second] = field(default_factory=dict)


def _knowing_its_artifact(cell: CellFacts, ready: Ready) -> CellFacts:
    """A cell with the artifact that its runs will load, where no run named one yet."""
    if cell.artifact is not None:
        return cell
    made = ready.artifact
    known = ArtifactFacts(
        made.id, made.weight_bytes, made.parameter_count, made.bits_per_weight, notes=made.notes
    )
    return replace(cell, artifact=known)


class PairedRunner:
    """Carries out one gate.

    Args:
        plans: the plan of each side.
        sides: the sides, for the record.
        pairs: the cells of both.
        metrics: what is judged of each run.
        store: the database.
        entries: the frameworks.
        cache_dir: as of a session.
        progress: the display, shared by both sides.
        rules: the design's numbers.
        with_suspect: count pairs with suspect runs too.
        seed: of the order.
    """

    def __init__(
        self,
        plans: Mapping[Name, Plan],
        sides: Mapping[Name, Side],
        pairs: list[CellPair],
        metrics: Mapping[str, GateMetric],
        *,
        store: Store,
        entries: Mapping[str, FrameworkEntry],
        cache_dir: Path,
        progress: SessionProgress,
        rules: Rules | None = None,
        with_suspect: bool = False,
        seed: int,
    ) -> None:
        self._plans = plans
        self._sides = sides
        self._cells = {pair.key: PairedCell(pair) for pair in pairs}
        self._judged = metrics
        self._metrics = {name: metric for name, metric in metrics.items() if metric.unit == "process"}
        self._store = store
        self._entries = entries
        self._cache_dir = cache_dir
        self._progress = progress
        self._rules = rules or Rules()
        self._with_suspect = with_suspect
        self._seed = seed
        self._random = random.Random(seed)
        self._ready: dict[Name, Mapping[str, Ready]] = {}
        self._runners: dict[Name, SessionRunner] = {}
        self._next = dict.fromkeys(self._cells, 0)
        self._succeeded = dict.fromkeys(self._cells, False)

    def run(self) -> Pairing:
        """All of it.

        Raises:
            EdgebenchError: nothing can be measured at all, or the database fails.
            KeyboardInterrupt: passed on, with both sessions marked as interrupted.
        """
        sessions = self._begin()
        with self._carried_out(sessions):
            for name in NAMES:
                self._progress.note(f"{name}: {self._sides[name].text} (session {sessions[name]})")
                self._set_up(name, sessions[name])
                self._examine(name)
            again, seconds = self._look_again(sessions)
            design = Design(self._limits(), self._rules)
            self._take_pairs(design)
        return Pairing(sessions, self._cells, design, again, seconds)

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _begin(self) -> dict[Name, str]:
        sessions: dict[Name, str] = {}
        for name in NAMES:
            about: dict[str, Any] = {"side": name, "words": list(self._sides[name].words)}
            if name == "head":
                about["base_session"] = sessions["base"]
            plan = self._plans[name]
            sessions[name] = begin_session(
                plan,
                self._store,
                timed=False,
                about={"gate": about},
                title=f"{plan.suite.title} [gate {name}]",
            )
        return sessions

    @contextlib.contextmanager
    def _carried_out(self, sessions: Mapping[Name, str]) -> Iterator[None]:
        with contextlib.ExitStack() as claims:
            try:
                for session_id in sessions.values():
                    claims.callback(session_claim(session_id, self._cache_dir).release)
                yield
            except BaseException:
                for session_id in sessions.values():
                    # The first error counts; a session without an end can be seen too.
                    with contextlib.suppress(EdgebenchError):
                        self._store.end_session(session_id, "interrupted")
                raise
            finally:
                self._progress.close()
            for name, session_id in sessions.items():
                bad = any(one.failed[name] or name in one.missing for one in self._cells.values())
                self._store.end_session(session_id, "failed" if bad else "ok")

    def _set_up(self, name: Name, session_id: str) -> None:
        """Environments and artifacts of one side; what failed is tried once more, as a network may have failed."""
        for again in (False, True):
            self._runners[name] = session_runner(session_id, self._store, self._cache_dir, self._progress)
            self._ready[name] = self._runners[name].prepare(every=True)
            if all(one.cells.of(name).id in self._ready[name] for one in self._cells.values()):
                return
            if not again:
                self._progress.note(f"{name}: what could not be set up is tried once more")

    def _examine(self, name: Name) -> None:
        """Scores and checks of one side; cells that cannot be timed there are marked."""
        broken = self._runners[name].examine(self._ready[name])
        failures = self._runners[name].failures
        for one in self._cells.values():
            cell = one.cells.of(name)
            if cell.id not in self._ready[name]:
                one.missing[name] = failures.get(cell.name, "it could not be set up")
            elif cell.id in broken:
                one.broken[name] = broken[cell.id]

    def _look_again(self, sessions: Mapping[Name, str]) -> tuple[Mapping[Name, str], Mapping[str, Second]]:
        """A second look at every artifact of head that is broken, and at all accuracy that the first left in doubt."""
        facts = {
            name: {one.cell.id: one for one in self._store.session_facts(sessions[name]).cells}
            for name in NAMES
        }
        doubted: dict[str, frozenset[Look]] = {}
        for key, one in self._cells.items():
            if one.missing or "base" in one.broken:
                continue
            # Of a cell that nothing scored no run names the artifact yet.
            base, head = (
                _knowing_its_artifact(
                    facts[name][one.cells.of(name).id], self._ready[name][one.cells.of(name).id]
                )
                for name in NAMES
            )
            found = confirming.doubts(base, head, self._judged)
            if "head" in one.broken:
                found |= {"score"}
            if found:
                doubted[key] = found
        if not doubted:
            return {}, {}
        again, seconds = look_again(
            Looker(self._store, self._cache_dir, self._progress),
            doubted,
            {key: one.cells for key, one in self._cells.items()},
            self._plans,
            sessions,
            {name: {cell: one.artifact.id for cell, one in self._ready[name].items()} for name in NAMES},
        )
        for key, second in seconds.items():
            one = self._cells[key]
            if "head" in one.broken:
                verdict = confirming.broken_again(second)
                if verdict is None:
                    one.unconfirmed = f"{one.broken.pop('head')}; the second time it could not be scored"
                elif verdict.verdict != "broken":
                    one.unconfirmed = f"{one.broken.pop('head')}; the second time it was not"
        return again, seconds

    # -- pairs --------------------------------------------------------------------------------------------------------

    def _limits(self) -> dict[str, dict[str, Limits]]:
        """The cells that both sides can time."""
        limits = {name: metric.limits for name, metric in self._metrics.items()}
        return {
            key: limits
            for key, one in self._cells.items()
            if not one.missing and not one.broken and not one.unconfirmed
        }

    def _take_pairs(self, design: Design[str]) -> None:
        while wanted := design.wanted():
            self._random.shuffle(wanted)
            for key in wanted:
                differences = self._pair(key)
                if differences is not None:
                    design.add(key, differences)
                elif self._hopeless(key):
                    design.give_up(key)
        for key in design.tracks:
            self._ask_who_fails(key)

    def _ask_who_fails(self, key: str) -> None:
        """Fresh pairs of a cell whose head failed more often, until that is sure, gone, or all pairs are taken."""
        one = self._cells[key]
        while not one.missing and one.alone["head"] - one.alone["base"] >= FAILURES:
            if self._next[key] >= self._rules.max_pairs:
                own, other = one.failed["head"], one.failed["base"]
                told = f"head's runs failed {own} of {self._next[key]} times, base's {other}"
                one.unsteady = f"{told}: too few pairs to tell whether head is the cause"
                return
            self._pair(key)

    def _pair(self, key: str) -> dict[str, float] | None:
        """One pair of runs; its log ratios, None where it does not count."""
        one = self._cells[key]
        index, self._next[key] = self._next[key], self._next[key] + 1
        order = list(NAMES)
        self._random.shuffle(order)
        runs: dict[Name, RunRecord] = {}
        for name in order:
            ready = self._ready[name][one.cells.of(name).id]
            runs[name] = self._runners[name].one_more(ready, index, run_seed(self._seed, index))
        bad = [name for name in NAMES if runs[name].status != "ok"]
        for name in bad:
            one.failed[name] += 1
        if len(bad) == 1:
            one.alone[bad[0]] += 1
        for name in bad:
            if self._lost(key, name):
                one.missing[name] = runs[name].reason or runs[name].status
        if bad:
            return None
        self._succeeded[key] = True
        suspect = [run for run in runs.values() if run.validity != "ok"]
        if suspect and not self._with_suspect:
            one.discarded += 1
            for flag in {str(flag) for run in suspect for flag in run.flags}:
                one.flags[flag] = one.flags.get(flag, 0) + 1
            return None
        figures = {name: self._figures(runs[name].id) for name in NAMES}
        for name in NAMES:
            one.metrics[name].update(figures[name].keys())
        return {
            metric: self._metrics[metric].worsening(figures["base"][metric], figures["head"][metric])
            for metric in self._metrics
            if all(figures[name].get(metric, 0.0) > 0 for name in NAMES)  # a ratio needs figures above 0
        }

    def _lost(self, key: str, name: Name) -> bool:
        """Whether a side has failed so often that it is missing.

        Failures that befall both alike are the machine's, as long as pairs succeed at all: then those of one side alone
        are tested against those of the other (McNemar, one-sided), as a machine that fails now and then hits one first.
        """
        one = self._cells[key]
        if not self._succeeded[key]:
            return one.failed[name] >= FAILURES
        own, other = one.alone[name], sum(one.alone.values()) - one.alone[name]
        return own > other and mcnemar_exact(other, own) / 2 <= FAILURES_ALPHA

    def _figures(self, run_id: str) -> dict[str, float]:
        """One value for each judged metric, as the table defines it, of one run."""
        cell = self._store.run_in_cell(run_id)
        assert cell is not None, "a gate plans its cells"
        row = run_row(replace(cell, runs=cell.runs[:1]), self._entries)
        return {name: float(row[name]) for name in self._metrics if row[name] is not None}

    def _hopeless(self, key: str) -> bool:
        """Whether more pairs of a cell would be left out as well."""
        one = self._cells[key]
        return bool(one.missing) or one.discarded + max(one.failed.values()) > self._rules.max_pairs // 2
