"""The statistics of a table: medians, and 95 % intervals that small samples deserve.

Owns the estimators and their intervals; the definitions for readers are in ``docs/method.md``. Imports only the
standard library. Contract: pure, deterministic, indifferent to the order of what comes in; too little data gives
None.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Bounds = tuple[float, float]

#: Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom (a standard table).
_T95 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip

#: From this many values on, two order statistics hold the median with at least 95 % whatever the distribution.
_EXACT_FROM = 6


def t95(freedom: int) -> float:
    """Two-sided 95 % point of Student's t with ``freedom >= 1`` degrees of freedom, within 1e-4."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    # Cornish-Fisher: the first terms of t in powers of 1/freedom.
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def quantile(values: Sequence[float], percent: int) -> float | None:
    """A percentile by linear interpolation between order statistics; None of nothing.

    Args:
        values: in any order.
        percent: 1 to 99.
    """
    if not values:
        return None
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def median_interval(values: Sequence[float]) -> Bounds | None:
    """95 % interval of the median over runs; None with fewer than two values.

    With six values or more: the narrowest pair of symmetric order statistics that holds the median with at least
    95 % (exact for every distribution). With two to five no such pair exists (minimum and maximum of three hold it
    with 75 %), so the interval is Student's, on logarithms, which assumes that run-to-run factors are log-normal;
    values that are not all positive are taken as they are.
    """
    count = len(values)
    if count < 2:
        return None
    ordered = sorted(values)
    if count >= _EXACT_FROM:
        below = 0
        # P(the median lies below the k-th smallest) is a binomial tail with p = 1/2.
        while 2 * sum(math.comb(count, i) for i in range(below + 2)) <= 0.05 * 2**count:
            below += 1
        return ordered[below], ordered[count - 1 - below]
    if ordered[0] == ordered[-1]:
        return ordered[0], ordered[-1]
    if ordered[0] > 0:
        low, high = _student([math.log(value) for value in ordered])
        return math.exp(low), math.exp(high)
    return _student(ordered)


def _student(values: Sequence[float]) -> Bounds:
    mean = statistics.fmean(values)
    half = t95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def ratio_interval(sums: Sequence[float], counts: Sequence[int]) -> Bounds | None:
    """95 % interval of ``sum(sums) / sum(counts)`` over a task's items; None with fewer than two.

    The linearised ratio estimator with Student's t. Windows of text have `harness.table.bootstrap`.
    """
    items = len(sums)
    total = sum(counts)
    if items < 2 or total <= 0:
        return None
    ratio = math.fsum(sums) / total
    residuals = [value - ratio * count for value, count in zip(sums, counts, strict=True)]
    variance = items / (items - 1) * math.fsum(residual**2 for residual in residuals)
    half = t95(items - 1) * math.sqrt(variance) / total
    return ratio - half, ratio + half


def mover(a: float, of_a: Sequence[float] | None, b: float, of_b: Sequence[float] | None) -> Bounds | None:
    """The 95 % interval of b / a from the intervals of two independent figures.

    The method of variance estimates recovery on logarithms (Donner and Zou, Statistical Methods in Medical Research 21,
    2012): each side's distance to its bound, in quadrature.

    Returns:
        None where a figure has no interval, or one that reaches 0.
    """
    if of_a is None or of_b is None or min(of_a[0], of_b[0]) <= 0:
        return None
    log = math.log(b / a)
    down = math.hypot(math.log(b / of_b[0]), math.log(of_a[1] / a))
    up = math.hypot(math.log(of_b[1] / b), math.log(a / of_a[0]))
    return math.exp(log - down), math.exp(log + up)
