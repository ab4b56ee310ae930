"""A model's shape, from its own file, and what follows from it by arithmetic alone: KV cache, touched weights, work.

Owns `ModelConfiguration` and these formulas. Imports the standard library and its own room. Contract: pure; a shape
that the formulas do not hold for (recurrent layers, latent attention, layers that differ) is no configuration: None,
never an approximation that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.model.gguf_header import GgufFacts
from harness.worker.synthetic import SyntheticModel

#: Of how many layers one attends to everything, where the others see a window: fixed by the architecture, not
#: written in its files (llama.cpp's `set_swa_pattern`).
_WINDOW_PERIODS: Mapping[str, int] = {"gemma2": 2, "gemma3": 6, "cohere2": 4, "gpt-oss": 2}

#: Keys below the architecture's name that tell of layers without a plain cache of keys and values.
_NOT_PLAIN = (
    "ssm.",
    "wkv.",
    "shortconv.",
    "attention.kv_lora_rank",
    "attention.shared_kv_layers",
    "full_attention_interval",
)


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """The shape of a decoder-only transformer.

    Attributes:
        architecture: GGUF's ``general.architecture``.
        layers: transformer blocks.
        hidden_size: width of the residual stream.
        intermediate_size: width of the feed-forward layer (of one expert where there are experts); None where the
            file does not say.
        heads: attention heads.
        kv_heads: heads of keys and values.
        head_dim: width of a query's and a key's head.
        value_dim: width of a value's head.
        vocab_size: rows of the token-embedding table.
        tied_embeddings: the output projection is the embedding table.
        parameters: weights of all tensors.
        embedding_parameters: weights of the token-embedding table.
        experts: experts of a layer, 0 without.
        experts_used: experts that a token goes through.
        expert_parameters: weights of all experts of all layers.
        sliding_window: tokens that the windowed layers attend to; None: all layers attend to everything.
        sliding_layers: how many layers are windowed.
    """

    architecture: str
    layers: int
    hidden_size: int
    intermediate_size: int | None
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    vocab_size: int
    tied_embeddings: bool
    parameters: int
    embedding_parameters: int
    experts: int = 0
    experts_used: int = 0
    expert_parameters: int = 0
    sliding_window: int | None = None
    sliding_layers: int = 0

    @classmethod
    def of_gguf(cls, facts: GgufFacts) -> ModelConfiguration | None:
        """From a GGUF header; None where it does not describe a plain decoder-only transformer."""
        prefix = f"{facts.architecture}."
        keys = [
            key.removeprefix(prefix) for key in (*facts.metadata, *facts.arrays) if key.startswith(prefix)
        ]
        # Numbers that differ from layer to layer stand in arrays.
        arrays = {key.removeprefix(prefix) for key in facts.arrays}
        if any(key.startswith(_NOT_PLAIN) for key in keys) or arrays & {
            "attention.head_count",
            "attention.head_count_kv",
        }:
            return None

        def number(key: str, otherwise: int | None = None) -> int | None:
            value = facts.metadata.get(prefix + key)
            return value if isinstance(value, int) and value > 0 else otherwise

        layers, hidden, heads = (
            number("block_count"),
            number("embedding_length"),
            number("attention.head_count"),
        )
        if layers is None or hidden is None or heads is None or not facts.embedding_parameters:
            return None
        head_dim = number("attention.key_length") or hidden // heads
        window = number("attention.sliding_window")
        period = number("attention.sliding_window_pattern") or _WINDOW_PERIODS.get(facts.architecture)
        windowed = layers - layers // period if window and period else 0
        experts = number("expert_count") or 0
        return cls(
            architecture=facts.architecture,
            layers=layers,
            hidden_size=hidden,
            intermediate_size=number("expert_feed_forward_length") or number("feed_forward_length"),
            heads=heads,
            kv_heads=number("attention.head_count_kv") or heads,
            head_dim=head_dim,
            value_dim=number("attention.value_length") or head_dim,
            vocab_size=facts.embedding_parameters // hidden,
            tied_embeddings=not facts.output_parameters,
            parameters=facts.parameter_count,
            embedding_parameters=facts.embedding_parameters,
            experts=experts,
            experts_used=(number("expert_used_count") or experts) if experts else 0,
            expert_parameters=facts.expert_parameters if experts else 0,
            sliding_window=window if windowed else None,
            sliding_layers=windowed,
        )

    @classmethod
    def of_synthetic(cls, model: SyntheticModel) -> ModelConfiguration:
        """Of a synthetic model."""
        return cls(
            architecture=model.architecture,
            layers=model.layers,
            hidden_size=model.hidden_size,
            intermediate_size=model.intermediate_size,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=model.head_size,
            value_dim=model.head_size,
            vocab_size=model.vocab_size,
            tied_embeddings=model.tied_embeddings,
            parameters=model.parameter_count,
            embedding_parameters=model.vocab_size * model.hidden_size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ModelConfiguration:
        """From what `to_dict` gave, perhaps in a newer version: fields that this one does not know are left out.

        Raises:
            ValueError: a number is none.
        """
        known = {field.name for field in fields(cls)}
        for name in known & stored.keys() - {"architecture"}:
            if not isinstance(stored[name], int | None):
                raise ValueError(f"the model's {name} is no number")
        return cls(**{name: value for name, value in stored.items() if name in known})

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with: no embedding look-up, only the experts it goes through."""
        looked_up = 0 if self.tied_embeddings else self.embedding_parameters
        return self.parameters - looked_up - self._idle_expert_parameters

    @property
    def _idle_expert_parameters(self) -> int:
        if not self.experts:
            return 0
        return self.expert_parameters * (self.experts - self.experts_used) // self.experts


def kv_cache_bytes(
    configuration: ModelConfiguration, tokens: int, key_bits: float = 16.0, value_bits: float = 16.0
) -> int:
    """Bytes of keys and values of one sequence: layers x tokens x KV heads x (key width + value width).

    Windowed layers hold no more tokens than their window. What a framework allocates beyond the tokens (a whole
    context, padding, blocks) is not in here.

    Args:
        configuration: of the model.
        tokens: in the cache.
        key_bits: bits of one element of a key, block scales included: 16 for f16, 8.5 for llama.cpp's q8_0.
        value_bits: the same of a value.
    """
    seen = tokens if configuration.sliding_window is None else min(tokens, configuration.sliding_window)
    cached = (
        configuration.layers - configuration.sliding_layers
    ) * tokens + configuration.sliding_layers * seen
    bits = configuration.head_dim * key_bits + configuration.value_dim * value_bits
    return round(cached * configuration.kv_heads * bits / 8)


def kv_cache_bytes_over(
    configuration: ModelConfiguration,
    context: int,
    tokens: int,
    key_bits: float = 16.0,
    value_bits: float = 16.0,
) -> float:
    """`kv_cache_bytes` summed over ``tokens`` steps of decoding, the first with ``context`` tokens in the cache.

    Written out, because the number of tokens is whatever a database says.
    """
    windowed = configuration.sliding_layers
    # The i-th new token, from 1, sees one token less than it attends to with itself.
    cached = (configuration.layers - windowed) * _pairs(tokens, context - 1, None)
    cached += windowed * _pairs(tokens, context - 1, configuration.sliding_window)
    bits = configuration.head_dim * key_bits + configuration.value_dim * value_bits
    return cached * configuration.kv_heads * bits / 8


def touched_weight_bytes(
    configuration: ModelConfiguration, weight_bytes: int, *, unread_bytes: int | None = None
) -> int:
    """Bytes of weights that are read for one decoded token.

    All of them, less the token-embedding table where embeddings are untied (of which one row is read; a tied table is
    read whole by the output projection), less the experts that a token does not go through.

    Args:
        configuration: of the model.
        weight_bytes: of the artifact.
        unread_bytes: of the artifact, those that no token reads whole, experts aside: the untied table, a tied one
            that is stored a second time for looking rows up, what nothing uses. None: each weight is stored once, and
            the share of an untied table is that of its parameters, as if every tensor had the artifact's average
            bits per weight.
    """
    active = configuration.active_parameters
    if unread_bytes is None:
        return round(weight_bytes * active / configuration.parameters)
    looked_up = 0 if configuration.tied_embeddings else configuration.embedding_parameters
    # What is left holds every other weight once.
    return round((weight_bytes - unread_bytes) * active / (configuration.parameters - looked_up))


def prefill_flops(
    configuration: ModelConfiguration, tokens: int, depth: int = 0, *, logit_positions: int = 1
) -> float:
    """Floating-point operations of prefilling ``tokens`` tokens behind ``depth`` others; a multiply-add is two.

    2 x weights of the blocks for every token, 2 x the output projection's for every position whose logits are computed,
    and for attention 2 x heads x (key width + value width) for every layer and every pair of a token and one that it
    attends to (itself included).

    Args:
        configuration: of the model.
        tokens: of the prompt.
        depth: tokens in the cache before it.
        logit_positions: positions whose logits are computed: 1, as frameworks do that generate.
    """
    projection = configuration.embedding_parameters
    blocks = configuration.active_parameters - projection
    windowed = configuration.sliding_layers
    pairs = (configuration.layers - windowed) * _pairs(tokens, depth, None)
    pairs += windowed * _pairs(tokens, depth, configuration.sliding_window)
    attention = 2 * configuration.heads * (configuration.head_dim + configuration.value_dim) * pairs
    return float(2 * blocks * tokens + 2 * projection * logit_positions + attention)


def flops_per_prefill_token(configuration: ModelConfiguration, tokens: int, depth: int = 0) -> float:
    """`prefill_flops` over the tokens of the prompt: the mean of one of them."""
    return prefill_flops(configuration, tokens, depth) / tokens


def _pairs(tokens: int, depth: int, window: int | None) -> int:
    """Pairs of a new token and one that it attends to, causally: the i-th of them (from 1) sees depth + i."""
    if window is None:
        return tokens * depth + tokens * (tokens + 1) // 2
    # Those that still see everything, then those that see a window.
    whole = max(0, min(tokens, window - depth))
    return whole * depth + whole * (whole + 1) // 2 + (tokens - whole) * window
