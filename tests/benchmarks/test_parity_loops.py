"""The spans that the loops in the frameworks' environments take, with frameworks that are scripted."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

_LOOPS = Path(__file__).resolve().parents[2] / "benchmarks" / "parity_tools" / "loops"


def _loop(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"loop_{name}", _LOOPS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Clock:
    """A clock that stands still but for the work that is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Generator:
    """onnxruntime-genai's: logits by the prompt (1 s) or by a token (0.1 s), a choice (0.01 s), making it (5 s)."""

    def __init__(self, clock: Clock, length: int) -> None:
        self._clock, self._length = clock, length
        self._tokens = 0
        self._logits = False
        clock.now += 5

    def append_tokens(self, ids: Any) -> None:
        self._clock.now += 1
        self._tokens += len(ids)
        self._logits = True

    def generate_next_token(self) -> None:
        if self._tokens >= self._length:
            return
        if not self._logits:
            self._clock.now += 0.1
        self._clock.now += 0.01
        self._tokens += 1
        self._logits = False

    def token_count(self) -> int:
        return self._tokens


class Params:
    """Search options."""

    def __init__(self, _model: Any) -> None:
        self.length = 0

    def set_search_options(self, *, do_sample: bool, max_length: int) -> None:
        assert not do_sample
        self.length = max_length


def test_the_generators_choice_is_taken_off_each_token(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = _loop("genai_generator")
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    og = SimpleNamespace(
        GeneratorParams=Params, Generator=lambda _model, params: Generator(clock, params.length)
    )
    prefill, decode = loop.times(og, None, np.zeros(16, np.int32), 4)
    assert prefill == pytest.approx(1.0)
    assert decode == pytest.approx(4 * 0.1)


def test_a_generator_that_stops_early_is_an_error() -> None:
    loop = _loop("genai_generator")
    clock = Clock()
    og = SimpleNamespace(GeneratorParams=Params, Generator=lambda _model, _params: Generator(clock, 18))
    with pytest.raises(RuntimeError, match="2 tokens came out"):
        loop.times(og, None, np.zeros(16, np.int32), 4)


def _result(tokens: int, inferences_us: list[float]) -> SimpleNamespace:
    """What openvino-genai 2026.4.1 gave for a prompt of 64 tokens, as far as it is read."""
    metrics = SimpleNamespace(
        raw_metrics=SimpleNamespace(token_infer_durations=inferences_us),
        get_ttft=lambda: SimpleNamespace(mean=118.980046875),
    )
    return SimpleNamespace(tokens=[[0] * tokens], perf_metrics=metrics)


def test_the_pipelines_prompt_is_no_part_of_its_decode() -> None:
    result = _result(4, [118718.0, 24482.0, 26902.0, 31831.0])
    pipeline = SimpleNamespace(generate=lambda _ids, _config: result)
    openvino = SimpleNamespace(Tensor=lambda array: array)
    prefill, decode = _loop("openvino_pipeline").times(openvino, pipeline, None, np.zeros((1, 64)), 3)
    assert prefill == pytest.approx(0.118980046875)
    assert decode == pytest.approx(0.083215)


@pytest.mark.parametrize(("tokens", "inferences"), [(3, 4), (4, 3)])
def test_a_pipeline_that_gives_another_number_of_tokens_is_an_error(tokens: int, inferences: int) -> None:
    pipeline = SimpleNamespace(generate=lambda _ids, _config: _result(tokens, [1.0] * inferences))
    openvino = SimpleNamespace(Tensor=lambda array: array)
    with pytest.raises(RuntimeError, match="tokens by"):
        _loop("openvino_pipeline").times(openvino, pipeline, None, np.zeros((1, 64)), 3)
