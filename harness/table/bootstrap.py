"""Standard errors over windows of text: whole windows are drawn again, for positions inside one depend on each other.

Owns the block bootstrap behind every error of a score; the definition for readers is in ``docs/method.md``. Imports
numpy. Contract: seeded, so that the same windows give the same errors; vectorised over windows and positions; memory
bounded by a block of draws and a few numbers for each position; None with fewer than two windows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from harness.table.estimates import Bounds, t95

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Draws of as many windows as there are: the error of a standard error from them is some 2 %.
RESAMPLES = 1000
#: How far a product and a difference of doubles may be off, as a share.
_ROUNDING = 4 * np.finfo(np.float64).eps
#: Draws are made in blocks of at most this many numbers (8 MB); up to as many are kept for the next score.
_BLOCK = 1 << 20


def resampled_ratios(sums: Sequence[float], counts: Sequence[int]) -> Floats | None:
    """``sum(sums) / sum(counts)`` over each draw of windows, ``float64[RESAMPLES]``.

    None with fewer than two windows, one that counts nothing, or sums that are not finite.
    """
    values, sizes = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if len(values) < 2 or sizes.min() <= 0 or not np.isfinite(values).all():
        return None
    ratio = math.fsum(sums) / sum(counts)
    off = values - ratio * sizes
    # Windows that are all alike have no spread: what is left of them is rounding.
    off[np.abs(off) <= _ROUNDING * np.abs(values)] = 0.0
    return ratio + np.concatenate([(drawn @ off) / (drawn @ sizes) for drawn in _draws(len(values))])


def standard_error(resampled: Floats, windows: int) -> float:
    """The standard error of a statistic from its values over draws of ``windows >= 2`` windows.

    Draws of n from n windows spread by a factor sqrt((n - 1) / n) less than fresh windows would: that is made good.
    """
    # Less any of them: the mean of equal numbers is rounded, and would leave a spread.
    return float((resampled - resampled[0]).std(ddof=1)) * math.sqrt(windows / (windows - 1))


def ratio_error(sums: Sequence[float], counts: Sequence[int]) -> float | None:
    """Standard error of ``sum(sums) / sum(counts)``; None as `resampled_ratios` is."""
    resampled = resampled_ratios(sums, counts)
    return None if resampled is None else standard_error(resampled, len(sums))


def ratio_interval(sums: Sequence[float], counts: Sequence[int]) -> Bounds | None:
    """95 % interval of ``sum(sums) / sum(counts)``, by Student's t; None as `resampled_ratios` is."""
    error = ratio_error(sums, counts)
    if error is None:
        return None
    ratio, half = math.fsum(sums) / sum(counts), t95(len(sums) - 1) * error
    return ratio - half, ratio + half


def quantile_errors(
    windows: Sequence[npt.NDArray[np.floating]], levels: Sequence[float]
) -> list[float] | None:
    """Standard errors of quantiles over the positions of all windows, as `numpy.quantile` interpolates them.

    Args:
        windows: finite values of the positions of each window.
        levels: 0 to 1.

    Returns:
        None with fewer than two windows, or with one that has no position.
    """
    if len(windows) < 2 or not all(len(each) for each in windows):
        return None
    values = np.concatenate(windows)
    order = np.argsort(values, kind="stable")
    values = values[order]
    owner = np.repeat(np.arange(len(windows), dtype=np.int32), [len(each) for each in windows])[order]
    sizes = np.array([len(each) for each in windows], dtype=np.int64)
    at = np.asarray(levels, dtype=np.float64)
    found = [
        _quantiles(values, drawn[owner], int(drawn @ sizes), at)
        for block in _draws(len(windows))
        for drawn in block.astype(np.int64)
    ]
    return [standard_error(each, len(windows)) for each in np.array(found).T]


def _quantiles(values: npt.NDArray[np.floating], times: Integers, total: int, levels: Floats) -> Floats:
    """Of the sorted ``values``, each of them taken so many ``times``, ``total`` in all."""
    ends = np.cumsum(times)
    place = levels * (total - 1)
    below = np.floor(place).astype(np.int64)
    ranks = np.stack([below, np.minimum(below + 1, total - 1)])
    low, high = values[np.searchsorted(ends, ranks, side="right")].astype(np.float64)
    return np.asarray(low + (place - below) * (high - low), dtype=np.float64)


def maximum_error(windows: Sequence[npt.NDArray[np.floating]]) -> float | None:
    """Standard error of the largest value of all windows; None as `quantile_errors` is.

    Too small, as any bootstrap's of a maximum is: two draws in three hold the window that has it, none a larger one.
    """
    if len(windows) < 2 or not all(len(each) for each in windows):
        return None
    largest = np.array([each.max() for each in windows], dtype=np.float64)
    drawn = [np.where(block > 0, largest, -np.inf).max(axis=1) for block in _draws(len(windows))]
    return standard_error(np.concatenate(drawn), len(windows))


def _draws(windows: int) -> Iterator[Floats]:
    """How often each window is in each draw: blocks of ``float64[draws, windows]``, `RESAMPLES` draws in all."""
    if RESAMPLES * windows <= _BLOCK:
        yield _kept_draws(windows)
        return
    generator, left = np.random.default_rng(0), RESAMPLES
    while left:
        rows = min(left, max(1, _BLOCK // windows))
        yield _drawn(generator, rows, windows)
        left -= rows


@functools.lru_cache(maxsize=8)
def _kept_draws(windows: int) -> Floats:
    drawn = _drawn(np.random.default_rng(0), RESAMPLES, windows)
    drawn.setflags(write=False)
    return drawn


def _drawn(generator: np.random.Generator, rows: int, windows: int) -> Floats:
    chosen = (generator.random((rows, windows)) * windows).astype(np.int64)
    chosen += windows * np.arange(rows, dtype=np.int64)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * windows).reshape(rows, windows).astype(np.float64)
