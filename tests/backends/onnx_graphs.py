"""Runs in Olive's converter environment: ``onnx_graphs.py FOLDER``, prints what is unread in graphs that onnx wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.backends import _olive_workflow as workflow
from harness.backends import _onnx_graph
from harness.worker.onnx_file import ELEMENT_TYPES, INDICES

KINDS = {number: name for name, number in TensorProto.DataType.items() if name != "UNDEFINED"}


def compare_types() -> None:
    """Every element type of the package is known, and one of a weight takes as many bits as its values do."""
    assert {number: name for number, (name, _) in ELEMENT_TYPES.items()} == KINDS
    for number, (name, bits) in ELEMENT_TYPES.items():
        if name in INDICES:
            continue
        assert bits is not None
        values = np.zeros(16, helper.tensor_dtype_to_np_dtype(number))
        tensor = numpy_helper.from_array(values, "x")
        assert (tensor.data_type, 8 * len(tensor.raw_data)) == (number, 16 * bits), name


def weight(name: str, *dims: int) -> Any:
    """An initialiser in fp32."""
    return numpy_helper.from_array(np.ones(dims, np.float32), name)


def value(name: str, kind: int, *dims: int | None) -> Any:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, dims)


def branch(name: str) -> Any:
    """A graph in a graph that uses the outer one's head."""
    nodes = [helper.make_node("MatMul", ["hidden", "head"], [name])]
    return helper.make_graph(nodes, name, [], [value(name, TensorProto.FLOAT, None, None)])


def save(path: Path, nodes: list[Any], weights: list[Any], **more: Any) -> None:
    """A checked model of a look-up and a projection."""
    inputs = [value("ids", TensorProto.INT64, None), value("hidden", TensorProto.FLOAT, None, 8)]
    inputs.append(value("flag", TensorProto.BOOL))
    outputs = [value(name, TensorProto.FLOAT, None, None) for name in ("rows", "logits")]
    model = helper.make_model(helper.make_graph(nodes, "graph", inputs, outputs, weights))
    onnx.checker.check_model(model)
    onnx.save(model, path, **more)


def main(folder: Path) -> None:
    """Write the graphs, and read them."""
    compare_types()
    table, head, left = weight("table", 500, 8), weight("head", 8, 500), weight("left", 8, 8)
    look_up = helper.make_node("Gather", ["table", "ids"], ["rows"])
    project = helper.make_node("MatMul", ["hidden", "head"], ["logits"])
    tied = [
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["hidden", "turned"], ["logits"]),
    ]
    either = helper.make_node(
        "If", ["flag"], ["logits"], then_branch=branch("then"), else_branch=branch("else")
    )
    beside = {"save_as_external_data": True, "location": "weights.data", "size_threshold": 0}
    save(folder / "apart.onnx", [look_up, project], [table, head])
    save(folder / "left.onnx", [look_up, project], [table, head, left])
    save(folder / "shared.onnx", [look_up, *tied], [table])
    save(folder / "branch.onnx", [look_up, either], [table, head])
    save(folder / "beside.onnx", [look_up, project], [table, head], **beside)
    found = {}
    for path in folder.glob("*.onnx"):
        weights = _onnx_graph.read_weights(path)
        assert sum(weights.bytes.values()) == workflow.count(path, "fp32")["weight_bytes"], path
        found[path.stem] = sorted(weights.unread)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
