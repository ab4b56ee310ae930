"""`harness.history.steps`: against textbook cases."""

from __future__ import annotations

import numpy as np
import pytest

from harness.history.sizes import level_of, ratio_interval
from harness.history.steps import chance_of, drawn_in, fit_step, worth_of


@pytest.mark.parametrize(
    ("t", "free", "chance"),
    # The 97.5 %, 99.5 % and 99.95 % quantiles of Student's distribution.
    [(2.571, 5, 0.05), (2.086, 20, 0.05), (4.032, 5, 0.01), (2.845, 20, 0.01), (3.850, 20, 0.001)],
)
def test_chances_are_those_of_students_table(t: float, free: int, chance: float) -> None:
    assert chance_of(float(np.log1p(t * t / free)), free) == pytest.approx(chance, rel=0.05)


def test_without_freedom_or_gain_there_is_no_evidence() -> None:
    assert chance_of(5.0, 0.0) == chance_of(0.0, 10.0) == 1.0


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 0.6])
def test_worth_is_that_of_the_autoregression(coefficient: float) -> None:
    noise = np.random.default_rng(1).normal(0, 1, 20_000)
    for at in range(1, len(noise)):
        noise[at] += coefficient * noise[at - 1]
    assert worth_of(noise) == pytest.approx((1 - coefficient) / (1 + coefficient), abs=0.03)


def test_alternating_noise_is_worth_no_more_than_its_size() -> None:
    assert worth_of(np.array([1.0, -1.0] * 20)) == 1.0
    assert worth_of(np.zeros(20)) == 1.0


def test_a_step_lies_where_least_squares_has_it() -> None:
    values = np.random.default_rng(2).normal(0, 1, 60)
    values[25:] += 4
    squares = [
        ((values[:k] - values[:k].mean()) ** 2).sum() + ((values[k:] - values[k:].mean()) ** 2).sum()
        for k in range(5, 56)
    ]
    step = fit_step(values, 25, 5)
    assert step is not None
    assert step.before == 5 + int(np.argmin(squares))
    assert step.first <= 25 <= step.last
    assert step.is_step
    assert step.chance < 1e-6


def test_a_line_is_no_step_and_a_step_on_a_line_is_one() -> None:
    line = np.random.default_rng(3).normal(0, 1, 100) + np.arange(100) / 10
    step = fit_step(line, 50, 5)
    assert step is not None
    assert not step.is_step
    line[70:] += 6
    step = fit_step(line, 70, 5)
    assert step is not None
    assert step.is_step
    assert abs(step.before - 70) <= 1


def test_a_step_keeps_to_what_is_allowed() -> None:
    values = np.array([0.0] * 20 + [1.0] * 20) + np.random.default_rng(4).normal(0, 0.1, 40)
    step = fit_step(values, 23, 1, (22, 24))
    assert step is not None
    assert (step.before, step.first) == (22, 22)


def test_an_outlier_beside_a_step_does_not_carry_it_along() -> None:
    values = np.random.default_rng(5).normal(40, 0.5, 60)
    values[30:] += 4
    for place, outlier in ((31, 20.0), (31, 90.0), (28, 20.0), (28, 90.0)):
        spiky = values.copy()
        spiky[place] = outlier
        step = fit_step(spiky, 32, 5)
        assert step is not None
        assert step.before == 30


def test_sides_with_one_median_are_no_step() -> None:
    assert fit_step(np.array([1.0, 2, 3] * 10), 15, 5) is None


def test_outliers_are_drawn_in_and_left_out_of_a_level() -> None:
    values = np.array([9.0, 10, 11, 10, 9, 11, 10, 500])
    drawn = drawn_in(values, np.full(8, 10.0))
    assert list(drawn[:7]) == list(values[:7])
    assert 11 < drawn[7] < 15
    assert level_of(values) == pytest.approx(10.0)


def test_the_interval_of_a_ratio_holds_it_nineteen_times_in_twenty() -> None:
    inside = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        low, high = ratio_interval(random.normal(100, 2, 20), random.normal(105, 2, 8))
        inside += low <= 1.05 <= high
    assert 0.91 <= inside / 400 <= 0.98
