"""The smallest drop or shift that a comparison would have shown, against simulation and known corners."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.table.estimates import t95
from harness.table.flips import mcnemar_exact
from harness.table.power import LEVEL, POWER, STEP, detectable_drop, detectable_errors


def shown(n: int, lose: float, win: float, tries: int, seed: int) -> float:
    """Share of simulated comparisons in which the test shows a loss."""
    dice = random.Random(seed)
    found = 0
    for _ in range(tries):
        lost = won = 0
        for _ in range(n):
            at = dice.random()
            lost += at < lose
            won += lose <= at < lose + win
        found += lost > won and mcnemar_exact(lost, won) <= LEVEL
    return found / tries


@pytest.mark.parametrize(("n", "lost", "won"), [(200, 10, 8), (300, 0, 0), (100, 30, 5)])
def test_the_drop_is_found_as_often_as_it_says(n: int, lost: int, won: int) -> None:
    drop = detectable_drop(n, lost, won)
    assert drop is not None
    noise = min(lost, won) / n
    assert shown(n, noise + drop, noise, 1500, 1) == pytest.approx(POWER, abs=0.05)


def test_more_items_show_smaller_drops_and_noise_hides_them() -> None:
    drops = [detectable_drop(n, 0, 0) for n in (50, 100, 200, 400)]
    assert all(drop is not None for drop in drops)
    assert drops == sorted(drops, reverse=True, key=float)  # type: ignore[arg-type]  # none of them is None
    noisy = [detectable_drop(200, flips, flips) for flips in (0, 5, 20, 40)]
    assert noisy == sorted(noisy, key=float)  # type: ignore[arg-type]  # none of them is None


def test_a_handful_of_items_can_show_nothing() -> None:
    assert detectable_drop(5, 0, 0) is None, "five losses of five have p = 0.0625"
    assert detectable_drop(0, 0, 0) is None
    assert detectable_drop(8, 0, 0) is not None
    assert detectable_drop(7, 0, 0, 0.01) is None, "seven losses of seven have p = 0.0156"
    assert detectable_drop(8, 0, 0, 0.01) is not None


@given(st.integers(6, 400), st.data())
@settings(deadline=None, max_examples=60)
def test_it_is_a_share_of_the_items_whatever_was_seen(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, n))
    won = data.draw(st.integers(0, n - lost))
    drop = detectable_drop(n, lost, won)
    assert drop is None or STEP <= drop <= 1


@pytest.mark.parametrize("units", [2, 3, 8, 20, 60])
def test_a_shift_is_shown_as_often_as_it_says(units: int) -> None:
    errors = detectable_errors(units)
    assert errors is not None
    dice, tries, shown_in = random.Random(units), 4000, 0
    shift = errors / math.sqrt(units)  # of values whose deviation is 1
    for _ in range(tries):
        values = [dice.gauss(shift, 1.0) for _ in range(units)]
        error = statistics.stdev(values) / math.sqrt(units)
        shown_in += statistics.fmean(values) > t95(units - 1) * error
    assert shown_in / tries == pytest.approx(POWER, abs=0.025)


def test_many_units_need_the_shift_of_the_normal_distribution_and_few_need_more() -> None:
    normal = statistics.NormalDist()
    limit = normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER)
    assert detectable_errors(100_000) == pytest.approx(limit, abs=1e-3)
    found = [detectable_errors(units) for units in (2, 3, 5, 20, 200)]
    assert found == sorted(found, reverse=True, key=float)  # type: ignore[arg-type]  # none of them is None
    assert detectable_errors(1) is None
    assert detectable_errors(0) is None
