"""What a prefill and a decode must read and compute, from a model's shape: the numerators of MBU, MFU and rooflines.

Owns these sums; the formulas of one pass are `configuration`'s. Imports its own room only. Contract: pure; the least
that the model demands, not what a framework does: activations, padding and repeated reads are not in here.
"""

from __future__ import annotations

from dataclasses import replace

from harness.model.configuration import (
    ModelConfiguration,
    kv_cache_bytes,
    prefill_flops,
    touched_weight_bytes,
)

#: Bits of an element of a key and of a value.
Bits = tuple[float, float]


def decode_bytes(
    shape: ModelConfiguration, weight_bytes: int, context: int, tokens: int, bits: Bits
) -> float:
    """Bytes read for one decoded token, mean over the tokens: touched weights, and the cache as it grows.

    Args:
        shape: of the model.
        weight_bytes: of the artifact.
        context: tokens in the cache before the first of them.
        tokens: decoded.
        bits: of the cache.
    """
    cached = sum(kv_cache_bytes(shape, context + step, *bits) for step in range(tokens)) / tokens
    return touched_weight_bytes(shape, weight_bytes) + cached


def decode_flops(shape: ModelConfiguration, context: int, tokens: int) -> float:
    """Operations of one decoded token, mean over the tokens; each computes its logits."""
    return prefill_flops(shape, tokens, context, logit_positions=tokens) / tokens


def prefill_bytes(shape: ModelConfiguration, weight_bytes: int, depth: int, tokens: int, bits: Bits) -> float:
    """Bytes of a prefill that reads its weights once: the weights, the cache before it, and its own keys and values.

    All experts are counted: the tokens of a prompt go through different ones.
    """
    weights = touched_weight_bytes(replace(shape, experts=0), weight_bytes)
    return float(weights + kv_cache_bytes(shape, depth + tokens, *bits))
