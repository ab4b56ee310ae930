"""What a comparison of the same items could have found: the smallest drop that McNemar's test would have shown.

Owns this arithmetic. Imports the standard library and the exact test. Contract: pure; exact binomial sums.
"""

from __future__ import annotations

import functools
import math

from harness.table.flips import mcnemar_exact

#: A drop counts as detectable that this share of repetitions of the comparison would show, at this level (two-sided).
POWER, LEVEL = 0.8, 0.05
#: Drops are told to this share of the items: finer would claim what 80 % of power does not mean.
STEP = 0.001
#: Terms of a binomial sum that lie further from its mean than this many standard deviations are left out.
_REACH = 8.0


@functools.lru_cache(maxsize=1024)
def detectable_drop(n: int, lost: int, won: int) -> float | None:
    """The smallest drop of accuracy, as a share of the items, that this comparison would have shown.

    Items flip both ways even where nothing got worse: the smaller of the two observed counts is taken as that part, on
    both sides; the drop comes on top of it as items that are only lost.

    Args:
        n: items that both were asked.
        lost: right in the reference, wrong here.
        won: wrong in the reference, right here.

    Returns:
        None: not even losing every other item would have been shown.
    """
    both_ways = min(lost, won) / n if n else 0.0
    steps = int((1.0 - 2 * both_ways) / STEP)
    if n < 1 or steps < 1 or _power(n, both_ways + steps * STEP, both_ways) < POWER:
        return None
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        if _power(n, both_ways + middle * STEP, both_ways) >= POWER:
            high = middle
        else:
            low = middle
    return round(high * STEP, 6)


def _power(n: int, lose: float, win: float) -> float:
    """Probability that the test shows a loss, where items are lost and won with these probabilities."""
    flip = min(1.0, lose + win)
    mean, spread = n * flip, math.sqrt(n * flip * (1 - flip))
    first, last = max(0, int(mean - _REACH * spread)), min(n, math.ceil(mean + _REACH * spread))
    return math.fsum(
        _binomial(n, flipped, flip) * _tail(flipped, _least(flipped), lose / flip)
        for flipped in range(first, last + 1)
        if _least(flipped) <= flipped
    )


@functools.lru_cache(maxsize=65536)
def _least(flipped: int) -> int:
    """The fewest lost items among so many flipped ones that the test shows as a loss; one more than all: none would."""
    low, high = flipped // 2, flipped + 1
    while high - low > 1:
        middle = (low + high) // 2
        if mcnemar_exact(middle, flipped - middle) <= LEVEL:
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
