"""The scripted backend as a backend: a function of its tokens and its artifact, worse with fewer bits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends.fake import PARAMETERS, Fake
from harness.worker import scoring
from harness.worker.api import LoadSpec, MakeRequest, Recipe, Unsupported
from harness.worker.protocol import ScoreResult, ScoreSpec

TEXT = b"It was a bright cold day in the valley, and the mill had been silent since the spring. " * 6


def _recipe(name: str) -> Recipe:
    return next(recipe for recipe in Fake.recipes if recipe.name == name)


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Path]:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"GGUF")
    made: dict[str, Path] = {}
    for recipe in Fake.recipes:
        out = tmp_path / recipe.name
        out.mkdir()
        origin = source if recipe.made_from == "model" else made[recipe.made_from.removeprefix("fake:")]
        made[recipe.name] = out / Fake().make(MakeRequest(recipe, origin, out, 1)).entry
    return made


def _loaded(artifact: Path, **options: Any) -> Fake:
    backend = Fake()
    backend.start()
    backend.load(LoadSpec(artifact, "cpu", "cpu", 1, 600, options))
    return backend


def _score(backend: Fake, tmp_path: Path, **files: str) -> ScoreResult:
    tokens = tmp_path / "tokens.i32"
    np.frombuffer(TEXT, dtype=np.uint8).astype("<i4").tofile(tokens)
    spec = ScoreSpec(
        str(tokens), 128, 128, 64, 4, None, files.get("reference_in"), files.get("reference_out")
    )
    return scoring.score(backend, spec, vocab_size=256, emit=lambda _name, _body: None)


def test_every_recipe_is_made_and_weighs_what_its_bits_say(
    tmp_path: Path, artifacts: dict[str, Path]
) -> None:
    del tmp_path
    for recipe in Fake.recipes:
        weights = artifacts[recipe.name].with_name("weights.bin")
        assert weights.stat().st_size == PARAMETERS * recipe.parameters["bits"] // 8


def test_a_recipe_from_another_refuses_a_source_that_is_none(tmp_path: Path) -> None:
    source = tmp_path / "x.json"
    source.write_text("{}", encoding="utf-8")
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="was not made by this framework"):
        Fake().make(MakeRequest(_recipe("INT4"), source, tmp_path / "out", 1))


def test_divergence_grows_as_bits_shrink_and_a_broken_artifact_is_far_off(
    tmp_path: Path, artifacts: dict[str, Path]
) -> None:
    reference = str(tmp_path / "reference.npy")
    own = _score(_loaded(artifacts["FP32"]), tmp_path, reference_out=reference)
    assert own.finite

    def kld(name: str, **options: Any) -> float:
        result = _score(_loaded(artifacts[name], **options), tmp_path, reference_in=reference)
        assert all(window.kld_sum is not None for window in result.windows)
        return sum(window.kld_sum or 0 for window in result.windows) / int(result.details["positions"])

    def perplexity(result: ScoreResult) -> float:
        return math.exp(sum(w.nll_sum for w in result.windows) / sum(w.positions for w in result.windows))

    assert kld("FP32") < 1e-9
    assert 0 < kld("FP16") < kld("INT8") < kld("INT4") < 0.2
    assert kld("FP16") < kld("FP16", compute="bf16") < 5e-3
    assert kld("INT4_BROKEN") > 1
    assert perplexity(own) < 40
    assert perplexity(_score(_loaded(artifacts["INT4_BROKEN"]), tmp_path)) > 150


def test_the_logits_depend_on_every_token_before(artifacts: dict[str, Path]) -> None:
    backend = _loaded(artifacts["FP32"])
    one = np.concatenate([b for _, b in backend.logits(np.asarray([1, 2, 3], dtype=np.int32), 0)]).copy()
    other = np.concatenate([b for _, b in backend.logits(np.asarray([9, 2, 3], dtype=np.int32), 0)])
    assert (one[2] != other[2]).any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"device": "gpu:0"}, r"no device gpu:0 \(cpu\)"),
        ({"options": {"n_batch": "4"}}, "unknown option 'n_batch'"),
        ({"options": {"compute": "f8"}}, "compute is f32 or bf16, not 'f8'"),
    ],
)
def test_what_it_cannot_do_it_refuses(artifacts: dict[str, Path], spec: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {
        "artifact": artifacts["FP32"],
        "device": "cpu",
        "api": "cpu",
        "threads": 1,
        "context_tokens": 8,
    }
    with pytest.raises(ValueError, match=message):
        Fake().load(LoadSpec(**(values | spec)))


def test_a_load_options_script_takes_the_place_of_a_stages_actions(artifacts: dict[str, Path]) -> None:
    script = {"prefill": [{"do": "raise", "type": "Unsupported", "message": "not here"}]}
    backend = _loaded(artifacts["FP32"], script=json.dumps(script))
    with pytest.raises(Unsupported, match="not here"):
        backend.prefill(np.asarray([1], dtype=np.int32))
