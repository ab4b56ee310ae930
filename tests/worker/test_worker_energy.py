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


def _energy(
    spec: energy.EnergySpec, backend: _Counted | None, monkeypatch: pytest.MonkeyPatch, context: int = 1000
) -> tuple[energy.EnergyWindow, list[tuple[str, float]], _Stepping]:
    clock = _Stepping()
    monkeypatch.setattr(energy, "time", clock)
    edges: list[tuple[str, float]] = []

    def emit(name: str, body: dict[str, Any]) -> None:
        assert name == "window"
        edges.append((body["edge"], body["monotonic_s"]))

    window = energy.energy_window(backend, spec, vocab_size=100, context_tokens=context, emit=emit)
    return window, edges, clock


def test_an_energy_window_repeats_prefills_for_at_least_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, edges, _ = _energy(energy.EnergySpec("prefill", 1.0, 16, 0, 3), backend, monkeypatch)
    assert window.end_s - window.begin_s >= 1.0
    prompts = [tokens for name, tokens in backend.calls if name == "prefill"]
    assert window.passes == len(prompts)
    assert window.passes > 1
    assert window.tokens == 16 * window.passes
    assert window.fill_tokens == 0
    assert len({tuple(prompt) for prompt in prompts}) == len(prompts), "a cached prompt would cost nothing"
    assert [edge for edge, _ in edges] == ["begin", "end"]
    assert edges[0][1] <= window.begin_s < window.end_s == edges[1][1]


def test_tokens_that_only_refill_the_cache_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    window, _, _ = _energy(energy.EnergySpec("prefill", 1.0, 16, 40, 3), _Counted(), monkeypatch)
    assert window.tokens == 16 * window.passes
    assert window.fill_tokens == 40 * window.passes


def test_a_decode_window_fills_its_depth_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, _, _ = _energy(energy.EnergySpec("decode", 1.0, 0, 40, 3), backend, monkeypatch)
    assert [name for name, _ in backend.calls].count("prefill") == 1
    assert window.tokens == window.passes == [name for name, _ in backend.calls].count("decode")
    assert window.fill_tokens == 0


def test_a_decode_window_starts_over_when_the_context_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _Counted()
    window, _, _ = _energy(energy.EnergySpec("decode", 1.0, 0, 6, 3), backend, monkeypatch, context=8)
    resets = [name for name, _ in backend.calls].count("reset")
    assert resets > 1
    assert window.fill_tokens == 6 * (resets - 1)
    assert window.tokens == window.passes


def test_an_idle_window_sleeps_and_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    window, _, clock = _energy(energy.EnergySpec("idle", 2.0), None, monkeypatch)
    assert (window.tokens, window.passes) == (0, 0)
    assert window.end_s - window.begin_s >= 2.0
    assert len(clock.slept) == 1


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
def test_an_energy_window_that_cannot_be_says_why(
    spec: energy.EnergySpec, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=message):
        _energy(spec, _Counted(), monkeypatch)


def test_work_without_a_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="nothing is loaded"):
        _energy(energy.EnergySpec("decode", 1.0), None, monkeypatch)
