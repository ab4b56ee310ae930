"""A model's shape and the arithmetic on it, against figures that are known from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.configuration import (
    ModelConfiguration,
    flops_per_prefill_token,
    kv_cache_bytes,
    prefill_flops,
    touched_weight_bytes,
)
from harness.model.gguf_header import GgufFacts, Scalar
from harness.worker.synthetic import SyntheticModel

#: As the header of SmolLM2-135M-Instruct's GGUF has them.
SMOLLM2 = GgufFacts(
    architecture="llama",
    parameter_count=134_515_008,
    row_width=576,
    vocab_size=49_152,
    tensors=272,
    tensor_types={},
    weight_bytes=None,
    size_bytes=98_362_432,
    metadata={
        "llama.block_count": 30,
        "llama.embedding_length": 576,
        "llama.feed_forward_length": 1536,
        "llama.attention.head_count": 9,
        "llama.attention.head_count_kv": 3,
    },
    arrays=frozenset({"tokenizer.ggml.tokens"}),
    embedding_parameters=49_152 * 576,
)

#: Llama 2 7B, whose embeddings are not tied: 6.74 billion parameters.
LLAMA_7B = ModelConfiguration.of_synthetic(
    SyntheticModel(
        architecture="llama", hidden_size=4096, intermediate_size=11_008, layers=32, heads=32, kv_heads=32,
        head_size=128, vocab_size=32_000, context_tokens=4096, rope_theta=10_000.0, norm_epsilon=1e-5,
        tied_embeddings=False,
    )
)  # fmt: skip


def _facts(architecture: str = "llama", /, **metadata: Scalar) -> GgufFacts:
    """SmolLM2's facts under another architecture, with more metadata (``__`` for a dot)."""
    base = {key.replace("llama.", f"{architecture}."): value for key, value in SMOLLM2.metadata.items()}
    more = {f"{architecture}.{key.replace('__', '.')}": value for key, value in metadata.items()}
    return replace(SMOLLM2, architecture=architecture, metadata={**base, **more})


def _of(facts: GgufFacts) -> ModelConfiguration:
    made = ModelConfiguration.of_gguf(facts)
    assert made is not None
    return made


def test_smollm2s_shape_comes_from_its_header() -> None:
    made = _of(SMOLLM2)
    assert (made.layers, made.hidden_size, made.intermediate_size) == (30, 576, 1536)
    assert (made.heads, made.kv_heads, made.head_dim, made.value_dim) == (9, 3, 64, 64)
    assert (made.vocab_size, made.tied_embeddings) == (49_152, True)
    assert made.active_parameters == made.parameters == 134_515_008


def test_smollm2s_cache_takes_22_5_kib_a_token_at_16_bits() -> None:
    # llama.cpp prints 90.00 MiB for 4096 tokens.
    assert kv_cache_bytes(_of(SMOLLM2), 1) == 23_040
    assert kv_cache_bytes(_of(SMOLLM2), 4096) == 90 * 2**20
    assert kv_cache_bytes(_of(SMOLLM2), 4096, 8.5, 8.5) == 90 * 2**20 * 8.5 / 16
    assert kv_cache_bytes(_of(SMOLLM2), 4096, 8.5, 16) == 90 * 2**20 * (8.5 + 16) / 32


def test_llama_7bs_cache_takes_half_a_mebibyte_a_token() -> None:
    assert LLAMA_7B.parameters == 6_738_415_616
    assert kv_cache_bytes(LLAMA_7B, 2048) == 2**30


def test_a_tied_table_is_read_whole_and_an_untied_one_not_at_all() -> None:
    assert touched_weight_bytes(_of(SMOLLM2), 98_000_000) == 98_000_000
    table = 32_000 * 4096
    assert touched_weight_bytes(LLAMA_7B, 2 * 6_738_415_616) == 2 * (6_738_415_616 - table)
    assert touched_weight_bytes(LLAMA_7B, 4_000_000_000, unread_bytes=70_000_000) == 3_930_000_000


def test_a_tied_table_that_is_stored_a_second_time_is_read_once() -> None:
    # As Olive writes it: fp32, and int4 beside a table in fp32.
    table = 4 * 49_152 * 576
    assert touched_weight_bytes(_of(SMOLLM2), 651_306_240, unread_bytes=table) == 538_060_032
    assert touched_weight_bytes(_of(SMOLLM2), 199_095_552, unread_bytes=table) == 85_849_344
    assert touched_weight_bytes(_of(SMOLLM2), 98_000_000, unread_bytes=0) == 98_000_000


def test_llama_7bs_prefill_takes_two_operations_a_weight_and_some_for_attention() -> None:
    # 2 x 6.607e9 weights less the projection's, plus 4 x 4096 x 32 x 256.5 of attention, plus one projection.
    per_token = flops_per_prefill_token(LLAMA_7B, 512)
    blocks = 6_738_415_616 - 2 * 32_000 * 4096
    expected = 2 * blocks + 4 * 4096 * 32 * 256.5 + 2 * 32_000 * 4096 / 512
    assert per_token == pytest.approx(expected)
    assert per_token == pytest.approx(2 * 6.607e9, rel=0.02)


def test_every_position_can_have_its_logits_computed() -> None:
    one, every = prefill_flops(LLAMA_7B, 64), prefill_flops(LLAMA_7B, 64, logit_positions=64)
    assert every - one == 2 * 63 * 32_000 * 4096


@given(
    tokens=st.integers(1, 60), depth=st.integers(0, 60), window=st.integers(1, 60), split=st.integers(0, 60)
)
def test_a_prompt_in_two_halves_takes_as_many_operations_as_in_one(
    tokens: int, depth: int, window: int, split: int
) -> None:
    split = min(split, tokens)
    made = replace(_of(SMOLLM2), sliding_window=window, sliding_layers=20)
    halves = prefill_flops(made, split, depth, logit_positions=0)
    halves += prefill_flops(made, tokens - split, depth + split, logit_positions=1)
    assert halves == prefill_flops(made, tokens, depth)


def test_windowed_layers_hold_and_see_no_more_than_their_window() -> None:
    made = _of(_facts("gemma3", attention__sliding_window=512))
    assert (made.sliding_window, made.sliding_layers) == (512, 25)
    per_token = kv_cache_bytes(replace(made, sliding_window=None, sliding_layers=0), 1)
    assert kv_cache_bytes(made, 512) == 512 * per_token
    assert kv_cache_bytes(made, 4096) == (5 * 4096 + 25 * 512) * per_token / 30
    full = replace(made, sliding_window=None, sliding_layers=0)
    attention = 2 * 9 * 128
    # The 513th token sees 512 of them in 25 layers, and all 513 in 5.
    assert prefill_flops(full, 1, 512) - prefill_flops(made, 1, 512) == attention * 25


def test_widths_of_keys_and_values_are_the_files_own() -> None:
    made = _of(_facts(attention__key_length=256, attention__value_length=128))
    assert kv_cache_bytes(made, 1) == 30 * 3 * (256 + 128) * 2


def test_experts_that_a_token_does_not_go_through_are_not_touched() -> None:
    facts = replace(_facts(expert_count=8, expert_used_count=2), expert_parameters=80_000_000)
    made = _of(facts)
    assert made.active_parameters == 134_515_008 - 60_000_000
    assert touched_weight_bytes(made, 134_515_008) == 134_515_008 - 60_000_000
    # Half a byte a weight, and a table in float beside them: the idle experts' share is that of what is read.
    apart = 134_515_008 // 2 + 113_246_208
    assert touched_weight_bytes(made, apart, unread_bytes=113_246_208) == (134_515_008 - 60_000_000) // 2


@pytest.mark.parametrize("key", ["ssm__state_size", "attention__kv_lora_rank", "full_attention_interval"])
def test_a_shape_that_the_formulas_do_not_hold_for_is_none(key: str) -> None:
    assert ModelConfiguration.of_gguf(_facts(**{key: 4})) is None


def test_layers_with_different_heads_are_none() -> None:
    metadata = {k: v for k, v in SMOLLM2.metadata.items() if k != "llama.attention.head_count_kv"}
    arrays = frozenset({"llama.attention.head_count_kv"})
    assert ModelConfiguration.of_gguf(replace(SMOLLM2, metadata=metadata, arrays=arrays)) is None


def test_a_file_without_heads_is_none() -> None:
    assert ModelConfiguration.of_gguf(replace(SMOLLM2, metadata={})) is None


def test_a_configuration_comes_back_from_json_also_with_fields_of_a_newer_version() -> None:
    assert ModelConfiguration.from_dict({**LLAMA_7B.to_dict(), "rope_scaling": 2}) == LLAMA_7B
