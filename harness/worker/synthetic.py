"""Synthetic models: the architecture of a real one with seeded random weights.

Owns the configuration, the list of weight tensors, and the random numbers. Imports the standard library and numpy.
Contract: the same configuration gives the same shapes and the same rows everywhere; nothing larger than one pool of
rows is held. Such a model measures speed, memory and energy; its text means nothing, so it has no accuracy.

Weights are normal with mean 0 and a standard deviation of 1/sqrt(row width), those that write into the residual stream
divided by sqrt(2 x layers) as well: activations then keep their scale through any depth (the initialisation that GPT-2
was trained from). Rows come from a pool that is drawn once per width and deviation and repeated in seeded random
order: drawing eight billion numbers would take longer than every measurement, and no quantiser and no kernel looks
across rows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

#: Rows of one pool.
POOL_ROWS = 1024

Kind = Literal["embedding", "output", "linear", "norm"]


@dataclass(frozen=True, slots=True)
class SyntheticModel:
    """The configuration of a decoder-only model of the Llama family.

    Attributes:
        architecture: ``llama``.
        hidden_size: width of the residual stream.
        intermediate_size: width of the feed-forward layer.
        layers: transformer blocks.
        heads: attention heads.
        kv_heads: heads of keys and values; fewer than ``heads`` with grouped-query attention.
        head_size: width of one head.
        vocab_size: tokens.
        context_tokens: longest context.
        rope_theta: base of the rotary embedding.
        norm_epsilon: of the RMS norms.
        tied_embeddings: whether the output projection is the embedding table.
        seed: of the weights.
    """

    architecture: Literal["llama"]
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocab_size: int
    context_tokens: int
    rope_theta: float
    norm_epsilon: float
    tied_embeddings: bool
    seed: int = 0

    def tensors(self) -> Iterator[SyntheticTensor]:
        """Every weight tensor, in order of computation, under its Hugging Face name."""
        residual = math.sqrt(2 * self.layers)
        hidden, wide = self.hidden_size, self.intermediate_size
        query, kv = self.heads * self.head_size, self.kv_heads * self.head_size
        # A unit vector per token, as wide as a normalised row: what the first norm sees is of scale 1.
        yield SyntheticTensor("model.embed_tokens.weight", (self.vocab_size, hidden), "embedding", 1.0)
        for index in range(self.layers):
            prefix = f"model.layers.{index}."
            yield SyntheticTensor(f"{prefix}input_layernorm.weight", (hidden,), "norm", 0.0)
            for name, rows, columns, scale in (
                ("self_attn.q_proj", query, hidden, 1.0),
                ("self_attn.k_proj", kv, hidden, 1.0),
                ("self_attn.v_proj", kv, hidden, 1.0),
                ("self_attn.o_proj", hidden, query, residual),
            ):
                yield _linear(f"{prefix}{name}.weight", rows, columns, scale)
            yield SyntheticTensor(f"{prefix}post_attention_layernorm.weight", (hidden,), "norm", 0.0)
            for name, rows, columns, scale in (
                ("mlp.gate_proj", wide, hidden, 1.0),
                ("mlp.up_proj", wide, hidden, 1.0),
                ("mlp.down_proj", hidden, wide, residual),
            ):
                yield _linear(f"{prefix}{name}.weight", rows, columns, scale)
        yield SyntheticTensor("model.norm.weight", (hidden,), "norm", 0.0)
        if not self.tied_embeddings:
            deviation = 1 / math.sqrt(hidden)
            yield SyntheticTensor("lm_head.weight", (self.vocab_size, hidden), "output", deviation)

    @property
    def parameter_count(self) -> int:
        """Weights of all tensors; tied embeddings count once."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors())

    def hf_config(self) -> dict[str, object]:
        """The same as a ``config.json`` of Hugging Face's Llama."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocab_size,
            "max_position_embeddings": self.context_tokens,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_epsilon,
            "tie_word_embeddings": self.tied_embeddings,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }


@dataclass(frozen=True, slots=True)
class SyntheticTensor:
    """One weight tensor.

    Attributes:
        name: its Hugging Face name.
        shape: ``(rows, columns)``, or ``(width,)`` of a norm.
        kind: what it is for.
        deviation: standard deviation of its weights; a norm's weights are all 1.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    deviation: float


def _linear(name: str, rows: int, columns: int, divisor: float) -> SyntheticTensor:
    return SyntheticTensor(name, (rows, columns), "linear", 1 / (math.sqrt(columns) * divisor))


def pool(model: SyntheticModel, columns: int, deviation: float) -> npt.NDArray[np.float32]:
    """The pool of random rows for tensors of one width and deviation: ``float32[POOL_ROWS, columns]``."""
    generator = np.random.Generator(np.random.PCG64([model.seed, columns]))
    rows = generator.standard_normal((POOL_ROWS, columns), dtype=np.float32)
    rows *= np.float32(deviation)
    return rows


def row_order(model: SyntheticModel, tensor: SyntheticTensor) -> npt.NDArray[np.int64]:
    """Which row of the pool each row of a tensor is: ``int64[rows]`` in ``[0, POOL_ROWS)``, its own for every name."""
    generator = np.random.Generator(np.random.PCG64([model.seed, zlib.crc32(tensor.name.encode())]))
    return generator.integers(0, POOL_ROWS, size=tensor.shape[0])
