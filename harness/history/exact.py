"""Changes of a series without noise: a divergence or a task's figure, which only another artifact or version moves.

Owns when such a figure has moved. Pure. Contract: there is nothing to be estimated, so one value is enough, and a
change is between two neighbours; it is beyond what rounding and another order of the same sums would do. Neighbours
that were not asked the same are not compared.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from harness.history.analysis import Analysis, Change, Level

#: Of a divergence: shares and nats that kernels differ by when they only add in another order. Both must be exceeded.
KLD_SHARE, KLD_NATS = 0.01, 1e-4
#: Of a task's figure: a share of items, so that one item of a million is beyond it.
TASK_DIFFERENCE = 1e-7


def beyond_rounding(metric: str, before: float, after: float) -> bool:
    """Whether a figure moved: ``kld_mean``, or any of a task."""
    difference = abs(after - before)
    if metric == "kld_mean":
        return difference > KLD_NATS and difference > KLD_SHARE * max(abs(before), abs(after))
    return difference > TASK_DIFFERENCE


def exact_changes(metric: str, values: Sequence[float], asked: Sequence[str]) -> Analysis:
    """What a series shows.

    Args:
        metric: its name.
        values: a value a session, finite.
        asked: for each what it was asked; only neighbours with equal ones are compared.
    """
    changes: list[Change] = []
    apart = 0
    # Of a slow drift below the rounding each step is nothing: the level since the last change is what counts.
    level = values[0] if values else math.nan
    for row, (one, other) in enumerate(pairwise(asked)):
        after = values[row + 1]
        if one != other:
            apart += 1
            level = after
        elif beyond_rounding(metric, level, after):
            changes.append(_change(row, level, after))
            level = after
    ends = [-1, *(change.row for change in changes), len(values) - 1]
    levels = tuple(
        Level(first + 1, last, statistics.median(values[first + 1 : last + 1]))
        for first, last in pairwise(ends)
        if last > first
    )
    note = (
        f"{apart} times the text, the items or the reference changed: not compared there" if apart else None
    )
    return Analysis(tuple(changes), levels, len(values), note)


def _change(row: int, before: float, after: float) -> Change:
    ratio = after / before if before > 0 and after > 0 else None
    return Change(
        row=row,
        first_row=row,
        last_row=row,
        before=before,
        after=after,
        ratio=ratio,
        ratio_low=ratio,
        ratio_high=ratio,
        direction="up" if after > before else "down",
        confidence=1.0,
        confirmed_row=row + 1,
    )
