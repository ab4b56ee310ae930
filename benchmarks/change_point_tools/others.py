"""The methods that ours is compared with, each with the defaults of its best-known implementation.

Each takes a series and gives the 0-based number of the first value behind each change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def nothing(values: Floats) -> list[int]:
    """No change anywhere."""
    del values
    return []


def pelt_log(values: Floats) -> list[int]:
    """`pelt` with three times log n, the modified BIC that R's changepoint has as its default."""
    return pelt(values, 3 * math.log(len(values)))


def pelt_ten(values: Floats) -> list[int]:
    """`pelt` with 10, as ruptures' documentation has it."""
    return pelt(values, 10.0)


def pelt(values: Floats, penalty: float) -> list[int]:
    """``ruptures.Pelt()`` as it is made (l2, min_size 2, jump 5), on the series at mean 0 and deviation 1.

    There is no default penalty.
    """
    import ruptures

    deviation = values.std()
    standard = (values - values.mean()) / (deviation or 1.0)
    ends = ruptures.Pelt().fit(standard.reshape(-1, 1)).predict(pen=penalty)
    return [int(end) for end in ends[:-1]]


@dataclass(frozen=True)
class _Split:
    statistic: float
    at: int


def e_divisive(
    values: Floats, *, level: float = 0.05, permutations: int = 199, least: int = 30, seed: int = 1
) -> list[int]:
    """E-divisive (Matteson and James 2014, JASA 109) with the defaults of R's ecp; alpha is 1.

    The split of every segment may end before the segment does, as in the paper. The segment with the largest statistic
    is split while at most ``level`` of the permutations within segments reach it.
    """
    random = np.random.default_rng(seed)
    edges = [0, len(values)]
    while True:
        best = _best(values, edges, least)
        if best is None:
            return edges[1:-1]
        reached = 0
        for _ in range(permutations):
            shuffled = np.concatenate([random.permutation(values[a:b]) for a, b in pairwise(edges)])
            other = _best(shuffled, edges, least)
            assert other is not None
            reached += other.statistic >= best.statistic
        if (reached + 1) / (permutations + 1) > level:
            return edges[1:-1]
        edges = sorted({*edges, best.at})


def _best(values: Floats, edges: list[int], least: int) -> _Split | None:
    splits = [
        _Split(split.statistic, a + split.at)
        for a, b in pairwise(edges)
        if (split := _split(values[a:b], least)) is not None
    ]
    return max(splits, key=lambda split: split.statistic, default=None)


def _split(values: Floats, least: int) -> _Split | None:
    n = len(values)
    if n < 2 * least:
        return None
    # sums[i, j]: of the distances between the first i and the first j values.
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = np.abs(values[:, None] - values).cumsum(0).cumsum(1)
    at = np.arange(least, n - least + 1)[:, None]
    end = np.arange(2 * least, n + 1)[None, :]
    first, second = at.astype(float), np.maximum(end - at, 1).astype(float)
    within_first = sums[at, at]
    between = sums[at, end] - within_first
    within_second = sums[end, end] - 2 * sums[at, end] + within_first
    # A sum of a block of the symmetric matrix counts every pair twice.
    energy = (
        2 * between / (first * second)
        - within_first / (first * np.maximum(first - 1, 1))
        - within_second / (second * np.maximum(second - 1, 1))
    )
    statistic = np.where(end - at >= least, energy * first * second / (first + second), -np.inf)
    place = np.unravel_index(int(np.argmax(statistic)), statistic.shape)
    return _Split(float(statistic[place]), int(at[place[0], 0]))
