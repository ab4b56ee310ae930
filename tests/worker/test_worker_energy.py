"""Energy windows with a scripted clock: what is done inside, what is told, and how long they last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.worker import energy
from harness.worker.api import Backend, Tokens


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
