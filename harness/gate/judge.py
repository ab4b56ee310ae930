"""From pairs, scores and evaluations to the verdicts of a gate.

Owns which verdict each cell and metric gets, and in which order they are told. Contract: every judged metric of every
cell has a verdict; what cannot be judged says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.gate import accuracy
from harness.gate.metrics import GateMetric
from harness.gate.paired import PairedCell, Pairing
from harness.gate.sides import NAMES, AbsentCell
from harness.gate.verdict import Verdict, of_track
from harness.store import Store

#: Pairs at least in which base alone has a figure, before it is missing: of one that either side gives by chance alone
#: 3 % of cells would have these.
ALONE = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict.

    Attributes:
        cell: its key, what both sides share.
        base_cell_id: cell of the base side.
        head_cell_id: cell of the head side, None where its plan has none.
        metric: a metric's name, or ``task metric``.
        verdict: the verdict.
    """

    cell: str
    base_cell_id: str
    head_cell_id: str | None
    metric: str
    verdict: Verdict


def judge(
    pairing: Pairing, absent: Sequence[AbsentCell], metrics: Mapping[str, GateMetric], store: Store
) -> list[Judged]:
    """All verdicts, cell by cell; those that only base would have run come last."""
    facts = {
        name: {one.cell.id: one for one in store.session_facts(pairing.sessions[name]).cells}
        for name in NAMES
    }
    whole = {key: _of_whole_cell(one) for key, one in pairing.cells.items()}
    open_ = [key for key, verdict in whole.items() if verdict is None or verdict.word == "unmeasured"]
    ids = {key: {name: one.cells.of(name).id for name in NAMES} for key, one in pairing.cells.items()}
    sides = [(facts["base"][ids[key]["base"]], facts["head"][ids[key]["head"]]) for key in open_]
    seconds = [pairing.seconds.get(key) for key in open_]
    exact = dict(zip(open_, accuracy.of_cells(sides, metrics, seconds), strict=True))
    found: list[Judged] = []
    for key, one in pairing.cells.items():
        verdicts = _of_cell(pairing, key, one, metrics, whole[key], exact.get(key, {}))
        found += [
            Judged(key, ids[key]["base"], ids[key]["head"], metric, verdict)
            for metric, verdict in verdicts.items()
        ]
    return found + [of_absent(one) for one in absent]


def of_absent(one: AbsentCell) -> Judged:
    """A cell that base runs here and head does not is missing: it was not measured, because nothing can be paired."""
    return Judged(
        one.key,
        one.base.id,
        None if one.head is None else one.head.id,
        "cell",
        Verdict("missing", reason=f"base can run it here and head cannot: {one.reason}"),
    )


def _of_cell(
    pairing: Pairing,
    key: str,
    one: PairedCell,
    metrics: Mapping[str, GateMetric],
    whole: Verdict | None,
    exact: Mapping[str, Verdict],
) -> dict[str, Verdict]:
    """The verdicts on one cell: on the whole of it, or by metric; ``exact`` are those on accuracy."""
    if whole is not None and (whole.word == "broken" or one.unconfirmed):
        return {"artifact": whole}
    if whole is not None and whole.word == "missing":
        return {"cell": whole}
    verdicts = {
        name: whole or _of_process(pairing, key, one, metric)
        for name, metric in metrics.items()
        if metric.unit == "process"
    }
    if one.unsteady:
        verdicts["cell"] = Verdict("inconclusive", reason=one.unsteady)
    return {**verdicts, **exact}


def _of_whole_cell(one: PairedCell) -> Verdict | None:
    """What is to be said of a cell that could not be paired; None where it could."""
    if "base" in one.broken or "base" in one.missing:
        why = one.broken.get("base") or one.missing.get("base", "")
        return Verdict("unmeasured", reason=f"base cannot be measured: {why}")
    if "head" in one.broken:
        return Verdict("broken", reason=f"head's artifact is broken: {one.broken['head']}")
    if one.unconfirmed:
        return Verdict("inconclusive", reason=f"head's artifact was found broken once: {one.unconfirmed}")
    if "head" in one.missing:
        return Verdict("missing", reason=f"head cannot be measured: {one.missing['head']}")
    return None


def _of_process(pairing: Pairing, key: str, one: PairedCell, metric: GateMetric) -> Verdict:
    if one.discarded and not pairing.design.pairs(key):
        worst = ", ".join(sorted(one.flags, key=lambda flag: -one.flags[flag])[:3])
        return Verdict("inconclusive", reason=f"every pair had a suspect run: {worst}")
    base, head = (one.metrics[name][metric.name] for name in NAMES)
    if base and not head:
        told = f"base has a figure in {base} pair{'' if base == 1 else 's'} and head in none"
        return Verdict("missing" if base >= ALONE else "inconclusive", reason=told)
    if not base:
        return Verdict(
            "unmeasured",
            reason="head has a figure and base has none" if head else "neither side has a figure",
        )
    return of_track(pairing.design, pairing.design.tracks[key][metric.name], metric)


def unreliable(pairing: Pairing, judged: Sequence[Judged], metrics: Mapping[str, GateMetric]) -> bool:
    """Whether the machine cannot be trusted with this.

    More pairs were left out as suspect than counted, or their noise hides what should have been seen.
    """
    discarded = sum(one.discarded for one in pairing.cells.values())
    if discarded > sum(pairing.design.pairs(key) for key in pairing.design.tracks):
        return True
    of_runs = {name for name, metric in metrics.items() if metric.unit == "process"}
    return any(one.verdict.word == "inconclusive" and one.metric in of_runs for one in judged)
