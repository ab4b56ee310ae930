from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.table.flips import flips, mcnemar_exact


def test_flips_count_both_directions() -> None:
    found = flips([1, 0, 1, 0, 1], [1, 1, 0, 0, 1])
    assert found is not None
    assert (found.n, found.lost, found.won, found.share) == (5, 1, 1, 0.4)


@pytest.mark.parametrize(
    ("items", "reference"),
    [([], []), ([1.0], [1.0, 0.0]), ([0.5], [1.0]), ([1.0], [0.3])],
)
def test_what_is_not_right_or_wrong_has_no_flips(items: list[float], reference: list[float]) -> None:
    assert flips(items, reference) is None


@pytest.mark.parametrize(("lost", "won"), [(lost, won) for lost in range(6) for won in range(6)])
def test_mcnemar_is_what_counting_every_outcome_of_fair_coins_gives(lost: int, won: int) -> None:
    outcomes = list(itertools.product((0, 1), repeat=lost + won))
    apart = abs(lost - won)
    extreme = sum(abs(2 * sum(outcome) - len(outcome)) >= apart for outcome in outcomes)
    assert mcnemar_exact(lost, won) == pytest.approx(extreme / len(outcomes))


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_is_a_symmetric_probability_however_many_items(lost: int, won: int) -> None:
    p = mcnemar_exact(lost, won)
    assert 0 < p <= 1 or math.isclose(p, 0, abs_tol=1e-300)
    assert p == mcnemar_exact(won, lost)


def test_a_textbook_case() -> None:
    # 10 discordant pairs, 1 against 9: 2 (1 + 10) / 1024.
    assert mcnemar_exact(9, 1) == 22 / 1024
