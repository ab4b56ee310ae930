"""The translation from GGUF undoes exactly what llama.cpp's converter did, and refuses the rest."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends import _gguf_hf as importer

LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.attention.head_count": np.array(9, np.uint32),
    "llama.attention.head_count_kv": np.array(3, np.uint32),
    "llama.attention.layer_norm_rms_epsilon": np.array(1e-5, np.float32),
    "llama.block_count": np.array(30, np.uint32),
    "llama.context_length": np.array(8192, np.uint32),
    "llama.embedding_length": np.array(576, np.uint32),
    "llama.feed_forward_length": np.array(1536, np.uint32),
    "llama.rope.dimension_count": np.array(64, np.uint32),
    "llama.rope.freq_base": np.array(100000, np.float32),
}

GEMMA: dict[str, Any] = {
    "general.architecture": "gemma3",
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
    "gemma3.attention.sliding_window": 512,
    "gemma3.block_count": 18,
    "gemma3.context_length": 32768,
    "gemma3.embedding_length": 640,
    "gemma3.feed_forward_length": 2048,
    "gemma3.rope.freq_base": 1e6,
}


def interleaved(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """What llama.cpp's converter does: row i of a head's first half is followed by row i of its second."""
    head_dim = rows.shape[0] // heads
    order = [
        head * head_dim + half * head_dim // 2 + i
        for head in range(heads)
        for i in range(head_dim // 2)
        for half in range(2)
    ]
    return rows[order]


@given(heads=st.integers(1, 5), half=st.integers(1, 8), width=st.integers(1, 6))
def test_rotary_halves_come_apart_as_they_were(heads: int, half: int, width: int) -> None:
    rows = np.arange(heads * 2 * half * width).reshape(heads * 2 * half, width)
    back = importer.rotary_halves_apart(interleaved(rows, heads), heads)
    np.testing.assert_array_equal(back, rows)


def test_only_queries_and_keys_of_llama_are_reordered() -> None:
    rows = np.arange(32).reshape(8, 4)
    names = {f"blk.0.{name}.weight": rows for name in ("attn_q", "attn_k", "attn_v", "ffn_up")}
    out = importer.weights("llama", names, heads=2, kv_heads=1)
    attention = "model.layers.0.self_attn"
    np.testing.assert_array_equal(out[f"{attention}.q_proj.weight"], rows[[0, 2, 1, 3, 4, 6, 5, 7]])
    np.testing.assert_array_equal(out[f"{attention}.k_proj.weight"], rows[[0, 2, 4, 6, 1, 3, 5, 7]])
    np.testing.assert_array_equal(out[f"{attention}.v_proj.weight"], rows)
    np.testing.assert_array_equal(out["model.layers.0.mlp.up_proj.weight"], rows)


def test_gemma_norms_lose_the_one_that_ggml_added_and_its_rows_stay() -> None:
    norm = np.array([1.5, 1.0, 0.25], np.float32)
    rows = np.arange(32).reshape(8, 4)
    names = {"output_norm.weight": norm, "blk.3.attn_q_norm.weight": norm, "blk.3.attn_q.weight": rows}
    out = importer.weights("gemma3", names, heads=2, kv_heads=1)
    np.testing.assert_array_equal(out["model.norm.weight"], norm - 1)
    np.testing.assert_array_equal(out["model.layers.3.self_attn.q_norm.weight"], norm - 1)
    np.testing.assert_array_equal(out["model.layers.3.self_attn.q_proj.weight"], rows)


def test_llama_norms_stay() -> None:
    norm = np.array([1.5, 1.0], np.float32)
    assert importer.weights("llama", {"output_norm.weight": norm}, 1, 1)["model.norm.weight"] is norm


@pytest.mark.parametrize(
    ("arch", "tensor", "module"),
    [
        ("llama", "token_embd.weight", "model.embed_tokens.weight"),
        ("llama", "output.weight", "lm_head.weight"),
        ("llama", "blk.29.ffn_norm.weight", "model.layers.29.post_attention_layernorm.weight"),
        ("gemma3", "blk.7.ffn_norm.weight", "model.layers.7.pre_feedforward_layernorm.weight"),
        (
            "gemma3",
            "blk.7.post_attention_norm.weight",
            "model.layers.7.post_attention_layernorm.weight",
        ),
        ("gemma3", "blk.7.post_ffw_norm.weight", "model.layers.7.post_feedforward_layernorm.weight"),
    ],
)
def test_tensors_get_mlx_lms_names(arch: str, tensor: str, module: str) -> None:
    assert importer.module_name(arch, tensor) == module


@pytest.mark.parametrize(
    "tensor",
    [
        "blk.0.attn_q.bias",
        "blk.0.ffn_gate_inp.weight",
        "rope_freqs.weight",
        "blk.x.attn_q.weight",
        "blk.0.attn_q_norm.weight",
    ],
)
def test_a_tensor_without_a_place_is_refused_by_name(tensor: str) -> None:
    with pytest.raises(importer.NotTranslatableError, match=tensor):
        importer.module_name("llama", tensor)


def test_a_quantised_source_is_refused_as_such() -> None:
    with pytest.raises(importer.NotTranslatableError, match="quantised"):
        importer.module_name("llama", "blk.0.attn_q.scales")


@given(st.text(max_size=40), st.sampled_from(importer.ARCHITECTURES))
def test_any_tensor_name_is_translated_or_refused(tensor: str, arch: str) -> None:
    with contextlib.suppress(importer.NotTranslatableError):
        assert importer.module_name(arch, tensor).endswith(".weight")


def test_a_llama_configuration_has_what_mlx_lm_needs() -> None:
    config = importer.configuration(LLAMA, ["token_embd.weight"], 49152)
    assert config == {
        "architectures": ["LlamaForCausalLM"],
        "head_dim": 64,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
        "model_type": "llama",
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
        "vocab_size": 49152,
    }


def test_an_output_matrix_of_its_own_unties_the_embeddings() -> None:
    assert importer.configuration(LLAMA, ["output.weight"], 10)["tie_word_embeddings"] is False


def test_a_gemma_configuration_has_its_two_rotary_bases_and_its_window() -> None:
    config = importer.configuration(GEMMA, [], 262144)
    assert config["model_type"] == "gemma3_text"
    assert (config["rope_theta"], config["rope_local_base_freq"]) == (1_000_000.0, 10_000.0)
    assert (config["sliding_window"], config["sliding_window_pattern"]) == (512, 6)
    assert config["query_pre_attn_scalar"] == 256


def test_the_largest_gemma_scales_by_its_width_per_head() -> None:
    largest = GEMMA | {
        "gemma3.block_count": 62,
        "gemma3.embedding_length": 5376,
        "gemma3.attention.head_count": 32,
        "gemma3.attention.key_length": 128,
        "gemma3.attention.value_length": 128,
    }
    assert importer.configuration(largest, [], 262144)["query_pre_attn_scalar"] == 168


def test_linear_rotary_scaling_is_kept() -> None:
    scaled = LLAMA | {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": np.float32(8)}
    assert importer.configuration(scaled, [], 10)["rope_scaling"] == {
        "factor": 8.0,
        "rope_type": "linear",
        "type": "linear",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"general.architecture": "mamba"}, "mamba"),
        ({"llama.rope.scaling.type": "yarn"}, "yarn"),
        ({"llama.rope.dimension_count": 32}, "part of each head"),
        ({"llama.attention.value_length": 32}, "different head sizes"),
        ({"llama.attention.head_count_kv": np.array([3, 3, 1])}, "head_count_kv"),
        ({"llama.block_count": "thirty"}, "block_count"),
    ],
)
def test_what_the_model_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(importer.NotTranslatableError, match=said):
        importer.configuration(LLAMA | change, [], 10)


def test_a_missing_hyper_parameter_is_named() -> None:
    without = {key: value for key, value in LLAMA.items() if key != "llama.block_count"}
    with pytest.raises(importer.NotTranslatableError, match=r"llama\.block_count"):
        importer.configuration(without, [], 10)
