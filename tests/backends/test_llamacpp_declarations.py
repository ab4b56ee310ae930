"""What the llama.cpp backend declares, and what it decides without llama.cpp."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.backends._llamacpp_options import parse_options
from harness.backends.llamacpp import LlamaCpp
from harness.worker.api import PRECISIONS, Host, LoadSpec, MakeRequest, ModelFacts, Recipe, Unsupported
from harness.worker.synthetic import SyntheticModel

LINUX = Host("linux", "x86_64")
SMOL = ModelFacts("smollm2-135m-instruct", "llama", "gguf", 576)
RECIPES = {recipe.name: recipe for recipe in LlamaCpp.recipes}

EVERY_RECIPE = {
    *("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1"),
    *("IQ4_XS", "IQ4_NL", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XXS", "IQ1_S", "TQ1_0", "TQ2_0"),
    *(f"{name}+imatrix" for name in ("Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XXS", "IQ1_S")),
    "imatrix",
}


def test_every_planned_recipe_is_declared_once() -> None:
    assert sorted(recipe.name for recipe in LlamaCpp.recipes) == sorted(EVERY_RECIPE)


def test_every_recipe_has_a_canonical_precision_and_each_precision_one_default() -> None:
    precisions = {recipe.precision for recipe in LlamaCpp.recipes}
    assert precisions <= set(PRECISIONS)
    for precision in precisions:
        defaults = [each for each in LlamaCpp.recipes if each.precision == precision and each.default]
        assert len(defaults) == 1, precision


@pytest.mark.parametrize(
    ("precision", "name"),
    [
        ("fp32", "F32"),
        ("fp16", "F16"),
        ("bf16", "BF16"),
        ("int8", "Q8_0"),
        ("int6", "Q6_K"),
        ("int5", "Q5_K_M"),
        ("int4", "Q4_K_M"),
        ("int3", "Q3_K_M"),
        ("int2", "Q2_K"),
        ("ternary", "TQ1_0"),
        ("int1", "IQ1_S+imatrix"),
    ],
)
def test_a_bare_precision_means_the_usual_recipe(precision: str, name: str) -> None:
    assert [each.name for each in LlamaCpp.recipes if each.precision == precision and each.default] == [name]


def test_all_recipes_but_f32_are_made_from_f32() -> None:
    assert RECIPES["F32"].made_from == "model"
    assert {each.made_from for each in LlamaCpp.recipes if each.name != "F32"} == {"llamacpp:F32"}


def test_every_recipe_names_what_changes_its_bytes() -> None:
    parameters = [str(each.parameters) for each in LlamaCpp.recipes]
    assert len(set(parameters)) == len(parameters)
    assert RECIPES["Q4_K_M"].parameters == {"ftype": "MOSTLY_Q4_K_M", "allow_requantize": True}


def test_only_the_matrix_reads_the_calibration_text_and_only_its_recipes_need_it() -> None:
    matrix = RECIPES["imatrix"]
    assert matrix.calibrated
    assert matrix.intermediate
    assert {each.name for each in LlamaCpp.recipes if each.calibrated or each.intermediate} == {"imatrix"}
    needing = {each.name for each in LlamaCpp.recipes if each.needs == ("llamacpp:imatrix",)}
    assert needing == {name for name in RECIPES if name.endswith("+imatrix")}
    for name in needing:
        assert RECIPES[name].precision == RECIPES[name.removesuffix("+imatrix")].precision


def test_recipes_that_need_an_importance_matrix_name_the_one_that_has_it() -> None:
    reasons = {each.name: LlamaCpp.unsupported(each, SMOL) for each in LlamaCpp.recipes}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    assert sorted(refused) == ["IQ1_S", "IQ2_XXS"]
    for name, text in refused.items():
        assert text == f"llama.cpp makes {name} with an importance matrix only: name {name}+imatrix"


def test_a_synthetic_model_has_every_recipe_without_a_matrix() -> None:
    model = SyntheticModel("llama", 2048, 2048, 2, 16, 4, 128, 1000, 512, 10000.0, 1e-5, False)
    facts = ModelFacts("synthetic", "llama", "synthetic", 2048, synthetic=model)
    refused = {each.name for each in LlamaCpp.recipes if LlamaCpp.unsupported(each, facts)}
    assert refused == {
        "imatrix",
        "IQ1_S",
        "IQ2_XXS",
        "IQ3_XXS",
        *(n for n in RECIPES if n.endswith("+imatrix")),
    }
    assert "random weights" in str(LlamaCpp.unsupported(RECIPES["Q4_K_M+imatrix"], facts))


def test_a_model_of_another_format_is_refused_where_it_would_be_read() -> None:
    other = ModelFacts("other", "llama", "safetensors")
    assert (
        LlamaCpp.unsupported(RECIPES["F32"], other)
        == "llama.cpp takes GGUF files here, and other is safetensors"
    )
    assert LlamaCpp.unsupported(RECIPES["F16"], other) is None


def test_the_cpu_is_available_everywhere() -> None:
    for host in (LINUX, Host("darwin", "arm64"), Host("win32", "AMD64")):
        assert LlamaCpp.unavailable(host, "cpu", "cpu") is None


def test_a_gpu_is_available_where_its_accelerator_was_found() -> None:
    assert "no cuda device" in str(LlamaCpp.unavailable(LINUX, "gpu:0", "cuda"))
    assert LlamaCpp.unavailable(Host("linux", "x86_64", frozenset({"cuda"})), "gpu:0", "cuda") is None


def test_metal_is_refused_off_macos_and_an_unknown_api_everywhere() -> None:
    assert LlamaCpp.unavailable(LINUX, "gpu:0", "metal") == "Metal exists on macOS only"
    assert LlamaCpp.unavailable(Host("darwin", "arm64", frozenset({"metal"})), "gpu:0", "metal") is None
    assert "not for directml" in str(LlamaCpp.unavailable(LINUX, "gpu:0", "directml"))


def test_an_rpc_server_is_available_where_one_was_named() -> None:
    assert "set EDGEBENCH_LLAMACPP_RPC to HOST:PORT" in str(LlamaCpp.unavailable(LINUX, "gpu:0", "rpc"))
    assert LlamaCpp.unavailable(Host("linux", "x86_64", frozenset({"rpc"})), "gpu:0", "rpc") is None


@pytest.mark.parametrize("api", ["cuda", "vulkan", "opencl", "sycl"])
def test_an_api_without_its_device_says_so(api: str) -> None:
    assert (
        LlamaCpp.unavailable(LINUX, "gpu:0", api)
        == f"no {api} device with its driver was found on this machine"
    )


def test_every_known_device_has_a_build_variant_for_this_kind_of_cpu() -> None:
    build = LlamaCpp.requirements.build
    # RPC is part of the CPU's build: another machine computes.
    assert {api for _, api in LlamaCpp.known_devices} == {*build, "rpc"}
    for variant, environment in build.items():
        assert "-DGGML_NATIVE=ON" in environment["CMAKE_ARGS"], variant
        if variant != "cpu":
            assert f"-DGGML_{variant.upper()}=ON" in environment["CMAKE_ARGS"]
    assert "-DGGML_RPC=ON" in build["cpu"]["CMAKE_ARGS"]


def test_the_package_that_is_built_here_is_pinned() -> None:
    requirements = LlamaCpp.requirements
    assert requirements.from_source == ("llama-cpp-python",)
    assert [each.split("==")[0] for each in requirements.packages] == ["llama-cpp-python"]


def test_options_default_to_those_of_llama_bench() -> None:
    assert parse_options({}) == {
        "n_batch": 2048,
        "n_ubatch": 512,
        "type_k": "f16",
        "type_v": "f16",
        "flash_attn": "auto",
        "load_mode": "auto",
        "repack": True,
        "swa_full": False,
        "poll": 50,
    }


def test_a_given_option_replaces_its_default() -> None:
    values = parse_options({"type_k": "f32", "repack": "0", "n_ubatch": "64"})
    assert (values["type_k"], values["repack"], values["n_ubatch"]) == ("f32", False, 64)


@pytest.mark.parametrize("name", ["type_k", "type_v"])
def test_a_cache_of_32_bits_is_attended_to_in_32_bits(name: str) -> None:
    assert parse_options({name: "f32"})["flash_attn"] == "off"
    assert parse_options({name: "bf16"})["flash_attn"] == "auto"
    with pytest.raises(ValueError, match="f16 copies of an f32 KV cache"):
        parse_options({name: "f32", "flash_attn": "on"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"use_mmap": "1"}, "no option 'use_mmap'"),
        ({"n_batch": "0"}, "a number above 0"),
        ({"n_batch": "many"}, "n_batch='many'"),
        ({"poll": "101"}, "0 to 100"),
        ({"repack": "yes"}, "0 or 1"),
        ({"flash_attn": "maybe"}, "auto or off or on"),
        ({"load_mode": "slowly"}, "auto or none or mmap"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_options(options)


def test_calls_before_start_say_what_is_missing(tmp_path: Path) -> None:
    backend = LlamaCpp()
    with pytest.raises(RuntimeError, match=r"start\(\) comes first"):
        backend.devices()
    with pytest.raises(RuntimeError, match=r"start\(\) comes first"):
        backend.load(LoadSpec(tmp_path / "none.gguf", "cpu", "cpu", 1, 16))
    with pytest.raises(RuntimeError, match=r"load\(\) comes first"):
        backend.reset()
    with pytest.raises(RuntimeError, match=r"load\(\) comes first"):
        backend.decode(1)
    backend.unload()


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ1_S"])
def test_making_without_an_importance_matrix_is_unsupported_and_not_a_failure(
    name: str, tmp_path: Path
) -> None:
    recipe: Recipe = RECIPES[name]
    with pytest.raises(Unsupported, match="needs an importance matrix"):
        LlamaCpp().make(MakeRequest(recipe, tmp_path / "F32.gguf", tmp_path, 1))
