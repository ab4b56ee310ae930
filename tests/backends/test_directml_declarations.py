"""What DirectML declares, and the parts of its adapter that run without Windows; the rest is Olive's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends import _olive_workflow as workflow
from harness.backends import _ort_genai as running
from harness.backends.directml import DirectML
from harness.backends.olive import Olive
from harness.worker.api import Host, LoadSpec, MakeRequest, ModelFacts
from harness.worker.synthetic import SyntheticModel

WINDOWS = Host("win32", "AMD64", frozenset({"directml"}))
CONFIG: dict[str, Any] = {
    "model": {
        "vocab_size": 8,
        "decoder": {
            "filename": "model.onnx",
            "session_options": {"log_id": "x", "provider_options": []},
            "num_hidden_layers": 1,
            "inputs": {"past_key_names": "past.%d.key"},
        },
    }
}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder as Olive's recipes leave it."""
    folder = tmp_path / "olive"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "model.onnx.data").write_bytes(b"weights")
    (folder / running.CONFIG).write_text(json.dumps(CONFIG), encoding="utf-8")
    facts = {"apis": ["directml"], "weight_bytes": 7}
    (folder / workflow.FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.mark.parametrize("host", [Host("linux", "x86_64"), Host("darwin", "arm64"), Host("win32", "ARM64")])
def test_other_platforms_have_the_reason(host: Host) -> None:
    reason = f"onnxruntime-directml has wheels for Windows x64 only; this is {host.system} {host.arch}"
    assert DirectML.unavailable(host, "gpu:0", "directml") == reason


def test_windows_may_try() -> None:
    assert DirectML.unavailable(WINDOWS, "gpu:0", "directml") is None
    assert "not cpu by cpu" in str(DirectML.unavailable(WINDOWS, "cpu", "cpu"))


def test_its_graphs_are_made_by_recipes_of_olive_for_directml() -> None:
    of_olive = {f"olive:{r.name}": r for r in Olive.recipes}
    for one in DirectML.recipes:
        source = of_olive[one.made_from]
        assert source.precision == one.precision
        assert source.intermediate
        assert source.parameters["api"] == "directml"
        assert source.parameters["apis"] == ["directml"]


def test_what_olive_cannot_make_is_refused() -> None:
    (fp16, int4) = DirectML.recipes
    assert DirectML.unsupported(fp16, ModelFacts("m", "llama", "gguf", 576)) is None
    assert "rows of 80" in str(DirectML.unsupported(int4, ModelFacts("m", "llama", "gguf", 80)))
    small = SyntheticModel("llama", 128, 256, 2, 4, 2, 32, 512, 256, 1e4, 1e-5, False)
    assert "synthetic" in str(
        DirectML.unsupported(fp16, ModelFacts("s", "llama", "synthetic", 128, synthetic=small))
    )


def test_an_artifact_is_the_same_files_with_directml_as_the_provider(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1")
    out = tmp_path / "out"
    out.mkdir()
    made = DirectML().make(MakeRequest(DirectML.recipes[0], artifact, out, 1))
    assert (made.weight_bytes, made.entry) == (7, ".")
    assert (out / "model.onnx.data").read_bytes() == b"weights"
    decoder = running.read_config(out)["model"]["decoder"]
    assert decoder["session_options"] == {"log_id": "x", "provider_options": [{"dml": {}}]}
    assert running.read_config(artifact) == CONFIG, "the source stays as it is"


class _Generator:
    """onnxruntime-genai's generator as far as it is used, with a provider that cannot append behind a cache."""

    def __init__(self, model: Any, params: Any) -> None:
        del model, params
        self.seen: list[int] = []
        self.passes: list[int] = []
        self._logits = np.zeros((1, 1, 8), np.float32)
        self._pending: int | None = None

    def token_count(self) -> int:
        return len(self.seen)

    def append_tokens(self, tokens: Any) -> None:
        assert not self.seen, "continuous decoding is not supported"
        self.seen += tokens.tolist()
        self.passes.append(len(tokens))

    def set_logits(self, logits: Any) -> None:
        self._logits = logits.reshape(1, 1, -1).copy()

    def generate_next_token(self) -> None:
        self._pending = int(self._logits.argmax())
        self.seen.append(self._pending)

    def get_logits(self) -> Any:
        if self._pending is not None:
            self.passes.append(1)
            self._pending = None
        # The next token is one more than the newest.
        self._logits = np.eye(8, dtype=np.float32)[(self.seen[-1] + 1) % 8].reshape(1, 1, 8)
        return self._logits


class _Genai:
    """The module, with a device that says what it is."""

    Generator = _Generator

    def __init__(self, device_type: str) -> None:
        self.device_type = device_type
        self.overlays: list[str] = []
        self.providers: list[str] = []

    def Config(self, path: str) -> Any:  # noqa: N802 - the framework's name
        del path
        outer = self

        class Config:
            def clear_providers(self) -> None:
                outer.providers.clear()

            def append_provider(self, name: str) -> None:
                outer.providers.append(name)

            def overlay(self, text: str) -> None:
                outer.overlays.append(text)

        return Config()

    def Model(self, config: Any) -> Any:  # noqa: N802
        del config

        class Model:
            device_type = self.device_type
            type = "llama"

        return Model()

    def GeneratorParams(self, model: Any) -> Any:  # noqa: N802
        del model

        class Params:
            def set_search_options(self, **options: Any) -> None:
                self.options = {"past_present_share_buffer": True, **options}

            def get_search_options(self) -> dict[str, Any]:
                return self.options

        return Params()


@pytest.fixture
def spec(artifact: Path) -> LoadSpec:
    return LoadSpec(artifact, "gpu:0", "directml", 2, 32, {})


def _runner(og: _Genai, spec: LoadSpec, monkeypatch: pytest.MonkeyPatch) -> running.Runner:
    placed = {"DmlExecutionProvider": 12, "CPUExecutionProvider": 3}
    monkeypatch.setattr(running, "_placement", lambda *_: placed)
    provider = running.provider_for(spec)
    return running.Runner(og, spec, provider, continuous=provider.continuous)


def test_tokens_behind_a_filled_cache_are_forced_one_by_one(
    spec: LoadSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    og = _Genai("DML")
    runner = _runner(og, spec, monkeypatch)
    assert og.providers == ["dml"]
    runner.prefill(np.asarray([3, 1, 4], np.int32))
    runner.decode(6)
    assert runner.sample() == 7
    runner.prefill(np.asarray([2, 5], np.int32))
    generator = runner._generator
    assert generator.seen == [3, 1, 4, 6, 2, 5]
    assert generator.passes == [3, 1, 1, 1]
    runner.reset()
    assert runner._generator is not generator, "a provider that cannot rewind gets a new generator"
    assert runner.hints()["nodes_DmlExecutionProvider"] == "12"


def test_a_model_that_computes_elsewhere_is_refused(spec: LoadSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="computes on CPU"):
        _runner(_Genai("CPU"), spec, monkeypatch)
