"""What OpenVINO and the planned frameworks declare, read as planning reads it: without any framework."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from harness.backends import _openvino_convert as convert
from harness.backends import _openvino_properties as properties
from harness.backends.directml import DirectML
from harness.backends.olive import Olive
from harness.backends.openvino import OpenVINO
from harness.backends.qnn import QNN
from harness.suite.devices import Target, targets
from harness.worker.api import (
    PRECISIONS,
    Backend,
    Host,
    LoadSpec,
    ModelFacts,
    Recipe,
)
from harness.worker.synthetic import SyntheticModel

ALL: list[type[Backend]] = [OpenVINO, Olive, DirectML, QNN]
LINUX = Host("linux", "x86_64")
WINDOWS = Host("win32", "AMD64")
SMOLLM2 = ModelFacts("smollm2-135m-instruct", "llama", "gguf", 576)


def recipe(name: str) -> Recipe:
    return next(r for r in OpenVINO.recipes if r.name == name)


# -- every declaration --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ALL)
def test_recipes_name_canonical_precisions_with_one_default_each(backend: type[Backend]) -> None:
    assert backend.recipes
    assert {r.precision for r in backend.recipes} <= set(PRECISIONS)
    defaults = Counter(r.precision for r in backend.recipes if r.default)
    assert defaults == dict.fromkeys({r.precision for r in backend.recipes if not r.intermediate}, 1)


@pytest.mark.parametrize("backend", ALL)
def test_recipe_names_are_unique_words(backend: type[Backend]) -> None:
    names = [r.name for r in backend.recipes]
    assert len(set(names)) == len(names)
    assert all(name and not any(c.isspace() for c in name) for name in names)


@pytest.mark.parametrize("backend", ALL)
def test_every_recipe_is_made_from_the_model_or_from_a_recipe_that_exists(backend: type[Backend]) -> None:
    own = {f"{backend.framework}:{r.name}" for r in backend.recipes}
    for r in backend.recipes:
        assert r.made_from in {"model", "llamacpp:F16", "llamacpp:F32", *own} or (
            r.made_from.startswith("olive:")
        ), r.name
        assert r.made_from != f"{backend.framework}:{r.name}"


@pytest.mark.parametrize("backend", ALL)
def test_requirements_are_valid_and_pinned(backend: type[Backend]) -> None:
    for text in backend.requirements.packages:
        assert [s.operator for s in Requirement(text).specifier] == ["=="]


@pytest.mark.parametrize("backend", ALL)
def test_the_baseline_precision_has_a_recipe_or_is_none(backend: type[Backend]) -> None:
    assert backend.baseline_precision in {None, *(r.precision for r in backend.recipes)}


@pytest.mark.parametrize("backend", ALL)
def test_planning_imports_no_framework(backend: type[Backend]) -> None:
    code = (
        f"import sys, {backend.__module__}; "
        "print(*sorted({m.split('.')[0] for m in sys.modules} & "
        "{'openvino', 'openvino_genai', 'nncf', 'onnxruntime', 'onnxruntime_genai', 'olive', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# -- OpenVINO: planning -------------------------------------------------------------------------------------------


def test_openvino_runs_on_the_cpu_of_a_machine_with_wheels() -> None:
    assert OpenVINO.unavailable(LINUX, "cpu", "cpu") is None
    assert OpenVINO.unavailable(WINDOWS, "cpu", "cpu") is None


def test_openvino_tells_which_machines_have_wheels() -> None:
    reason = OpenVINO.unavailable(Host("darwin", "x86_64"), "cpu", "cpu")
    assert reason is not None
    assert "darwin x86_64" in reason


def test_openvino_gpu_and_npu_need_their_drivers() -> None:
    gpu = OpenVINO.unavailable(LINUX, "gpu:0", "opencl")
    npu = OpenVINO.unavailable(LINUX, "npu:0", "npu")
    assert gpu is not None
    assert "OpenCL driver" in gpu
    assert npu is not None
    assert "driver" in npu
    found = Host("linux", "x86_64", frozenset({"opencl", "npu"}))
    assert OpenVINO.unavailable(found, "gpu:0", "opencl") is None
    assert OpenVINO.unavailable(WINDOWS, "gpu:0", "opencl") is None, "Windows registers OpenCL nowhere"
    static = OpenVINO.unavailable(found, "npu:0", "npu")
    assert static is not None
    assert "static shape" in static


@pytest.mark.parametrize("api", ["auto", "hetero"])
def test_virtual_plug_ins_need_what_their_device_needs(api: str) -> None:
    assert OpenVINO.unavailable(LINUX, "cpu", api) is None
    assert OpenVINO.unavailable(LINUX, "gpu:0", api) == OpenVINO.unavailable(LINUX, "gpu:0", "opencl")
    assert "not npu:0 by" in str(OpenVINO.unavailable(LINUX, "npu:0", api))


def test_the_words_auto_and_hetero_mean_the_cpu_and_cpu_means_no_virtual_plug_in() -> None:
    assert targets("auto", OpenVINO, LINUX) == [Target("cpu", "auto", None)]
    assert targets("hetero", OpenVINO, LINUX) == [Target("cpu", "hetero", None)]
    assert targets("cpu", OpenVINO, LINUX) == [Target("cpu", "cpu", None)]
    (gpu,) = targets("gpu", OpenVINO, LINUX)
    assert str(gpu.reason).startswith("opencl, auto, hetero: OpenVINO's GPU plug-in needs")


def test_fp32_is_made_of_the_exact_weights() -> None:
    exact = recipe("FP32")
    assert (exact.made_from, exact.needs) == ("openvino:FP16", ("llamacpp:F32",))


def test_what_reads_calibration_text_says_so() -> None:
    calibrated = {r.name for r in OpenVINO.recipes if r.calibrated}
    assert calibrated == {
        "INT4_ASYM_g64_AWQ", "INT4_ASYM_g64_SE", "INT4_ASYM_g64_AWQ_SE", "INT4_ASYM_g64_r80", "W8A8",
    }  # fmt: skip


def test_a_synthetic_model_has_its_own_reasons() -> None:
    model = SyntheticModel("llama", 192, 256, 1, 3, 3, 64, 100, 512, 1e4, 1e-5, tied_embeddings=True)
    facts = ModelFacts("synthetic", "llama", "synthetic", 192, synthetic=model)
    assert OpenVINO.unsupported(recipe("INT4_ASYM_g64"), facts) is None
    assert "rows of 192" in str(OpenVINO.unsupported(recipe("INT4_ASYM_g128"), facts))
    assert "not as NF4_g64" in str(OpenVINO.unsupported(recipe("NF4_g64"), facts))
    assert "synthesize" in OpenVINO.capabilities


def test_a_machine_has_one_cpu() -> None:
    assert OpenVINO.unavailable(LINUX, "cpu:1", "cpu") is not None


def test_openvino_knows_no_cuda() -> None:
    reason = OpenVINO.unavailable(Host("linux", "x86_64", frozenset({"cuda"})), "gpu:0", "cuda")
    assert reason is not None
    assert "not gpu:0 by cuda" in reason


def test_openvino_reads_only_the_architectures_of_the_gguf_reader() -> None:
    reason = OpenVINO.unsupported(recipe("FP16"), ModelFacts("gemma-3-270m", "gemma3", "gguf", 640))
    assert reason == "openvino-genai's GGUF reader knows llama, qwen2, qwen3, not gemma3"


@pytest.mark.parametrize(
    ("name", "fits"), [("INT4_SYM_g128", False), ("INT4_SYM_g64", True), ("MXFP4", True)]
)
def test_openvino_groups_must_divide_the_rows(name: str, fits: bool) -> None:
    assert (OpenVINO.unsupported(recipe(name), SMOLLM2) is None) is fits


def test_openvino_groups_fixed_by_their_format_count_too() -> None:
    narrow = ModelFacts("narrow", "llama", "gguf", 48)
    assert OpenVINO.unsupported(recipe("MXFP4"), narrow) is not None
    assert OpenVINO.unsupported(recipe("NVFP4"), narrow) is None
    assert OpenVINO.unsupported(recipe("INT8_ASYM"), narrow) is None


def test_openvino_lets_a_model_of_unknown_width_try() -> None:
    assert OpenVINO.unsupported(recipe("INT4_SYM_g128"), ModelFacts("m", "llama", "gguf")) is None


# -- OpenVINO: names, properties, graph ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("CPU", "cpu"),
        ("GPU", "gpu:0"),
        ("GPU.1", "gpu:1"),
        ("NPU", "npu:0"),
        ("AUTO:CPU", None),
        ("GPU.0.1", None),
    ],
)
def test_device_names_map_to_ids(name: str, identity: str | None) -> None:
    assert properties.device_id(name) == identity


@pytest.mark.parametrize("identity", ["cpu", "gpu:0", "gpu:3", "npu:0"])
def test_a_device_id_survives_the_way_to_openvino_and_back(identity: str) -> None:
    assert properties.device_id(properties.plugin_name(identity)) == identity


class FakeCore:
    """Answers `get_property` from a table."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table

    def get_property(self, device: str, name: str) -> Any:
        del device
        return self.table[name]


def spec(**options: str) -> LoadSpec:
    return LoadSpec(Path("m.xml"), "cpu", "cpu", threads=3, context_tokens=64, options=options)


CPU = FakeCore({
    "SUPPORTED_PROPERTIES": {
        "PERFORMANCE_HINT": "RW",
        "NUM_STREAMS": "RW",
        "INFERENCE_NUM_THREADS": "RW",
        "INFERENCE_PRECISION_HINT": "RW",
        "FULL_DEVICE_NAME": "RO",
    },
    "FULL_DEVICE_NAME": "Some CPU ",
})  # fmt: skip


def test_threads_and_latency_are_set_and_options_win() -> None:
    assert properties.config(CPU, spec(NUM_STREAMS="2")) == {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "2",
        "INFERENCE_NUM_THREADS": "3",
    }


@pytest.mark.parametrize("name", ["CACHE_DIR", "CONFIG_FILE", "WEIGHTS_PATH"])
def test_a_suite_cannot_choose_a_place_on_the_machine(name: str) -> None:
    core = FakeCore({"SUPPORTED_PROPERTIES": {name: "RW"}})
    with pytest.raises(ValueError, match="names a place on this machine"):
        properties.config(core, spec(**{name: "/tmp/x"}))


def test_a_virtual_plug_in_is_told_what_its_device_is_told() -> None:
    told = properties.config(CPU, dataclasses.replace(spec(), api="auto"))
    assert told == {"DEVICE_PROPERTIES": {"CPU": properties.config(CPU, spec())}}


def test_an_exact_artifact_is_computed_in_32_bits_unless_options_say_otherwise() -> None:
    assert properties.config(CPU, spec(), exact=True)["INFERENCE_PRECISION_HINT"] == "f32"
    told = properties.config(CPU, spec(INFERENCE_PRECISION_HINT="bf16"), exact=True)
    assert told["INFERENCE_PRECISION_HINT"] == "bf16"
    deaf = FakeCore({"SUPPORTED_PROPERTIES": {"PERFORMANCE_HINT": "RW"}})
    with pytest.raises(RuntimeError, match="cannot be told"):
        properties.config(deaf, spec(), exact=True)


class FakeCompiled:
    """A compiled graph that reports what it is given."""

    def __init__(self, **found: Any) -> None:
        self.found: dict[str, Any] = {"SUPPORTED_PROPERTIES": list(found), **found}

    def get_property(self, name: str) -> Any:
        return self.found[name]


def test_the_hints_of_a_virtual_plug_in_are_those_of_the_device_that_computes() -> None:
    compiled = FakeCompiled(
        EXECUTION_DEVICES=["CPU"],
        PERFORMANCE_HINT="x",
        DEVICE_PROPERTIES={"CPU": {"PERFORMANCE_HINT": "LATENCY"}},
    )
    found = properties.in_force(compiled, dataclasses.replace(spec(), api="hetero"))
    assert found == {"PERFORMANCE_HINT": "LATENCY", "EXECUTION_DEVICES": "CPU"}


def test_an_exact_artifact_that_would_not_be_computed_so_is_refused() -> None:
    properties.check_exact(FakeCompiled(**properties.EXACT), spec())
    wrong = FakeCompiled(**{**properties.EXACT, "KV_CACHE_PRECISION": "u8"})
    with pytest.raises(RuntimeError, match="KV_CACHE_PRECISION"):
        properties.check_exact(wrong, spec())
    properties.check_exact(wrong, spec(KV_CACHE_PRECISION="u8"))
    with pytest.raises(RuntimeError, match="nothing of it"):
        properties.check_exact(FakeCompiled(), spec())


def test_nothing_is_set_that_the_plug_in_does_not_list() -> None:
    gpu = FakeCore({"SUPPORTED_PROPERTIES": {"PERFORMANCE_HINT": "RW"}})
    assert properties.config(gpu, spec()) == {"PERFORMANCE_HINT": "LATENCY"}


def test_an_unknown_option_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(ValueError, match="did you mean INFERENCE_PRECISION_HINT"):
        properties.config(CPU, spec(inference_precision="f32"))


def test_a_read_only_property_is_no_option() -> None:
    with pytest.raises(ValueError, match="no setting FULL_DEVICE_NAME"):
        properties.config(CPU, spec(FULL_DEVICE_NAME="x"))


def test_a_device_tells_its_name_and_no_driver_it_does_not_list() -> None:
    found = properties.device(CPU, "CPU")
    assert (found.id, found.api, found.name, found.driver, found.memory_bytes) == (
        "cpu",
        "cpu",
        "Some CPU",
        None,
        None,
    )


def test_values_are_spelled_as_openvino_spells_them() -> None:
    class Type:
        def to_string(self) -> str:
            return "f16"

    class Mode:
        name = "LATENCY"

    values: list[Any] = [Type(), Mode(), True, ["CPU"], 32, "YES"]
    assert [properties.text(v) for v in values] == ["f16", "LATENCY", "true", "CPU", "32", "YES"]


def test_start_is_what_switches_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        @staticmethod
        def Core() -> str:  # noqa: N802 - OpenVINO's name
            with pytest.raises(ImportError):
                importlib.import_module("openvino_telemetry")
            return "core"

    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", Fake)
    try:
        OpenVINO().start()
    finally:
        sys.modules.pop("openvino_telemetry", None)


def test_the_group_size_of_a_recipe_is_its_own_or_its_formats() -> None:
    sizes = {r.name: convert.group_size(r) for r in OpenVINO.recipes}
    assert sizes["FP16"] is None
    assert sizes["INT8_SYM"] is None
    assert sizes["INT4_ASYM_g64"] == 64
    assert sizes["MXFP8_E4M3"] == 32
    assert sizes["NVFP4"] == 16
