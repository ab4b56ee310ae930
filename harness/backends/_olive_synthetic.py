"""Synthetic models as the artifacts that Olive's recipes would give, written straight and tensor by tensor.

Owns the graph (the same nodes, names and attributes as onnxruntime-genai's model builder writes for a Llama), the
packed rows, and the file of external data. Imports onnx inside functions, never the lab half. Contract: what is held
in memory is one pool of rows per width and one block of a tensor; the real test compares the graph and every weight
with what Olive makes of the same model.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from harness.backends import _olive_workflow as workflow
from harness.backends._ort_genai import CONFIG
from harness.worker.api import Made, MakeRequest, Recipe
from harness.worker.synthetic import SyntheticModel, SyntheticTensor, pool, row_order

#: Recipes that are written, and how their matrices are.
KINDS: Mapping[str, str] = {"FP32": "fp32", "RTN_INT4_g32": "int4"}

#: Weights that share a scale and a zero point.
GROUP = 32

#: A graph in f32 beyond this takes more memory than the machines that this harness is for have; see `unsupported`.
MAX_FP32_PARAMETERS = 2_000_000_000

#: Bytes of one block on its way to the file.
_BLOCK_BYTES = 32 << 20
#: Tensors begin at pages, so that ONNX Runtime can map them.
_ALIGNMENT = 4096

_MICROSOFT = "com.microsoft"
_MASK = "/model/attn_mask_reformat/attn_mask_subgraph"

Array = np.ndarray[Any, Any]


def unsupported(recipe: Recipe, model: SyntheticModel) -> str | None:
    """Why this recipe is not written with random weights; None where it is."""
    kind = KINDS.get(recipe.name)
    if kind is None:
        written = " and ".join(KINDS)
        return f"synthetic models are written straight as {written}; {recipe.name} would need Olive on the whole model"
    if kind == "fp32" and model.parameter_count > MAX_FP32_PARAMETERS:
        gigabytes = model.parameter_count * 4 / 1e9
        return f"in f32 this model has {gigabytes:.0f} GB of weights, and ONNX Runtime keeps a packed copy of them"
    widths = (model.hidden_size, model.intermediate_size, model.heads * model.head_size)
    if kind == "int4" and any(width % GROUP for width in widths):
        return f"groups of {GROUP} do not divide this model's rows of {', '.join(map(str, widths))}"
    return None


def make(request: MakeRequest) -> Made:
    """Write graph, data and configuration of ``request.synthetic``.

    Raises:
        ValueError: no synthetic model was given, or the recipe is not written.
    """
    model = request.synthetic
    if model is None or request.recipe.name not in KINDS:
        raise ValueError(f"{request.recipe.name} is not written with random weights")
    with (request.out / workflow.DATA).open("wb") as data:
        builder = _Builder(model, KINDS[request.recipe.name], data)
        builder.build()
    builder.save(request.out / workflow.GRAPH)
    text = json.dumps(genai_config(model), indent=4)
    (request.out / CONFIG).write_text(text + "\n", encoding="utf-8")
    counted = workflow.count(request.out / workflow.GRAPH, request.recipe.precision)
    workflow.write_facts(request, counted["weight_bytes"])
    return Made(
        weight_bytes=counted["weight_bytes"],
        entry=".",
        tool_version=importlib.metadata.version(request.recipe.tool),
        notes={
            "weights": f"random, seed {model.seed}",
            "weight_types": counted["types"],
            "operators": counted["operators"],
            "fallbacks": counted["fallbacks"],
        },
    )


def genai_config(model: SyntheticModel) -> dict[str, Any]:
    """``genai_config.json`` as the model builder writes it for such a Llama."""
    return {
        "model": {
            "bos_token_id": 1,
            "context_length": model.context_tokens,
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
                "filename": workflow.GRAPH,
                "head_size": model.head_size,
                "hidden_size": model.hidden_size,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
                "num_attention_heads": model.heads,
                "num_hidden_layers": model.layers,
                "num_key_value_heads": model.kv_heads,
            },
            "eos_token_id": 2,
            "pad_token_id": 2,
            "type": "llama",
            "vocab_size": model.vocab_size,
        },
        "search": {
            "do_sample": False,
            "max_length": model.context_tokens,
            "num_beams": 1,
            "past_present_share_buffer": True,
        },
    }


# -- packing ----------------------------------------------------------------------------------------------------------


def packed_int4(rows: Array) -> tuple[Array, Array, Array]:
    """``rows: float32[n, width]`` as Olive's round-to-nearest packs them.

    Returns:
        ``uint8[n, groups, 16]`` with the even weights in the low halves, ``float32[n, groups]`` scales, and
        ``uint8[n, ceil(groups / 2)]`` zero points.
    """
    count, width = rows.shape
    groups = rows.reshape(count, width // GROUP, GROUP)
    low = np.minimum(groups.min(-1), 0)
    high = np.maximum(groups.max(-1), 0)
    empty = (low == 0) & (high == 0)
    low, high = np.where(empty, np.float32(-1), low), np.where(empty, np.float32(1), high)
    scales = ((high - low) / np.float32(15)).astype(np.float32)
    zeros = np.clip(np.rint(-low / scales), 0, 15).astype(np.float32)
    values = np.clip(np.rint(groups / scales[..., None] + zeros[..., None]), 0, 15).astype(np.uint8)
    return _pairs(values), scales, _pairs(zeros.astype(np.uint8))


def _pairs(values: Array) -> Array:
    """Two 4-bit values of the last axis in a byte, the first one in the low half."""
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    packed: Array = values[..., 0::2] | (values[..., 1::2] << np.uint8(4))
    return packed


# -- the graph --------------------------------------------------------------------------------------------------------


class _Builder:
    """Nodes and weights of one model, in order of computation.

    Args:
        model: the configuration.
        kind: ``fp32`` or ``int4``.
        data: the file of external data, at its beginning.
    """

    def __init__(self, model: SyntheticModel, kind: str, data: BinaryIO) -> None:
        import onnx

        self._onnx = onnx
        self._model = model
        self._kind = kind
        self._data = data
        self._tensors = {tensor.name: tensor for tensor in model.tensors()}
        self._pools: dict[tuple[int, float], tuple[Array, ...]] = {}
        self._nodes: list[Any] = []
        self._initialisers: list[Any] = []

    def build(self) -> None:
        """All nodes, their weights on the way into the file."""
        model = self._model
        self._mask()
        self._rotary()
        residual = self._embedding()
        added: str | None = None
        for layer in range(model.layers):
            residual, added = self._layer(layer, residual, added)
        assert added is not None
        final = self._norm(
            f"layers.{model.layers}.final_norm_layernorm", "model.norm.weight", residual, added, last=True
        )
        head = ["model.embed_tokens.weight" if model.tied_embeddings else "lm_head.weight"]
        self._linear("/lm_head", "lm_head", final[0], head, output="logits")

    def _node(self, kind: str, name: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, outputs, name=name, **attributes))

    def _mask(self) -> None:
        """The lengths that the attention operator wants, from the attention mask."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        for name, dims in (("[1]", [1]), ("1", [])):
            value = helper.make_tensor(
                f"/model/constants/INT64/{name}", kinds.INT64, dims, np.ones(1, "<i8").tobytes(), raw=True
            )
            self._node(
                "Constant",
                f"/model/constant_nodes/INT64/{name}",
                [],
                [f"/model/constants/INT64/{name}"],
                value=value,
            )
        one, scalar = "/model/constants/INT64/[1]", "/model/constants/INT64/1"
        steps: list[tuple[str, str, list[str], dict[str, Any]]] = [
            ("ReduceSum", "ReduceSum", ["attention_mask", one], {"keepdims": 0}),
            ("Sub", "Sub", [f"{_MASK}/ReduceSum/output_0", one], {}),
            ("Cast", "Sub/Cast", [f"{_MASK}/Sub/output_0"], {"to": kinds.INT32}),
            ("Shape", "Shape", ["attention_mask"], {}),
            ("Gather", "Gather", [f"{_MASK}/Shape/output_0", scalar], {"axis": 0}),
            ("Cast", "Gather/Cast", [f"{_MASK}/Gather/output_0"], {"to": kinds.INT32}),
        ]
        for kind, name, inputs, attributes in steps:
            self._node(kind, f"{_MASK}/{name}", inputs, [f"{_MASK}/{name}/output_0"], **attributes)

    def _rotary(self) -> None:
        """Tables of the rotary embedding for the whole context."""
        half = self._model.head_size // 2
        exponents = np.arange(half, dtype=np.float32) * 2 / self._model.head_size
        frequencies = (1.0 / self._model.rope_theta**exponents).astype(np.float32)
        angles = np.arange(self._model.context_tokens, dtype=np.float32)[:, None] * frequencies
        for name, function in (("cos_cache", np.cos), ("sin_cache", np.sin)):
            self._write(name, angles.shape, iter([function(angles)]))

    def _embedding(self) -> str:
        tensor = self._tensors["model.embed_tokens.weight"]
        name = "model.embed_tokens"
        if self._kind == "fp32":
            output = "/model/embed_tokens/Gather/output_0"
            self._write(f"{name}.weight", tensor.shape, self._rows([tensor], 0))
            self._node("Gather", "/model/embed_tokens/Gather", [f"{name}.weight", "input_ids"], [output])
            return output
        node = "/model/embed_tokens/GatherBlockQuantized"
        self._packed(name, [tensor], flat=True)
        self._node(
            "GatherBlockQuantized",
            node,
            [f"{name}.qweight", "input_ids", f"{name}.scales", f"{name}.qzeros"],
            [f"{node}/output_0"],
            domain=_MICROSOFT,
            bits=4,
            block_size=GROUP,
        )
        return f"{node}/output_0"

    def _layer(self, layer: int, residual: str, added: str | None) -> tuple[str, str]:
        """One block; returns the residual stream and what is still to be added to it."""
        model, prefix = self._model, f"model.layers.{layer}"
        path = f"/model/layers.{layer}"
        weights = f"{prefix}.input_layernorm.weight"
        normed, residual = self._norm(f"layers.{layer}.input_layernorm", weights, residual, added)
        projections = [f"{prefix}.self_attn.{name}_proj.weight" for name in "qkv"]
        joined = self._linear(f"{path}/attn/qkv_proj", f"{prefix}.attn.qkv_proj", normed, projections)
        attention = f"{path}/attn/GroupQueryAttention"
        past, present = f"past_key_values.{layer}", f"present.{layer}"
        self._node(
            "GroupQueryAttention",
            attention,
            [
                joined, "", "", f"{past}.key", f"{past}.value", f"{_MASK}/Sub/Cast/output_0",
                f"{_MASK}/Gather/Cast/output_0", "cos_cache", "sin_cache", "", "", "",
            ],
            [f"{attention}/output_0", f"{present}.key", f"{present}.value"],
            domain=_MICROSOFT,
            num_heads=model.heads,
            kv_num_heads=model.kv_heads,
            scale=float(np.float32(1 / np.sqrt(model.head_size))),
            local_window_size=-1,
            softcap=0.0,
            do_rotary=1,
            rotary_interleaved=0,
        )  # fmt: skip
        attended = self._linear(
            f"{path}/attn/o_proj",
            f"{prefix}.attn.o_proj",
            f"{attention}/output_0",
            [f"{prefix}.self_attn.o_proj.weight"],
        )
        weights = f"{prefix}.post_attention_layernorm.weight"
        normed, residual = self._norm(f"layers.{layer}.post_attention_layernorm", weights, residual, attended)
        gate, up = (
            self._linear(
                f"{path}/mlp/{name}", f"{prefix}.mlp.{name}", normed, [f"{prefix}.mlp.{name}.weight"]
            )
            for name in ("gate_proj", "up_proj")
        )
        activation = f"{path}/mlp/act_fn"
        self._node("Sigmoid", f"{activation}/Sigmoid", [gate], [f"{activation}/Sigmoid/output_0"])
        self._node(
            "Mul",
            f"{activation}/Mul",
            [gate, f"{activation}/Sigmoid/output_0"],
            [f"{activation}/Mul/output_0"],
        )
        self._node("Mul", f"{path}/mlp/Mul", [f"{activation}/Mul/output_0", up], [f"{path}/mlp/Mul/output_0"])
        down = self._linear(
            f"{path}/mlp/down_proj",
            f"{prefix}.mlp.down_proj",
            f"{path}/mlp/Mul/output_0",
            [f"{prefix}.mlp.down_proj.weight"],
        )
        return residual, down

    def _norm(
        self, name: str, weight: str, residual: str, added: str | None, *, last: bool = False
    ) -> tuple[str, str]:
        """A norm of the residual stream after what is added to it; returns (normed, residual)."""
        own = f"model.{name}.weight"
        (width,) = self._tensors[weight].shape
        self._write(own, (width,), iter([np.ones(width, np.float32)]))
        path = "/model/" + "/".join(name.rsplit(".", 1))
        epsilon = float(np.float32(self._model.norm_epsilon))
        if added is None:
            self._node(
                "SimplifiedLayerNormalization",
                f"{path}/LayerNorm",
                [residual, own],
                [f"{path}/output_0"],
                epsilon=epsilon,
                axis=-1,
                stash_type=1,
            )
            return f"{path}/output_0", residual
        outputs = [f"{path}/output_0"] if last else [f"{path}/output_0", "", "", f"{path}/output_3"]
        self._node(
            "SkipSimplifiedLayerNormalization",
            f"{path}/SkipLayerNorm",
            [residual, added, own],
            outputs,
            domain=_MICROSOFT,
            epsilon=epsilon,
        )
        return f"{path}/output_0", f"{path}/output_3"

    def _linear(
        self, path: str, name: str, source: str, weights: list[str], output: str | None = None
    ) -> str:
        """A projection whose rows are those of ``weights`` one after the other."""
        tensors = [self._tensors[weight] for weight in weights]
        rows = sum(tensor.shape[0] for tensor in tensors)
        width = tensors[0].shape[1]
        if self._kind == "fp32":
            result = output or f"{path}/MatMul/output_0"
            self._write(f"{name}.MatMul.weight", (width, rows), self._transposed(tensors))
            self._node("MatMul", f"{path}/MatMul", [source, f"{name}.MatMul.weight"], [result])
            return result
        own = f"{name}.MatMulNBits"
        result = output or f"{path}/MatMulNBits/output_0"
        self._packed(own, tensors)
        self._node(
            "MatMulNBits",
            f"{path}/MatMulNBits",
            [source, f"{own}.qweight", f"{own}.scales", f"{own}.qzeros"],
            [result],
            domain=_MICROSOFT,
            accuracy_level=4,
            bits=4,
            block_size=GROUP,
            K=width,
            N=rows,
        )
        return result

    # -- weights --------------------------------------------------------------------------------------------------

    def _packed(self, name: str, tensors: list[SyntheticTensor], *, flat: bool = False) -> None:
        """Weights, scales and zero points of int4 rows; ``flat`` without an axis of groups, as embeddings are."""
        rows, width = sum(tensor.shape[0] for tensor in tensors), tensors[0].shape[1]
        groups = width // GROUP
        shape = (rows, width // 2) if flat else (rows, groups, GROUP // 2)
        self._write(f"{name}.qweight", shape, self._rows(tensors, 0))
        self._write(f"{name}.scales", (rows, groups), self._rows(tensors, 1))
        self._write(f"{name}.qzeros", (rows, (groups + 1) // 2), self._rows(tensors, 2))

    def _pool(self, tensor: SyntheticTensor) -> tuple[Array, ...]:
        """The pool of rows of a tensor, packed as the recipe packs them."""
        key = (tensor.shape[1], tensor.deviation)
        if key not in self._pools:
            rows = pool(self._model, *key)
            self._pools[key] = (rows,) if self._kind == "fp32" else packed_int4(rows)
        return self._pools[key]

    def _rows(self, tensors: list[SyntheticTensor], part: int) -> Iterator[Array]:
        """One part of the packed rows of ``tensors``, in blocks."""
        for tensor in tensors:
            values = self._pool(tensor)[part]
            order = row_order(self._model, tensor)
            step = max(1, _BLOCK_BYTES // values[0].nbytes)
            for begin in range(0, order.size, step):
                yield values[order[begin : begin + step]]

    def _transposed(self, tensors: list[SyntheticTensor]) -> Iterator[Array]:
        """The rows of ``tensors`` as columns, in blocks of columns of the rows."""
        orders = [row_order(self._model, tensor) for tensor in tensors]
        pools = [self._pool(tensor)[0] for tensor in tensors]
        width = tensors[0].shape[1]
        step = max(1, _BLOCK_BYTES // (4 * sum(order.size for order in orders)))
        for begin in range(0, width, step):
            block = [
                rows[:, begin : begin + step].T[:, order] for rows, order in zip(pools, orders, strict=True)
            ]
            yield np.concatenate(block, axis=1)

    def _write(self, name: str, shape: tuple[int, ...], blocks: Iterator[Array]) -> None:
        """An initialiser whose bytes go to the file of external data."""
        self._data.write(bytes(-self._data.tell() % _ALIGNMENT))
        offset = self._data.tell()
        kind = None
        for block in blocks:
            kind = block.dtype
            self._data.write(np.ascontiguousarray(block).data)
        assert kind is not None
        tensor = self._onnx.TensorProto()
        tensor.name = name
        tensor.data_type = self._onnx.helper.np_dtype_to_tensor_dtype(kind)
        tensor.dims.extend(shape)
        tensor.data_location = self._onnx.TensorProto.EXTERNAL
        length = self._data.tell() - offset
        for key, value in (("location", workflow.DATA), ("offset", offset), ("length", length)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
        self._initialisers.append(tensor)

    # -- the file -------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the graph."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        model = self._model
        value: Callable[..., Any] = helper.make_tensor_value_info
        cache = ("batch_size", model.kv_heads, "past_sequence_length", model.head_size)
        total = ("batch_size", model.kv_heads, "total_sequence_length", model.head_size)
        parts = [f"{layer}.{name}" for layer in range(model.layers) for name in ("key", "value")]
        inputs = [
            value("input_ids", kinds.INT64, ("batch_size", "sequence_length")),
            value("attention_mask", kinds.INT64, ("batch_size", "total_sequence_length")),
            *(value(f"past_key_values.{part}", kinds.FLOAT, cache) for part in parts),
        ]
        outputs = [
            value("logits", kinds.FLOAT, ("batch_size", "sequence_length", model.vocab_size)),
            *(value(f"present.{part}", kinds.FLOAT, total) for part in parts),
        ]
        graph = helper.make_graph(self._nodes, "main_graph", inputs, outputs, self._initialisers)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
        whole = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="edgebench")
        path.write_bytes(whole.SerializeToString())
