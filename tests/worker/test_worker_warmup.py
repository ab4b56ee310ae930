"""Warm-up: exactly as many passes as asked for, or until they agree, or the most that is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.fake import ENTRY, VOCAB_SIZE, Fake
from harness.worker.api import LoadSpec, Tokens
from harness.worker.protocol import MemoryReading, Sample, TimedSpec, WarmupRule
from harness.worker.timing import TimedResult, timed_passes
from harness.worker.warmup import AGREEING_PASSES, warmup_end

pytestmark = pytest.mark.usefixtures("small_heap")

RULE = WarmupRule(change=0.5, min_s=0.0, max_s=60.0)
SPEC = TimedSpec(4, 2, 0, repetitions=3, warmups=10, seed=1, warmup_rule=RULE)


def _pass(prefill_s: float, decode_s: float | None = None) -> Sample:
    values = {"prefill_s": prefill_s} | ({} if decode_s is None else {"decode_s": decode_s})
    return Sample(0, True, values, [], [])


class _Clocked(Fake):
    """The scripted framework on a clock of its own: a call takes what its script says, however busy the machine is.

    ``seconds`` are by stage and call; a list's last one then holds, and a stage without a list takes a millisecond.
    """

    def __init__(self, seconds: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        self._seconds = {stage: list(each) for stage, each in seconds.items()}
        self.now_ns = 0

    def _take(self, stage: str) -> None:
        seconds = self._seconds.get(stage, [0.001])
        self.now_ns += round(1e9 * (seconds.pop(0) if len(seconds) > 1 else seconds[0]))

    def prefill(self, tokens: Tokens) -> None:
        super().prefill(tokens)
        self._take("prefill")

    def decode(self, token: int) -> None:
        super().decode(token)
        self._take("decode")


def _no_memory(phase: str, *, in_timed_pass: bool = False) -> list[MemoryReading]:
    del phase, in_timed_pass
    return []


def _timed(tmp_path: Path, seconds: Mapping[str, Sequence[float]], spec: TimedSpec) -> TimedResult:
    (tmp_path / ENTRY).write_text(json.dumps({"bits": 32, "broken": False}), encoding="utf-8")
    backend = _Clocked(seconds)
    backend.load(LoadSpec(tmp_path / ENTRY, "cpu", "cpu", 1, 64))
    return timed_passes(
        backend,
        spec,
        vocab_size=VOCAB_SIZE,
        emit=lambda *_: None,
        read_memory=_no_memory,
        clock=lambda: backend.now_ns,
    )


@pytest.mark.parametrize("stage", ["prefill", "decode"])
@pytest.mark.parametrize("cold", [1, 2, 5])
def test_the_first_timed_repetition_of_a_backend_that_warms_up_slowly_is_no_outlier(
    tmp_path: Path, cold: int, stage: str
) -> None:
    """A backend that needs 1, 2 or 5 warm-ups, each pass faster than the one before by half."""
    steps = 2 if stage == "decode" else 1  # two tokens are decoded in a pass
    slow = [0.02 * 2.0 ** (cold - index) for index in range(cold) for _ in range(steps)]
    result = _timed(tmp_path, {stage: [*slow, 0.02]}, SPEC)
    assert result.warmup.ended_by == "stable"
    assert result.warmup.passes == cold + AGREEING_PASSES
    assert [sample.warmup for sample in result.samples] == [True] * result.warmup.passes + [False] * 3
    seconds = [sample.values[f"{stage}_s"] for sample in result.samples if not sample.warmup]
    assert seconds[0] < 1.5 * min(seconds)
    assert result.samples[0].values[f"{stage}_s"] > 1.5 * seconds[0], "the script was cold at first"


@pytest.mark.parametrize("cold", [1, 2, 5])
def test_passes_that_are_equally_cold_are_outlasted_by_time(tmp_path: Path, cold: int) -> None:
    """No comparison of neighbours can see a plateau that has not ended; the least time of warm-up does."""
    script = {"prefill": [0.1] * cold + [0.01]}
    rule = WarmupRule(change=0.5, min_s=0.52, max_s=60.0)
    result = _timed(tmp_path, script, TimedSpec(4, 2, 0, 3, 50, 1, warmup_rule=rule))
    assert result.warmup.ended_by == "stable"
    assert result.warmup.passes > cold
    assert all(sample.values["prefill_s"] < 0.05 for sample in result.samples if not sample.warmup)


def test_a_backend_that_never_becomes_stable_is_timed_after_the_most_passes_allowed(tmp_path: Path) -> None:
    script = {"prefill": [0.02 * 2**index for index in range(4)] + [0.02]}
    result = _timed(tmp_path, script, TimedSpec(4, 2, 0, 1, 4, 1, warmup_rule=RULE))
    assert (result.warmup.passes, result.warmup.ended_by) == (4, "passes")
    assert result.warmup.change is not None
    assert result.warmup.change > 0.5
    assert len(result.samples) == 5


def test_warming_up_ends_in_time_however_slow_a_pass_is(tmp_path: Path) -> None:
    script = {"prefill": [0.03]}
    rule = WarmupRule(change=0.5, min_s=0.0, max_s=0.02)
    result = _timed(tmp_path, script, TimedSpec(4, 2, 0, 1, 9, 1, warmup_rule=rule))
    assert (result.warmup.passes, result.warmup.ended_by, result.warmup.change) == (1, "seconds", None)


@pytest.mark.parametrize("warmups", [0, 1, 4])
def test_a_fixed_number_is_made_exactly(tmp_path: Path, warmups: int) -> None:
    result = _timed(tmp_path, {}, TimedSpec(4, 2, 0, 2, warmups, 1))
    assert (result.warmup.passes, result.warmup.ended_by) == (warmups, "number")
    assert [sample.repetition for sample in result.samples] == list(range(warmups + 2))


def test_every_phase_has_to_agree() -> None:
    agreeing = [_pass(1.0, 1.0), _pass(1.1, 1.0), _pass(1.0, 1.2)]
    end = warmup_end(SPEC, agreeing, 9.0)
    assert end is not None
    assert end.ended_by == "stable"
    assert end.change == pytest.approx(0.2)
    assert warmup_end(SPEC, [*agreeing, _pass(1.0, 3.0)], 9.0) is None


@given(
    st.lists(st.floats(1e-6, 1e3), max_size=12),
    st.floats(0.01, 1.0),
    st.floats(0, 100),
    st.integers(0, 12),
)
def test_warm_up_lasts_no_longer_than_allowed_and_is_stable_only_where_passes_agree(
    seconds: list[float], change: float, elapsed_s: float, most: int
) -> None:
    spec = TimedSpec(4, 2, 0, 1, most, 1, warmup_rule=WarmupRule(change, min_s=1.0, max_s=30.0))
    end = warmup_end(spec, [_pass(each) for each in seconds], elapsed_s)
    newest = seconds[-AGREEING_PASSES:]
    agree = len(newest) == AGREEING_PASSES and max(newest) / min(newest) - 1 <= change
    if end is None:
        assert len(seconds) < most
        assert elapsed_s < 30.0
        assert not agree or elapsed_s < 1.0
    else:
        assert (end.ended_by == "stable") == agree
        assert end.passes == len(seconds)


def test_a_rule_that_nothing_can_meet_is_refused() -> None:
    from harness.worker.timing import check_timed

    with pytest.raises(ValueError, match=r"warmup_rule\.change"):
        check_timed(TimedSpec(4, 2, 0, 1, 4, 1, warmup_rule=WarmupRule(0.0, 1.0, 30.0)), 64)
