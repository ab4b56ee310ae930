"""`harness.table.estimates`: medians and intervals."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.table.estimates import median, median_interval, quantile, ratio_interval, t95

positive = st.floats(1e-6, 1e12)
values = st.lists(positive, min_size=2, max_size=25)


def test_student_points_agree_with_published_tables() -> None:
    assert t95(1) == pytest.approx(12.706, abs=1e-3)
    assert t95(10) == pytest.approx(2.228, abs=1e-3)
    assert t95(40) == pytest.approx(2.0211, abs=1e-4)
    assert t95(120) == pytest.approx(1.9799, abs=1e-4)
    assert all(t95(n) > t95(n + 1) for n in range(1, 60))


def test_nothing_and_one_value_have_no_interval() -> None:
    assert median([]) is None
    assert quantile([], 50) is None
    assert quantile([3.0], 99) == 3.0
    assert median_interval([]) is None
    assert median_interval([1.0]) is None
    assert ratio_interval([1.0], [10]) is None


def test_from_six_values_on_the_interval_is_two_order_statistics() -> None:
    assert median_interval([5, 3, 1, 6, 2, 4]) == (1, 6)
    # n = 10: P(2nd smallest .. 9th smallest holds the median) = 1 - 2 * (1 + 10) / 1024 = 97.9 %.
    assert median_interval(range(1, 11)) == (2, 9)


def test_few_values_get_students_interval_on_logarithms() -> None:
    low, high = median_interval([90.0, 100.0, 111.0]) or (0, 0)
    assert low * high == pytest.approx((90 * 100 * 111) ** (2 / 3))
    assert low < 90
    assert high > 111


@given(values)
def test_the_interval_holds_the_median(data: list[float]) -> None:
    low, high = median_interval(data) or (1, 0)
    assert low <= statistics.median(data) * (1 + 1e-12)
    assert high >= statistics.median(data) * (1 - 1e-12)


@given(values, st.randoms())
def test_the_order_of_values_changes_nothing(data: list[float], shuffler: random.Random) -> None:
    shuffled = list(data)
    shuffler.shuffle(shuffled)
    assert median_interval(shuffled) == median_interval(data)
    assert quantile(shuffled, 99) == quantile(data, 99)


@given(values, st.integers(-20, 20))
def test_the_interval_scales_with_the_unit(data: list[float], power: int) -> None:
    scaled = median_interval([value * 2.0**power for value in data]) or (0, 0)
    assert scaled == pytest.approx(
        [bound * 2.0**power for bound in median_interval(data) or (0, 0)], rel=1e-6
    )


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    generator = random.Random(7)
    for count in (3, 5, 8):
        hits = 0
        for _ in range(2000):
            low, high = median_interval([generator.lognormvariate(0, 0.1) for _ in range(count)]) or (0, 0)
            hits += low <= 1.0 <= high
        assert hits / 2000 > 0.935


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 512)), min_size=2, max_size=30))
def test_the_ratio_interval_holds_the_ratio(windows: list[tuple[float, int]]) -> None:
    sums, counts = [each[0] for each in windows], [each[1] for each in windows]
    low, high = ratio_interval(sums, counts) or (1, 0)
    ratio = sum(sums) / sum(counts)
    assert low <= ratio + 1e-9
    assert high >= ratio - 1e-9


def test_windows_that_agree_leave_no_uncertainty() -> None:
    assert ratio_interval([2.0, 4.0], [10, 20]) == pytest.approx((0.2, 0.2))
