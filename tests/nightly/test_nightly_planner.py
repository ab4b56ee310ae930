"""Which cells a night measures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.nightly.planner import Candidate, choose, urgency

NOW = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)


def cell(name: str, expected_s: float = 100.0, *, days: float | None = 1.0, **more: object) -> Candidate:
    last = None if days is None else NOW - timedelta(days=days)
    return replace(Candidate(name, f"cell {name}", expected_s, last), **more)  # type: ignore[arg-type]


def picked(candidates: list[Candidate], budget_s: float | None) -> list[str]:
    return [one.candidate.cell_id for one in choose(candidates, budget_s, NOW).picked]


def test_without_a_budget_all_cells_are_measured_the_most_urgent_first() -> None:
    cells = [
        cell("fresh", days=1),
        cell("stale", days=6),
        cell("noisy", days=1, noise=0.08),
        cell("changed", days=1, changed="package openvino 1 -> 2"),
        cell("new", days=None),
    ]
    assert picked(cells, None) == ["new", "changed", "stale", "noisy", "fresh"]


def test_what_does_not_fit_makes_room_for_what_does() -> None:
    cells = [cell("a", 60, days=9), cell("b", 50, days=8), cell("c", 40, days=7)]
    choice = choose(cells, 100, NOW)
    assert [one.candidate.cell_id for one in choice.picked] == ["a", "c"]
    assert choice.expected_s == 100
    assert choice.left_out == {"b": "no room in the budget: others are more urgent (measured 8 days ago)"}


def test_a_cell_that_no_budget_has_room_for_says_so() -> None:
    choice = choose([cell("long", 5000), cell("short", 10)], 3600, NOW)
    assert [one.candidate.cell_id for one in choice.picked] == ["short"]
    assert choice.left_out == {"long": "it takes 5000 s by itself, more than the budget of 3600 s"}


@pytest.mark.parametrize(
    ("candidate", "nights", "why"),
    [
        (cell("x", days=3), 3.0, "measured 3 days ago"),
        (cell("x", days=-2), 0.0, "measured lately"),
        (cell("x", days=None), 30.0, "never measured"),
        (cell("x", days=1, noise=0.019), 1.0, "measured lately"),
        (cell("x", days=1, noise=0.05), 3.5, "measured lately, noisy (5.0 %)"),
        (cell("x", days=1, noise=9.0), 6.0, "measured lately, noisy (900.0 %)"),
        (cell("x", days=1, changed="a b 1 -> 2"), 8.0, "changed: a b 1 -> 2, measured lately"),
    ],
)
def test_urgency_is_counted_in_nights(candidate: Candidate, nights: float, why: str) -> None:
    found, words = urgency(candidate, NOW)
    assert found == pytest.approx(nights)
    assert words == why


def test_every_cell_comes_round_however_many_are_changed_and_noisy_every_night() -> None:
    """Room for two of eight; half of them change every night: the others are measured all the same."""
    last: dict[str, datetime | None] = dict.fromkeys("abcdefgh")
    measured = dict.fromkeys(last, 0)
    for night in range(60):
        now = NOW + timedelta(days=night)
        cells = [
            Candidate(
                name, name, 50, last[name], 0.1 if name in "ab" else None, "it" if name in "abcd" else None
            )
            for name in last
        ]
        for one in choose(cells, 100, now).picked:
            last[one.candidate.cell_id] = now
            measured[one.candidate.cell_id] += 1
    assert min(measured.values()) >= 3
    assert sum(measured.values()) == 120


candidates = st.lists(
    st.builds(
        Candidate,
        cell_id=st.uuids().map(str),
        name=st.just("x"),
        expected_s=st.floats(0, 500),
        last_at=st.none() | st.integers(0, 100).map(lambda days: NOW - timedelta(days=days)),
        noise=st.none() | st.floats(0, 1),
        changed=st.none() | st.just("it"),
    ),
    max_size=12,
    unique_by=lambda one: one.cell_id,
)


@settings(max_examples=60)
@given(candidates, st.floats(0, 2000))
def test_a_choice_fits_and_nothing_that_is_left_would_fit_too(
    cells: list[Candidate], budget_s: float
) -> None:
    choice = choose(cells, budget_s, NOW)
    taken = [one.candidate for one in choice.picked]
    assert choice.expected_s <= budget_s
    assert {one.cell_id for one in taken} | choice.left_out.keys() == {one.cell_id for one in cells}
    assert len(taken) + len(choice.left_out) == len(cells)
    for one in cells:
        if one.cell_id in choice.left_out:
            assert choice.expected_s + one.expected_s > budget_s
    assert choose(list(reversed(cells)), budget_s, NOW).picked == choice.picked
