"""The gate's tests and intervals: exact where they claim to be, against counting by hand and against scipy."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.gate.statistics import detectable, discoveries, interval, sign_flip, spread

differences = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=9)


def counted(values: list[float], tail: str) -> float:
    """The p-value by enumeration, with exact sums."""
    observed = math.fsum(values)
    sums = [
        math.fsum(sign * abs(value) for sign, value in zip(signs, values, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    slack = 1e-12 * max(1.0, math.fsum(map(abs, values)))
    extreme = {
        "two-sided": [one for one in sums if abs(one) >= abs(observed) - slack],
        "below": [one for one in sums if one <= observed + slack],
        "above": [one for one in sums if one >= observed - slack],
    }[tail]
    return len(extreme) / len(sums)


@given(values=differences, tail=st.sampled_from(["two-sided", "below", "above"]))
def test_the_sign_flip_test_is_what_counting_gives(values: list[float], tail: str) -> None:
    assert sign_flip(values, tail) == pytest.approx(counted(values, tail))  # type: ignore[arg-type]


@given(values=differences)
def test_turning_all_differences_over_swaps_the_tails(values: list[float]) -> None:
    turned = [-value for value in values]
    assert sign_flip(values, "below") == pytest.approx(sign_flip(turned, "above"))
    assert sign_flip(values) == pytest.approx(sign_flip(turned))


def test_seven_equal_differences_are_as_rare_as_seven_heads() -> None:
    assert sign_flip([-0.1] * 7, "below") == 1 / 128
    assert sign_flip([-0.1] * 7) == 2 / 128
    assert sign_flip([0.0] * 7) == 1.0


def test_with_many_pairs_it_agrees_with_scipys_permutation_test() -> None:
    values = np.random.default_rng(3).normal(-0.01, 0.03, 25)
    theirs = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=20_000,
        alternative="less",
        rng=np.random.default_rng(4),
    )
    assert sign_flip(list(values), "below") == pytest.approx(theirs.pvalue, abs=0.01)


def test_p_values_of_noise_are_no_smaller_than_they_say() -> None:
    random = np.random.default_rng(5)
    found = [sign_flip(list(random.standard_t(2, 8))) for _ in range(2000)]
    for level in (0.05, 0.1, 0.3):
        assert np.mean(np.array(found) <= level) <= level + 3 * math.sqrt(level / 2000)


@given(values=st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=6, max_size=9))
def test_the_interval_holds_what_the_test_does_not_reject(values: list[float]) -> None:
    found = interval(values)
    assert found is not None
    low, high = found
    assert low <= high
    width = max(map(abs, values)) + 1.0
    for shift in (low - 1e-6 * width, high + 1e-6 * width):
        assert sign_flip([value - shift for value in values]) <= 0.05 + 1e-9
    middle = (low + high) / 2
    if high - low > 1e-6:
        assert sign_flip([value - middle for value in values]) > 0.05


def test_too_few_pairs_have_no_interval() -> None:
    assert interval([0.1] * 5) is None
    assert interval([0.1] * 6) is not None


def test_intervals_hold_the_centre_as_often_as_they_say() -> None:
    random = np.random.default_rng(6)
    held = 0
    for _ in range(800):
        found = interval(list(random.normal(0.02, 0.03, 10)))
        assert found is not None
        held += found[0] <= 0.02 <= found[1]
    assert held / 800 == pytest.approx(0.95, abs=0.03)


def test_a_detectable_change_is_found_about_as_often_as_asked() -> None:
    size = detectable(0.03, 12, 0.05, 0.8)
    random = np.random.default_rng(7)
    found = [sign_flip(list(random.normal(size, 0.03, 12))) <= 0.05 for _ in range(600)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_a_detectable_change_has_students_points() -> None:
    points = stats.t.ppf(0.975, 11) + stats.t.ppf(0.8, 11)
    assert detectable(0.03, 12, 0.05, 0.8) == pytest.approx(points * 0.03 / math.sqrt(12))


def test_the_design_does_not_load_what_takes_seconds() -> None:
    script = "import sys, harness.gate.verdict; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_spread_does_not_look_at_signs() -> None:
    assert spread([0.1, -0.2, 0.3]) == spread([-0.1, -0.2, -0.3]) == pytest.approx(math.sqrt(0.14 / 3))
    assert spread([]) == math.inf


@given(p_values=st.lists(st.floats(0, 1), max_size=30), rate=st.floats(0.01, 0.5))
def test_discoveries_are_those_of_scipys_adjusted_p_values(p_values: list[float], rate: float) -> None:
    if not p_values:
        assert discoveries(p_values, rate) == []
        return
    adjusted = stats.false_discovery_control(p_values)
    found = discoveries(p_values, rate)
    for one, adjusted_p in zip(found, adjusted, strict=True):
        if abs(adjusted_p - rate) > 1e-9:
            assert one == (adjusted_p <= rate)
