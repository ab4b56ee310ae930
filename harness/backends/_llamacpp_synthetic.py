"""Synthetic models as GGUF files.

Owns writing a `harness.worker.synthetic.SyntheticModel` in the types that llama.cpp's own quantiser gives the recipe.
Imports the standard library, numpy and the worker half; the bindings are passed in. Contract: no tensor is held
whole; what is held are pools of rows, one per type, width and deviation, and one chunk of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.backends._llamacpp_ggml import Ggml
from harness.backends._llamacpp_gguf import GgufWriter, NewTensor, Value
from harness.backends._llamacpp_log import Log
from harness.backends._llamacpp_make import quantise
from harness.worker.api import Recipe
from harness.worker.synthetic import SyntheticModel, SyntheticTensor, pool, row_order

#: Bytes written at once.
_CHUNK_BYTES = 16 * 2**20
#: GGML_QNT_VERSION.
_QUANTIZATION_VERSION = 2

_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """GGUF's name of a tensor with this Hugging Face name."""
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name)
    return f"blk.{layer[1]}.{_NAMES[layer[2]]}.weight" if layer else _NAMES[name]


def metadata(model: SyntheticModel, file_type: int) -> dict[str, Value]:
    """What a GGUF file says of the model. It has a size of vocabulary and no vocabulary."""
    prefix = model.architecture
    return {
        "general.architecture": prefix,
        "general.name": "synthetic",
        "general.file_type": file_type,
        "general.quantization_version": _QUANTIZATION_VERSION,
        f"{prefix}.context_length": model.context_tokens,
        f"{prefix}.embedding_length": model.hidden_size,
        f"{prefix}.block_count": model.layers,
        f"{prefix}.feed_forward_length": model.intermediate_size,
        f"{prefix}.attention.head_count": model.heads,
        f"{prefix}.attention.head_count_kv": model.kv_heads,
        f"{prefix}.attention.key_length": model.head_size,
        f"{prefix}.attention.value_length": model.head_size,
        f"{prefix}.attention.layer_norm_rms_epsilon": float(model.norm_epsilon),
        f"{prefix}.rope.freq_base": float(model.rope_theta),
        f"{prefix}.rope.dimension_count": model.head_size,
        f"{prefix}.vocab_size": model.vocab_size,
        "tokenizer.ggml.model": "none",
    }


def synthesise(
    llama: Any,
    library: Ggml,
    log: Log,
    recipe: Recipe,
    model: SyntheticModel,
    target: Path,
    *,
    threads: int,
) -> dict[str, Any]:
    """Write the recipe's file of a synthetic model.

    Returns:
        Notes for the lineage: ``llama_ftype``, ``fallbacks``.

    Raises:
        RuntimeError: llama.cpp has no mix of types for it; the message holds its last words.
    """
    writer = GgufWriter(library)
    file_type = getattr(llama, f"LLAMA_FTYPE_{recipe.parameters['ftype']}")
    described = metadata(model, int(file_type))
    skeleton = target.with_suffix(".skeleton.gguf")
    mixed = target.with_suffix(".mix.gguf")
    try:
        _write_skeleton(writer, skeleton, described, model)
        notes = quantise(llama, log, recipe, skeleton, mixed, threads=threads)
        types = {tensor.name: tensor.type for tensor in library.tensors(mixed)}
    finally:
        skeleton.unlink(missing_ok=True)
        mixed.unlink(missing_ok=True)
    tensors = list(model.tensors())
    table = [
        NewTensor(name, types[name], tensor.shape) for tensor in tensors for name in (gguf_name(tensor.name),)
    ]
    offsets = writer.header(target, described, table)
    pools: dict[tuple[str, int, float], npt.NDArray[np.uint8]] = {}
    with target.open("r+b") as file:
        for tensor, entry, offset in zip(tensors, table, offsets, strict=True):
            file.seek(offset)
            for rows in _rows(writer, model, tensor, entry.type, pools):
                file.write(rows.data)
        file.truncate(-(-file.tell() // 32) * 32)
    return notes


def _write_skeleton(
    writer: GgufWriter, path: Path, described: dict[str, Value], model: SyntheticModel
) -> None:
    """Write the model with two rows in every matrix.

    The quantiser's choice of types looks at names, the number of layers and the width of rows, never at their number.
    """
    tensors = [
        (gguf_name(tensor.name), tensor.shape if tensor.kind == "norm" else (2, tensor.shape[1]))
        for tensor in model.tensors()
    ]
    offsets = writer.header(path, described, [NewTensor(name, "f32", shape) for name, shape in tensors])
    with path.open("r+b") as file:
        for offset, (_, shape) in zip(offsets, tensors, strict=True):
            file.seek(offset)
            file.write(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).tobytes())
        file.truncate(-(-file.tell() // 32) * 32)


def _rows(
    writer: GgufWriter,
    model: SyntheticModel,
    tensor: SyntheticTensor,
    type_name: str,
    pools: dict[tuple[str, int, float], npt.NDArray[np.uint8]],
) -> Iterator[npt.NDArray[np.uint8]]:
    """A tensor's rows in its type, in chunks: uint8[n, bytes of one row]."""
    if tensor.kind == "norm":
        yield np.ones((1, tensor.shape[0]), dtype="<f4").view(np.uint8)
        return
    columns = tensor.shape[1]
    key = (type_name, columns, tensor.deviation)
    if key not in pools:
        pools[key] = writer.quantised(type_name, pool(model, columns, tensor.deviation))
    quantised = pools[key]
    order = row_order(model, tensor)
    step = max(1, _CHUNK_BYTES // quantised.shape[1])
    for start in range(0, len(order), step):
        yield quantised[order[start : start + step]]
