"""The statistics and the stopping rule of benchmarks/parity.py, on invented processes."""

from __future__ import annotations

import importlib.util
import math
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

_SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "parity.py"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_under_test", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before  # the script makes a checkout importable
    return module


def test_the_trimmed_mean_ignores_a_fifth_on_either_side(parity: ModuleType) -> None:
    values = np.array([-100.0, 1.0, 2.0, 3.0, 100.0])
    assert parity.trimmed_mean(values) == 2.0


def test_equal_pairs_give_their_ratio_without_width(parity: ModuleType) -> None:
    result = parity.summary([math.log(0.98)] * 6, 0.02)
    assert result["pairs"] == 6
    assert result["conclusive"] is True
    for key in ("ratio", "low", "high"):
        assert result[key] == pytest.approx(0.98)


@given(values=st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40))
def test_the_interval_is_ordered_within_the_data_and_repeatable(
    parity: ModuleType, values: list[float]
) -> None:
    result = parity.summary(values, 0.02)
    tolerance = 1e-9
    assert (
        math.exp(min(values)) - tolerance
        <= result["low"]
        <= result["high"]
        <= math.exp(max(values)) + tolerance
    )
    assert parity.summary(values, 0.02) == result


def test_the_interval_covers_the_truth_about_as_often_as_it_says(parity: ModuleType) -> None:
    source = random.Random(1)
    covered = 0
    for _ in range(200):
        result = parity.summary([source.gauss(0.01, 0.05) for _ in range(20)], 0.02)
        covered += result["low"] <= math.exp(0.01) <= result["high"]
    assert 0.88 <= covered / 200 <= 0.99


def test_comparing_stops_at_the_fewest_pairs_where_nothing_varies(parity: ModuleType) -> None:
    result = parity.compare(
        lambda _pair: {"prefill": 2.0, "decode": 1.0},
        lambda: {"prefill": 1.0, "decode": 1.0},
        min_pairs=3,
        max_pairs=10,
        half_width=0.02,
        seed=0,
    )
    assert result["prefill"]["pairs"] == 3
    assert result["prefill"]["ratio"] == pytest.approx(0.5)
    assert result["decode"]["ratio"] == pytest.approx(1.0)


def test_comparing_ends_inconclusive_at_the_most_pairs(parity: ModuleType) -> None:
    source = random.Random(2)
    calls: list[str] = []

    def ours(pair: int) -> dict[str, float]:
        calls.append(f"ours {pair}")
        return {"prefill": math.exp(source.gauss(0, 0.5)), "decode": 1.0}

    def tool() -> dict[str, float]:
        calls.append("tool")
        return {"prefill": 1.0, "decode": 1.0}

    result = parity.compare(ours, tool, min_pairs=2, max_pairs=6, half_width=0.001, seed=0)
    assert result["prefill"]["conclusive"] is False
    assert result["decode"]["conclusive"] is True
    assert result["prefill"]["pairs"] == 6
    # Both orders occur within the pairs.
    firsts = {calls[index].split()[0] for index in range(0, len(calls), 2)}
    assert firsts == {"ours", "tool"}
