"""The stop rule: arithmetic, and what counts for what."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runner.stopping import (
    Outcome,
    StopRule,
    decide,
    expected_runs,
    half_width,
    outcome_of,
    speeds,
    widths,
)
from harness.store.records import SETUP_PHASE, SampleRecord
from harness.suite import RunSettings, Workload
from harness.table.estimates import median, median_interval

RULE = StopRule(width=0.02, min_runs=6, max_runs=12)
FAILED = Outcome(False, {})
SUSPECT = Outcome(True, {})
WORKLOAD = Workload(10, 4)

values = st.lists(st.floats(1.0, 1e6), max_size=20)


def _ok(prefill: float, decode: float | None = None) -> Outcome:
    return Outcome(True, {"prefill_tps": prefill} | ({} if decode is None else {"decode_tps": decode}))


outcomes = st.lists(
    st.one_of(st.just(FAILED), st.just(SUSPECT), st.builds(_ok, st.floats(90, 110), st.floats(90, 110))),
    max_size=14,
)


@given(values, st.randoms())
def test_the_width_is_half_the_tables_interval_over_the_median_in_any_order(
    given_values: list[float], rng: random.Random
) -> None:
    width = half_width(given_values)
    interval, middle = median_interval(given_values), median(given_values)
    if interval is None or middle is None:
        assert width is None
        return
    assert width == pytest.approx((interval[1] - interval[0]) / 2 / middle)
    mixed = list(given_values)
    rng.shuffle(mixed)
    assert half_width(mixed) == pytest.approx(width)


@given(values, st.floats(1e-3, 1e3))
def test_the_width_has_no_unit(given_values: list[float], factor: float) -> None:
    width = half_width(given_values)
    scaled = half_width([factor * value for value in given_values])
    assert scaled == (width if width is None else pytest.approx(width, rel=1e-6, abs=1e-9))


def test_the_width_is_what_a_table_of_the_binomial_distribution_gives() -> None:
    """Six values: minimum and maximum hold the median with 96.9 %; nine: the second and the eighth with 96.1 %."""
    assert half_width([99, 100, 100, 100, 100, 103]) == pytest.approx(0.02)
    assert half_width([1, 98, 99, 100, 100, 100, 101, 102, 500]) == pytest.approx(0.02)


@given(outcomes)
def test_a_cell_ends_by_its_width_or_its_cap_and_never_before_its_least_runs(found: list[Outcome]) -> None:
    stop = decide(RULE, "c", found)
    clean = [outcome for outcome in found if outcome.speeds]
    narrow = bool(clean) and all(
        width is not None and width <= RULE.width for width in widths(clean).values()
    )
    if stop is None:
        assert len(found) < RULE.max_runs
        assert len(clean) < RULE.min_runs or not narrow
        return
    assert len(found) >= RULE.min_runs
    assert (stop.runs, stop.clean_runs) == (len(found), len(clean))
    assert stop.widths == widths(found)
    if stop.ended_by == "width":
        assert len(clean) >= RULE.min_runs
        assert narrow
    elif stop.ended_by == "cap":
        assert len(found) >= RULE.max_runs
    else:
        assert not any(outcome.ok for outcome in found)


@given(outcomes, st.randoms())
def test_the_decision_does_not_depend_on_the_order_of_runs(found: list[Outcome], rng: random.Random) -> None:
    mixed = list(found)
    rng.shuffle(mixed)
    first, other = decide(RULE, "c", found), decide(RULE, "c", mixed)
    assert (first is None) == (other is None)
    assert first is None or other is None or first.ended_by == other.ended_by


@given(outcomes)
def test_suspect_and_failed_runs_count_towards_the_cap_alone(found: list[Outcome]) -> None:
    assert widths([*found, SUSPECT, FAILED]) == widths(found)
    stop = decide(RULE, "c", [*found, *[SUSPECT] * RULE.max_runs])
    assert stop is not None
    assert stop.clean_runs == sum(bool(outcome.speeds) for outcome in found)


def test_every_speed_has_to_be_narrow() -> None:
    prefill = [_ok(100.0, decode) for decode in (100.0, 100.0, 100.0, 100.0, 100.0, 110.0)]
    assert decide(RULE, "c", prefill) is None
    assert decide(replace(RULE, width=0.06), "c", prefill) is not None


def test_a_cell_whose_first_runs_all_failed_does_not_fail_until_the_cap() -> None:
    assert decide(RULE, "c", [FAILED] * 5) is None
    stop = decide(RULE, "c", [FAILED] * 6)
    assert stop is not None
    assert (stop.ended_by, stop.widths) == ("failed", {})
    assert decide(RULE, "c", [FAILED] * 6 + [_ok(100.0)]) is None


@given(outcomes)
def test_what_is_expected_lies_between_what_was_made_and_the_cap(found: list[Outcome]) -> None:
    expected = expected_runs(RULE, found)
    assert expected >= min(len(found), RULE.max_runs)
    assert expected <= max(RULE.max_runs, len(found))


def test_widths_are_expected_to_shrink_with_the_root_of_the_runs() -> None:
    apart = [_ok(value) for value in (97.0, 99.0, 100.0, 100.0, 101.0, 103.0)]  # 3 % either way
    assert expected_runs(replace(RULE, max_runs=100), apart) == round(6 * 1.5**2)


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.05])
def test_stopping_at_the_first_narrow_interval_still_mostly_holds_the_median(spread: float) -> None:
    """The coverage that docs/method.md tells of: looking after every run costs a little of the 95 %."""
    rng = random.Random(7)
    rule = StopRule(width=0.02, min_runs=6, max_runs=30)
    cells, held = 200, 0
    for _ in range(cells):
        found: list[Outcome] = []
        while decide(rule, "c", found) is None:
            found.append(_ok(100.0 * math.exp(rng.gauss(0, spread))))
        interval = median_interval([outcome.speeds["prefill_tps"] for outcome in found])
        assert interval is not None
        held += interval[0] <= 100.0 <= interval[1]
    assert held / cells > 0.89  # 0.93 to 0.98 over many more cells; three standard errors of 200 are 0.05


def test_the_rule_of_a_cell_is_in_its_settings() -> None:
    assert StopRule.of(RunSettings(3, 1, 60.0, None, runs=5)) is None
    settings = RunSettings(3, 1, 60.0, None, runs=6, runs_width=0.02, runs_max=12)
    assert StopRule.of(settings) == RULE


# -- what a run counts for ---------------------------------------------------------------------------------------------


@dataclass
class _Run:
    kind: str = "timed"
    status: str = "ok"
    phase: str | None = None
    validity: str = "ok"
    samples: tuple[SampleRecord, ...] = (
        SampleRecord(0, True, {"prefill_s": 99.0, "decode_s": 99.0}),
        SampleRecord(1, False, {"prefill_s": 1.0, "decode_s": 2.0}),
        SampleRecord(2, False, {"prefill_s": 2.0, "decode_s": 2.0}),
        SampleRecord(3, False, {"prefill_s": 2.0, "decode_s": 2.0}),
    )


def test_a_run_has_the_medians_over_its_timed_repetitions() -> None:
    assert outcome_of(_Run(), WORKLOAD) == Outcome(True, {"prefill_tps": 5.0, "decode_tps": 2.0})


def test_a_suspect_run_has_no_figure_and_a_failed_one_is_not_ok() -> None:
    assert outcome_of(_Run(validity="suspect"), WORKLOAD) == SUSPECT
    assert outcome_of(_Run(status="timeout", samples=()), WORKLOAD) == FAILED


def test_what_never_had_a_worker_or_was_no_timed_run_counts_for_nothing() -> None:
    assert outcome_of(_Run(status="failed", phase=SETUP_PHASE), WORKLOAD) is None
    assert outcome_of(_Run(kind="score"), WORKLOAD) is None


def test_a_stream_is_judged_by_what_can_be_seen_of_it() -> None:
    sample = SampleRecord(0, False, {"wall_s": 2.0, "tokens": 10.0}, {"token_ns": [10**9, 2 * 10**9]})
    assert speeds([sample], WORKLOAD) == {"throughput_tps": 5.0, "stream_tps": 1.0}
