"""A Hugging Face checkpoint out of a GGUF file with float weights: what converters that start from PyTorch models read.

Owns the files: ``config.json``, ``generation_config.json``, ``model.safetensors`` (f32), ``tokenizer.json`` and
``tokenizer_config.json``. Imports gguf, safetensors and transformers inside functions (a converter environment has
them), never the lab half. Contract: the checkpoint computes what the GGUF file computes; what cannot be translated
exactly raises, see `_gguf_hf`.

The weights are translated here and not by transformers' own GGUF reader: that one needs the model in memory twice, and
``accelerate``, and then refuses to save what it read.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import _gguf_hf
from harness.worker.api import Made, MakeRequest

#: Raised by one whenever the same file gives other bytes; part of the artifact's key.
REVISION = 1

#: Architectures whose checkpoint was compared with llama.cpp.
ARCHITECTURES: tuple[str, ...] = ("llama",)

#: Requirements of the environment that `make` runs in.
PACKAGES: tuple[str, ...] = ("gguf==0.19.0", "safetensors==0.8.0", "transformers==5.24.0", "torch==2.13.0")


def offline() -> None:
    """Tell the Hugging Face libraries, before they are imported, that everything is on this disk."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def make(request: MakeRequest) -> Made:
    """Write the checkpoint of the F32, F16 or BF16 GGUF file ``request.source`` into ``request.out``.

    Raises:
        _gguf_hf.NotTranslatableError: the file holds something that a checkpoint has no place for.
    """
    offline()
    import gguf

    reader = gguf.GGUFReader(request.source)
    metadata = {name: field.contents() for name, field in reader.fields.items() if not _is_vocabulary(name)}
    arch = _gguf_hf.architecture(metadata)
    if arch not in ARCHITECTURES:
        raise _gguf_hf.NotTranslatableError(
            f"a checkpoint is made of {', '.join(ARCHITECTURES)} models, not of {arch}"
        )
    tensors = {tensor.name: _floats(tensor) for tensor in reader.tensors}
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise _gguf_hf.NotTranslatableError("the file has no tensor token_embd.weight")
    config = _gguf_hf.configuration(metadata, tensors, int(embedding.shape[0]))
    weight_bytes = _write_weights(
        arch, tensors, config["num_attention_heads"], config["num_key_value_heads"], request.out
    )
    ids = _special_ids(metadata)
    _write_json(request.out / "config.json", config | _FIXED[arch] | ids)
    _write_json(request.out / "generation_config.json", {**ids, "do_sample": False})
    _write_tokenizer(request.source, request.out)
    kinds = sorted({tensor.tensor_type.name for tensor in reader.tensors})
    return Made(
        weight_bytes=weight_bytes,
        entry=".",
        tool_version=importlib.metadata.version(request.recipe.tool),
        notes={
            "source_dtypes": kinds,
            "architecture": arch,
            "tokenizer": "transformers' reader of GGUF files",
        },
    )


#: What GGUF does not say because it is true of the architecture.
_FIXED: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "float32",
        # The name of ``dtype`` before transformers 4.56: converters still read it.
        "torch_dtype": "float32",
    }
}


def _is_vocabulary(name: str) -> bool:
    """Lists of every token, which take seconds to read and belong to the tokenizer."""
    return name in {
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
    }


def _floats(tensor: Any) -> np.ndarray[Any, Any]:
    """A view of the tensor's weights in the file, ``[rows, columns]``, BF16 as its raw uint16.

    Raises:
        _gguf_hf.NotTranslatableError: the tensor is quantised.
    """
    kind = tensor.tensor_type.name
    if kind == "BF16":
        raw = np.asarray(tensor.data).view(np.uint16)
    elif kind in {"F32", "F16"}:
        raw = np.asarray(tensor.data)
    else:
        raise _gguf_hf.NotTranslatableError(
            f"tensor {tensor.name} is {kind}; the source must hold f32, f16 or bf16 weights"
        )
    # GGUF lists the fastest dimension first.
    return raw.reshape(tuple(int(n) for n in reversed(tensor.shape)))


def _as_f32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.ascontiguousarray(values, np.float32)


def _write_weights(arch: str, tensors: dict[str, Any], heads: int, kv_heads: int, out: Path) -> int:
    """One safetensors file, a tensor at a time; returns the bytes of the weights."""
    named = {name: _gguf_hf.module_name(arch, name) for name in sorted(tensors)}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for source, name in named.items():
        shape = tensors[source].shape
        size = math.prod(shape) * 4
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (out / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for source in named:
            # One at a time, and through the same function for all kinds of rows: what is held is one tensor.
            (value,) = _gguf_hf.weights(arch, {source: _as_f32(tensors[source])}, heads, kv_heads).values()
            file.write(np.ascontiguousarray(value, "<f4").data)
    return offset


def _special_ids(metadata: dict[str, Any]) -> dict[str, int]:
    names = {"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"}
    found = {out: metadata.get(f"tokenizer.ggml.{name}_token_id") for name, out in names.items()}
    return {name: int(value) for name, value in found.items() if value is not None}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_tokenizer(source: Path, out: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    tokenizer.save_pretrained(str(out))
    if not (out / "tokenizer.json").is_file():
        raise RuntimeError("transformers read the tokenizer but saved no tokenizer.json")
