"""What a comparison could have found: the smallest drop or shift that its test would have shown.

Owns this arithmetic, for items (McNemar's test) and for windows (Student's). Imports the standard library and the
tests' own points. Contract: pure; exact binomial sums, and the noncentral t distribution by quadrature.
"""

from __future__ import annotations

import functools
import math
import statistics

from harness.table.estimates import t95
from harness.table.flips import mcnemar_exact

#: A drop counts as detectable that this share of repetitions of the comparison would show, at this level (two-sided).
POWER, LEVEL = 0.8, 0.05
#: Drops are told to this share of the items: finer would claim what 80 % of power does not mean.
STEP = 0.001
#: Terms of a binomial sum that lie further from its mean than this many standard deviations are left out.
_REACH = 8.0


@functools.lru_cache(maxsize=1024)
def detectable_drop(n: int, lost: int, won: int, level: float = LEVEL) -> float | None:
    """The smallest drop of accuracy, as a share of the items, that this comparison would have shown.

    Items flip both ways even where nothing got worse: the smaller of the two observed counts is taken as that part, on
    both sides; the drop comes on top of it as items that are only lost.

    Args:
        n: items that both were asked.
        lost: right in the reference, wrong here.
        won: wrong in the reference, right here.
        level: of the test, two-sided.

    Returns:
        None: not even losing every other item would have been shown.
    """
    both_ways = min(lost, won) / n if n else 0.0
    steps = int((1.0 - 2 * both_ways) / STEP)
    if n < 1 or steps < 1 or _power(n, both_ways + steps * STEP, both_ways, level) < POWER:
        return None
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        if _power(n, both_ways + middle * STEP, both_ways, level) >= POWER:
            high = middle
        else:
            low = middle
    return round(high * STEP, 6)


def _power(n: int, lose: float, win: float, level: float) -> float:
    """Probability that the test shows a loss, where items are lost and won with these probabilities."""
    flip = min(1.0, lose + win)
    mean, spread = n * flip, math.sqrt(n * flip * (1 - flip))
    first, last = max(0, int(mean - _REACH * spread)), min(n, math.ceil(mean + _REACH * spread))
    return math.fsum(
        _binomial(n, flipped, flip) * _tail(flipped, _least(flipped, level), lose / flip)
        for flipped in range(first, last + 1)
        if _least(flipped, level) <= flipped
    )


@functools.lru_cache(maxsize=65536)
def _least(flipped: int, level: float) -> int:
    """The fewest lost items among so many flipped ones that the test shows as a loss; one more than all: none would."""
    low, high = flipped // 2, flipped + 1
    while high - low > 1:
        middle = (low + high) // 2
        if mcnemar_exact(middle, flipped - middle) <= level:
            high = middle
        else:
            low = middle
    return high


def _tail(count: int, least: int, share: float) -> float:
    return math.fsum(_binomial(count, k, share) for k in range(least, count + 1))


def _binomial(count: int, k: int, share: float) -> float:
    if share <= 0.0 or share >= 1.0:
        return float(k == (0 if share <= 0.0 else count))
    logarithm = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
    return math.exp(logarithm + k * math.log(share) + (count - k) * math.log1p(-share))


# -- windows ---------------------------------------------------------------------------------------------------------

#: Intervals of the quadrature, and how many standard deviations of the sample deviation it reaches to either side.
_INTERVALS, _SIDES = 400, 8.0


@functools.lru_cache(maxsize=1024)
def detectable_errors(units: int) -> float | None:
    """How many of its standard errors a mean must lie from zero for Student's test to show it this often.

    Args:
        units: independent ones that the mean is over, such as paired windows.

    Returns:
        None: fewer than two have no spread, and no test.
    """
    if units < 2:
        return None
    freedom = units - 1
    low, high = 0.0, 100.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _shown(middle, freedom) >= POWER:
            high = middle
        else:
            low = middle
    return high


def _shown(shift: float, freedom: int) -> float:
    """Probability that Student's t of a mean ``shift`` standard errors above zero passes its two-sided point.

    The tail of the noncentral t distribution: the mean over s, the sample's deviation over the true one (chi over the
    root of its degrees of freedom), of the normal probability of ``z + shift > t s``; by Simpson's rule.
    """
    point, spread = t95(freedom), _SIDES / math.sqrt(2 * freedom)
    low, high = max(0.0, 1 - spread), 1 + spread
    step = (high - low) / _INTERVALS
    logarithm = math.log(2) + freedom / 2 * math.log(freedom / 2) - math.lgamma(freedom / 2)
    normal = statistics.NormalDist()

    def density(s: float) -> float:
        if s == 0.0:
            return math.exp(logarithm) if freedom == 1 else 0.0
        return math.exp(logarithm + (freedom - 1) * math.log(s) - freedom * s * s / 2)

    def term(index: int) -> float:
        s = low + index * step
        weight = 1 if index in (0, _INTERVALS) else 4 if index % 2 else 2
        return weight * density(s) * normal.cdf(shift - point * s)

    return step / 3 * math.fsum(term(index) for index in range(_INTERVALS + 1))
