"""`harness.history.ranks`: against counting every order of small samples, and against counting pairs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history.ranks import RankScan, two_sided


def exact(score: int, first: int, second: int) -> float:
    """The two-sided chance of a score, by the number of orders with each count of wins."""
    # orders[a][b]: wins -> how many orders of a values of one sample and b of the other have them.
    orders: dict[tuple[int, int], dict[int, int]] = {}
    for a in range(first + 1):
        for b in range(second + 1):
            if a == 0 or b == 0:
                orders[a, b] = {0: 1}
                continue
            counts: dict[int, int] = {}
            # The largest value is of the second sample, and wins against all of the first, or it is of the first.
            for wins, count in orders[a, b - 1].items():
                counts[wins + a] = counts.get(wins + a, 0) + count
            for wins, count in orders[a - 1, b].items():
                counts[wins] = counts.get(wins, 0) + count
            orders[a, b] = counts
    pairs = first * second
    far = sum(count for wins, count in orders[first, second].items() if abs(2 * wins - pairs) >= abs(score))
    return float(Fraction(far, math.comb(first + second, first)))


@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 40), (40, 5), (10, 10), (12, 30)])
def test_the_tail_is_the_exact_one_within_a_few_percent(first: int, second: int) -> None:
    pairs = first * second
    for score in range(pairs, pairs // 3, -2):
        true = exact(score, first, second)
        assert two_sided(score, first, second) == pytest.approx(true, rel=0.1)


def test_the_tail_is_symmetric_and_falls_with_the_score() -> None:
    chances = [two_sided(score, 8, 30) for score in range(0, 241, 2)]
    assert chances == [two_sided(-score, 30, 8) for score in range(0, 241, 2)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1.0


def test_the_tail_of_large_samples_is_not_zero() -> None:
    assert 0 < two_sided(500 * 500, 500, 500) < 1e-200


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(-5, 5))
def test_scores_are_wins_less_losses_whatever_came_last_before(values: list[int], other: int) -> None:
    scan = RankScan(np.empty(0))
    for value in values[:-1]:
        scan.append(value)
    scan.append(other)
    scan.replace_last(values[-1])
    for split in range(1, len(values)):
        expected = sum(np.sign(b - a) for a in values[:split] for b in values[split:])
        assert scan.score(split) == expected
    assert list(scan.values) == values


def test_the_best_split_keeps_to_the_least_size_of_a_side() -> None:
    scan = RankScan(np.array([1.0, 9, 9, 9, 9, 9, 9, 9, 9, 9]))
    assert scan.best_split(1)[0] == 1
    assert scan.best_split(5)[0] == 5
    assert scan.best_split(6) == (0, 0.0)
