"""A true 32-bit IR: the graph that openvino-genai's GGUF reader built, with the float32 weights of an F32 GGUF.

Owns: finding the tensor that each 16-bit constant is a rounding of, and what the artifact says of itself. Imports
openvino inside the functions that use it. Contract: no constant is widened from 16 bits; each is replaced by the
float32 values of which it is the rounding, bit for bit, or the conversion fails.

Matching by value needs no knowledge of the reader's names, and proves itself: a tensor in the wrong place or with its
rows in the wrong order does not round to the constant that it replaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends._openvino_gguf import GGUF

#: Where an IR says that it is to be computed in 32 bits: a path in its run-time information.
COMPUTE = ("edgebench", "compute_precision")

Float32 = npt.NDArray[np.float32]


def exact_constants(model: Any, source: GGUF) -> int:
    """Replace every 16-bit constant of more than one element by its float32 original; how many there were.

    Raises:
        RuntimeError: a constant is the rounding of no tensor, or of two that differ.
    """
    from openvino import opset13 as ops

    wanted = [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant"
        and node.get_element_type().to_string() == "f16"
        and node.get_byte_size() > 2
    ]
    originals = _by_rounding(source, {_key(node.get_data()) for node in wanted})
    for node in wanted:
        found = originals.get(_key(node.get_data()))
        name = node.get_friendly_name()
        if found is None:
            raise RuntimeError(f"constant {name} is the 16-bit rounding of no tensor of the F32 GGUF file")
        exact = ops.constant(np.ascontiguousarray(found).reshape(tuple(node.get_output_shape(0))), np.float32)
        exact.set_friendly_name(name)
        for use in node.output(0).get_target_inputs():
            convert = use.get_node()
            if convert.get_type_name() != "Convert" or convert.get_element_type().to_string() != "f32":
                raise RuntimeError(f"constant {name} goes into {convert.get_type_name()} in 16 bits")
            for reader in convert.output(0).get_target_inputs():
                reader.replace_source_output(exact.output(0))
    model.validate_nodes_and_infer_types()
    model.set_rt_info("f32", list(COMPUTE))
    # The reader's own options ask for a 16-bit cache and scaled activations.
    model.set_rt_info("f32", ["runtime_options", "KV_CACHE_PRECISION"])
    return len(wanted)


def computes_in_f32(model: Any) -> bool:
    """Whether this IR asks to be computed in 32 bits."""
    return bool(model.has_rt_info(list(COMPUTE))) and model.get_rt_info(list(COMPUTE)).astype(str) == "f32"


def _by_rounding(source: GGUF, wanted: set[bytes]) -> dict[bytes, Float32]:
    """The float32 originals by the key of their roundings, as far as they are wanted."""
    found: dict[bytes, Float32] = {}
    for name, values in _originals(source):
        with np.errstate(over="ignore"):
            key = _key(values.astype(np.float16))
        if key not in wanted:
            continue
        if key in found and not np.array_equal(found[key].ravel(), values.ravel()):
            raise RuntimeError(f"tensor {name} and another one round to the same 16-bit constant")
        found[key] = values
    return found


def _originals(source: GGUF) -> Iterator[tuple[str, Float32]]:
    """Every float32 array that the graph can contain, under a name for messages."""
    heads = int(source.hyper("attention.head_count"))
    rows = {"attn_q": heads, "attn_k": int(source.hyper("attention.head_count_kv", heads))}
    for name, tensor in source.tensors.items():
        if tensor.dtype != np.float32:
            raise RuntimeError(f"tensor {name} is {tensor.dtype}, not float32")
        yield name, tensor
        part = name.split(".")[-2] if "." in name else ""
        if part in rows:
            yield f"{name} (rotary halves apart)", rotary_halves_apart(tensor, rows[part])
    width = int(source.hyper("rope.dimension_count", source.tensors["token_embd.weight"].shape[1] // heads))
    yield "rotary frequencies", inverse_frequencies(width, float(source.hyper("rope.freq_base", 10_000.0)))


def rotary_halves_apart(tensor: Float32, heads: int) -> Float32:
    """Undo ggml's interleaving of each head's rotary halves in the rows of ``tensor: [heads * size, ...]``."""
    size = tensor.shape[0] // heads
    pairs = tensor.reshape(heads, size // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(tensor.shape)


def inverse_frequencies(width: int, base: float) -> Float32:
    """Radians per position of each pair of a rotary embedding: ``float32[width / 2]``."""
    return (1.0 / base ** (np.arange(0, width, 2, dtype=np.float64) / width)).astype(np.float32)


def _key(values: npt.NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
