"""Head against a stored baseline, where base cannot be run again.

Owns head's sessions: what the first one says changed is measured anew in a second one. Contract: nothing fails, and
nothing is better, unless both sessions say so; base is what is stored (`harness.gate.against`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.gate.again import Looker
from harness.gate.against import Judging
from harness.gate.alone import alone
from harness.gate.confirming import CHANGED, Look, Second
from harness.gate.design import Rules
from harness.gate.keeping import keep
from harness.gate.metrics import DEFAULTS, GateMetric
from harness.gate.sides import Side, plan_side, settle
from harness.gate.stored import Baseline, StoredRuns
from harness.machine import describe_machine
from harness.runner.front import Request, begin_session, carry_out
from harness.runner.progress import SessionProgress
from harness.store import Store
from harness.store.facts import CellFacts
from harness.store.records import RunKind
from harness.suite import PlannedCell

#: Verdicts that a second session has to confirm.
_CHANGED = (*CHANGED, "broken")
#: What is judged of processes.
TIMED = frozenset(name for name, one in DEFAULTS.items() if one.unit == "process")
#: What every report of such a gate says.
WEAKER = (
    "against stored sessions: more runs of head would not take the shift of its session away; a paired gate would (its "
    "column: what it would find with the same noise of runs)"
)


@dataclass(frozen=True, slots=True)
class BaselineRequest:
    """What somebody asked for; fields as of `harness.gate.gate.GateRequest`."""

    run: Request
    baseline: Baseline
    head: tuple[str, ...] = ()
    metrics: Mapping[str, GateMetric] | None = None
    max_pairs: int = 30
    allow_missing: bool = False


def run_baseline_gate(
    request: BaselineRequest, store: Store, cache_dir: Path, progress: SessionProgress
) -> dict[str, Any]:
    """Measure head in a session of its own and judge it against what is stored; gives the document.

    Raises:
        UsageError: something in the words or the suite is wrong, or nothing is stored to compare with.
        EdgebenchError: nothing can be measured at all, or the database fails.
        KeyboardInterrupt: passed on; what was measured is stored.
    """
    try:
        return _run(request, store, cache_dir, progress)
    finally:
        progress.close()


def _run(
    request: BaselineRequest, store: Store, cache_dir: Path, progress: SessionProgress
) -> dict[str, Any]:
    side = settle(Side.parse("head", request.head), progress.note)
    plan = plan_side(side, request.run, cache_dir)
    wanted = request.baseline.framework
    if wanted is not None:
        plan = replace(plan, cells=tuple(one for one in plan.cells if one.cell.framework == wanted))
    machine = describe_machine()
    metrics, rules = request.metrics or DEFAULTS, Rules(max_pairs=request.max_pairs)
    stored = StoredRuns(store, machine.id, request.baseline, metrics)
    if not any(stored.points(one.cell.id) for one in plan.cells):
        raise UsageError(
            f"--baseline {request.baseline.text!r}: no stored run of these cells on this machine counts",
            next_step="`edgebench db sessions` lists the sessions; measure a baseline first with `edgebench run`",
        )
    about: dict[str, Any] = {"side": "head", "words": list(side.words), "baseline": request.baseline.text}
    session_id = begin_session(plan, store, about={"gate": about}, title=f"{plan.suite.title} [gate head]")
    progress.note(f"head: {side.text} (session {session_id})")
    carry_out(session_id, store, cache_dir, progress, close=False)
    judging = Judging(store, stored, session_id, metrics, rules)
    rows = judging.rows(plan.cells)
    looks, exact = _looks(judging, plan.cells, rows)
    again = None
    if exact or any(looks.values()):
        looker = Looker(store, cache_dir, progress)
        facts: Mapping[str, CellFacts] = {}
        rows_again: list[dict[str, Any]] = []
        if any(looks.values()):
            again, facts = looker.look("head", plan, looks, session_id, more=False)
            cells = [one for one in plan.cells if any(one.cell.id in ids for ids in looks.values())]
            rows_again = Judging(store, stored, again, metrics, rules, session_id).rows(cells)
        seconds = {}
        for cell_id, found in exact.items():
            base, head = judging.side(cell_id)
            artifact = None if head.artifact is None else head.artifact.id
            sizes = (None, looker.counted(artifact) if "weights" in found else None)
            seconds[cell_id] = Second(base, facts.get(cell_id), found, sizes)
        # Without the second session among those that are stored.
        judging = Judging(store, stored, session_id, metrics, rules, again)
        unlooked = {one.cell.id for one in plan.cells if one.reason is not None}
        rows = _confirmed(judging.rows(plan.cells, seconds), rows_again, again, unlooked)
    made = alone(
        "baseline",
        rows,
        suite=plan.suite.title,
        machine=machine.name or machine.cpu_model,
        sides={
            "base": {
                "words": [request.baseline.text],
                "text": f"stored, {request.baseline.text}",
                "session": request.baseline.session,
            },
            "head": {"words": list(side.words), "text": side.text, "session": session_id, "again": again},
        },
        notes=[WEAKER],
        allow_missing=request.allow_missing,
    )
    return keep(
        made,
        store,
        metrics,
        max_pairs=request.max_pairs,
        allow_missing=request.allow_missing,
        baseline=request.baseline.text,
    )


def _looks(
    judging: Judging, cells: Sequence[PlannedCell], rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[RunKind, frozenset[str]], dict[str, frozenset[Look]]]:
    """Ids of the cells that a second session times, scores and evaluates, and what is in doubt of their accuracy."""
    runnable = {one.cell.id for one in cells if one.reason is None}
    exact = judging.doubts(cells)
    changed = [row for row in rows if row["verdict"] in _CHANGED and row["cell_id"] in runnable]
    timed = frozenset(row["cell_id"] for row in changed if row["metric"] in TIMED or row["metric"] == "cell")
    broken = frozenset(row["cell_id"] for row in changed if row["metric"] == "artifact")
    looks: dict[RunKind, frozenset[str]] = {
        "timed": timed,
        "score": broken.union(cell_id for cell_id, found in exact.items() if "score" in found),
        "tasks": frozenset(cell_id for cell_id, found in exact.items() if "tasks" in found),
    }
    return looks, exact


def _confirmed(
    rows: Sequence[dict[str, Any]],
    again: Sequence[Mapping[str, Any]],
    session_id: str | None,
    unlooked: Collection[str] = (),
) -> list[dict[str, Any]]:
    """What the first session says changed, where the second says so as well; else it is inconclusive.

    Args:
        rows: the verdicts on the first session; those on accuracy are confirmed or not already.
        again: of the second.
        session_id: the second session.
        unlooked: ids of the cells that head's plan says cannot run here: no session says more of them.
    """
    second = {(row["cell_id"], row["metric"]): row for row in again}
    found = []
    for row in rows:
        looked = row["metric"] in TIMED or row["metric"] in ("cell", "artifact")
        if row["verdict"] not in _CHANGED or not looked or row["cell_id"] in unlooked:
            found.append(row)
            continue
        other = second.get((row["cell_id"], row["metric"]))
        if other is not None and other["verdict"] == row["verdict"]:
            found.append({**row, **other, "reason": f"{other['reason']}; in both sessions of head"})
            continue
        told = "it is not" if other is None else f"it is {other['verdict']} ({other['reason']})"
        reason = f"{row['verdict']} in the first session of head ({row['reason']}); in the second, {session_id}, {told}"
        found.append({**row, "verdict": "inconclusive", "reason": reason})
    return found
