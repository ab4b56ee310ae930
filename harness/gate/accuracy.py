"""The verdicts on accuracy of all cells of a gate.

Owns the level of their tests: over all cells, divergences and tasks of a gate the rate of false discoveries is held at
`RATE`. Contract: pure; what fails is confirmed by a second look (`harness.gate.confirming`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.gate import confirming
from harness.gate.confirming import Second
from harness.gate.exact import ALPHA
from harness.gate.metrics import GateMetric
from harness.gate.statistics import discoveries
from harness.gate.verdict import Verdict
from harness.store.facts import CellFacts

#: Of the changes that all of them tell at most this share is false, in expectation.
RATE = 0.05


def of_cells(
    sides: Sequence[tuple[CellFacts | None, CellFacts]],
    metrics: Mapping[str, GateMetric],
    seconds: Sequence[Second | None],
) -> list[dict[str, Verdict]]:
    """The verdicts on weights, divergence and tasks of all cells of a gate, by metric or ``task metric``.

    Args:
        sides: base (None: nothing is known of it) and head of each cell, as first looked at.
        metrics: what is judged; those of processes are passed over.
        seconds: the second look at each cell, None where there was none.
    """
    both = list(zip(sides, seconds, strict=True))
    found = [confirming.verdicts(base, head, metrics, second) for (base, head), second in both]
    # Cells that differ in the workload alone rest on one score: that is one test.
    tests = {
        (metric, _asked(base), _asked(head)): verdict.p_value
        for (base, head), verdicts in zip(sides, found, strict=True)
        for metric, verdict in verdicts.items()
        if verdict.p_value is not None
    }
    alpha = level(tests.values())
    if alpha == ALPHA:
        return found
    return [confirming.verdicts(base, head, metrics, second, alpha) for (base, head), second in both]


def level(p_values: Iterable[float]) -> float:
    """The level at which each of these tests is judged, at most `ALPHA`.

    By Benjamini and Hochberg's procedure: what has a p-value of at most this level is what it rejects at `RATE`, its
    critical values cut at `ALPHA`.
    """
    values = [one if one <= ALPHA else 1.0 for one in p_values]
    rejected = discoveries(values, RATE).count(True)
    return min(ALPHA, RATE * max(rejected, 1) / max(len(values), 1))


def _asked(cell: CellFacts | None) -> tuple[str | None, str | None]:
    """The runs that a cell's accuracy rests on."""
    if cell is None:
        return None, None
    score, evaluation = cell.score, cell.evaluation
    return None if score is None else score.run_id, None if evaluation is None else evaluation.run_id
