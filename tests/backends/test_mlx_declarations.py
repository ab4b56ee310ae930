"""What MLX declares can be read, and planned with, where MLX is not installed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from harness.backends.mlx import MLX, compute_dtype, parse_options
from harness.worker.api import PRECISIONS, Host, ModelFacts

RECIPES = {recipe.name: recipe for recipe in MLX.recipes}

SMOL = ModelFacts("smollm2-135m-instruct", "llama", "gguf", 576)
GEMMA = ModelFacts("gemma-3-270m", "gemma3", "gguf", 640)

LINUX = Host("linux", "x86_64")
MAC = Host("darwin", "arm64", frozenset({"metal"}))


def test_importing_the_adapter_imports_no_framework() -> None:
    script = (
        "import sys, harness.backends.mlx\n"
        "bad = {'mlx', 'mlx_lm', 'torch', 'transformers', 'gguf'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(bad)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_recipe_has_a_canonical_precision_and_a_name_of_its_own() -> None:
    assert len(RECIPES) == len(MLX.recipes)
    assert {recipe.precision for recipe in MLX.recipes} <= set(PRECISIONS)
    assert not any(" " in name for name in RECIPES)


def test_each_precision_has_exactly_one_default_recipe() -> None:
    defaults = Counter(recipe.precision for recipe in MLX.recipes if recipe.default)
    assert defaults == Counter({recipe.precision for recipe in MLX.recipes})


@pytest.mark.parametrize(
    ("precision", "name"),
    [("fp16", "FP16"), ("int8", "8bit_g64"), ("int4", "4bit_g64"), ("fp4", "mxfp4"), ("fp8", "mxfp8")],
)
def test_a_bare_precision_means_what_mlx_lm_makes_by_default(precision: str, name: str) -> None:
    assert [r.name for r in MLX.recipes if r.precision == precision and r.default] == [name]


def test_recipes_start_from_a_float_gguf_or_from_our_own_fp16() -> None:
    assert {recipe.made_from for recipe in MLX.recipes} == {"llamacpp:F32", "llamacpp:F16", "mlx:FP16"}


def test_equal_parameters_never_belong_to_two_recipes() -> None:
    keys = [(r.made_from, r.tool, *sorted(r.parameters.items())) for r in MLX.recipes]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("group", [32, 64])
def test_groups_that_divide_the_rows_are_supported(group: int) -> None:
    assert MLX.unsupported(RECIPES[f"4bit_g{group}"], SMOL) is None


def test_a_group_that_does_not_divide_the_rows_is_refused_with_both_numbers() -> None:
    reason = MLX.unsupported(RECIPES["4bit_g128"], SMOL)
    assert reason is not None
    assert "128" in reason
    assert "576" in reason
    assert MLX.unsupported(RECIPES["4bit_g128"], GEMMA) is None


def test_a_model_of_unknown_row_width_may_be_tried() -> None:
    assert MLX.unsupported(RECIPES["4bit_g128"], ModelFacts("m", "llama", "gguf")) is None


def test_an_architecture_that_is_not_translated_is_refused_for_every_recipe() -> None:
    for recipe in MLX.recipes:
        reason = MLX.unsupported(recipe, ModelFacts("m", "mamba", "gguf", 1024))
        assert reason is not None
        assert "mamba" in reason


@pytest.mark.parametrize("host", [LINUX, Host("linux", "aarch64"), MAC])
def test_the_cpu_may_be_tried_where_mlx_has_packages(host: Host) -> None:
    assert MLX.unavailable(host, "cpu", "cpu") is None


@pytest.mark.parametrize(
    ("host", "device", "api", "said"),
    [
        (Host("win32", "AMD64"), "cpu", "cpu", "win32"),
        (Host("darwin", "x86_64"), "cpu", "cpu", "Apple silicon"),
        (Host("linux", "riscv64"), "cpu", "cpu", "riscv64"),
        (LINUX, "gpu:0", "metal", "Mac"),
        (Host("linux", "x86_64", frozenset({"cuda"})), "gpu:0", "cuda", "mlx[cuda12]"),
        (LINUX, "npu:0", "openvino", "npu:0"),
    ],
)
def test_a_device_that_cannot_be_used_says_why(host: Host, device: str, api: str, said: str) -> None:
    reason = MLX.unavailable(host, device, api)
    assert reason is not None
    assert said in reason


def test_metal_may_be_tried_on_apple_silicon() -> None:
    assert MLX.unavailable(MAC, "gpu:0", "metal") is None


def test_options_begin_as_mlx_lm_has_them() -> None:
    options = parse_options({})
    assert options.dtype == "auto"
    assert options.counts["prefill_step_size"] == 2048
    assert options.counts["kv_bits"] == 0


def test_options_of_a_cell_replace_the_defaults() -> None:
    options = parse_options({"kv_bits": "8", "dtype": "float32"})
    assert (options.dtype, options.counts["kv_bits"], options.counts["kv_group_size"]) == ("float32", 8, 64)


@pytest.mark.parametrize(
    "options",
    [{"kvbits": "8"}, {"kv_bits": "-1"}, {"kv_bits": "eight"}, {"prefill_step_size": "0"}, {"dtype": "half"}],
)
def test_an_unknown_or_impossible_option_is_an_error_that_names_it(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        parse_options(options)


@pytest.mark.parametrize(
    ("quantised", "kind", "arch", "expected"),
    [
        (True, "cpu", "x86_64", "float32"),
        (True, "cpu", "arm64", "stored"),
        (True, "gpu", "x86_64", "stored"),
        # The fp16 cell computes in float16, slow as that may be: that is what it is called.
        (False, "cpu", "x86_64", "stored"),
    ],
)
def test_only_emulated_quantised_kernels_are_kept_from_half_precision(
    quantised: bool, kind: str, arch: str, expected: str
) -> None:
    assert compute_dtype("auto", quantised, kind, arch) == expected


def test_a_dtype_that_was_asked_for_is_used() -> None:
    assert compute_dtype("stored", True, "cpu", "x86_64") == "stored"
    assert compute_dtype("bfloat16", False, "gpu", "arm64") == "bfloat16"
