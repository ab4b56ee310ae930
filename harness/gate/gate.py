"""A gate from the words of a request to its document.

Owns the order: plan both sides, pair their cells, carry the pairs out, judge, keep, tell. Contract: wrong words are
refused before anything is made or stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.gate.design import Rules
from harness.gate.document import document
from harness.gate.judge import judge, unreliable
from harness.gate.keeping import keep
from harness.gate.metrics import DEFAULTS, GateMetric
from harness.gate.paired import PairedRunner
from harness.gate.sides import NAMES, Name, Paired, Side, check_sides, in_pairs, pair_cells, plan_side, settle
from harness.machine import describe_machine, describe_session_state
from harness.machine.harms import find_harms, watch_load
from harness.runner.front import Plan, Request
from harness.runner.progress import SessionProgress
from harness.store import Store


@dataclass(frozen=True, slots=True)
class GateRequest:
    """What somebody asked for.

    Attributes:
        run: suite, cells and settings of both sides.
        base: words of the base side.
        head: words of the head side.
        same: judge base against itself.
        metrics: what is judged.
        max_pairs: of one cell.
        with_suspect: count pairs with suspect runs too.
        allow_missing: cells that head cannot measure fail nothing.
    """

    run: Request
    base: tuple[str, ...]
    head: tuple[str, ...]
    same: bool = False
    metrics: Mapping[str, GateMetric] = field(default_factory=lambda: dict(DEFAULTS))
    max_pairs: int = 30
    with_suspect: bool = False
    allow_missing: bool = False


def run_gate(
    request: GateRequest, store: Store, cache_dir: Path, progress: SessionProgress
) -> dict[str, Any]:
    """Carry a gate out; gives its document.

    Raises:
        UsageError: something in the words or the suite is wrong, or there is nothing to compare.
        EdgebenchError: nothing can be measured at all, or the database fails.
        KeyboardInterrupt: passed on; what was measured is stored.
    """
    if request.same and request.head:
        raise UsageError("--same and --head contradict each other", next_step="give one of the two")
    words: dict[Name, Sequence[str]] = {
        "base": request.base,
        "head": request.base if request.same else request.head,
    }
    asked = {name: Side.parse(name, words[name]) for name in NAMES}
    sides = {name: settle(side, progress.note) for name, side in asked.items()}
    if not request.same:
        check_sides(sides)
    plans, cells = planned(request.run, sides, cache_dir)
    if not cells.pairs:
        raise UsageError(
            "base and head have no cell in common that can run here",
            next_step="see the plan: `edgebench run SUITE --dry-run`; the two sides need the same frameworks, models, "
            "devices and workloads",
        )
    runner = PairedRunner(
        plans,
        sides,
        cells.pairs,
        request.metrics,
        store=store,
        entries=plans["head"].entries,
        cache_dir=cache_dir,
        progress=progress,
        rules=Rules(max_pairs=request.max_pairs),
        with_suspect=request.with_suspect,
        seed=plans["head"].suite.seed,
    )
    pairing = runner.run()
    machine = describe_machine()
    judged = judge(pairing, cells.absent, request.metrics, store)
    made = document(
        judged,
        pairing,
        sides,
        suite=plans["head"].suite.title,
        machine=machine.name or machine.cpu_model,
        allow_missing=request.allow_missing,
        lonely=[f"{key} (only in head)" for key in cells.added],
        advice=_advice() if unreliable(pairing, judged, request.metrics) else [],
    )
    return keep(
        made,
        store,
        request.metrics,
        max_pairs=request.max_pairs,
        with_suspect=request.with_suspect,
        allow_missing=request.allow_missing,
        seed=plans["head"].suite.seed,
    )


def planned(request: Request, sides: Mapping[Name, Side], cache_dir: Path) -> tuple[dict[Name, Plan], Paired]:
    """The plans of both sides, and their cells.

    Where one side alone can run a cell here, both are planned once more: each plan asks what hardware there is, and a
    driver may answer once and not the next time.

    Raises:
        UsageError: something in the words or the suite is wrong.
        EdgebenchError: a revision cannot be built, or an artifact not be copied.
    """
    for again in (False, True):
        plans = {name: in_pairs(plan_side(sides[name], request, cache_dir)) for name in NAMES}
        cells = pair_cells(plans, sides)
        if again or not (cells.absent or cells.added):
            break
    return plans, cells


def _advice() -> list[str]:
    """What `edgebench doctor` says harms measurements here."""
    return [
        ": ".join(text for text in (harm.name, harm.detail, harm.next_step) if text)
        for harm in find_harms(describe_session_state(), watch_load(1.0))
        if harm.harmful
    ]
