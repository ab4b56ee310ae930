"""The timed passes with a scripted clock: what is inside which span, and what is not."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker import timing
from harness.worker.api import Backend, Tokens
from harness.worker.protocol import MemoryReading, TimedSpec

pytestmark = pytest.mark.usefixtures("small_heap")

RESET, PREFILL, DECODE, SAMPLE, OUTSIDE = 1_000_000, 50_000, 700, 30, 9_000_000


class _Clocked(Backend):
    """Every call takes a known time on a clock of its own; nothing else takes any."""

    framework = "clocked"
    title = "Clocked"

    def __init__(self) -> None:
        self.now = 0
        self.calls: list[tuple[str, Any]] = []
        self.collecting: list[bool] = []
        self._count = {"prefill_s": 0.0, "decode_s": 0.0}

    def clock(self) -> int:
        return self.now

    def _spend(self, name: str, argument: Any, duration: int) -> None:
        self.calls.append((name, argument))
        self.collecting.append(gc.isenabled())
        self.now += duration

    def reset(self) -> None:
        self._count = {"prefill_s": 0.0, "decode_s": 0.0}
        self._spend("reset", None, RESET)

    def prefill(self, tokens: Tokens) -> None:
        assert tokens.dtype == np.int32
        self._count["prefill_s"] += PREFILL / 1e9
        self._spend("prefill", tokens.tolist(), PREFILL)

    def decode(self, token: int) -> None:
        self._count["decode_s"] += DECODE / 1e9
        self._spend("decode", token, DECODE)

    def sample(self) -> int:
        self._spend("sample", None, SAMPLE)
        return len(self.calls)

    def prefill_batch(self, tokens: Tokens) -> None:
        assert tokens.dtype == np.int32
        assert tokens.flags.c_contiguous
        self._spend("prefill_batch", tokens.tolist(), PREFILL)

    def decode_batch(self, tokens: Tokens) -> None:
        self._spend("decode_batch", tokens.tolist(), DECODE)

    def sample_batch(self) -> Tokens:
        self._spend("sample_batch", None, SAMPLE)
        return np.asarray([len(self.calls), -len(self.calls), 0], dtype=np.int32)

    def counters(self) -> Mapping[str, float]:
        self.now += OUTSIDE
        return dict(self._count)

    start = versions = devices = make = load = unload = None  # type: ignore[assignment]


_Clocked.__abstractmethods__ = frozenset()


def _run(spec: TimedSpec, backend: _Clocked) -> tuple[timing.TimedResult, list[tuple[str, dict[str, Any]]]]:
    events: list[tuple[str, dict[str, Any]]] = []

    def emit(name: str, body: dict[str, Any]) -> None:
        backend.calls.append(("event", body["phase"]))
        backend.now += OUTSIDE
        events.append((name, body))

    def read_memory(phase: str, *, in_timed_pass: bool = False) -> list[MemoryReading]:
        backend.calls.append(("memory", "timed" if in_timed_pass else phase))
        backend.now += OUTSIDE
        return [MemoryReading(phase, 1, 1, 1, 0, "VmHWM")]

    timing.check_timed(spec, 1000)
    result = timing.timed_passes(
        backend, spec, vocab_size=100, emit=emit, read_memory=read_memory, clock=backend.clock
    )
    return result, events


def test_prefill_decode_sampling_and_tokens_are_timed_apart() -> None:
    result, _ = _run(TimedSpec(8, 3, 0, 2, 1, 7), _Clocked())
    assert [(s.repetition, s.warmup) for s in result.samples] == [(0, True), (1, False), (2, False)]
    for sample in result.samples:
        assert sample.values["prefill_s"] == PREFILL / 1e9
        assert sample.values["ttft_s"] == (PREFILL + SAMPLE) / 1e9
        assert sample.values["decode_s"] == pytest.approx(3 * DECODE / 1e9, rel=1e-12)
        assert sample.values["sampling_s"] == pytest.approx(4 * SAMPLE / 1e9, rel=1e-12)
        assert sample.forward_ns == [DECODE] * 3
        step = DECODE + SAMPLE
        assert sample.token_ns == [PREFILL + SAMPLE + index * step for index in range(4)]


def test_reset_fill_events_memory_and_counters_are_in_no_span() -> None:
    result, _ = _run(TimedSpec(8, 2, 5, 1, 0, 7), _Clocked())
    (sample,) = result.samples
    assert sample.values["ttft_s"] == (PREFILL + SAMPLE) / 1e9
    assert sample.token_ns[-1] == PREFILL + SAMPLE + 2 * (DECODE + SAMPLE)


def test_the_frameworks_own_counters_are_kept_without_the_fill() -> None:
    result, _ = _run(TimedSpec(8, 2, 5, 1, 0, 7), _Clocked())
    values = result.samples[0].values
    assert values["framework_prefill_s"] == pytest.approx(PREFILL / 1e9)
    assert values["framework_decode_s"] == pytest.approx(2 * DECODE / 1e9)


def test_each_token_that_is_chosen_is_the_next_that_is_decoded() -> None:
    backend = _Clocked()
    _run(TimedSpec(4, 3, 0, 1, 0, 7), backend)
    calls = [call for call in backend.calls if call[0] in ("sample", "decode")]
    assert [name for name, _ in calls] == [
        "sample",
        "decode",
        "sample",
        "decode",
        "sample",
        "decode",
        "sample",
    ]
    positions = [index + 1 for index, (name, _) in enumerate(backend.calls) if name == "sample"]
    assert [token for name, token in calls if name == "decode"] == positions[:3]


def test_a_batch_is_timed_as_one_sequence_is_with_prompts_of_their_own() -> None:
    backend = _Clocked()
    result, _ = _run(TimedSpec(8, 3, 5, 2, 0, 7, batch=3), backend)
    alone, _ = _run(TimedSpec(8, 3, 5, 2, 0, 7), _Clocked())
    for sample, other in zip(result.samples, alone.samples, strict=True):
        assert (sample.forward_ns, sample.token_ns) == (other.forward_ns, other.token_ns)
        assert sample.values["prefill_s"] == other.values["prefill_s"] == PREFILL / 1e9
    calls = [call for call in backend.calls if call[0] not in ("event", "memory")]
    names = [name for name, _ in calls]
    step = ["decode_batch", "sample_batch"]
    assert names == ["reset", "prefill_batch", "prefill_batch", "sample_batch", *step * 3] * 2
    prompts = [tokens for name, tokens in calls if name == "prefill_batch"]
    assert [np.shape(tokens) for tokens in prompts] == [(3, 5), (3, 8)] * 2
    rows = [tuple(row[:5]) for tokens in prompts for row in tokens]
    assert len(set(rows)) == len(rows), "fresh for every sequence and repetition"
    positions = [index + 1 for index, (name, _) in enumerate(backend.calls) if name == "sample_batch"]
    decoded = [tokens for name, tokens in calls if name == "decode_batch"]
    assert decoded == [[at, -at, 0] for at in [*positions[:3], *positions[4:7]]]


def test_a_batch_without_a_prompt_begins_with_a_random_token_each() -> None:
    backend = _Clocked()
    result, _ = _run(TimedSpec(0, 2, 0, 1, 0, 7, batch=3), backend)
    (sample,) = result.samples
    assert sample.values.keys() == {"decode_s", "sampling_s", "framework_decode_s"}
    first = next(tokens for name, tokens in backend.calls if name == "decode_batch")
    assert len(first) == 3
    assert all(0 <= token < 100 for token in first)


@given(st.integers(0, 2**31), st.integers(0, 5), st.integers(1, 40))
def test_one_sequence_reads_the_tokens_that_it_read_before_there_were_batches(
    seed: int, depth: int, prompt: int
) -> None:
    backend = _Clocked()
    _run(TimedSpec(prompt, 0, depth, 1, 0, seed), backend)
    seen = [token for name, tokens in backend.calls if name == "prefill" for token in tokens]
    assert seen == timing.random_tokens(seed, 0, depth + prompt + 1, 100).tolist()[:-1]


def test_garbage_is_not_collected_in_a_pass_and_is_again_after_it() -> None:
    backend = _Clocked()
    assert gc.isenabled()
    _run(TimedSpec(4, 2, 0, 2, 1, 7), backend)
    assert not any(backend.collecting)
    assert gc.isenabled()


def test_every_repetition_draws_its_own_tokens_and_the_same_again_for_the_same_seed() -> None:
    def prompts(seed: int) -> list[list[int]]:
        backend = _Clocked()
        _run(TimedSpec(16, 0, 0, 3, 1, seed), backend)
        return [tokens for name, tokens in backend.calls if name == "prefill"]

    first = prompts(7)
    assert len({tuple(prompt) for prompt in first}) == 4
    assert first == prompts(7)
    assert first != prompts(8)


def test_depth_is_filled_before_the_prompt_and_with_other_tokens() -> None:
    backend = _Clocked()
    _run(TimedSpec(6, 0, 9, 1, 0, 7), backend)
    fill, prompt = (tokens for name, tokens in backend.calls if name == "prefill")
    assert (len(fill), len(prompt)) == (9, 6)
    assert fill[:6] != prompt


def test_pure_prefill_has_no_decode_figures() -> None:
    result, events = _run(TimedSpec(8, 0, 0, 1, 0, 7), _Clocked())
    (sample,) = result.samples
    assert sample.values.keys() == {"prefill_s", "ttft_s", "sampling_s", "framework_prefill_s"}
    assert sample.forward_ns == []
    assert sample.token_ns == [PREFILL + SAMPLE]
    assert [reading.phase for reading in result.memory] == ["prefill"]
    assert [body["phase"] for _, body in events] == ["prefill"]


def test_whatever_else_a_framework_counts_goes_with_its_phase() -> None:
    class Counting(_Clocked):
        def counters(self) -> Mapping[str, float]:
            passes = [name for name, _ in self.calls]
            return {
                **super().counters(),
                "prefill_cycles": 1000.0 * passes.count("prefill"),
                "decode_cycles": 10.0 * passes.count("decode"),
                "elsewhere_cycles": 5.0,
            }

    result, _ = _run(TimedSpec(8, 3, 4, 1, 0, 7), Counting())
    values = result.samples[0].values
    # The prefill that fills the depth is not the sample's.
    assert (values["framework_prefill_cycles"], values["framework_decode_cycles"]) == (1000.0, 30.0)
    assert "framework_elsewhere_cycles" not in values


@pytest.mark.parametrize("depth", [0, 12])
def test_pure_decode_starts_from_a_random_token_and_has_no_prefill_figures(depth: int) -> None:
    backend = _Clocked()
    result, events = _run(TimedSpec(0, 2, depth, 1, 0, 7), backend)
    (sample,) = result.samples
    assert sample.values.keys() == {"decode_s", "sampling_s", "framework_decode_s"}
    assert sample.token_ns == [DECODE + SAMPLE, 2 * (DECODE + SAMPLE)]
    assert [len(tokens) for name, tokens in backend.calls if name == "prefill"] == ([depth] if depth else [])
    first = next(token for name, token in backend.calls if name == "decode")
    assert 0 <= first < 100
    assert [body["phase"] for _, body in events] == ["decode"]


def test_events_go_out_before_passes_and_memory_is_read_once_a_phase() -> None:
    backend = _Clocked()
    result, events = _run(TimedSpec(8, 1, 0, 2, 1, 7), backend)
    assert events == [
        ("phase", {"phase": "warmup", "done": 0, "total": 1}),
        ("phase", {"phase": "prefill+decode", "done": 0, "total": 2}),
        ("phase", {"phase": "prefill+decode", "done": 1, "total": 2}),
    ]
    # Within the warm-up, so that the peak after the first prefill is no decode's and no timed pass is interrupted.
    assert [reading.phase for reading in result.memory] == ["prefill", "warmup", "decode"]
    names = [name for name, _ in backend.calls]
    one_pass = ["reset", "prefill", "sample", "decode", "sample"]
    with_reading = ["reset", "prefill", "sample", "memory", "decode", "sample"]
    assert names == ["event", *with_reading, "event", "memory", *one_pass, "event", *one_pass, "memory"]
    assert ("memory", "timed") not in backend.calls


def test_without_a_warm_up_the_reading_after_the_first_prefill_knows_that_it_is_inside_a_timed_pass() -> None:
    backend = _Clocked()
    result, _ = _run(TimedSpec(8, 1, 0, 1, 0, 7), backend)
    assert [reading.phase for reading in result.memory] == ["prefill", "decode"]
    assert [what for name, what in backend.calls if name == "memory"] == ["timed", "decode"]


@given(st.integers(0, 2**31), st.integers(0, 50), st.integers(0, 300), st.integers(1, 200_000))
def test_random_tokens_are_ids_of_the_vocabulary(seed: int, repetition: int, count: int, vocab: int) -> None:
    ids = timing.random_tokens(seed, repetition, count, vocab)
    assert ids.dtype == np.int32
    assert ids.shape == (count,)
    assert ((ids >= 0) & (ids < vocab)).all()
    assert (ids == timing.random_tokens(seed, repetition, count, vocab)).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TimedSpec(0, 0, 4, 1, 0, 0), "both 0"),
        (TimedSpec(1, 1, 0, 0, 0, 0), "repetitions is 0"),
        (TimedSpec(1, -1, 0, 1, 0, 0), "decode_tokens is negative"),
        (TimedSpec(1, 1, 0, 1, 0, 0, batch=0), "batch is below 1"),
        (TimedSpec(500, 300, 201, 1, 0, 0), "1001 tokens do not fit into the context of 1000"),
    ],
)
def test_a_spec_that_cannot_be_run_says_why(spec: TimedSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timing.check_timed(spec, 1000)
