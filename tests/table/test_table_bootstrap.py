"""`harness.table.bootstrap`: errors by drawing whole windows again."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.table import bootstrap
from harness.table.bootstrap import (
    RESAMPLES,
    maximum_error,
    quantile_errors,
    ratio_error,
    ratio_interval,
    resampled_ratios,
    standard_error,
)

LEVELS = [0.0, 0.01, 0.5, 0.99, 0.999, 1.0]


def drawn_windows(windows: int) -> list[list[int]]:
    """The draws themselves, window by window, for the plain arithmetic beside the vectorised one."""
    return [
        [int(window) for window in range(windows) for _ in range(int(times[window]))]
        for block in bootstrap._draws(windows)
        for times in block
    ]


def plain(windows: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Standard errors of `LEVELS`, the maximum and the mean, each draw put together and looked at by itself."""
    found = []
    for draw in drawn_windows(len(windows)):
        values = np.concatenate([windows[one] for one in draw]).astype(np.float64)
        found.append([*np.quantile(values, LEVELS), values.max(), values.mean()])
    spread: npt.NDArray[np.float64] = np.std(found, axis=0, ddof=1)
    return spread * math.sqrt(len(windows) / (len(windows) - 1))


@pytest.mark.parametrize("windows", [2, 7, 3000])
def test_each_draw_has_as_many_windows_as_there_are_and_all_windows_are_drawn_alike(windows: int) -> None:
    blocks = list(bootstrap._draws(windows))
    assert sum(len(block) for block in blocks) == RESAMPLES
    assert all(block.size <= bootstrap._BLOCK for block in blocks)
    assert all((block.sum(axis=1) == windows).all() for block in blocks)
    times = sum(block.sum(axis=0) for block in blocks)
    # A window's count over all draws is binomial: 1,000 expected, and some 32 of spread.
    assert abs(times - RESAMPLES).max() < 6 * math.sqrt(RESAMPLES)


def test_large_blocks_draw_what_one_block_would(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = list(np.random.default_rng(1).exponential(size=40)), [255] * 40
    at_once = ratio_error(sums, counts)
    monkeypatch.setattr(bootstrap, "_BLOCK", 40 * 7)
    assert ratio_error(sums, counts) == at_once


@settings(max_examples=6, deadline=None)
@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=6), min_size=2, max_size=6))
def test_errors_are_those_of_a_plain_bootstrap(given_windows: list[list[float]]) -> None:
    windows = [np.array(each, dtype=np.float32) for each in given_windows]
    *quantiles, largest, mean = plain(windows)
    assert quantile_errors(windows, LEVELS) == pytest.approx(quantiles, rel=1e-9, abs=1e-9)
    assert maximum_error(windows) == pytest.approx(largest, rel=1e-9, abs=1e-9)
    sums, counts = [float(each.sum(dtype=float)) for each in windows], [len(each) for each in windows]
    assert ratio_error(sums, counts) == pytest.approx(mean, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("windows", [2, 5, 40, 2000])
def test_the_error_of_a_mean_of_independent_windows_is_the_analytic_one(windows: int) -> None:
    sums = np.random.default_rng(windows).normal(20.0, 3.0, windows)
    analytic = sums.std(ddof=1) / math.sqrt(windows) / 255
    assert ratio_error(list(sums), [255] * windows) == pytest.approx(analytic, rel=0.06)


def test_windows_of_unequal_length_have_the_error_of_the_ratio() -> None:
    generator = np.random.default_rng(5)
    counts = generator.integers(50, 300, 60)
    sums = counts * generator.normal(2.0, 0.4, 60)
    ratio = sums.sum() / counts.sum()
    linear = math.sqrt(60 / 59 * ((sums - ratio * counts) ** 2).sum()) / counts.sum()
    assert ratio_error(list(sums), [int(each) for each in counts]) == pytest.approx(linear, rel=0.06)


def test_the_error_of_a_function_of_the_mean_is_that_of_its_draws() -> None:
    sums, counts = [510.0, 540.0, 480.0, 533.0], [255] * 4
    resampled = resampled_ratios(sums, counts)
    assert resampled is not None
    assert resampled.shape == (RESAMPLES,)
    error = ratio_error(sums, counts)
    assert error == standard_error(resampled, 4)
    perplexity = math.exp(sum(sums) / sum(counts))
    assert standard_error(np.exp(resampled), 4) == pytest.approx(perplexity * error, rel=0.05)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 512)), min_size=2, max_size=30))
def test_the_interval_holds_the_ratio(windows: list[tuple[float, int]]) -> None:
    sums, counts = [each[0] for each in windows], [each[1] for each in windows]
    low, high = ratio_interval(sums, counts) or (1, 0)
    ratio = sum(sums) / sum(counts)
    assert low <= ratio + 1e-9
    assert high >= ratio - 1e-9


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    for windows in (3, 12):
        hits = 0
        for _ in range(600):
            low, high = ratio_interval(list(generator.normal(5.0, 1.0, windows)), [1] * windows) or (1, 0)
            hits += low <= 5.0 <= high
        assert 0.92 < hits / 600 < 0.98


def test_windows_that_agree_leave_no_uncertainty() -> None:
    assert ratio_error([0.5, 1.0, 1.5], [1, 2, 3]) == 0
    assert ratio_error([0.3, 0.1, 0.7], [3, 1, 7]) == 0
    same = np.array([0.1, 0.2, 0.7])
    assert quantile_errors([same, same], [0.0, 1.0]) == [0.0, 0.0]
    assert maximum_error([same, same]) == 0


def test_what_has_no_spread_has_no_error() -> None:
    one = np.array([1.0, 2.0])
    assert ratio_error([1.0], [10]) is None
    assert ratio_error([1.0, 2.0], [10, 0]) is None
    assert ratio_error([1.0, math.inf], [10, 10]) is None
    assert ratio_interval([1.0], [10]) is None
    assert quantile_errors([one], [0.5]) is None
    assert quantile_errors([one, one[:0]], [0.5]) is None
    assert maximum_error([one]) is None
    assert maximum_error([one[:0], one]) is None
