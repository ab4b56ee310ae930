"""An IR written straight: the graph of a Llama, its weights streamed into the ``.bin`` file tensor by tensor.

Owns: which recipes can be written so and in which format each tensor is, and the file. Imports openvino inside the
functions that use it. Contract: nothing of the model but a chunk of rows is ever in memory.

OpenVINO saves only constants that it holds. So the graph is saved with inputs in the place of the weights, and these
are turned into constants of the ``.xml`` file as their bytes are written behind what is already in the ``.bin``.
"""

from __future__ import annotations

import importlib.metadata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.backends import _openvino_convert as convert
from harness.backends import _openvino_graph as graph
from harness.backends._openvino_packing import Format, Part, RandomRows
from harness.worker.api import Made, MakeRequest, Recipe, Unsupported
from harness.worker.synthetic import SyntheticModel, SyntheticTensor

#: Constants begin at multiples of this, as in the files that OpenVINO writes.
_ALIGNMENT = 64

#: Element type of the layers of each mode.
_KINDS = {"int8_asym": "u8", "int8_sym": "i8", "int4_asym": "u4", "int4_sym": "i4"}


class Source(Protocol):
    """Where weights come from."""

    def chunks(self, tensor: SyntheticTensor, form: Format, part: Part) -> Iterator[bytes]:
        """The bytes of one constant of a tensor, in order."""


def unsupported(recipe: Recipe, model: SyntheticModel) -> str | None:
    """Why a synthetic model cannot be written as this recipe; None where it can."""
    if recipe.calibrated:
        return f"{recipe.name} reads calibration text, which means nothing to random weights"
    mode = recipe.parameters.get("mode")
    if recipe.name != "FP16" and mode not in _KINDS:
        return f"synthetic weights are written as FP16, INT8 and INT4 for OpenVINO, not as {recipe.name}"
    group = convert.group_size(recipe)
    for tensor in model.tensors():
        if group is not None and tensor.kind == "linear" and tensor.shape[1] % group:
            return f"groups of {group} do not divide the rows of {tensor.shape[1]} of {tensor.name}"
    return None


def formats(recipe: Recipe) -> Callable[[SyntheticTensor], Format]:
    """The format of each tensor, as NNCF chooses it: embedding and last layer stay at 8 bits in modes of 4."""
    mode = recipe.parameters.get("mode")
    layer = Format("f16") if mode is None else Format(_KINDS[mode], convert.group_size(recipe))
    outer = Format("u8") if layer.bits == 4 else layer
    return lambda tensor: (
        Format("f32") if tensor.kind == "norm" else layer if tensor.kind == "linear" else outer
    )


def write(ov: Any, request: MakeRequest) -> Made:
    """The recipe's artifact of ``request.synthetic``.

    Raises:
        Unsupported: see `unsupported`.
        ValueError: the request describes no synthetic model.
    """
    model = request.synthetic
    if model is None:
        raise ValueError("no synthetic model is described")
    reason = unsupported(request.recipe, model)
    if reason is not None:
        raise Unsupported(reason)
    write_ir(ov, request.out / convert.ENTRY, model, formats(request.recipe), RandomRows(model))
    made = ov.Core().read_model(request.out / convert.ENTRY)
    return Made(
        weight_bytes=convert.weight_bytes(made),
        entry=convert.ENTRY,
        tool_version=importlib.metadata.version("openvino"),
        notes={"constants": convert.types(made), "writer": "openvino"},
    )


def write_ir(
    ov: Any, entry: Path, model: SyntheticModel, form_of: Callable[[SyntheticTensor], Format], source: Source
) -> None:
    """Write ``entry`` (``.xml``) and its ``.bin``.

    Args:
        ov: openvino.
        entry: the ``.xml`` file.
        model: the architecture.
        form_of: the format of each tensor.
        source: its bytes.
    """
    inputs = _Inputs({tensor.name: tensor for tensor in model.tensors()}, form_of)
    results, sinks, parameters = graph.llama(model, inputs.weights)
    saved = ov.Model(results, sinks, [*parameters, *inputs.parameters], "llama")
    ov.save_model(saved, str(entry), compress_to_fp16=False)
    tree = ET.parse(entry)
    waiting = {
        layer.get("name"): layer
        for layer in tree.iterfind("layers/layer")
        if layer.get("type") == "Parameter"
    }
    with entry.with_suffix(".bin").open("r+b") as file:
        for name, (tensor, form, part) in inputs.placed.items():
            file.seek(0, 2)
            file.write(bytes(-file.tell() % _ALIGNMENT))
            begin = file.tell()
            for chunk in source.chunks(tensor, form, part):
                file.write(chunk)
            kind, shape = form.parts(tensor.shape)[part]
            size = -(-int(np.prod(shape)) * (4 if kind in ("u4", "i4") else int(kind[1:])) // 8)
            if file.tell() - begin != size:
                raise RuntimeError(f"{name} has {file.tell() - begin} bytes, not {size}")
            _make_constant(waiting[name], kind, shape, begin, size)
    tree.write(entry, encoding="utf-8", xml_declaration=True)


def _make_constant(layer: ET.Element, kind: str, shape: tuple[int, ...], offset: int, size: int) -> None:
    layer.set("type", "Const")
    data = layer.find("data")
    assert data is not None, "every parameter has its type and shape"
    data.attrib.clear()
    data.attrib |= {
        "element_type": kind,
        "shape": ", ".join(map(str, shape)),
        "offset": str(offset),
        "size": str(size),
    }


class _Inputs:
    """Gives the graph an input for every constant of every weight tensor, decompressed as NNCF writes it."""

    def __init__(
        self, tensors: dict[str, SyntheticTensor], form_of: Callable[[SyntheticTensor], Format]
    ) -> None:
        self._tensors = tensors
        self._form_of = form_of
        self.parameters: list[Any] = []
        self.placed: dict[str, tuple[SyntheticTensor, Format, Part]] = {}

    def weights(self, name: str) -> Any:
        """The tensor as an f32 output."""
        from openvino import opset13 as ops

        tensor = self._tensors[name]
        form = self._form_of(tensor)
        parts = {
            part: self._parameter(
                f"{name}/{part}" if part != "weight" else name, kind, shape, (tensor, form, part)
            )
            for part, (kind, shape) in form.parts(tensor.shape).items()
        }
        if form.kind == "f32":
            return parts["weight"]
        if form.kind == "f16":
            return ops.convert(parts["weight"], "f32")
        values = ops.convert(parts["weight"], "f16")
        if "zero_point" in parts:
            values = ops.subtract(values, ops.convert(parts["zero_point"], "f16"))
        values = ops.multiply(values, parts["scale"])
        if form.group:
            values = ops.reshape(values, ops.constant(np.asarray(tensor.shape), np.int64), False)
        return ops.convert(values, "f32")

    def _parameter(
        self, name: str, kind: str, shape: tuple[int, ...], what: tuple[SyntheticTensor, Format, Part]
    ) -> Any:
        import openvino
        from openvino import opset13 as ops

        node = ops.parameter(openvino.PartialShape(list(shape)), getattr(openvino.Type, kind), name=name)
        node.set_friendly_name(name)
        self.parameters.append(node)
        self.placed[name] = what
        return node
