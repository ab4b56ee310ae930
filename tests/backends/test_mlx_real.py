"""MLX itself, in its own environment: every quantised kind, and synthetic models against mlx-lm's own conversion.

The models are a few hundred kilobytes: what is checked is layout and arithmetic, not speed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.backends.mlx import MLX
from harness.environment import EnvironmentManager
from harness.frameworks import framework
from harness.paths import cache_dir
from harness.runner.launch import launch_for
from harness.runner.process import WorkerProcess
from harness.worker.api import MakeRequest, Recipe
from harness.worker.bodies import to_body
from harness.worker.synthetic import SyntheticModel

pytestmark = pytest.mark.framework("mlx")

TIMEOUT_S = 300.0
ROOT = Path(harness.__file__).resolve().parents[1]
RECIPES = {recipe.name: recipe for recipe in MLX.recipes}
#: Rows of 256 and 448: groups of 128 do not divide the second.
SMALL = SyntheticModel(
    architecture="llama",
    hidden_size=256,
    intermediate_size=448,
    layers=2,
    heads=8,
    kv_heads=4,
    head_size=32,
    vocab_size=512,
    context_tokens=256,
    rope_theta=10_000.0,
    norm_epsilon=1e-5,
    tied_embeddings=False,
)
#: Bits of a weight with what is stored for its group, exactly: float16 scale and bias, or one byte of scale.
BITS = {f"{bits}bit_g{group}": bits + 32 / group for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64)}
BITS |= {"mxfp8": 8 + 8 / 32, "mxfp4": 4 + 8 / 32, "nvfp4": 4 + 8 / 16}


@pytest.fixture(scope="module")
def python(pytestconfig: pytest.Config) -> Path:
    given = pytestconfig.getoption("--framework-python")
    if given:
        return Path(given)
    return EnvironmentManager(cache_dir()).ensure(framework("mlx").backend).python


@pytest.fixture(scope="module")
def worker(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    log = tmp_path_factory.mktemp("mlx") / "log"
    with WorkerProcess(launch_for("mlx", python), log=log) as process:
        yield process


@pytest.fixture(scope="module")
def synthetic(worker: WorkerProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small model as every recipe."""
    folder = tmp_path_factory.mktemp("synthetic")
    made = {}
    for name in ("FP32", "FP16", "BF16", *BITS, "4bit_g128"):
        made[name] = folder / name
        made[name].mkdir()
        _make(worker, RECIPES[name], made[name])
    return made


def _make(worker: WorkerProcess, recipe: Recipe, out: Path) -> dict[str, Any]:
    source = out.parent / "config.json"
    source.write_text(json.dumps(SMALL.hf_config()), encoding="utf-8")
    request = MakeRequest(recipe, source, out, threads=1, synthetic=SMALL)
    return worker.call("make", to_body(request), timeout_s=TIMEOUT_S)


#: mlx_lm's own conversions of a folder, told as {name: [shape, dtype]}, and our folders told the same way.
COMPARE = """
import json, sys
import mlx.core as mx
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from pathlib import Path
folder, work, recipes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
mx.set_default_device(mx.cpu)
def tensors(folder):
    found = {}
    for file in sorted(folder.glob("model*.safetensors")):
        found |= mx.load(str(file))
    return found
def told(found):
    return {name: [list(array.shape), str(array.dtype)] for name, array in found.items()}
answer = {}
for recipe, parameters in recipes.items():
    ours, theirs = folder / recipe, work / recipe
    model, config = load_model(folder / "FP16", lazy=True)
    model, config = quantize_model(model, config, **parameters)
    save_model(theirs, model)
    save_config(config, theirs / "config.json")
    a, b = tensors(ours), tensors(theirs)
    configs = [json.loads((each / "config.json").read_text()) for each in (ours, theirs)]
    equal = {name: bool(mx.array_equal(a[name], b[name])) for name in set(a) & set(b)}
    answer[recipe] = {"ours": told(a), "theirs": told(b), "equal": equal, "configs": configs}
print(json.dumps(answer))
"""


def test_a_synthetic_model_is_what_mlx_lm_makes_of_the_same_weights(
    python: Path, synthetic: dict[str, Path], tmp_path: Path
) -> None:
    parameters = {name: dict(RECIPES[name].parameters) for name in (*BITS, "4bit_g128")}
    done = subprocess.run(
        [python, "-I", "-c", COMPARE, synthetic["FP16"].parent, tmp_path, json.dumps(parameters)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    compared = json.loads(done.stdout.splitlines()[-1])
    assert set(compared) == set(parameters)
    for told in compared.values():
        assert told["ours"] == told["theirs"]
        assert set(told["equal"].values()) == {True}, "a gathered packed row is the packed gathered row"
        assert told["configs"][0] == told["configs"][1]


@pytest.mark.parametrize("name", BITS)
def test_every_kind_weighs_what_its_format_says_and_computes(
    worker: WorkerProcess, synthetic: dict[str, Path], name: str
) -> None:
    vectors = sum(tensor.shape[0] for tensor in SMALL.tensors() if tensor.kind == "norm")
    matrices = SMALL.parameter_count - vectors
    files = synthetic[name].glob("model*.safetensors")
    on_disk = json.loads((synthetic[name] / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert on_disk["metadata"]["total_size"] == matrices * BITS[name] / 8 + 2 * vectors
    assert sum(file.stat().st_size for file in files) >= on_disk["metadata"]["total_size"]
    loaded = _load(worker, synthetic[name])
    parameters = RECIPES[name].parameters
    assert (
        loaded["hints"]["weights"]
        == f"{parameters['mode']} {parameters['bits']}-bit g{parameters['group_size']}"
    )
    answer = _logits(worker)
    assert answer["finite"] is True
    assert answer["width"] == SMALL.vocab_size
    assert all(-20 < value <= 0 for value in answer["logprob"])
    if parameters["mode"] == "affine" and parameters["bits"] >= 6:
        _load(worker, synthetic["FP16"])
        plain = _logits(worker)
        assert answer["argmax"] == plain["argmax"]
        assert answer["logprob"] == pytest.approx(plain["logprob"], abs=0.25)


def test_rows_that_the_group_does_not_divide_stay_and_are_counted(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    notes = _make(worker, RECIPES["4bit_g128"], out)["notes"]
    assert notes["left_unquantised"] == [f"model.layers.{layer}.mlp.down_proj" for layer in range(2)]
    assert notes["fallbacks"] == {"4bit_g128 to float16": 2}


def test_the_same_seed_gives_the_same_bytes(
    worker: WorkerProcess, synthetic: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "again"
    out.mkdir()
    _make(worker, RECIPES["4bit_g64"], out)
    names = sorted(file.name for file in out.iterdir())
    assert names == sorted(file.name for file in synthetic["4bit_g64"].iterdir())
    for name in names:
        assert (out / name).read_bytes() == (synthetic["4bit_g64"] / name).read_bytes()


def test_the_allocators_peak_is_told_beside_the_processs(
    worker: WorkerProcess, synthetic: dict[str, Path]
) -> None:
    answer = _load(worker, synthetic["FP32"])
    worker.call("unload", {}, timeout_s=TIMEOUT_S)
    (memory,) = answer["memory"]
    weights = 4 * SMALL.parameter_count
    # Its own buffers: the weights and little else; the process has Python and the libraries on top.
    assert weights <= memory["allocator_peak_bytes"] < weights + 8 * 2**20
    assert memory["peak_rss_bytes"] > memory["allocator_peak_bytes"]


def _logits(worker: WorkerProcess) -> dict[str, Any]:
    """Of eight tokens; the model is unloaded after it."""
    answer = worker.call("logits", {"tokens": list(range(8)), "first": 0}, timeout_s=TIMEOUT_S)
    worker.call("unload", {}, timeout_s=TIMEOUT_S)
    return answer


def _load(worker: WorkerProcess, artifact: Path) -> dict[str, Any]:
    body = {"artifact": str(artifact), "device": "cpu", "api": "cpu", "threads": 1, "context_tokens": 64}
    return worker.call("load", {**body, "options": {}}, timeout_s=TIMEOUT_S)
