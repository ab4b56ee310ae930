"""A Llama model as an ONNX graph without dynamic axes and with a KV cache, written node by node.

Owns the float graph and the names of its inputs and outputs. Imports onnx inside functions (the converter environment
has it); never torch. Contract: the graph computes the model's function in float32. One graph serves a block of tokens,
and the same graph with other shapes of its inputs and outputs serves a single token (`with_block`), because no node
holds the number of tokens: what quantises one quantises the other, and both share one file of weights.

Everything that an NPU does badly is done by the caller (`_qnn_host`): rows of the embedding are looked up, angles and
mask are computed, and new keys and values are written into the cache. The inputs, for a block of T tokens, a context
of C, H heads in G groups per key head, D per head:

- ``embeddings`` float32[1, T, hidden]
- ``cosine``, ``sine`` float32[1, 1, T, D / 2]
- ``mask`` float32[1, 1, H / KV * T, C + T], 0 where attended, `MASKED` elsewhere
- ``past_key_N``, ``past_value_N`` float32[1, KV, C, D]

and the outputs ``logits`` float32[1, T, vocabulary], ``key_N``, ``value_N`` float32[1, KV, T, D].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Raised by one whenever the same weights give another graph; part of every artifact's key.
REVISION = 1

#: Added to the scores of positions that are not attended. exp(-64) is nothing, and a larger number would only spend
#: the steps of the quantised scores.
MASKED = -64.0

OPSET = 21
_IR_VERSION = 10

Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the graph's shapes are made of.

    Attributes:
        hidden: width of the residual stream.
        layers: number of blocks in the graph.
        heads: query heads.
        kv_heads: key and value heads.
        head_dim: width of a head.
        vocab: rows of the output layer.
        eps: of the RMS norms.
        rope_theta: base of the rotary angles.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float
    rope_theta: float


def shape_of(config: Mapping[str, Any], layers: int | None = None) -> Shape:
    """From a Llama ``config.json``; ``layers`` cuts a slice of the first so many.

    Raises:
        ValueError: the configuration asks for something the graph does not compute, or the slice is impossible.
    """
    if config["model_type"] != "llama":
        raise ValueError(f"the static graph is written for llama, not {config['model_type']}")
    if config["rope_scaling"] is not None:
        raise ValueError(f"the static graph has no rotary scaling ({config['rope_scaling']})")
    whole = int(config["num_hidden_layers"])
    if layers is not None and not 1 <= layers <= whole:
        raise ValueError(f"a slice of {layers} layers of a model with {whole}")
    return Shape(
        hidden=int(config["hidden_size"]),
        layers=whole if layers is None else layers,
        heads=int(config["num_attention_heads"]),
        kv_heads=int(config["num_key_value_heads"]),
        head_dim=int(config["head_dim"]),
        vocab=int(config["vocab_size"]),
        eps=float(config["rms_norm_eps"]),
        rope_theta=float(config["rope_theta"]),
    )


def inputs(shape: Shape, block: int, context: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the graph's inputs, in order."""
    group = shape.heads // shape.kv_heads
    past = (1, shape.kv_heads, context, shape.head_dim)
    found: dict[str, tuple[int, ...]] = {
        "embeddings": (1, block, shape.hidden),
        "cosine": (1, 1, block, shape.head_dim // 2),
        "sine": (1, 1, block, shape.head_dim // 2),
        "mask": (1, 1, group * block, context + block),
    }
    for layer in range(shape.layers):
        found |= {f"past_key_{layer}": past, f"past_value_{layer}": past}
    return found


def outputs(shape: Shape, block: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the graph's outputs, in order."""
    new = (1, shape.kv_heads, block, shape.head_dim)
    found: dict[str, tuple[int, ...]] = {"logits": (1, block, shape.vocab)}
    for layer in range(shape.layers):
        found |= {f"key_{layer}": new, f"value_{layer}": new}
    return found


def float_graph(shape: Shape, weights: Weights, block: int, context: int) -> Any:
    """The graph as an ``onnx.ModelProto``.

    Args:
        shape: its sizes.
        weights: float32 arrays by the names of Hugging Face's Llama, ``[out, in]``.
        block: tokens of one pass.
        context: tokens of the cache.
    """
    from onnx import TensorProto, helper

    writer = _Writer()
    _write(writer, shape, weights)
    graph = helper.make_graph(
        writer.nodes,
        "llama",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in inputs(shape, block, context).items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in outputs(shape, block).items()
        ],
        writer.initializers,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="edgebench",
    )


def with_block(model: Any, shape: Shape, block: int, context: int) -> None:
    """Give a graph, float or quantised, the shapes of another block, in place."""
    wanted = {**inputs(shape, block, context), **outputs(shape, block)}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, wanted[value.name], strict=True):
            dim.ClearField("dim_param")
            dim.dim_value = size
    # Shapes inside follow from the inputs; what an earlier inference wrote down would contradict them.
    del model.graph.value_info[:]


class _Writer:
    """Collects nodes and initializers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(
        self, kind: str, name: str, sources: list[str], out: str | None = None, **attributes: Any
    ) -> str:
        """One node with one output, which is named as the node unless told."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, sources, [out or name], name=name, **attributes))
        return out or name

    def linear(self, name: str, source: str, weight: npt.NDArray[np.float32], out: str | None = None) -> str:
        """``source @ weight.T``."""
        return self.node("MatMul", name, [source, self.constant(f"{name}.weight", weight.T)], out)


def _write(w: _Writer, shape: Shape, weights: Weights) -> None:
    w.constant("two", np.array(2.0, np.float32))
    w.constant("eps", np.array([shape.eps], np.float32))
    w.constant("last_axis", np.array([-1], np.int64))
    w.constant("query_heads", np.array([1, -1, shape.heads, shape.head_dim], np.int64))
    w.constant("key_heads", np.array([1, -1, shape.kv_heads, shape.head_dim], np.int64))
    w.constant("grouped", np.array([1, shape.kv_heads, -1, shape.head_dim], np.int64))
    w.constant("ungrouped", np.array([1, shape.heads, -1, shape.head_dim], np.int64))
    w.constant("joined", np.array([1, -1, shape.heads * shape.head_dim], np.int64))
    stream = "embeddings"
    for layer in range(shape.layers):
        stream = _attention(w, shape, weights, layer, stream)
        stream = _feed_forward(w, weights, layer, stream)
    normed = _norm(w, "final_norm", stream, weights["model.norm.weight"])
    head = weights.get("lm_head.weight")
    w.linear("lm_head", normed, weights["model.embed_tokens.weight"] if head is None else head, "logits")


def _norm(w: _Writer, name: str, source: str, weight: npt.NDArray[np.float32]) -> str:
    square = w.node("Pow", f"{name}.square", [source, "two"])
    mean = w.node("ReduceMean", f"{name}.mean", [square, "last_axis"], keepdims=1)
    shifted = w.node("Add", f"{name}.eps", [mean, "eps"])
    root = w.node("Sqrt", f"{name}.root", [shifted])
    inverse = w.node("Reciprocal", f"{name}.inverse", [root])
    scaled = w.node("Mul", f"{name}.scaled", [source, inverse])
    return w.node("Mul", name, [scaled, w.constant(f"{name}.weight", weight)])


def _rotated(w: _Writer, name: str, source: str, out: str | None = None) -> str:
    first, second = f"{name}.first", f"{name}.second"
    from onnx import helper

    w.nodes.append(
        helper.make_node("Split", [source], [first, second], name=f"{name}.split", axis=3, num_outputs=2)
    )
    left = w.node(
        "Sub",
        f"{name}.left",
        [
            w.node("Mul", f"{name}.first_cosine", [first, "cosine"]),
            w.node("Mul", f"{name}.second_sine", [second, "sine"]),
        ],
    )
    right = w.node(
        "Add",
        f"{name}.right",
        [
            w.node("Mul", f"{name}.second_cosine", [second, "cosine"]),
            w.node("Mul", f"{name}.first_sine", [first, "sine"]),
        ],
    )
    return w.node("Concat", name, [left, right], out, axis=3)


def _attention(w: _Writer, shape: Shape, weights: Weights, layer: int, stream: str) -> str:
    at, own = f"layer_{layer}", f"model.layers.{layer}"
    normed = _norm(w, f"{at}.attention_norm", stream, weights[f"{own}.input_layernorm.weight"])
    # The scores' 1 / sqrt(head_dim) is part of the query's weights: one node less on every score.
    query_weight = weights[f"{own}.self_attn.q_proj.weight"] * np.float32(shape.head_dim**-0.5)

    def heads(name: str, weight: npt.NDArray[np.float32], split: str, out: str | None = None) -> str:
        flat = w.linear(f"{at}.{name}", normed, weight)
        apart = w.node("Reshape", f"{at}.{name}_heads", [flat, split])
        return w.node("Transpose", f"{at}.{name}_first", [apart], out, perm=[0, 2, 1, 3])

    query = _rotated(w, f"{at}.query_rotated", heads("query", query_weight, "query_heads"))
    key = heads("key", weights[f"{own}.self_attn.k_proj.weight"], "key_heads")
    key = _rotated(w, f"{at}.key_rotated", key, f"key_{layer}")
    value = heads("value", weights[f"{own}.self_attn.v_proj.weight"], "key_heads", f"value_{layer}")
    keys = w.node("Concat", f"{at}.keys", [f"past_key_{layer}", key], axis=2)
    values = w.node("Concat", f"{at}.values", [f"past_value_{layer}", value], axis=2)
    # All query heads of one key head are rows of one matrix: nothing is repeated.
    grouped = w.node("Reshape", f"{at}.query_grouped", [query, "grouped"])
    turned = w.node("Transpose", f"{at}.keys_turned", [keys], perm=[0, 1, 3, 2])
    scores = w.node("MatMul", f"{at}.scores", [grouped, turned])
    masked = w.node("Add", f"{at}.masked", [scores, "mask"])
    share = w.node("Softmax", f"{at}.share", [masked], axis=-1)
    mixed = w.node("MatMul", f"{at}.mixed", [share, values])
    ungrouped = w.node("Reshape", f"{at}.mixed_heads", [mixed, "ungrouped"])
    back = w.node("Transpose", f"{at}.mixed_back", [ungrouped], perm=[0, 2, 1, 3])
    joined = w.node("Reshape", f"{at}.joined", [back, "joined"])
    projected = w.linear(f"{at}.output", joined, weights[f"{own}.self_attn.o_proj.weight"])
    return w.node("Add", f"{at}.attention_residual", [stream, projected])


def _feed_forward(w: _Writer, weights: Weights, layer: int, stream: str) -> str:
    at, own = f"layer_{layer}", f"model.layers.{layer}"
    normed = _norm(w, f"{at}.mlp_norm", stream, weights[f"{own}.post_attention_layernorm.weight"])
    gate = w.linear(f"{at}.gate", normed, weights[f"{own}.mlp.gate_proj.weight"])
    up = w.linear(f"{at}.up", normed, weights[f"{own}.mlp.up_proj.weight"])
    sigmoid = w.node("Sigmoid", f"{at}.sigmoid", [gate])
    silu = w.node("Mul", f"{at}.silu", [gate, sigmoid])
    product = w.node("Mul", f"{at}.product", [silu, up])
    down = w.linear(f"{at}.down", product, weights[f"{own}.mlp.down_proj.weight"])
    return w.node("Add", f"{at}.mlp_residual", [stream, down])
