"""QNN on the emulated NPU, on a slice of the real model: what is claimed of it holds on the framework itself."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qnn_numpy
import qnn_slice
from contract import TIMEOUT_S

import harness
from harness.backends.qnn import QNN
from harness.gate.own_weights import weight_bytes
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.worker.api import LoadSpec, Made
from harness.worker.bodies import to_body

pytestmark = pytest.mark.framework("qnn")

#: Not what the ranges were calibrated on.
TOKENS = np.random.default_rng(99).integers(0, qnn_slice.VOCAB, 64).tolist()


@dataclasses.dataclass(frozen=True, slots=True)
class Slice:
    """Artifacts of the slice: by recipe, the folder and what was said of it."""

    launch: Launch
    folders: Mapping[str, Path]
    made: Mapping[str, Made]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Slice:
    root = tmp_path_factory.mktemp("qnn")
    launch, whole = qnn_slice.made_by(qnn_slice.workshop(), root)
    folders = {"FP32_STATIC": whole}
    made = {}
    for name in ("FP16", "A16W8", "A8W8", "A16W4", "A16W8_SM8750"):
        recipe = qnn_slice.recipe(name)
        folders[name] = root / name
        made[name] = qnn_slice.make(launch, recipe, folders[recipe.made_from.split(":")[1]], folders[name])
    return Slice(launch, folders, made)


@pytest.fixture
def worker(artifacts: Slice, tmp_path: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(artifacts.launch, log=tmp_path / "worker.log") as process:
        yield process


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("FP32_STATIC", 4 * qnn_slice.VOCAB * 576),
        ("FP16", 2 * qnn_slice.VOCAB * 576),
        ("A16W8", qnn_slice.VOCAB * (576 + 4)),
        ("A16W8_SM8750", qnn_slice.VOCAB * (576 + 4)),
    ],
)
def test_no_token_reads_the_table_beside_the_graphs(artifacts: Slice, name: str, unread: int) -> None:
    assert QNN.may_hold_unread
    assert QNN.unread_weight_bytes(artifacts.folders[name]) == unread


def _load(worker: WorkerProcess, artifact: Path, **options: str) -> dict[str, Any]:
    spec = LoadSpec(artifact, "cpu", "qnn-htp-emulator", 1, 64, options)
    return worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)


def _score(worker: WorkerProcess, folder: Path, *, write: bool) -> dict[str, Any]:
    tokens, reference = folder / "tokens.i32", str(folder / "reference.npy")
    np.asarray(TOKENS, "<i4").tofile(tokens)
    body: dict[str, Any] = {"tokens_file": str(tokens), "window": 64, "stride": 64, "score_from": 0}
    body |= {"max_windows": 1, "bos": None}
    body |= {"reference_in": None if write else reference, "reference_out": reference if write else None}
    return worker.call("score", body, timeout_s=TIMEOUT_S)


def test_the_float_graph_computes_what_llama_is_defined_to(artifacts: Slice) -> None:
    root = str(Path(harness.__file__).parent.parent)
    command = [str(artifacts.launch.python), "-I", qnn_numpy.__file__, root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    far = json.loads(done.stdout)
    assert far.keys() == {"23", "1", "7"}
    assert max(far.values()) < 1e-4


def test_16_bit_activations_are_closer_to_fp16_than_8_bit_ones(artifacts: Slice, tmp_path: Path) -> None:
    kld = {}
    for name in ("FP16", "A16W8", "A8W8", "A16W4"):
        with WorkerProcess(artifacts.launch, log=tmp_path / f"{name}.log") as worker:
            _load(worker, artifacts.folders[name])
            answer = _score(worker, tmp_path, write=name == "FP16")
            assert answer["finite"] is True
            if name != "FP16":
                (window,) = answer["windows"]
                kld[name] = window["kld_sum"] / window["positions"]
    # Seen: 0.0023, 0.19 and 0.10.
    assert kld["A16W8"] < 0.01
    assert kld["A8W8"] > 10 * kld["A16W8"]
    assert kld["A16W4"] > 10 * kld["A16W8"]


def test_a_text_is_scored_the_same_whatever_came_before_it(
    artifacts: Slice, worker: WorkerProcess, tmp_path: Path
) -> None:
    _load(worker, artifacts.folders["A16W8"])
    _score(worker, tmp_path, write=True)
    # What the first scoring left in the cache is masked, but a quantised mask lets something through.
    (again,) = _score(worker, tmp_path, write=False)["windows"]
    assert again["kld_sum"] == pytest.approx(0, abs=1e-9)


def test_every_node_is_on_the_npu_and_the_profile_says_so(artifacts: Slice, worker: WorkerProcess) -> None:
    loaded = _load(worker, artifacts.folders["A16W8"])
    assert loaded["device"]["emulated"] is True
    hints = loaded["hints"]
    # Each graph was compiled into one node; nothing else was executed.
    assert hints["executed"] == "QNNExecutionProvider 2"
    assert hints["nodes_off_qnn"] == "0"
    assert hints["share_off_qnn"] == "0.0000"
    taken = artifacts.made["A16W8"].notes["nodes"]
    assert hints["nodes_on_qnn"] == str(sum(graph["QNNExecutionProvider"] for graph in taken.values()))
    assert int(hints["nodes_on_qnn"]) > 2 * 100
    assert hints["soc"] == "SM8650"


def test_the_figures_of_a_pass_are_qnns_own(artifacts: Slice, worker: WorkerProcess) -> None:
    _load(worker, artifacts.folders["FP16"])
    body = {"prompt_tokens": 4, "decode_tokens": 2, "depth": 0, "repetitions": 1, "warmups": 0, "seed": 3}
    (sample,) = worker.call("timed", body, timeout_s=TIMEOUT_S)["samples"]
    values = sample["values"]
    for phase in ("prefill", "decode"):
        assert 0.5 < values[f"framework_{phase}_s"] / values[f"{phase}_s"] <= 1.05
        assert values[f"framework_{phase}_cycles"] > 1e6
    worker.call("unload", {}, timeout_s=TIMEOUT_S)
    _load(worker, artifacts.folders["FP16"], profiling_level="off")
    (sample,) = worker.call("timed", body, timeout_s=TIMEOUT_S)["samples"]
    assert not any(name.startswith("framework_") for name in sample["values"])


def test_the_emulator_agrees_with_onnx_runtimes_cpu_on_the_quantised_graph(
    artifacts: Slice, worker: WorkerProcess
) -> None:
    _load(worker, artifacts.folders["A16W8"])
    own = worker.call("logits", {"tokens": TOKENS, "first": 0}, timeout_s=TIMEOUT_S)
    cpu = qnn_slice.cpu_choices(artifacts.launch, artifacts.folders["A16W8"], TOKENS)
    equal = sum(one == other for one, other in zip(own["argmax"], cpu, strict=True))
    assert equal >= 60, f"{own['argmax']} against {cpu}"


def test_a_binary_for_a_named_soc_is_written_and_is_that_socs(artifacts: Slice) -> None:
    ours, theirs = artifacts.folders["A16W8"] / "SM8650", artifacts.folders["A16W8_SM8750"] / "SM8750"
    for name in ("block", "token"):
        (one,), (other,) = ours.glob(f"{name}*.bin"), theirs.glob(f"{name}*.bin")
        assert one.stat().st_size > (artifacts.made["A16W8"].weight_bytes or 0) / 2 > 0
        assert one.read_bytes() != other.read_bytes()
    manifest = json.loads((artifacts.folders["A16W8_SM8750"] / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["compiled"]) == ["SM8750"]
    assert manifest["portable"] is False


def test_another_socs_binary_computes_the_same(artifacts: Slice, worker: WorkerProcess) -> None:
    chosen = []
    for name in ("A16W8", "A16W8_SM8750"):
        _load(worker, artifacts.folders[name])
        chosen.append(worker.call("logits", {"tokens": TOKENS, "first": 0}, timeout_s=TIMEOUT_S)["argmax"])
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
    assert chosen[0] == chosen[1]


def test_a_soc_that_the_artifact_is_not_compiled_for_is_refused(
    artifacts: Slice, worker: WorkerProcess
) -> None:
    with pytest.raises(WorkerRefused, match="no graph compiled for SM8550"):
        _load(worker, artifacts.folders["A16W8"], soc="SM8550")


def test_more_context_than_the_graph_has_is_refused(artifacts: Slice, worker: WorkerProcess) -> None:
    spec = LoadSpec(artifacts.folders["A16W8"], "cpu", "qnn-htp-emulator", 1, 65, {})
    with pytest.raises(WorkerRefused, match="context of 64"):
        worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)


def test_weights_are_counted_as_they_are_on_disk(artifacts: Slice) -> None:
    sizes = {name: made.weight_bytes or 0 for name, made in artifacts.made.items()}
    assert sizes["A16W4"] < sizes["A16W8"] == sizes["A8W8"] == sizes["A16W8_SM8750"] < sizes["FP16"]
    # Two layers and the output layer of 576 x 1024, and the table of as many rows, in 8 bits and little else.
    layers = 2 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    weights = layers + 2 * 576 * qnn_slice.VOCAB
    assert weights < sizes["A16W8"] < 1.02 * weights
    assert 2 * weights < sizes["FP16"] < 2.02 * weights


def test_the_weights_of_a_folder_are_read_as_the_backend_counts_them(artifacts: Slice) -> None:
    portable = {name: folder for name, folder in artifacts.folders.items() if name in artifacts.made}
    compiled = portable.pop("A16W8_SM8750")
    assert {name: weight_bytes(folder) for name, folder in portable.items()} == {
        name: artifacts.made[name].weight_bytes for name in portable
    }
    assert "compiled for a SoC" in str(weight_bytes(compiled))
