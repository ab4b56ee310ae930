"""What OpenVINO alone promises, on the real framework: ``pytest --framework openvino -k openvino``."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness
from harness.backends.openvino import OpenVINO
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import Calibration, LoadSpec, MakeRequest, Recipe
from harness.worker.bodies import to_body
from harness.worker.synthetic import SyntheticModel

pytestmark = pytest.mark.framework("openvino")

MODEL = "smollm2-135m-instruct"
TIMEOUT_S = 300.0
MAKE_TIMEOUT_S = 900.0
PROMPT = [11, 25, 39, 52, 17] * 5
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
PROBE = Path(__file__).with_name("openvino_probe.py")


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop(
        models=load_models(), entries=frameworks(), cache_dir=cache_dir(), threads=2, progress=QuietProgress()
    )


@pytest.fixture(scope="module")
def launch(workshop: Workshop) -> Launch:
    return workshop.launch("openvino")


@pytest.fixture(scope="module")
def fp16(workshop: Workshop) -> Path:
    return workshop.artifact(MODEL, "openvino", "FP16").entry


@pytest.fixture(scope="module")
def gguf(workshop: Workshop) -> Path:
    return workshop.artifact(MODEL, "llamacpp", "F32").entry


@pytest.fixture(scope="module")
def fp32(launch: Launch, fp16: Path, gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fp32")
    request = MakeRequest(recipe("FP32"), fp16, out, 2, {"llamacpp:F32": gguf})
    with worker_of(launch, tmp_path_factory.mktemp("log")) as worker:
        made = worker.call("make", to_body(request), timeout_s=MAKE_TIMEOUT_S)
    return out / str(made["entry"])


def recipe(name: str) -> Recipe:
    return next(r for r in OpenVINO.recipes if r.name == name)


@contextmanager
def worker_of(launch: Launch, folder: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(launch, log=folder / "worker.log") as worker:
        yield worker


def load(worker: WorkerProcess, artifact: Path, api: str = "cpu", **options: str) -> dict[str, Any]:
    spec = LoadSpec(artifact, "cpu", api, 1, 600, options)
    return worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)


def generate(worker: WorkerProcess, tokens: list[int], count: int) -> list[int]:
    answer = worker.call("generate", {"tokens": tokens, "count": count}, timeout_s=TIMEOUT_S)
    return list(answer["tokens"])


def divergence(worker: WorkerProcess, reference: Path, *, write: bool, folder: Path) -> float | None:
    """Mean KLD over one window of 128 random tokens; writes the reference where asked to."""
    tokens = folder / "tokens.i32"
    np.random.default_rng(5).integers(10, 5000, 128).astype("<i4").tofile(tokens)
    body = {"tokens_file": str(tokens), "window": 128, "stride": 128, "score_from": 0, "max_windows": 1}
    body |= {"bos": None, "reference_in": None if write else str(reference)}
    body |= {"reference_out": str(reference) if write else None}
    (window,) = worker.call("score", body, timeout_s=TIMEOUT_S)["windows"]
    return None if write else float(window["kld_sum"]) / int(window["positions"])


def probe(launch: Launch, *arguments: object) -> dict[str, Any]:
    root = str(Path(harness.__file__).parents[1])
    done = subprocess.run(
        [str(launch.python), str(PROBE), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- fp32 ---------------------------------------------------------------------------------------------------------


def test_an_fp32_artifact_has_the_exact_weights(launch: Launch, fp32: Path, gguf: Path) -> None:
    found = probe(launch, "weights", fp32, gguf)
    assert found["equal"] == found["compared"] == 31
    assert found["rounded"] < 150, "if rounding to 16 bits changed nothing, nothing would be proved"
    assert found["half_elements"] == 1, "what is left in 16 bits are single numbers such as 1 and 2"


def test_an_fp32_artifact_computes_in_32_bits(
    workshop: Workshop, launch: Launch, fp32: Path, fp16: Path, gguf: Path, tmp_path: Path
) -> None:
    reference = tmp_path / "reference.npy"
    with worker_of(workshop.launch("llamacpp"), tmp_path) as worker:
        options = {"type_k": "f32", "type_v": "f32"}
        worker.call("load", to_body(LoadSpec(gguf, "cpu", "cpu", 1, 600, options)), timeout_s=TIMEOUT_S)
        divergence(worker, reference, write=True, folder=tmp_path)
    with worker_of(launch, tmp_path) as worker:
        hints = load(worker, fp32)["hints"]
        assert {name: hints[name] for name in EXACT} == EXACT
        exact = divergence(worker, reference, write=False, folder=tmp_path)
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
        load(worker, fp16, **EXACT)
        rounded = divergence(worker, reference, write=False, folder=tmp_path)
    assert exact is not None
    assert rounded is not None
    assert exact < 2e-6
    assert exact < rounded


def test_options_may_take_the_32_bits_back(launch: Launch, fp32: Path, tmp_path: Path) -> None:
    with worker_of(launch, tmp_path) as worker:
        hints = load(worker, fp32, KV_CACHE_PRECISION="u8")["hints"]
    assert hints["KV_CACHE_PRECISION"] == "u8"
    assert hints["INFERENCE_PRECISION_HINT"] == "f32"


# -- devices ------------------------------------------------------------------------------------------------------


def test_auto_and_hetero_run_on_the_cpu_and_say_so(launch: Launch, fp16: Path, tmp_path: Path) -> None:
    found: dict[str, list[int]] = {}
    with worker_of(launch, tmp_path) as worker:
        listed = worker.call("devices", {}, timeout_s=TIMEOUT_S)["devices"]
        assert {("cpu", "cpu"), ("cpu", "auto"), ("cpu", "hetero")} <= {(d["id"], d["api"]) for d in listed}
        for api in ("cpu", "auto", "hetero"):
            loaded = load(worker, fp16, api, INFERENCE_PRECISION_HINT="f32")
            assert (loaded["device"]["id"], loaded["device"]["api"]) == ("cpu", api)
            assert loaded["threads"] == 1
            assert loaded["hints"]["EXECUTION_DEVICES"] == "CPU"
            assert loaded["hints"]["INFERENCE_PRECISION_HINT"] == "f32"
            assert loaded["hints"]["PERFORMANCE_HINT"] == "LATENCY"
            found[api] = generate(worker, PROMPT, 8)
            assert generate(worker, PROMPT, 8) == found[api], (
                "reset empties the cache of a virtual device too"
            )
            worker.call("unload", {}, timeout_s=TIMEOUT_S)
        with pytest.raises(WorkerRefused, match="did you mean INFERENCE_PRECISION_HINT"):
            load(worker, fp16, "auto", inference_precision="f32")
    assert found["auto"] == found["hetero"] == found["cpu"]


# -- recipes with calibration text --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "changes"), [("INT4_ASYM_g64_AWQ", {"awq_steps": 2}), ("W8A8", {})])
def test_a_calibrated_recipe_makes_an_artifact_that_computes(
    name: str, changes: dict[str, Any], launch: Launch, fp16: Path, tmp_path: Path
) -> None:
    parameters = {**recipe(name).parameters, **changes, "samples": 2, "sample_tokens": 32}
    small = replace(recipe(name), parameters=parameters)
    ids = tmp_path / "ids"
    np.random.default_rng(0).integers(10, 5000, 200).astype("<i4").tofile(ids)
    out = tmp_path / "out"
    out.mkdir()
    request = MakeRequest(small, fp16, out, 2, calibration=Calibration(ids, ids, None))
    reference = tmp_path / "reference.npy"
    with worker_of(launch, tmp_path) as worker:
        load(worker, fp16)
        divergence(worker, reference, write=True, folder=tmp_path)
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
        made = worker.call("make", to_body(request), timeout_s=MAKE_TIMEOUT_S)
        assert "fallbacks" not in made["notes"]
        load(worker, out / made["entry"])
        found = divergence(worker, reference, write=False, folder=tmp_path)
        assert len(generate(worker, PROMPT, 4)) == 4
    assert found is not None
    assert 1e-4 < found < 3


def test_a_calibrated_recipe_without_text_is_refused(launch: Launch, fp16: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with worker_of(launch, tmp_path) as worker, pytest.raises(WorkerRefused, match="reads calibration text"):
        worker.call(
            "make", to_body(MakeRequest(recipe("INT4_ASYM_g64_SE"), fp16, out, 1)), timeout_s=TIMEOUT_S
        )


# -- prefix caching -----------------------------------------------------------------------------------------------


def test_the_same_prompt_again_costs_as_much_as_the_first_time(
    launch: Launch, fp16: Path, tmp_path: Path
) -> None:
    ratios = []
    with worker_of(launch, tmp_path) as worker:
        load(worker, fp16)
        generate(worker, PROMPT * 16, 1)
        for seed in range(5):
            prompt = np.random.default_rng(seed).integers(10, 5000, 400).tolist()
            seconds = []
            for _ in range(2):
                begin = time.perf_counter()
                generate(worker, prompt, 1)
                seconds.append(time.perf_counter() - begin)
            ratios.append(seconds[1] / seconds[0])
    # With a prefix cache the second would cost about a tenth.
    assert statistics.median(ratios) >= 0.5


# -- synthetic models ---------------------------------------------------------------------------------------------


def test_the_built_graph_computes_what_the_readers_graph_computes(
    launch: Launch, fp16: Path, gguf: Path, tmp_path: Path
) -> None:
    found = probe(launch, "same_graph", fp16, gguf, tmp_path)
    # Not 0: the reader rounds the rotary frequencies to 16 bits, the builder does not.
    assert abs(found["kld"]) < 1e-5
    assert found["ours"] == found["theirs"], "the plug-in fuses the same operations"
    assert found["ours"]["RoPE"] == 60
    assert found["ours"]["ScaledDotProductAttention"] == 30


@pytest.mark.parametrize("name", ["FP16", "INT8_ASYM", "INT4_ASYM_g64", "INT4_SYM_g128"])
def test_a_small_synthetic_model_loads_and_computes(name: str, launch: Launch, tmp_path: Path) -> None:
    made = probe(launch, "write", name, tmp_path)
    small = SyntheticModel("llama", 256, 512, 3, 4, 2, 64, 2000, 512, 10_000.0, 1e-5, tied_embeddings=False)
    bits = made["weight_bytes"] * 8 / small.parameter_count
    low, high = {"FP16": (16, 16.1), "INT8_ASYM": (8, 8.2)}.get(name, (4.1, 6.7))
    assert low <= bits <= high
    with worker_of(launch, tmp_path) as worker:
        load(worker, tmp_path / made["entry"])
        answer = worker.call("logits", {"tokens": PROMPT, "first": 0}, timeout_s=TIMEOUT_S)
        assert answer["finite"] is True
        assert answer["width"] == 2000
        forced = answer["argmax"]
        assert generate(worker, PROMPT, 1) == forced[-1:]
