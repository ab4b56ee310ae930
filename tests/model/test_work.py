"""`harness.model.work`: bytes and operations, checked by hand on a model of round numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.configuration import ModelConfiguration, prefill_flops
from harness.model.work import decode_bytes, decode_flops, prefill_bytes

#: 10 layers whose keys and values take 10 * 2 * (64 + 64) * 2 bytes a token at 16 bits: 5120.
SHAPE = ModelConfiguration(
    architecture="llama",
    layers=10,
    hidden_size=256,
    intermediate_size=1024,
    heads=4,
    kv_heads=2,
    head_dim=64,
    value_dim=64,
    vocab_size=1000,
    tied_embeddings=True,
    parameters=1_256_000,
    embedding_parameters=256_000,
)
F16 = (16.0, 16.0)


def test_a_token_reads_the_weights_and_the_cache_as_it_grows() -> None:
    # The cache holds 8, 9, 10 and 11 tokens before the four.
    assert decode_bytes(SHAPE, 2_512_000, 8, 4, F16) == 2_512_000 + 5120 * 9.5
    assert decode_bytes(SHAPE, 2_512_000, 0, 1, F16) == 2_512_000


def test_an_untied_embedding_table_is_not_read() -> None:
    untied = replace(SHAPE, tied_embeddings=False, parameters=1_512_000)
    assert decode_bytes(untied, 1_512_000, 0, 1, F16) == pytest.approx(1_256_000)


def test_what_no_token_reads_is_no_work() -> None:
    assert decode_bytes(SHAPE, 3_536_000, 0, 1, F16, unread_bytes=1_024_000) == 2_512_000
    assert prefill_bytes(SHAPE, 3_536_000, 4, 32, F16, unread_bytes=1_024_000) == 2_512_000 + 5120 * 36
    experts = replace(SHAPE, tied_embeddings=False, experts=8, experts_used=2, expert_parameters=800_000)
    # A million weights beside the table, 600,000 of them idle.
    assert decode_bytes(experts, 2_256_000, 0, 1, F16, unread_bytes=256_000) == 2_000_000 - 2 * 600_000


def test_decoding_computes_what_prefilling_one_token_after_another_computes() -> None:
    steps = [prefill_flops(SHAPE, 1, 8 + step) for step in range(4)]
    assert decode_flops(SHAPE, 8, 4) == pytest.approx(sum(steps) / 4)
    assert decode_flops(SHAPE, 0, 1) == 2 * 1_256_000 + 2 * 4 * 128 * 10


def test_a_prefill_reads_its_weights_once_and_all_experts() -> None:
    assert prefill_bytes(SHAPE, 2_512_000, 4, 32, F16) == 2_512_000 + 5120 * 36
    experts = replace(SHAPE, experts=8, experts_used=2, expert_parameters=800_000)
    assert prefill_bytes(experts, 2_512_000, 0, 1, F16) == 2_512_000 + 5120
    assert decode_bytes(experts, 2_512_000, 0, 1, F16) == 2_512_000 - 2 * 600_000
