"""The sequential design: which cells want pairs, when it looks, and what it confirms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_noise import ALARMS, Scenario, normal, one_gate
from harness.gate.design import Design, Limits, Rules
from harness.gate.metrics import DEFAULTS
from harness.gate.verdict import exit_status, of_track

LIMITS = Limits(worse=-0.03, better=0.03, wanted=0.05)


def fed(values: dict[str, list[float]], rules: Rules | None = None) -> Design[str]:
    """A design that gets these differences, cell by cell, over and over."""
    design = Design({cell: {"decode_tps": LIMITS} for cell in values}, rules)
    while cells := design.wanted():
        for cell in cells:
            given_ = values[cell]
            design.add(cell, {"decode_tps": given_[design.pairs(cell) % len(given_)]})
    return design


def test_no_effect_ends_after_the_screen_and_passes() -> None:
    design = fed({"a": [0.001, -0.001]})
    track = design.tracks["a"]["decode_tps"]
    assert (design.pairs("a"), track.suspected, track.confirm) == (6, None, [])
    verdict = of_track(design, track, DEFAULTS["decode_tps"])
    assert verdict.word == "pass"
    assert verdict.detectable is not None
    assert verdict.detectable < 0.01


def test_a_clear_slowdown_is_confirmed_at_the_first_look_on_fresh_pairs_alone() -> None:
    design = fed({"a": [-0.20, -0.21, -0.19], "b": [0.001, -0.001]})
    track = design.tracks["a"]["decode_tps"]
    assert track.confirmed
    assert len(track.confirm) == Rules().looks[0][0]
    verdict = of_track(design, track, DEFAULTS["decode_tps"])
    assert (verdict.word, verdict.fresh) == ("regression", 8)
    assert verdict.ratio == pytest.approx(np.exp(np.mean(track.confirm)))
    assert design.tracks["b"]["decode_tps"].confirmed is None
    assert design.pairs("b") == 6, "what is not suspected takes no fresh pairs"


def test_a_change_within_the_margin_is_no_regression_however_sure() -> None:
    track = fed({"a": [-0.0200, -0.0201, -0.0199]}).tracks["a"]["decode_tps"]
    assert track.suspected == "worse"
    assert track.confirmed is False


def test_a_gain_is_an_improvement() -> None:
    design = fed({"a": [0.20, 0.21, 0.19]})
    verdict = of_track(design, design.tracks["a"]["decode_tps"], DEFAULTS["decode_tps"])
    assert verdict.word == "improvement"
    assert exit_status([verdict]) == 0


def test_noise_that_hides_the_wanted_change_is_inconclusive() -> None:
    design = fed({"a": [0.3, -0.3, 0.31, -0.28, 0.2, -0.25]})
    verdict = of_track(design, design.tracks["a"]["decode_tps"], DEFAULTS["decode_tps"])
    assert verdict.word == "inconclusive"
    assert verdict.detectable is not None
    assert verdict.detectable > 0.3
    assert exit_status([verdict]) == 3


def test_a_suspicion_that_fresh_pairs_do_not_share_is_dropped() -> None:
    # Seven bad pairs by chance, then none: the look at eight fresh ones ends it.
    design = fed({"a": [-0.06] * 7 + [0.001, -0.002] * 12})
    track = design.tracks["a"]["decode_tps"]
    assert (track.suspected, track.confirmed, len(track.confirm)) == ("worse", False, 8)


@settings(deadline=None, max_examples=30)
@given(
    magnitudes=st.lists(st.floats(0.001, 0.2), min_size=40, max_size=40),
    signs=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_the_number_of_screening_pairs_does_not_depend_on_signs(
    magnitudes: list[float], signs: list[bool]
) -> None:
    plain, turned = (
        fed({"a": values})
        for values in (
            magnitudes,
            [-one if sign else one for one, sign in zip(magnitudes, signs, strict=True)],
        )
    )
    counts = {len(design.tracks["a"]["decode_tps"].screen) for design in (plain, turned)}
    assert len(counts) == 1


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40), most=st.integers(8, 60))
def test_it_always_ends_within_its_pairs(values: list[float], most: int) -> None:
    design = fed({"a": values, "b": values[::-1]}, Rules(max_pairs=most))
    assert design.stage == "done"
    assert all(design.pairs(cell) <= most for cell in "ab")


def test_a_cell_that_is_given_up_is_judged_by_what_it_has() -> None:
    design = Design({"a": {"decode_tps": LIMITS}})
    for _ in range(3):
        assert design.wanted() == ["a"]
        design.add("a", {"decode_tps": -0.2})
    design.give_up("a")
    assert design.wanted() == []
    assert design.pairs("a") == 3
    track = design.tracks["a"]["decode_tps"]
    assert track.confirmed is not True, "nothing fails without fresh pairs"


def test_a_cell_that_is_given_up_while_it_is_confirmed_is_judged_by_its_fresh_pairs() -> None:
    design = Design({"a": {"decode_tps": LIMITS}})
    while design.wanted() and len(design.tracks["a"]["decode_tps"].confirm) < 6:
        design.add("a", {"decode_tps": -0.2})
    design.give_up("a")
    assert design.wanted() == []
    track = design.tracks["a"]["decode_tps"]
    assert (design.pairs("a"), len(track.confirm), track.confirmed) == (13, 6, True)


def test_eleven_pairs_are_the_fewest_that_confirm() -> None:
    confirmed = [
        fed({"a": [-0.5]}, Rules(max_pairs=pairs)).tracks["a"]["decode_tps"].confirmed for pairs in (10, 11)
    ]
    assert confirmed == [False, True]


def test_an_empty_gate_has_nothing_to_do() -> None:
    assert Design[str]({}).wanted() == []


def test_scripted_noise_raises_no_false_alarms_and_hides_no_slowdown() -> None:
    """A short form of ``benchmarks/gate_power.py``, far from its limits so that chance does not decide."""
    random = np.random.default_rng(11)
    scenario = Scenario("CV 2 %", normal(0.02), 10)
    quiet = [one_gate(scenario, random, 1.0, Rules()) for _ in range(40)]
    slow = [one_gate(scenario, random, 0.90, Rules()) for _ in range(40)]
    assert sum(alarm for _, alarm, _ in quiet) <= max(1, ALARMS * 40)
    assert sum(found for found, _, _ in slow) >= 39
    assert all(pairs <= Rules().max_pairs for _, _, pairs in slow)
