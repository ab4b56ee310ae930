"""Which weights of an ONNX graph a token reads, on graphs written byte by byte (`test_olive_real`: by onnx itself)."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_bytes as wire
import pytest
from onnx_bytes import FLOAT, INT64, UINT4, UINT8, message, number

from harness.backends import _onnx_graph
from harness.backends.directml import DirectML
from harness.backends.olive import Olive


def tensor(name: str, kind: int, *dims: int) -> bytes:
    """An initialiser of a graph, without its bytes."""
    return message(5, wire.tensor(name, kind, dims))


def node(operator: str, *inputs: str, branch: bytes = b"") -> bytes:
    """A node of a graph, perhaps with a graph of its own."""
    attribute = message(5, message(1, b"then_branch") + message(6, branch)) if branch else b""
    names = b"".join(message(1, name.encode()) for name in inputs)
    return message(1, names + message(4, operator.encode()) + attribute)


def write(path: Path, *parts: bytes) -> Path:
    """A file of a graph of these parts."""
    # The version in front, the operator sets behind: fields that are none of ours.
    path.write_bytes(number(1, 10) + message(7, b"".join(parts)) + message(8, number(2, 21)))
    return path


TABLE = tensor("table", FLOAT, 100, 8)
HEAD = tensor("head", FLOAT, 8, 100)
LOOK_UP, PROJECTION = node("Gather", "table", "ids"), node("MatMul", "hidden", "head")


@pytest.mark.parametrize(
    ("parts", "unread"),
    [
        ((TABLE, HEAD, LOOK_UP, PROJECTION), {"table"}),
        # Tied in the graph: the same table, turned round.
        ((TABLE, LOOK_UP, node("Transpose", "table")), set()),
        ((TABLE, node("MatMul", "table", "table")), set()),
        # A pass replaced the matrix by a packed one, and left it.
        ((TABLE, HEAD, LOOK_UP), {"table", "head"}),
        # Of a look-up, the indices are read.
        ((TABLE, node("Gather", "hidden", "table")), set()),
        # A table whose rows are used outside is the graph's answer.
        ((TABLE, message(12, message(1, b"table"))), set()),
        ((TABLE, HEAD, node("If", "flag", branch=PROJECTION), LOOK_UP), {"table"}),
        ((TABLE, node("If", "flag", branch=TABLE + LOOK_UP)), {"table"}),
    ],
)
def test_what_is_only_looked_up_in_or_not_used_at_all_is_not_read(
    tmp_path: Path, parts: tuple[bytes, ...], unread: set[str]
) -> None:
    found = _onnx_graph.read_weights(write(tmp_path / "model.onnx", *parts))
    assert found.unread == unread
    assert found.unread_bytes == 3200 * len(unread)


def test_a_packed_table_is_its_rows_scales_and_zero_points(tmp_path: Path) -> None:
    parts = [tensor("rows", UINT8, 100, 16), tensor("scales", FLOAT, 100, 1), tensor("zeros", UINT4, 5, 3, 1)]
    look_up = node("GatherBlockQuantized", "rows", "ids", "scales", "zeros")
    found = _onnx_graph.read_weights(write(tmp_path / "model.onnx", *parts, look_up))
    # 15 elements of four bits take eight bytes.
    assert found.bytes == {"rows": 1600, "scales": 400, "zeros": 8}
    assert found.unread_bytes == 2008
    as_indices = node("GatherBlockQuantized", "other", "rows", "scales", "zeros")
    assert _onnx_graph.read_weights(write(tmp_path / "b.onnx", *parts, as_indices)).unread == {
        "scales",
        "zeros",
    }


def test_shapes_and_what_the_caller_leaves_out_are_no_weights(tmp_path: Path) -> None:
    parts = [TABLE, tensor("shape", INT64, 3), tensor("cos_cache", FLOAT, 64, 4), LOOK_UP]
    found = _onnx_graph.read_weights(write(tmp_path / "model.onnx", *parts), {"cos_cache"})
    assert found.bytes == {"table": 3200}


def test_dimensions_may_be_packed_and_tensors_lie_in_the_file(tmp_path: Path) -> None:
    part = message(5, wire.tensor("table", FLOAT, [300, 8], raw=bytes(9600), packed_dims=True))
    assert _onnx_graph.read_weights(write(tmp_path / "model.onnx", part)).bytes == {"table": 9600}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no graph"),
        (b"no graph at all", "no protobuf"),
        (number(1, 10), "no graph"),
        (message(7, TABLE)[:-1], "ends inside what begins at"),
        (message(7, b"\x0f"), "no protobuf"),
        (message(7, b"\xff" * 12), "more than ten bytes"),
        (message(7, b"\xff"), "ends inside a number"),
        (message(7, tensor("odd", 99, 2)), "unknown type 99"),
        (message(7, message(5, message(8, b"\xff\xfe") + number(2, FLOAT))), "decode"),
    ],
)
def test_a_file_that_is_no_graph_is_a_value_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        _onnx_graph.read_weights(path)


def test_graphs_within_graphs_have_an_end(tmp_path: Path) -> None:
    inner = LOOK_UP
    for _ in range(40):
        inner = node("If", "flag", branch=inner)
    with pytest.raises(ValueError, match="nested too deeply"):
        _onnx_graph.read_weights(write(tmp_path / "model.onnx", inner))


@pytest.mark.parametrize("backend", [Olive, DirectML])
def test_an_artifact_tells_it_of_the_graph_that_its_configuration_names(
    tmp_path: Path, backend: type[Olive]
) -> None:
    assert backend.may_hold_unread
    assert backend.unread_weight_bytes(tmp_path) is None, "an empty folder"
    config = {"model": {"decoder": {"filename": "decoder.onnx"}}}
    (tmp_path / "genai_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "decoder.onnx").write_bytes(b"no graph")
    assert backend.unread_weight_bytes(tmp_path) is None
    write(tmp_path / "decoder.onnx", TABLE, HEAD, tensor("sin_cache", FLOAT, 64, 4), LOOK_UP, PROJECTION)
    assert backend.unread_weight_bytes(tmp_path) == 3200
