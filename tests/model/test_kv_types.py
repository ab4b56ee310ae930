"""Bits of a KV cache's elements, from the settings that frameworks report."""

from __future__ import annotations

import pytest

from harness.model.kv_types import kv_cache_bits


@pytest.mark.parametrize(
    ("hints", "bits"),
    [
        ({"type_k": "f16", "type_v": "f16"}, (16, 16)),
        ({"type_k": "q8_0", "type_v": "q4_0"}, (8.5, 4.5)),
        ({"type_k": "f32", "type_v": "f32"}, (32, 32)),
        ({"KV_CACHE_PRECISION": "f16"}, (16, 16)),
        ({"KV_CACHE_PRECISION": "u8", "INFERENCE_PRECISION_HINT": "bf16"}, (8, 8)),
        ({"KEY_CACHE_PRECISION": "u8", "VALUE_CACHE_PRECISION": "u4", "KV_CACHE_PRECISION": "f16"}, (8, 4)),
        ({"kv_cache_dtype": "float32"}, (32, 32)),
        ({"kv_bits": "0", "kv_cache_dtype": "bfloat16"}, (16, 16)),
        ({"kv_bits": "8", "kv_group_size": "64", "quantized_kv_start": "0", "kv_cache_dtype": "float16"}, (8.5, 8.5)),
        ({"kv_bits": "4", "kv_group_size": "32", "quantized_kv_start": "100"}, (5, 5)),
        ({"kv_bits": "4", "quantized_kv_start": "101", "kv_cache_dtype": "float16"}, (16, 16)),
        ({"type_k": "q9_9", "type_v": "f16"}, None),
        ({"KV_CACHE_PRECISION": "dynamic"}, None),
        ({"type_k": "f16"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_type_in_force_gives_its_bits(hints: dict[str, str], bits: tuple[float, float] | None) -> None:
    assert kv_cache_bits(hints, 100) == bits
