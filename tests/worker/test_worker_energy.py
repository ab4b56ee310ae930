"""Energy windows with a scripted clock: what is done inside, what is told, and how long they last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from harness.worker import energy
from harness.worker.api import Backend, Stream, Tokens, Unsupported


class _Counted(Backend):
    """Remembers its calls."""

    framework = "counted"
    title = "Counted"

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def reset(self) -> None:
        self.calls.append(("reset", None))

    def prefill(self, tokens: Tokens) -> None:
        assert tokens.dtype == np.int32
        self.calls.append(("prefill", tokens.tolist()))

    def decode(self, token: int) -> None:
        self.calls.append(("decode", token))

    def sample(self) -> int:
        self.calls.append(("sample", None))
        return len(self.calls)

    def prefill_batch(self, tokens: Tokens) -> None:
        assert tokens.dtype == np.int32
        assert tokens.flags.c_contiguous
        self.calls.append(("prefill", tokens.shape))

    def decode_batch(self, tokens: Tokens) -> None:
        self.calls.append(("decode", tokens.shape))

    def sample_batch(self) -> Tokens:
        self.calls.append(("sample", None))
        return np.zeros(3, dtype=np.int32)

    start = versions = devices = make = load = unload = None  # type: ignore[assignment]


_Counted.__abstractmethods__ = frozenset()


class _Stepping:
    """`time` for an energy window: every look at the clock is a tenth of a second later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.now += 0.1
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _window(
    spec: energy.EnergySpec, backend: _Counted | None, monkeypatch: pytest.MonkeyPatch, context: int = 1000
) -> tuple[energy.EnergyWindow, list[str], _Stepping]:
    """The window, the edges that were told, and its clock; edges are also among the backend's calls."""
    clock = _Stepping()
    monkeypatch.setattr(energy, "time", clock)
    edges: list[str] = []

    def emit(name: str, body: dict[str, Any]) -> None:
        assert (name, body["phase"]) == ("window", spec.phase)
        edges.append(body["edge"])
        if backend is not None:
            backend.calls.append(("edge", body["edge"]))

    window = energy.energy_window(backend, spec, vocab_size=100, context_tokens=context, emit=emit)
    return window, edges, clock


def _inside(backend: _Counted) -> list[str]:
    """Names of the calls between the edges."""
    names: list[str] = []
    within = False
    for name, argument in backend.calls:
        if name == "edge":
            within = argument == "begin"
        elif within:
            names.append(name)
    return names


def test_a_window_repeats_prefills_for_at_least_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, edges, _ = _window(energy.EnergySpec("prefill", 1.0, 16, 0, 3), backend, monkeypatch)
    assert window.seconds >= 1.0
    prompts = [tokens for name, tokens in backend.calls if name == "prefill"]
    assert window.passes == len(prompts)
    assert window.passes > 1
    assert window.tokens == 16 * window.passes
    assert window.deepest_tokens == 16
    assert len({tuple(prompt) for prompt in prompts}) == len(prompts), "a cached prompt would cost nothing"
    assert (edges, window.stretches) == (["begin", "end"], 1)


def test_filling_to_the_depth_is_outside_of_a_prefill_window(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, edges, _ = _window(
        energy.EnergySpec("prefill", 1.0, 16, 40, 3), backend, monkeypatch, context=40 + 3 * 16 + 5
    )
    assert set(_inside(backend)) == {"prefill"}
    assert window.passes == len(_inside(backend))
    assert window.tokens == 16 * window.passes
    assert window.stretches == edges.count("begin") == edges.count("end") > 1
    assert window.deepest_tokens == 40 + 3 * 16
    fills = [tokens for name, tokens in backend.calls if name == "prefill" and len(tokens) == 40]
    assert len(fills) == window.stretches
    assert len({tuple(fill) for fill in fills}) == len(fills)


def test_a_decode_window_fills_its_depth_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, _, _ = _window(energy.EnergySpec("decode", 1.0, 0, 40, 3), backend, monkeypatch)
    assert [name for name, _ in backend.calls].count("prefill") == 1
    assert window.tokens == window.passes == _inside(backend).count("decode")
    assert window.stretches == 1
    assert window.deepest_tokens == 40 + window.tokens


def test_a_full_cache_is_filled_again_between_the_stretches_of_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = _Counted()
    window, edges, _ = _window(energy.EnergySpec("decode", 1.0, 0, 6, 3), backend, monkeypatch, context=8)
    assert set(_inside(backend)) == {"decode", "sample"}
    assert window.tokens == window.passes == _inside(backend).count("decode")
    assert window.stretches == edges.count("begin") == edges.count("end") > 1
    assert window.seconds >= 1.0
    assert window.deepest_tokens == 8


def test_a_window_whose_first_stretch_is_too_short_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    window, edges, _ = _window(
        energy.EnergySpec("decode", 9.0, 0, 6, 3, stretch_s=2.0), _Counted(), monkeypatch, context=16
    )
    assert edges == ["begin", "end"]
    assert (window.stretches, window.tokens) == (1, 10)
    assert window.seconds < 2.0


def test_no_stretch_of_a_window_is_shorter_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Forty tokens take four seconds: the second stretch would end the window after one more.
    window, _, _ = _window(
        energy.EnergySpec("decode", 5.0, 0, 0, 3, stretch_s=2.0), _Counted(), monkeypatch, context=40
    )
    assert window.stretches == 2
    assert window.seconds > 6.0


@pytest.mark.parametrize("depth", [0, 40])
def test_a_batchs_prefills_count_the_tokens_of_all_sequences(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = _Counted()
    spec = energy.EnergySpec("prefill", 1.0, 16, depth, 3, batch=3)
    window, _, _ = _window(spec, backend, monkeypatch, context=depth + 3 * 16 + 5)
    inside = _inside(backend)
    assert set(inside) <= {"reset", "prefill"}
    assert window.passes == inside.count("prefill") > 1
    assert (window.tokens, window.prompts) == (3 * 16 * window.passes, 3 * window.passes)
    shapes = {shape for name, shape in backend.calls if name == "prefill"}
    assert shapes == ({(3, 16), (3, depth)} if depth else {(3, 16)})
    assert window.deepest_tokens <= depth + 3 * 16, "of one sequence"


def test_a_batchs_decodes_count_a_token_of_each_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    spec = energy.EnergySpec("decode", 1.0, 0, 6, 3, batch=3)
    window, _, _ = _window(spec, backend, monkeypatch, context=8)
    assert set(_inside(backend)) == {"decode", "sample"}
    assert window.passes == _inside(backend).count("decode")
    assert window.tokens == 3 * window.passes
    assert {shape for name, shape in backend.calls if name == "decode"} == {(3,)}
    assert (3, 6) in {shape for name, shape in backend.calls if name == "prefill"}
    assert (window.deepest_tokens, window.prompts) == (8, 0)


class _Streaming(_Counted):
    """A client of a server whose clock goes on by what a request takes: 0.2 s a prompt, 0.1 s a token behind it."""

    capabilities = frozenset({"stream"})

    def __init__(self, clock: _Stepping, told: bool = True) -> None:
        super().__init__()
        self.clock, self.told = clock, told
        self.remote: str | None = None
        self.prompts: list[list[int]] = []

    def ready_stream(self, prompts: Sequence[Tokens], count: int) -> Callable[[], list[Stream]]:
        self.calls.append(("ready", len(prompts)))
        self.prompts += [prompt.tolist() for prompt in prompts]

        def send() -> list[Stream]:
            self.calls.append(("send", (len(prompts), count)))
            begin = self.clock.now
            self.clock.now += 0.2 + 0.1 * (count - 1)
            arrivals = [int((begin + 0.2 + 0.1 * index) * 1e9) for index in range(count)]
            told = len(prompts[0]) if self.told else None
            return [Stream(int(begin * 1e9), arrivals, count, [1] * count, told) for _ in prompts]

        return send

    def unmetered(self) -> str | None:
        return self.remote


def _requests(
    monkeypatch: pytest.MonkeyPatch, spec: energy.EnergySpec, **how: Any
) -> tuple[energy.EnergyWindow, _Streaming]:
    clock = _Stepping()
    monkeypatch.setattr(energy, "time", clock)
    backend = _Streaming(clock, how.get("told", True))
    backend.remote = how.get("remote")

    def emit(name: str, body: dict[str, Any]) -> None:
        assert name == "window"
        backend.calls.append(("edge", body["edge"]))

    window = energy.energy_window(backend, spec, vocab_size=100, context_tokens=64, emit=emit)
    return window, backend


def test_a_servers_prefills_are_requests_for_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    window, backend = _requests(monkeypatch, energy.EnergySpec("prefill", 3.0, 16, concurrency=2))
    assert set(_inside(backend)) == {"send"}, "requests are prepared outside of the window"
    assert {argument for name, argument in backend.calls if name == "send"} == {(2, 1)}
    assert (window.tokens, window.prompts) == (2 * 16 * window.passes, 2 * window.passes)
    assert window.seconds >= 3.0
    assert window.deepest_tokens == 16
    prompts = [tuple(prompt) for prompt in backend.prompts]
    assert len(set(prompts)) == len(prompts), "a cached prompt would cost nothing"


def test_a_servers_decodes_are_whole_requests_that_say_how_many_prefills_are_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = energy.EnergySpec("decode", 3.0, 16, 16, decode_tokens=4, concurrency=2)
    window, backend = _requests(monkeypatch, spec)
    assert set(_inside(backend)) == {"send"}
    assert {argument for name, argument in backend.calls if name == "send"} == {(2, 5)}
    assert (window.tokens, window.prompts) == (2 * 4 * window.passes, 2 * window.passes)
    assert window.deepest_tokens == 20


@pytest.mark.parametrize(
    ("spec", "how", "message"),
    [
        (energy.EnergySpec("prefill", 1.0, 16), {"told": False}, "does not tell how many tokens a prompt"),
        (energy.EnergySpec("prefill", 1.0, 16), {"remote": "it is far away"}, "it is far away"),
        (energy.EnergySpec("prefill", 1.0, 16, depth=4), {}, "an empty cache"),
    ],
)
def test_a_servers_window_that_cannot_be_says_why(
    spec: energy.EnergySpec, how: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unsupported, match=message):
        _requests(monkeypatch, spec, **how)


def test_an_idle_window_sleeps_and_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    window, edges, clock = _window(energy.EnergySpec("idle", 2.0), None, monkeypatch)
    assert (window.tokens, window.passes, window.stretches) == (0, 0, 1)
    assert window.seconds >= 2.0
    assert clock.slept == [2.0]
    assert edges == ["begin", "end"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (energy.EnergySpec("prefill", 1.0), "prompt_tokens is 0"),
        (energy.EnergySpec("idle", 0.0), "seconds"),
        (energy.EnergySpec("decode", 1.0, depth=1000), "do not fit"),
        (energy.EnergySpec("decode", 1.0, depth=-1), "negative"),
        (energy.EnergySpec("nap", 1.0), "unknown phase 'nap'"),  # type: ignore[arg-type]
    ],
)
def test_a_window_that_cannot_be_says_why(
    spec: energy.EnergySpec, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=message):
        _window(spec, _Counted(), monkeypatch)


def test_work_without_a_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="nothing is loaded"):
        _window(energy.EnergySpec("decode", 1.0), None, monkeypatch)
