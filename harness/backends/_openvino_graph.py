"""The graph of a decoder-only model of the Llama family, as openvino-genai's GGUF reader builds it.

Owns: the operations and their order, which OpenVINO's plug-ins recognise and fuse (rotary embedding, RMS norm,
attention with a stateful KV cache). Imports openvino inside the functions that use it. Contract: the same inputs,
output and function as the reader's graph; where the weights come from is the caller's matter. The causal mask alone
is written more shortly than the reader's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.backends._openvino_fp32 import inverse_frequencies
from harness.worker.synthetic import SyntheticModel

#: Gives a tensor as an f32 output of the graph, by its Hugging Face name.
Weights = Callable[[str], Any]

#: What masked positions get: the most negative number of 16 bits.
_MASKED = -65504.0


def llama(config: SyntheticModel, weights: Weights) -> tuple[list[Any], list[Any], list[Any]]:
    """Results, sinks and parameters of the graph, for ``openvino.Model``.

    Inputs are ``input_ids``, ``attention_mask``, ``position_ids: i64[batch, tokens]`` and ``beam_idx: i32[batch]``; the
    output is ``logits: f32[batch, tokens, vocab]``.
    """
    builder = _Llama(config, weights)
    logits = builder.logits()
    logits.output(0).set_names({"logits"})
    return [builder.ops.result(logits, name="logits")], builder.sinks, builder.inputs


class _Llama:
    """Builds one graph; holds what all layers share."""

    def __init__(self, config: SyntheticModel, weights: Weights) -> None:
        import openvino
        from openvino import opset13

        self.ops: Any = opset13
        self._config = config
        self._weights = weights
        self.sinks: list[Any] = []
        any_size = openvino.PartialShape([-1, -1])
        self._ids = self._input("input_ids", any_size, np.int64)
        self._mask = self._input("attention_mask", any_size, np.int64)
        self._positions = self._input("position_ids", any_size, np.int64)
        self._beam = self._input("beam_idx", openvino.PartialShape([-1]), np.int32)
        self.inputs = [self._ids, self._mask, self._positions, self._beam]
        self._batch = self._size(self._ids, 0)
        self._cos, self._sin = self._rotation()
        self._bias: Any = None

    def logits(self) -> Any:
        """The whole computation."""
        ops, config = self.ops, self._config
        table = self._weights("model.embed_tokens.weight")
        hidden = ops.gather(table, ops.convert(self._ids, "i32"), ops.constant(0, np.int32))
        for index in range(config.layers):
            prefix = f"model.layers.{index}."
            normed = self._norm(hidden, f"{prefix}input_layernorm.weight")
            hidden = ops.add(hidden, self._attention(normed, index, f"{prefix}self_attn."))
            normed = self._norm(hidden, f"{prefix}post_attention_layernorm.weight")
            gate = ops.swish(self._linear(normed, f"{prefix}mlp.gate_proj.weight"))
            wide = ops.multiply(gate, self._linear(normed, f"{prefix}mlp.up_proj.weight"))
            hidden = ops.add(hidden, self._linear(wide, f"{prefix}mlp.down_proj.weight"))
        hidden = self._norm(hidden, "model.norm.weight")
        head = table if config.tied_embeddings else self._weights("lm_head.weight")
        return ops.matmul(hidden, head, False, True)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _attention(self, hidden: Any, index: int, prefix: str) -> Any:
        ops, config = self.ops, self._config
        query = self._rotated(self._heads(hidden, f"{prefix}q_proj.weight", config.heads))
        key = self._rotated(self._heads(hidden, f"{prefix}k_proj.weight", config.kv_heads))
        value = self._heads(hidden, f"{prefix}v_proj.weight", config.kv_heads)
        key, past = self._cached(key, f"past_key_values.{index}.keypresent.{index}.key")
        value, _ = self._cached(value, f"past_key_values.{index}.valuepresent.{index}.key")
        if self._bias is None:
            self._bias = self._causal(past)
        attended = ops.scaled_dot_product_attention(
            query, self._repeated(key), self._repeated(value), self._bias, causal=False
        )
        rows = ops.transpose(attended, self._const([0, 2, 1, 3], np.int32))
        rows = ops.reshape(rows, self._const([0, 0, config.heads * config.head_size]), True)
        return self._linear(rows, f"{prefix}o_proj.weight")

    def _heads(self, hidden: Any, name: str, heads: int) -> Any:
        """``f32[batch, heads, tokens, size]``."""
        ops = self.ops
        split = ops.reshape(
            self._linear(hidden, name), self._const([0, 0, heads, self._config.head_size]), True
        )
        return ops.transpose(split, self._const([0, 2, 1, 3], np.int32))

    def _cached(self, new: Any, variable: str) -> tuple[Any, Any]:
        """The cache with ``new`` behind it, and the cache as it was; the first is what the state becomes."""
        import openvino
        from openvino.op import assign, read_value
        from openvino.op.util import Variable, VariableInfo

        ops, config = self.ops, self._config
        heads, size = config.kv_heads, config.head_size
        shape = ops.concat([self._batch, self._const([heads]), self._const([0]), self._const([size])], 0)
        empty = ops.broadcast(ops.constant(0.0, np.float32), shape)
        info = VariableInfo()
        info.variable_id, info.data_type = variable, openvino.Type.f32
        info.data_shape = openvino.PartialShape([-1, heads, -1, size])
        memory = Variable(info)
        state = read_value(empty, memory)
        past = ops.gather(state, self._beam, ops.constant(0, np.int64))
        whole = ops.concat([past, new], 2)
        self.sinks.append(assign(whole, memory))
        return whole, past

    def _repeated(self, cached: Any) -> Any:
        """Heads of keys or values as often as there are of queries."""
        ops, config = self.ops, self._config
        groups = config.heads // config.kv_heads
        if groups == 1:
            return cached
        apart = ops.unsqueeze(cached, ops.constant(2, np.int64))
        sizes = (config.kv_heads, groups, 0, config.head_size)
        # A size of 0 would be none: of these axes, broadcasting keeps what is larger than 1.
        shape = ops.concat([self._batch, *(self._const([max(size, 1)]) for size in sizes)], 0)
        wide = ops.broadcast(apart, shape, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(wide, self._const([0, config.heads, -1, config.head_size]), True)

    def _rotation(self) -> tuple[Any, Any]:
        """Cosines and sines of every position: ``f32[batch, 1, tokens, size]`` each."""
        ops, config = self.ops, self._config
        frequencies = inverse_frequencies(config.head_size, config.rope_theta).reshape(1, -1, 1)
        each = ops.broadcast(
            ops.constant(frequencies, np.float32),
            ops.concat([self._batch, self._const([1]), self._const([1])], 0),
            broadcast_spec="BIDIRECTIONAL",
        )
        positions = ops.convert(ops.unsqueeze(self._positions, ops.constant(1, np.int64)), "f32")
        angles = ops.transpose(ops.matmul(each, positions, False, False), self._const([0, 2, 1], np.int32))
        both = ops.concat([angles, angles], -1)
        axis = ops.constant(1, np.int64)
        return ops.unsqueeze(ops.cos(both), axis), ops.unsqueeze(ops.sin(both), axis)

    def _rotated(self, states: Any) -> Any:
        ops, half = self.ops, self._config.head_size // 2
        axis, step = self._const([3]), self._const([1])
        upper = ops.slice(states, self._const([half]), self._const([np.iinfo(np.int64).max]), step, axis)
        lower = ops.slice(states, self._const([0]), self._const([half]), step, axis)
        minus = ops.multiply(upper, ops.constant(np.full((1, 1, 1, 1), -1.0), np.float32))
        turned = ops.concat([minus, lower], -1)
        return ops.add(ops.multiply(states, self._cos), ops.multiply(turned, self._sin))

    def _causal(self, past: Any) -> Any:
        """What is added to the scores: ``f32[batch, 1, tokens, past + tokens]``."""
        ops = self.ops
        zero, one = ops.constant(0, np.int64), ops.constant(1, np.int64)
        before = ops.squeeze(self._size(past, 2), zero)
        total = ops.add(before, ops.squeeze(self._size(self._ids, 1), zero))
        keys = ops.unsqueeze(ops.range(zero, total, one, "i64"), zero)
        queries = ops.unsqueeze(ops.range(before, total, one, "i64"), one)
        later = ops.unsqueeze(ops.greater(keys, queries), self._const([0, 1]))
        padding = ops.unsqueeze(ops.equal(self._mask, zero), self._const([1, 2]))
        masked = ops.logical_or(later, padding)
        return ops.select(masked, ops.constant(_MASKED, np.float32), ops.constant(0.0, np.float32))

    def _norm(self, hidden: Any, name: str) -> Any:
        ops = self.ops
        square = ops.power(hidden, ops.constant(np.full((1, 1, 1), 2.0), np.float32))
        mean = ops.reduce_mean(square, self._const([-1], np.int32), keep_dims=True)
        epsilon = ops.constant(np.full((1, 1, 1), self._config.norm_epsilon), np.float32)
        root = ops.sqrt(ops.add(mean, epsilon))
        inverse = ops.divide(ops.constant(np.ones((1, 1, 1)), np.float32), root)
        return ops.multiply(ops.multiply(inverse, hidden), self._weights(name))

    def _linear(self, hidden: Any, name: str) -> Any:
        return self.ops.matmul(hidden, self._weights(name), False, True)

    # -- small things ---------------------------------------------------------------------------------------------

    def _input(self, name: str, shape: Any, kind: Any) -> Any:
        node = self.ops.parameter(shape, kind, name=name)
        node.output(0).set_names({name})
        return node

    def _size(self, node: Any, axis: int) -> Any:
        """One size of a shape: ``i64[1]``."""
        ops = self.ops
        return ops.gather(ops.shape_of(node, "i64"), self._const([axis]), self._const([0]))

    def _const(self, values: list[int], kind: Any = np.int64) -> Any:
        return self.ops.constant(np.asarray(values), kind)
