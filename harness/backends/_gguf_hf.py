"""From a GGUF file to the names, row order and configuration of a Hugging Face checkpoint, which MLX reads too.

Owns the translation, nothing else: it computes on names and arrays that it is given (numpy's and MLX's both do),
and imports no framework. Contract: what comes out loads with ``strict=True`` and computes the same function; what
cannot be translated exactly raises `NotTranslatableError`, and never comes out a little different.

Two things that llama.cpp's converter changed have to be undone: it interleaves the two rotary halves of each head
in the rows of llama's attn_q and attn_k, and it stores Gemma's norm weights with the 1 already added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

#: Raised by one whenever the same file translates into other bytes; it is part of every artifact's key.
REVISION = 1

#: GGUF architectures that are translated.
ARCHITECTURES: tuple[str, ...] = ("llama", "gemma3")

_COMMON = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER: Mapping[str, Mapping[str, str]] = {
    "llama": _COMMON | {"ffn_norm": "post_attention_layernorm"},
    "gemma3": _COMMON
    | {
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


class NotTranslatableError(Exception):
    """This file holds something that the checkpoint of the architecture has no place for."""


def architecture(metadata: Mapping[str, Any]) -> str:
    """``general.architecture``.

    Raises:
        NotTranslatableError: missing, or none of `ARCHITECTURES`.
    """
    name = metadata.get("general.architecture")
    if name not in ARCHITECTURES:
        raise NotTranslatableError(
            f"GGUF architecture {name!r} is not translated (known: {', '.join(ARCHITECTURES)})"
        )
    return str(name)


def module_name(arch: str, tensor: str) -> str:
    """The name of a GGUF tensor in the checkpoint.

    Raises:
        NotTranslatableError: a tensor that the model has no place for (a bias, an expert, rotary factors, the scales
            of a quantised tensor).
    """
    if tensor in _TOP:
        return _TOP[tensor]
    parts = tensor.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[1].isdecimal() and parts[3] == "weight":
        module = _LAYER[arch].get(parts[2])
        if module is not None:
            return f"model.layers.{int(parts[1])}.{module}.weight"
    if tensor.endswith((".scales", ".biases")):
        raise NotTranslatableError(
            f"tensor {tensor} is quantised; the source must hold f32, f16 or bf16 weights"
        )
    raise NotTranslatableError(f"tensor {tensor} has no place in a checkpoint of a {arch} model")


def rotary_halves_apart(rows: Any, heads: int) -> Any:
    """Undo ggml's interleaving of each head's rotary halves in ``rows: [heads * head_dim, width]``."""
    total, width = rows.shape
    head_dim = total // heads
    return rows.reshape(heads, head_dim // 2, 2, width).swapaxes(1, 2).reshape(total, width)


def configuration(metadata: Mapping[str, Any], tensors: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The model's ``config.json`` from GGUF hyper-parameters.

    Args:
        metadata: GGUF keys and values; numbers may be 0-dimensional arrays.
        tensors: names of all tensors in the file.
        vocab_size: rows of the embedding.

    Raises:
        NotTranslatableError: a hyper-parameter is missing, or has a value the model cannot have.
    """
    arch = architecture(metadata)
    hyper = _Hyper(metadata, arch)
    heads = hyper.integer("attention.head_count")
    hidden = hyper.integer("embedding_length")
    head_dim = hyper.integer("attention.key_length", hidden // heads)
    if hyper.integer("attention.value_length", head_dim) != head_dim:
        raise NotTranslatableError("keys and values have different head sizes")
    if hyper.integer("rope.dimension_count", head_dim) != head_dim:
        raise NotTranslatableError("only a part of each head is rotated")
    config: dict[str, Any] = {
        "head_dim": head_dim,
        "hidden_size": hidden,
        "intermediate_size": hyper.integer("feed_forward_length"),
        "max_position_embeddings": hyper.integer("context_length"),
        "num_attention_heads": heads,
        "num_hidden_layers": hyper.integer("block_count"),
        "num_key_value_heads": hyper.integer("attention.head_count_kv", heads),
        "rms_norm_eps": hyper.number("attention.layer_norm_rms_epsilon"),
        "rope_scaling": hyper.rope_scaling(),
        "tie_word_embeddings": "output.weight" not in set(tensors),
        "vocab_size": vocab_size,
    }
    if arch == "llama":
        return config | {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "rope_theta": hyper.number("rope.freq_base", 10_000.0),
        }
    return config | _gemma3(hyper, head_dim)


def _gemma3(hyper: _Hyper, head_dim: int) -> dict[str, Any]:
    if hyper.has("final_logit_softcapping") or hyper.has("attn_logit_softcapping"):
        raise NotTranslatableError("mlx-lm's gemma3 has no logit soft-capping")
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        # llama.cpp scales by the head size for every size of the model but 27B, which it knows by its depth.
        "query_pre_attn_scalar": _gemma3_scalar(hyper, head_dim),
        "rope_local_base_freq": hyper.number("rope.freq_base_swa", 10_000.0),
        "rope_theta": hyper.number("rope.freq_base", 1_000_000.0),
        "sliding_window": hyper.integer("attention.sliding_window"),
        "sliding_window_pattern": hyper.integer("attention.sliding_window_pattern", 6),
    }


def _gemma3_scalar(hyper: _Hyper, head_dim: int) -> int:
    if hyper.integer("block_count") == 62:
        return hyper.integer("embedding_length") // hyper.integer("attention.head_count")
    return head_dim


def weights(arch: str, tensors: Mapping[str, Any], heads: int, kv_heads: int) -> dict[str, Any]:
    """GGUF tensors under the checkpoint's names, rows and norms as the models want them; dtypes unchanged.

    Raises:
        NotTranslatableError: see `module_name`.
    """
    out: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if arch == "llama" and name.endswith(".attn_q.weight"):
            value = rotary_halves_apart(tensor, heads)
        elif arch == "llama" and name.endswith(".attn_k.weight"):
            value = rotary_halves_apart(tensor, kv_heads)
        elif arch == "gemma3" and name.endswith("_norm.weight"):
            value = tensor - 1
        else:
            value = tensor
        out[module_name(arch, name)] = value
    return out


class _Hyper:
    """Typed look-up below the architecture's prefix."""

    def __init__(self, metadata: Mapping[str, Any], arch: str) -> None:
        self._metadata = metadata
        self._arch = arch

    def has(self, key: str) -> bool:
        return f"{self._arch}.{key}" in self._metadata

    def _value(self, key: str) -> Any:
        value = self._metadata[f"{self._arch}.{key}"]
        return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; per-layer lists are refused."""
        if not self.has(key):
            if default is None:
                raise NotTranslatableError(f"hyper-parameter {self._arch}.{key} is missing")
            return default
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotTranslatableError(f"hyper-parameter {self._arch}.{key} is no single whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A float32, as the shortest decimal that means the same float32 (1e-05, not 9.99999974e-06)."""
        if not self.has(key):
            if default is None:
                raise NotTranslatableError(f"hyper-parameter {self._arch}.{key} is missing")
            return default
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotTranslatableError(f"hyper-parameter {self._arch}.{key} is no single number")
        return float(str(np.float32(value)))

    def rope_scaling(self) -> dict[str, Any] | None:
        """None, or linear scaling; every other kind needs figures that the file does not have."""
        kind = self._value("rope.scaling.type") if self.has("rope.scaling.type") else "none"
        if kind == "none":
            return None
        if kind == "linear":
            return {"factor": self.number("rope.scaling.factor"), "rope_type": "linear", "type": "linear"}
        raise NotTranslatableError(f"rotary scaling of type {kind!r} is not translated")
