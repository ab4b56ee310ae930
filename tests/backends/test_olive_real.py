"""Olive and ONNX Runtime themselves: what the artifacts compute, and that synthetic ones are what Olive would make.

Run with ``--framework olive``; the environments and artifacts are those of a session.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends import _olive_workflow as workflow
from harness.backends import _onnx_graph
from harness.backends.olive import Olive
from harness.frameworks import frameworks
from harness.gate.own_weights import weight_bytes
from harness.model import load_models
from harness.paths import cache_dir
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import LoadSpec, MakeRequest, Recipe
from harness.worker.bodies import to_body
from harness.worker.onnx_file import ELEMENT_TYPES
from harness.worker.synthetic import SyntheticModel, pool, row_order

pytestmark = pytest.mark.framework("olive")

MODEL = "smollm2-135m-instruct"
TIMEOUT_S = 1200.0
THREADS = 1
SMALL = SyntheticModel("llama", 128, 256, 2, 4, 2, 32, 512, 256, 10_000.0, 1e-5, False, seed=3)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop(
        models=load_models(),
        entries=frameworks(),
        cache_dir=cache_dir(),
        threads=THREADS,
        progress=QuietProgress(),
    )


def recipe(name: str) -> Recipe:
    return next(r for r in Olive.recipes if r.name == name)


# -- quality ------------------------------------------------------------------------------------------------------


def _score(workshop: Workshop, framework: str, name: str, body: dict[str, Any], log: Path) -> dict[str, Any]:
    artifact = workshop.artifact(MODEL, framework, name)
    with WorkerProcess(workshop.launch(framework), log=log) as worker:
        spec = LoadSpec(artifact.entry, "cpu", "cpu", THREADS, 128)
        worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)
        answer: dict[str, Any] = worker.call("score", body, timeout_s=TIMEOUT_S)
        return answer


@pytest.fixture(scope="module")
def scoring(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What to score, with the reference of llama.cpp's F32 computed."""
    folder = tmp_path_factory.mktemp("scoring")
    corpus = next(
        file for file in sorted((ROOT / "suites" / "text").glob("*.txt")) if file.name != "calibration.txt"
    )
    tokens = workshop.tokens(MODEL, corpus)
    reference = str(folder / "reference.npy")
    body = {"tokens_file": str(tokens.path), "window": 128, "stride": 128, "score_from": 64, "max_windows": 2}
    body |= {
        "bos": tokens.bos,
        "reference_in": None,
        "reference_out": reference,
        "text_file": str(tokens.text),
    }
    _score(workshop, "llamacpp", "F32", body, folder / "reference.log")
    return {**body, "reference_in": reference, "reference_out": None}


@pytest.mark.parametrize(
    ("name", "limit"),
    [("FP32", 1e-3), ("BLOCK_RTN_INT8_g32", 0.05), ("DYNAMIC_INT8", 1.0), ("RTN_INT4_g32", 1.0)],
)
def test_divergence_from_the_reference_is_that_of_the_precision(
    workshop: Workshop, scoring: dict[str, Any], tmp_path: Path, name: str, limit: float
) -> None:
    answer = _score(workshop, "olive", name, scoring, tmp_path / "score.log")
    assert answer["finite"] is True
    positions = sum(window["positions"] for window in answer["windows"])
    divergence = sum(window["kld_sum"] for window in answer["windows"]) / positions
    assert 0 <= divergence < limit
    assert answer["details"]["own_tokens_compared"] > 1000


def test_a_changed_tokenizer_is_refused_with_the_first_token_that_differs(
    workshop: Workshop, scoring: dict[str, Any], tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(workshop.artifact(MODEL, "olive", "RTN_INT4_g32").entry, changed)
    file = changed / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids["Ġthe"], ids["Ġof"] = ids["Ġof"], ids["Ġthe"]
    file.chmod(0o644)
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    with WorkerProcess(workshop.launch("olive"), log=tmp_path / "score.log") as worker:
        worker.call("load", to_body(LoadSpec(changed, "cpu", "cpu", THREADS, 128)), timeout_s=TIMEOUT_S)
        with pytest.raises(WorkerRefused, match=f"for it and ({ids['Ġthe']}|{ids['Ġof']}) for the model"):
            worker.call("score", scoring, timeout_s=TIMEOUT_S)


def test_bits_per_weight_are_those_of_the_graph(workshop: Workshop) -> None:
    whole = workshop.artifact(MODEL, "olive", "FP32")
    # Olive stores the head and the embedding of a tied model apart.
    assert whole.bits_per_weight == pytest.approx(32 * (134_515_008 + 49_152 * 576) / 134_515_008, rel=1e-3)
    int4 = workshop.artifact(MODEL, "olive", "RTN_INT4_g32")
    assert int4.bits_per_weight == pytest.approx(5.125 * (134_515_008 + 49_152 * 576) / 134_515_008, rel=2e-3)


def test_what_no_token_reads_is_found_in_graphs_of_onnx_itself(workshop: Workshop, tmp_path: Path) -> None:
    program = Path(__file__).with_name("onnx_graphs.py")
    command = [str(workshop.environment("olive", "converter").python), str(program), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {
        "apart": ["table"],
        "left": ["left", "table"],
        "shared": [],
        "branch": ["table"],
        "beside": ["table"],
    }


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        # The table in fp32; in int4 with a scale and half a byte of zero point a group of 32; in 8 bits without.
        ("FP32", 4 * 49_152 * 576),
        ("RTN_INT4_g32", 49_152 * 576 // 2 + 49_152 * 18 * 4 + 49_152 * 18 // 2),
        ("DYNAMIC_INT8", 49_152 * 576),
        ("BLOCK_RTN_INT8_g32", 49_152 * 576 + 49_152 * 18 * 4),
    ],
)
def test_an_artifact_of_a_tied_model_holds_the_table_that_no_token_reads(
    workshop: Workshop, name: str, unread: int
) -> None:
    made = workshop.artifact(MODEL, "olive", name)
    assert Olive.unread_weight_bytes(made.entry) == unread
    weights = _onnx_graph.read_weights(made.entry / "model.onnx", workflow.NOT_WEIGHTS)
    assert sum(weights.bytes.values()) == made.weight_bytes


@pytest.mark.parametrize("name", ["FP32", "RTN_INT4_g32", "BLOCK_RTN_INT8_g32", "DYNAMIC_INT8"])
def test_the_weights_of_an_onnx_folder_are_read_as_olives_backend_counts_them(
    workshop: Workshop, name: str
) -> None:
    artifact = workshop.artifact(MODEL, "olive", name)
    assert artifact.weight_bytes is not None
    assert weight_bytes(artifact.path) == artifact.weight_bytes


ELEMENTS = """
import json, sys
from pathlib import Path
import numpy as np
import onnx
sys.path.insert(0, sys.argv[1])
from harness.backends._olive_workflow import count, tensor_bytes

kinds = onnx.TensorProto.DataType
sizes = {}
tensors = []
for number, name in sorted((number, name) for name, number in kinds.items() if name != "UNDEFINED"):
    one = onnx.TensorProto(name=f"w {name}", data_type=number, dims=[3, 7])
    if name == "STRING":
        one.string_data.extend([b"a"] * 21)
        sizes[number] = [name, None]
    else:
        one.raw_data = bytes(tensor_bytes(one))
        sizes[number] = [name, tensor_bytes(one)]
    tensors.append(one)
tensors.append(onnx.helper.make_tensor("typed", kinds.FLOAT, [5], [1.0] * 5))
tensors.append(onnx.helper.make_tensor("typed too", kinds.FLOAT16, [2, 2], [1.0] * 4))
tensors.append(onnx.helper.make_tensor("scalar", kinds.DOUBLE, [], [1.0]))
tensors.append(onnx.helper.make_tensor("sin_cache", kinds.FLOAT, [64], [1.0] * 64))
inside = onnx.helper.make_tensor("inside", kinds.FLOAT, [1], [1.0])
nodes = [onnx.helper.make_node("Constant", [], ["c"], value=inside)]
graph = onnx.helper.make_graph(nodes, "g", [], [], tensors)
folder = Path(sys.argv[2])
onnx.save(onnx.helper.make_model(graph), folder / "inner.onnx")
onnx.save(
    onnx.load(folder / "inner.onnx"), folder / "model.onnx", save_as_external_data=True, location="beside",
    size_threshold=20,
)
(folder / "genai_config.json").write_text(json.dumps({"model": {"decoder": {"filename": sys.argv[3]}}}))
print(json.dumps([sizes, count(folder / sys.argv[3], "fp32")["weight_bytes"]]))
"""


@pytest.mark.parametrize("graph", ["inner.onnx", "model.onnx"])
def test_every_element_type_of_onnx_takes_what_olives_backend_counts(
    workshop: Workshop, tmp_path: Path, graph: str
) -> None:
    """On what the onnx package writes, its values in the graph or in a file beside it."""
    sizes, counted = json.loads(_python(workshop, ELEMENTS, ROOT, tmp_path, Path(graph)))
    known = {
        str(number): [name, None if bits is None else -(-21 * bits // 8)]
        for number, (name, bits) in ELEMENT_TYPES.items()
    }
    assert known == sizes
    assert weight_bytes(tmp_path) == counted


# -- forced tokens ------------------------------------------------------------------------------------------------

FORCED = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime_genai as og
from harness.backends import _ort_genai as running
from harness.worker.api import LoadSpec

spec = LoadSpec(Path(sys.argv[1]), "cpu", "cpu", 1, 64)
logits = []
for continuous in (True, False):
    runner = running.Runner(og, spec, running.provider_for(spec), continuous=continuous)
    for _ in range(2):
        runner.reset()
        runner.prefill(np.asarray([11, 25, 39, 52], np.int32))
        for token in (7, 2, 61):
            runner.decode(token)
        runner.prefill(np.asarray([5, 8], np.int32))
    logits.append(runner._generator.get_logits().copy())
    runner.close()
assert np.isfinite(logits[0]).all()
print(float(np.abs(logits[0] - logits[1]).max()))
"""


def test_forced_tokens_compute_what_appended_ones_do(workshop: Workshop) -> None:
    """Providers without continuous decoding (DirectML) take the way of forced tokens; here both ways exist."""
    artifact = workshop.artifact(MODEL, "olive", "FP32").entry
    python = workshop.environment("olive").python
    command = [str(python), "-c", FORCED, str(artifact)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert float(found.stdout.strip().splitlines()[-1]) < 1e-3


BATCHED = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime_genai as og
from harness.backends import _ort_genai as running
from harness.worker.api import LoadSpec, Unsupported

prompts = np.asarray([[11, 25, 39, 52], [61, 7, 33, 80], [45, 8, 90, 13]], np.int32)
tokens = np.asarray([[7, 2, 61], [5, 8, 30], [99, 98, 97]], np.int32)
logits = []
for batch in (3, 1):
    spec = LoadSpec(Path(sys.argv[1]), "cpu", "cpu", 1, 64, {}, batch)
    runner = running.Runner(og, spec, running.provider_for(spec), continuous=True)
    assert runner.hints()["batch_size"] == str(batch)
    if batch == 3:
        for _ in range(2):
            runner.reset()
            runner.prefill_batch(prompts)
            for column in tokens.T:
                runner.decode_batch(column)
        logits.append(runner._generator.get_logits()[:, -1].copy())
        room = runner.kv_cache_bytes()
        try:
            runner.prefill_batch(prompts)
        except Unsupported as refusal:
            assert "no depth" in str(refusal)
        else:
            raise AssertionError("genai appends to a batch by now")
    else:
        rows = []
        for prompt, forced in zip(prompts, tokens):
            runner.reset()
            runner.prefill(prompt)
            for token in forced:
                runner.decode(int(token))
            rows.append(runner._generator.get_logits()[0, -1].copy())
        logits.append(np.stack(rows))
        assert room == 3 * runner.kv_cache_bytes()
    runner.close()
assert np.isfinite(logits[0]).all()
print(float(np.abs(logits[0] - logits[1]).max()), float(np.abs(logits[1][0] - logits[1][1]).max()))
"""


def test_sequences_of_a_batch_have_the_logits_that_they_have_alone(workshop: Workshop) -> None:
    artifact = workshop.artifact(MODEL, "olive", "FP32").entry
    command = [str(workshop.environment("olive").python), "-c", BATCHED, str(artifact)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    from_alone, between_rows = map(float, found.stdout.strip().splitlines()[-1].split())
    assert from_alone < 1e-3 < between_rows


def test_half_precision_is_refused_on_the_cpu_with_the_reason(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(workshop.artifact(MODEL, "olive", "FP32").entry, folder)
    facts = folder / "edgebench.json"
    facts.chmod(0o644)
    facts.write_text(json.dumps({"apis": ["cuda"], "weight_bytes": 1}), encoding="utf-8")
    with WorkerProcess(workshop.launch("olive"), log=tmp_path / "half.log") as worker:
        spec = LoadSpec(folder, "cpu", "cpu", THREADS, 64)
        with pytest.raises(WorkerRefused, match="float16"):
            worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)


# -- failures -----------------------------------------------------------------------------------------------------


def test_a_workflow_without_output_is_a_failure_with_olives_own_words(
    workshop: Workshop, tmp_path: Path
) -> None:
    broken = Recipe(
        "B", "int4", "olive:HF", "olive-ai", {"passes": [{"type": "Rtn", "bits": 4, "group_size": 96}]}
    )
    source = _checkpoint(workshop, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with (
        WorkerProcess(
            workshop.launch("olive", "converter"),
            log=tmp_path / "make.log",
            memory_limit_bytes=None,
            on_event=None,
        ) as worker,
        pytest.raises(WorkerRefused, match=r"(?i)group|no output model"),
    ):
        worker.call("make", to_body(MakeRequest(broken, source, out, THREADS)), timeout_s=TIMEOUT_S)


# -- synthetic models ---------------------------------------------------------------------------------------------

CHECKPOINT = """
import sys
import numpy as np
from safetensors.numpy import save_file

save_file(dict(np.load(sys.argv[1])), sys.argv[2], metadata={"format": "pt"})
"""

COMPARE = """
import sys
import numpy as np
import onnx
from onnx import helper, numpy_helper

ours, theirs = (onnx.load(f"{folder}/model.onnx") for folder in sys.argv[1:3])

def node(one):
    attributes = sorted((a.name, str(helper.get_attribute_value(a))) for a in one.attribute)
    return (one.op_type, one.domain, one.name, tuple(one.input), tuple(one.output), tuple(attributes))

def value(one):
    kind = one.type.tensor_type
    return (one.name, kind.elem_type, tuple(d.dim_param or d.dim_value for d in kind.shape.dim))

assert {node(n) for n in ours.graph.node} == {node(n) for n in theirs.graph.node}
for side in ("input", "output"):
    assert {value(v) for v in getattr(ours.graph, side)} == {value(v) for v in getattr(theirs.graph, side)}
weights = [{t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in (ours, theirs)]
assert set(weights[0]) == set(weights[1])
for name, array in weights[0].items():
    other = weights[1][name]
    assert (array.shape, array.dtype) == (other.shape, other.dtype), name
    if name in ("cos_cache", "sin_cache"):
        assert np.abs(array - other).max() < 1e-6
    else:
        assert np.array_equal(array, other), name
print("equal")
"""


def _checkpoint(workshop: Workshop, folder: Path) -> Path:
    """The synthetic model as a Hugging Face checkpoint, for Olive to start from."""
    source = folder / "checkpoint"
    source.mkdir()
    arrays = {}
    for tensor in SMALL.tensors():
        if tensor.kind == "norm":
            arrays[tensor.name] = np.ones(tensor.shape, np.float32)
        else:
            rows = pool(SMALL, tensor.shape[1], tensor.deviation)
            arrays[tensor.name] = rows[row_order(SMALL, tensor)]
    np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]  # the stub takes names for options
    _python(workshop, CHECKPOINT, folder / "weights.npz", source / "model.safetensors")
    config = SMALL.hf_config() | {"dtype": "float32", "torch_dtype": "float32"}
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    real = workshop.artifact(MODEL, "olive", "HF").entry
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(real / name, source / name)
    return source


def _python(workshop: Workshop, code: str, *arguments: Path) -> str:
    python = workshop.environment("olive", "converter").python
    command = [str(python), "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", ["FP32", "RTN_INT4_g32"])
def test_a_synthetic_model_is_bit_for_bit_what_olive_makes_of_the_same_weights(
    workshop: Workshop, tmp_path: Path, name: str
) -> None:
    source = _checkpoint(workshop, tmp_path)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    launch = workshop.launch("olive", "converter")
    made = []
    for out, synthetic in ((ours, SMALL), (theirs, None)):
        request = MakeRequest(recipe(name), source, out, THREADS, synthetic=synthetic)
        with WorkerProcess(
            launch, log=tmp_path / "make.log", memory_limit_bytes=None, on_event=None
        ) as worker:
            made.append(worker.call("make", to_body(request), timeout_s=TIMEOUT_S))
    assert _python(workshop, COMPARE, ours, theirs) == "equal"
    assert made[0]["weight_bytes"] == made[1]["weight_bytes"] == weight_bytes(ours) == weight_bytes(theirs)
    with WorkerProcess(workshop.launch("olive"), log=tmp_path / "run.log") as worker:
        worker.call("load", to_body(LoadSpec(ours, "cpu", "cpu", THREADS, 64)), timeout_s=TIMEOUT_S)
        answer = worker.call("logits", {"tokens": [3, 141, 59, 265, 358], "first": 0}, timeout_s=TIMEOUT_S)
        assert answer["finite"] is True
        timed = {
            "prompt_tokens": 16,
            "decode_tokens": 4,
            "depth": 8,
            "repetitions": 1,
            "warmups": 1,
            "seed": 5,
        }
        assert len(worker.call("timed", timed, timeout_s=TIMEOUT_S)["samples"]) == 2
