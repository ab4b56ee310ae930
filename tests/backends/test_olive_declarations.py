"""What Olive declares, and the parts of its adapter that compute without Olive and without ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from harness.backends import _hf_checkpoint as checkpoint
from harness.backends import _olive_synthetic as synthetic
from harness.backends import _olive_workflow as workflow
from harness.backends import _ort_genai as running
from harness.backends.olive import Olive, group_size
from harness.worker.api import Host, LoadSpec, ModelFacts, Recipe, Unsupported
from harness.worker.synthetic import SyntheticModel

LINUX = Host("linux", "x86_64")
SMOLLM2 = ModelFacts("smollm2-135m-instruct", "llama", "gguf", 576)
SMALL = SyntheticModel("llama", 128, 256, 2, 4, 2, 32, 512, 256, 10_000.0, 1e-5, False, seed=3)


def recipe(name: str) -> Recipe:
    return next(r for r in Olive.recipes if r.name == name)


def spec(artifact: Path, device: str = "cpu", api: str = "cpu", **options: str) -> LoadSpec:
    return LoadSpec(artifact, device, api, 3, 96, options)


# -- declarations -------------------------------------------------------------------------------------------------


def test_the_runtime_has_no_torch_and_everything_is_pinned() -> None:
    converter = Olive.requirements.converter
    assert converter is not None
    runtime = {Requirement(text).name for text in Olive.requirements.packages}
    making = {Requirement(text).name for text in converter.packages}
    assert runtime <= making
    assert not runtime & {"torch", "transformers", "olive-ai", "onnx"}
    assert {"torch", "transformers", "gguf", "olive-ai", "onnx", "requests", "datasets"} <= making
    for text in (*Olive.requirements.packages, *converter.packages):
        assert [s.operator for s in Requirement(text).specifier] == ["=="], text


def test_a_recipe_names_the_passes_that_it_runs() -> None:
    for one in Olive.recipes:
        if "passes" in one.parameters:
            assert one.passes == tuple(p["type"] for p in one.parameters["passes"])
        else:
            assert one.name in ("HF", "AUTO_INT4")
    assert recipe("GPTQ_INT4_g32").passes == ("Gptq", "ModelBuilder")


def test_recipes_that_read_data_are_calibrated_and_no_others() -> None:
    reads = {r.name for r in Olive.recipes if {"Gptq", "OnnxStaticQuantization"} & set(r.passes)}
    assert (
        {r.name for r in Olive.recipes if r.calibrated}
        == reads
        == {
            "STATIC_INT8",
            "GPTQ_INT4_g32",
            "AUTO_INT4",
        }
    )
    assert all("calibration" in r.parameters for r in Olive.recipes if r.calibrated)


def test_graphs_for_directml_and_the_checkpoint_are_only_sources_of_others() -> None:
    hidden = {r.name for r in Olive.recipes if r.intermediate}
    assert hidden == {"HF", "FP16_DIRECTML", "RTN_INT4_g32_DIRECTML"}


def test_passes_on_pytorch_models_need_whole_groups() -> None:
    assert group_size(recipe("RTN_INT4_g32")) == 32
    assert group_size(recipe("AUTO_INT4")) == 32
    assert group_size(recipe("BLOCK_RTN_INT4_g32")) is None, "ONNX passes pad the last group"
    odd = ModelFacts("odd", "llama", "gguf", 80)
    assert (
        Olive.unsupported(recipe("RTN_INT4_g32"), odd) == "groups of 32 do not divide this model's rows of 80"
    )
    assert Olive.unsupported(recipe("HQQ_INT4_g32"), odd) is None
    assert all(Olive.unsupported(r, SMOLLM2) is None for r in Olive.recipes)


def test_an_architecture_without_a_checkpoint_is_refused() -> None:
    said = Olive.unsupported(recipe("FP32"), ModelFacts("g", "gemma3", "gguf", 640))
    assert said is not None
    assert "gemma3" in said


@pytest.mark.parametrize(
    ("host", "device", "api", "said"),
    [
        (LINUX, "gpu:0", "cuda", "NVIDIA"),
        (Host("linux", "x86_64", frozenset({"cuda"})), "gpu:0", "cuda", "onnxruntime-gpu"),
        (LINUX, "gpu:0", "webgpu", "WebGPU"),
        (LINUX, "gpu:1", "metal", "not gpu:1 by metal"),
        (Host("linux", "riscv64"), "cpu", "cpu", "riscv64"),
    ],
)
def test_what_cannot_run_here_has_its_reason(host: Host, device: str, api: str, said: str) -> None:
    assert said in str(Olive.unavailable(host, device, api))


def test_the_cpu_is_there() -> None:
    assert Olive.unavailable(LINUX, "cpu", "cpu") is None


# -- running ------------------------------------------------------------------------------------------------------


def test_a_device_is_reached_by_its_provider_or_refused() -> None:
    here = Path()
    assert running.provider_for(spec(here)).ort == "CPUExecutionProvider"
    assert running.provider_for(spec(here, "gpu:0", "directml")).genai == "dml"
    for device, api in (("cpu", "cuda"), ("gpu:0", "cpu"), ("gpu:1", "cuda"), ("npu:9", "nothing")):
        with pytest.raises(Unsupported, match=device):
            running.provider_for(spec(here, device, api))


def test_options_are_known_ones() -> None:
    assert running.checked_options({"session.intra_op.allow_spinning": "0"}) == {
        "session.intra_op.allow_spinning": "0"
    }
    with pytest.raises(ValueError, match="no_such"):
        running.checked_options({"no_such": "1"})
    with pytest.raises(ValueError, match="ORT_ENABLE_ALL"):
        running.checked_options({"graph_optimization_level": "9"})


def test_the_overlay_sets_threads_and_an_end_of_text_that_no_token_is() -> None:
    overlay = json.loads(running.overlay(spec(Path()), {"session.disable_prepacking": "1"}))
    assert overlay["model"]["eos_token_id"] == -1
    session = overlay["model"]["decoder"]["session_options"]
    assert session["intra_op_num_threads"] == 3
    assert session["session.disable_prepacking"] == "1"


@pytest.mark.parametrize(
    "text", [None, "no json", "{}", '{"model": {"decoder": {"filename": "absent.onnx"}}}']
)
def test_a_folder_that_is_no_artifact_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / running.CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="no artifact"):
        running.read_config(tmp_path)


def _node(name: str, provider: str, kind: str) -> dict[str, Any]:
    return {"cat": "Node", "name": name, "args": {"provider": provider, "op_name": kind}}


def test_a_profile_tells_which_provider_computed_which_node() -> None:
    events = [
        {"cat": "Session", "name": "model_run"},
        _node("a_kernel_time", "CUDAExecutionProvider", "MatMul"),
        _node("a_kernel_time", "CUDAExecutionProvider", "MatMul"),
        _node("b_kernel_time", "CPUExecutionProvider", "Shape"),
        _node("c_kernel_time", "CPUExecutionProvider", "GroupQueryAttention"),
    ]
    placed, elsewhere = running.nodes_by_provider(events, "CUDAExecutionProvider")
    assert placed == {"CUDAExecutionProvider": 1, "CPUExecutionProvider": 2}
    assert elsewhere == {"GroupQueryAttention": 1}, "shapes may be computed on the CPU, attention may not"


def test_devices_are_those_that_onnx_runtime_lists() -> None:
    def listed(ep: str, kind: str, vendor: str, description: str | None = None) -> SimpleNamespace:
        metadata = {"Description": description} if description else {}
        device = SimpleNamespace(type=f"OrtHardwareDeviceType.{kind}", vendor=vendor, metadata=metadata)
        return SimpleNamespace(ep_name=ep, device=device, ep_metadata={"version": "1.2"})

    ort = SimpleNamespace(
        get_ep_devices=lambda: [
            listed("CPUExecutionProvider", "CPU", "Maker"),
            listed("QNNExecutionProvider", "NPU", "Qualcomm", "Hexagon"),
        ],
        get_available_providers=lambda: [
            "DmlExecutionProvider",
            "AzureExecutionProvider",
            "CPUExecutionProvider",
        ],
    )
    found = running.devices(ort)
    assert [(d.id, d.api, d.name, d.driver) for d in found] == [
        ("cpu", "cpu", "Maker CPU", "1.2"),
        ("npu:0", "qnn", "Hexagon", "1.2"),
        ("gpu:0", "directml", "DmlExecutionProvider", None),
    ]


# -- making -------------------------------------------------------------------------------------------------------


def test_calibration_windows_spread_over_the_text() -> None:
    ids = np.arange(100, dtype=np.int32)
    rows = workflow.windows(ids, 10, 4, None)
    assert [int(row[0]) for row in rows] == [0, 30, 60, 90]
    assert all(row.size == 10 and row.dtype == np.int64 for row in rows)
    (head, *_rest) = workflow.windows(ids, 10, 1, 7)[0]
    assert head == 7, "the token that the model wants first"
    with pytest.raises(ValueError, match="fewer"):
        workflow.windows(ids[:5], 10, 1, None)


def test_a_matrix_that_stayed_in_float_is_counted_beside_quantised_ones() -> None:
    nodes = [
        SimpleNamespace(op_type="MatMulNBits", input=["x", "packed"]),
        SimpleNamespace(op_type="Gather", input=["table", "ids"]),
        SimpleNamespace(op_type="MatMul", input=["x", "y"]),
    ]
    kinds = {"packed": "UINT8", "table": "FLOAT"}
    assert workflow._left_in_float(nodes, kinds, "int4") == {"int4 to fp32": 1}
    assert workflow._left_in_float(nodes[1:], kinds, "fp32") == {}, "nothing was to be quantised"


def test_logits_are_found_under_the_name_that_a_pass_gave_them() -> None:
    assert workflow.logits_name("logits", ["present.0.key", "logits"]) == "logits"
    assert workflow.logits_name("logits", ["present.0.key", "logits_Q8"]) == "logits_Q8"
    for outputs in (["present.0.key"], ["logits_a", "logits_b"]):
        with pytest.raises(RuntimeError, match="no output logits"):
            workflow.logits_name("logits", outputs)


def test_a_checkpoint_reads_bf16_exactly() -> None:
    values = np.asarray([1.0, -2.5, 3.0e38, 0.0], np.float32)
    raw = (values.view(np.uint32) >> 16).astype(np.uint16)
    expected = (raw.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(checkpoint._as_f32(raw), expected)
    assert checkpoint._as_f32(np.ones(2, np.float16)).dtype == np.float32


# -- synthetic models ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 96])
def test_int4_rows_unpack_to_within_half_a_step(width: int) -> None:
    rows = np.random.default_rng(1).standard_normal((5, width)).astype(np.float32)
    rows[0, :32] = 0
    rows[1, :32] = np.abs(rows[1, :32])
    packed, scales, zeros = synthetic.packed_int4(rows)
    groups = width // 32
    assert packed.shape == (5, groups, 16)
    assert zeros.shape == (5, (groups + 1) // 2)
    values = np.stack([packed & 15, packed >> 4], axis=-1).reshape(5, groups, 32).astype(np.float32)
    zero = np.stack([zeros & 15, zeros >> 4], axis=-1).reshape(5, -1)[:, :groups].astype(np.float32)
    back = (values - zero[..., None]) * scales[..., None]
    error = np.abs(back.reshape(rows.shape) - rows).reshape(5, groups, 32).max(-1)
    # The zero point is rounded too, so that an extreme weight may lie a step beyond the range.
    assert (error <= scales * 1.001).all()
    assert (back[0, 0] == 0).all()


def test_synthetic_models_are_written_as_two_recipes() -> None:
    facts = ModelFacts("small", "llama", "synthetic", 128, synthetic=SMALL)
    assert Olive.unsupported(recipe("RTN_INT4_g32"), facts) is None
    assert Olive.unsupported(recipe("FP32"), facts) is None
    assert "GPTQ_INT4_g32" in str(Olive.unsupported(recipe("GPTQ_INT4_g32"), facts))
    large = SyntheticModel("llama", 4096, 14336, 32, 32, 8, 128, 128256, 8192, 5e5, 1e-5, False)
    facts = ModelFacts("8b", "llama", "synthetic", 4096, synthetic=large)
    assert "32 GB" in str(Olive.unsupported(recipe("FP32"), facts))
    assert Olive.unsupported(recipe("RTN_INT4_g32"), facts) is None
    odd = SyntheticModel("llama", 80, 256, 2, 4, 2, 20, 512, 256, 1e4, 1e-5, False)
    facts = ModelFacts("odd", "llama", "synthetic", 80, synthetic=odd)
    assert "80" in str(Olive.unsupported(recipe("RTN_INT4_g32"), facts))
