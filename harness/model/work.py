"""What a prefill and a decode must read and compute, from a model's shape: the numerators of MBU, MFU and rooflines.

Owns these sums; the formulas of one pass are `configuration`'s. Imports its own room only. Contract: pure; the least
that the model demands, not what a framework does: activations, padding and repeated reads are not in here.
"""

from __future__ import annotations

from dataclasses import replace

from harness.model.configuration import (
    ModelConfiguration,
    kv_cache_bytes,
    kv_cache_bytes_over,
    prefill_flops,
    touched_weight_bytes,
)

#: Bits of an element of a key and of a value.
Bits = tuple[float, float]


def decode_bytes(
    shape: ModelConfiguration,
    weight_bytes: int,
    context: int,
    tokens: int,
    bits: Bits,
    batch: int = 1,
    *,
    unread_bytes: int | None = None,
) -> float:
    """Bytes read for one decoded token, mean over the tokens: touched weights, and the cache as it grows.

    The sequences of a batch share one reading of the weights; each reads its own cache.

    Args:
        shape: of the model.
        weight_bytes: of the artifact.
        context: tokens in the cache before the first of them.
        tokens: decoded, of each sequence.
        bits: of the cache.
        batch: sequences that are decoded together.
        unread_bytes: as `touched_weight_bytes` takes it.
    """
    cached = kv_cache_bytes_over(shape, context, tokens, *bits) / tokens
    return touched_weight_bytes(shape, weight_bytes, unread_bytes=unread_bytes) / batch + cached


def decode_flops(shape: ModelConfiguration, context: int, tokens: int) -> float:
    """Operations of one decoded token, mean over the tokens; each computes its logits."""
    return prefill_flops(shape, tokens, context, logit_positions=tokens) / tokens


def prefill_bytes(
    shape: ModelConfiguration,
    weight_bytes: int,
    depth: int,
    tokens: int,
    bits: Bits,
    batch: int = 1,
    *,
    unread_bytes: int | None = None,
) -> float:
    """Bytes of one sequence's prefill that reads its weights once: the weights, the cache before it, its own.

    All experts are counted: the tokens of a prompt go through different ones. Sequences of a batch share the weights.
    """
    weights = touched_weight_bytes(replace(shape, experts=0), weight_bytes, unread_bytes=unread_bytes)
    return float(weights / batch + kv_cache_bytes(shape, depth + tokens, *bits))
