"""Tests and intervals for paired differences, as the gate judges them.

Owns the sign-flip test, its interval, detectable effects and the control of false discoveries. Imports numpy and
scipy.special: scipy.stats takes seconds to load. Contract: pure and deterministic; differences are logarithms of
head / base, one per pair, in any order.

The sign-flip test (Fisher 1935; exact because the order within a pair is drawn, so that without an effect a difference
is as likely as its negative): the statistic is the mean difference, its distribution that over all assignments of signs
to the magnitudes. It conditions on the magnitudes. **A rule that looks at magnitudes alone may therefore decide when to
stop**: under the null the signs are fair coins independent of all magnitudes, so however the magnitudes steered the
number of pairs, the signs of those that were taken are still fair coins.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Tail = Literal["two-sided", "below", "above"]
Floats = npt.NDArray[np.float64]

#: Up to so many pairs every assignment of signs is looked at; beyond, so many drawn ones.
EXACT_PAIRS = 14
DRAWN = 20_000
#: Sums that differ by rounding alone are ties.
_TIE = 1e-12


@functools.lru_cache(maxsize=64)
def _signs(pairs: int) -> npt.NDArray[np.float64]:
    """Assignments of signs: ``float64[assignments, pairs]``; all of them, or drawn ones (always the same)."""
    if pairs <= EXACT_PAIRS:
        codes = np.arange(2**pairs)
        return np.where((codes[:, None] >> np.arange(pairs)) & 1, -1.0, 1.0)
    drawn = np.random.default_rng(pairs).integers(0, 2, size=(DRAWN, pairs), dtype=np.int8)
    return np.where(drawn == 1, -1.0, 1.0)


def sign_flip(differences: Sequence[float], tail: Tail = "two-sided") -> float:
    """How likely a mean at least as extreme were, if every difference were as likely as its negative.

    Args:
        differences: one per pair, at least one.
        tail: ``below``: means as low count as extreme, ``above``: as high.

    Returns:
        The p-value; with drawn assignments (more than 14 pairs) by the rule that counts the observed one too, so that
        it is valid (Phipson and Smyth 2010).
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no differences to test")
    observed = float(values.sum())
    sums = _signs(values.size) @ np.abs(values)
    slack = _TIE * max(1.0, float(np.abs(values).sum()))
    if tail == "below":
        extreme = sums <= observed + slack
    elif tail == "above":
        extreme = sums >= observed - slack
    else:
        extreme = np.abs(sums) >= abs(observed) - slack
    count = int(extreme.sum())
    if values.size <= EXACT_PAIRS:
        return count / len(sums)
    return (count + 1) / (len(sums) + 1)


def interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """The shifts that the two-sided sign-flip test does not reject: an interval for the centre of the differences.

    None where there are too few pairs for this confidence: even the most extreme assignment is not rare enough.
    Found from the Walsh-type means of random subsets (Hartigan 1969): the means of all non-empty subsets cut the line
    into equally likely parts, so the interval's ends are order statistics of subset means.
    """
    values = np.asarray(differences, dtype=np.float64)
    pairs = values.size
    alpha = 1 - confidence
    if pairs == 0 or 2.0 ** (1 - pairs) > alpha:
        return None
    chosen = (_signs(pairs) + 1) / 2
    chosen = chosen[chosen.any(axis=1)]
    means = np.sort((chosen @ values) / chosen.sum(axis=1))
    # Between neighbours of the sorted means lies 1 / (their number + 1) of the probability.
    cut = math.floor((len(means) + 1) * alpha / 2 + 1e-9)
    if cut < 1:
        return None
    return float(means[cut - 1]), float(means[-cut])


def spread(differences: Sequence[float]) -> float:
    """Root mean square of the differences: their standard deviation if there is no effect, more if there is one.

    From magnitudes alone, so that it may decide how many pairs are taken.
    """
    values = np.asarray(differences, dtype=np.float64)
    return float(np.sqrt(np.mean(values**2))) if values.size else math.inf


@functools.lru_cache(maxsize=4096)
def _points(alpha: float, power: float, freedom: int) -> float:
    """Standard errors between a limit and a mean that a one-sided test at ``alpha`` shows with this power."""
    return float(stdtrit(freedom, 1 - alpha) + stdtrit(freedom, power))


def detectable(deviation: float, pairs: int, alpha: float, power: float) -> float:
    """The smallest mean log ratio that a two-sided test at ``alpha`` shows with this power; infinite with one pair.

    Args:
        deviation: standard deviation of a pair's log ratio.
        pairs: how many.
        alpha: level of the test.
        power: share of repetitions that would show it.
    """
    if pairs < 2:
        return math.inf
    return _points(alpha / 2, power, pairs - 1) * deviation / math.sqrt(pairs)


def discoveries(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which hypotheses Benjamini and Hochberg (1995) reject: at most this rate of them falsely, in expectation."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    last = 0
    for rank, place in enumerate(order, start=1):
        if p_values[place] <= rate * rank / len(p_values):
            last = rank
    chosen = set(itertools.islice(order, last))
    return [place in chosen for place in range(len(p_values))]
