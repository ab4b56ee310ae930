"""How many bits an element of a KV cache takes, by the settings that a framework reports as being in force.

Owns this one translation. Imports the standard library and its own room. Contract: a type that is not known is None;
bits hold what is stored beside the elements (scales of blocks) where the format fixes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.gguf_header import TENSOR_TYPES

#: Element types under the names that frameworks report them by.
_ELEMENTS: Mapping[str, float] = {
    "f32": 32, "float32": 32, "float": 32, "f16": 16, "float16": 16, "bf16": 16, "bfloat16": 16, "u8": 8, "uint8": 8,
    "i8": 8, "int8": 8, "u16": 16, "uint16": 16, "u4": 4, "i4": 4,
}  # fmt: skip

#: ggml's block types under their lower-case names: ``q8_0`` holds 32 elements in 34 bytes.
_BLOCKS: Mapping[str, float] = {
    name.lower(): 8 * size / block for name, block, size in TENSOR_TYPES.values() if block > 1
}


def kv_cache_bits(hints: Mapping[str, str], tokens: int) -> tuple[float, float] | None:
    """Bits of an element of a key and of a value; None where the hints do not tell, or tell an unknown type.

    llama.cpp reports ``type_k`` and ``type_v``; OpenVINO ``KV_CACHE_PRECISION``, whose 8- and 4-bit caches keep scales
    beside the elements that are not counted; onnxruntime-genai and MLX ``kv_cache_dtype``. MLX quantises a cache of
    ``quantized_kv_start`` tokens and more to ``kv_bits``, with a scale and a bias of 16 bits a group.

    Args:
        hints: `harness.worker.api.Loaded.hints`, by the framework's own names.
        tokens: in the cache.
    """
    if hints.get("kv_bits", "0") != "0" and tokens >= int(hints.get("quantized_kv_start", "0")):
        bits = int(hints["kv_bits"]) + 32 / int(hints.get("kv_group_size", "64"))
        return bits, bits
    for key, value in (
        ("type_k", "type_v"),
        ("KEY_CACHE_PRECISION", "VALUE_CACHE_PRECISION"),
        ("KV_CACHE_PRECISION", "KV_CACHE_PRECISION"),
        ("kv_cache_dtype", "kv_cache_dtype"),
    ):
        if key in hints and value in hints:
            found = _bits(hints[key]), _bits(hints[value])
            if found[0] is not None and found[1] is not None:
                return found[0], found[1]
    return None


def _bits(name: str) -> float | None:
    name = name.lower()
    return _ELEMENTS.get(name) or _BLOCKS.get(name)
