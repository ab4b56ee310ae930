"""The Mann-Whitney test at every split of a growing window, and its tail.

Owns the statistic of the change-point model of Hawkins and Deng (2010, Journal of Quality Technology 42) and the
chance of a value at least as large. Contract: only the order of the values counts, so an outlier weighs no more than
any other value that lies beyond the rest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Below it a double cannot say how improbable something is.
_LEAST = 1e-300


class RankScan:
    """The statistics of a window that grows at its end.

    ``score(k)`` is the number of pairs (one of the first k values, one of the rest) in which the later value is the
    larger one, less the number of those in which it is the smaller.
    """

    def __init__(self, values: Floats) -> None:
        self._values = np.empty(max(64, 2 * len(values)))
        self._scores = np.zeros_like(self._values)
        self._size = 0
        for value in values:
            self.append(float(value))

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> Floats:
        """The window: float64[n]."""
        return self._values[: self._size]

    def append(self, value: float) -> None:
        """Let the window grow by one value."""
        if self._size == len(self._values):
            self._values = np.concatenate([self._values, np.empty(self._size)])
            self._scores = np.concatenate([self._scores, np.zeros(self._size)])
        # There is no split behind the last value yet: its score starts at 0.
        self._scores[self._size] = 0.0
        self._add(value, 1.0)
        self._values[self._size] = value
        self._size += 1

    def replace_last(self, value: float) -> None:
        """Let the window end with another value."""
        self._size -= 1
        self._add(float(self._values[self._size]), -1.0)
        self._add(value, 1.0)
        self._values[self._size] = value
        self._size += 1

    def _add(self, value: float, sign: float) -> None:
        wins = np.sign(value - self._values[: self._size])
        self._scores[1 : self._size + 1] += sign * np.cumsum(wins)

    def best_split(self, least: int) -> tuple[int, float]:
        """The split that stands out most, and its standardised score.

        Args:
            least: values that both sides must have.

        Returns:
            How many values are before the split (0 where the window is too short), and the score in standard deviations
            of a window without ties; with ties it is nearer to 0 than it need be.
        """
        n = self._size
        if n < 2 * least:
            return 0, 0.0
        before = np.arange(least, n - least + 1, dtype=np.float64)
        pairs = before * (n - before)
        scores = self._scores[least : n - least + 1] / np.sqrt(pairs * (n + 1) / 3)
        best = int(np.argmax(np.abs(scores)))
        return least + best, float(scores[best])

    def score(self, before: int) -> float:
        """The score of the split behind the first ``before`` values."""
        return float(self._scores[before])


def two_sided(score: float, first: int, second: int) -> float:
    """The chance that the score of two samples from one distribution is as far from 0 as this one, or further.

    The saddlepoint approximation of Lugannani and Rice with Daniels' correction for a lattice (1987, International
    Statistical Review 55); the cumulants are those of the Mann-Whitney statistic's generating function. Unlike the
    normal approximation it holds where all values of one sample lie beyond the other's, also for five against fifty.

    Args:
        score: wins less losses, as in `RankScan`.
        first: size of one sample, at least 1.
        second: size of the other one, at least 1.
    """
    few, many = sorted((first, second))
    # U less its mean, corrected for continuity.
    beyond = abs(score) / 2 - 0.5
    if beyond <= 0:
        return 1.0
    i = np.arange(1, few + 1, dtype=np.float64)
    j = i + many

    def mean(s: float) -> float:
        return float(np.sum(j / np.tanh(j * s / 2) - i / np.tanh(i * s / 2)) / 2)

    low, high = 0.0, 1.0 / many
    while mean(high) < beyond:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < beyond else (low, middle)
    s = (low + high) / 2
    cumulant = float(np.sum(_log_sinh(j * s / 2) - _log_sinh(i * s / 2) - np.log(j / i)))
    variance = float(
        np.sum(i**2 * _inverse_sinh_squared(i * s / 2) - j**2 * _inverse_sinh_squared(j * s / 2)) / 4
    )
    w = math.sqrt(max(2 * (s * beyond - cumulant), 0.0))
    if w < 0.1:  # the formula is 0/0 at the mean, and nobody asks how improbable that is
        return 1.0
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    tail = math.erfc(w / math.sqrt(2)) / 2
    tail += density * (1 / (2 * math.sinh(s / 2) * math.sqrt(variance)) - 1 / w)
    # No score is less probable than the most extreme one, which one order of two samples in this many has.
    orders = math.lgamma(few + many + 1) - math.lgamma(few + 1) - math.lgamma(many + 1)
    return min(1.0, max(2 * tail, 2 * math.exp(-orders), _LEAST))


def _log_sinh(x: Floats) -> Floats:
    return x + np.log1p(-np.exp(-2 * x)) - math.log(2)


def _inverse_sinh_squared(x: Floats) -> Floats:
    return np.asarray(4 * np.exp(-2 * x) / (1 - np.exp(-2 * x)) ** 2, dtype=np.float64)
