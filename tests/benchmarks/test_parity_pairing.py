"""The statistics and the stopping rule of parity's pairs, on invented processes."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tools.pairing import compare, summary, trimmed_mean


def test_the_trimmed_mean_ignores_a_fifth_on_either_side() -> None:
    values = np.array([-100.0, 1.0, 2.0, 3.0, 100.0])
    assert trimmed_mean(values) == 2.0


def test_equal_pairs_give_their_ratio_without_width() -> None:
    result = summary([math.log(0.98)] * 6, 0.02, 0.03)
    assert result["pairs"] == 6
    assert result["conclusive"] is True
    assert result["answer"] == "within"
    for key in ("ratio", "low", "high"):
        assert result[key] == pytest.approx(0.98)


@pytest.mark.parametrize("ratio", [0.96, 1.04])
def test_a_narrow_interval_away_from_one_is_beyond_the_tolerance(ratio: float) -> None:
    assert summary([math.log(ratio)] * 6, 0.02, 0.03)["answer"] == "beyond"
    assert summary([math.log(ratio)] * 6, 0.02, 0.05)["answer"] == "within"


def test_a_wide_interval_is_no_answer_whatever_the_ratio() -> None:
    result = summary([-0.5, 0.5, -0.4, 0.4], 0.02, 0.03)
    assert result["ratio"] == pytest.approx(1.0)
    assert result["answer"] == "inconclusive"


@given(values=st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40))
def test_the_interval_is_ordered_within_the_data_and_repeatable(values: list[float]) -> None:
    result = summary(values, 0.02, 0.03)
    tolerance = 1e-9
    assert (
        math.exp(min(values)) - tolerance
        <= result["low"]
        <= result["high"]
        <= math.exp(max(values)) + tolerance
    )
    assert summary(values, 0.02, 0.03) == result


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    source = random.Random(1)
    covered = 0
    for _ in range(200):
        result = summary([source.gauss(0.01, 0.05) for _ in range(20)], 0.02, 0.03)
        covered += result["low"] <= math.exp(0.01) <= result["high"]
    assert 0.88 <= covered / 200 <= 0.99


def _quiet(pairs: int, result: dict[str, dict[str, Any]]) -> None:
    """Progress that nobody reads."""


def test_comparing_stops_at_the_fewest_pairs_where_nothing_varies() -> None:
    told: list[tuple[int, list[str]]] = []
    result = compare(
        lambda _pair: {"prefill": 2.0, "decode": 1.0},
        lambda _pair: {"prefill": 1.0, "decode": 1.0},
        min_pairs=3,
        max_pairs=10,
        half_width=0.02,
        tolerance=0.03,
        seed=0,
        progress=lambda pairs, result: told.append((pairs, list(result))),
    )
    assert result["prefill"]["pairs"] == 3
    assert result["prefill"]["ratio"] == pytest.approx(0.5)
    assert result["decode"]["ratio"] == pytest.approx(1.0)
    assert told == [(1, []), (2, []), (3, ["prefill", "decode"])]


def test_comparing_ends_inconclusive_at_the_most_pairs() -> None:
    source = random.Random(2)
    calls: list[tuple[str, int]] = []

    def ours(pair: int) -> dict[str, float]:
        calls.append(("ours", pair))
        return {"prefill": math.exp(source.gauss(0, 0.5)), "decode": 1.0}

    def tool(pair: int) -> dict[str, float]:
        calls.append(("tool", pair))
        return {"prefill": 1.0, "decode": 1.0}

    result = compare(
        ours, tool, min_pairs=2, max_pairs=6, half_width=0.001, tolerance=0.03, seed=0, progress=_quiet
    )
    assert result["prefill"]["conclusive"] is False
    assert result["prefill"]["answer"] == "inconclusive"
    assert result["decode"]["conclusive"] is True
    assert result["prefill"]["pairs"] == 6
    assert [pair for _, pair in calls] == [pair for pair in range(6) for _ in range(2)]
    # Each order occurs as often, and both within two pairs that follow one another.
    first = [who for who, _ in calls[::2]]
    assert all({one, other} == {"ours", "tool"} for one, other in zip(first[::2], first[1::2], strict=True))
