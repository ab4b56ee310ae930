"""The parts of an ONNX file: right sizes, nodes with what they read, and a reason for every file that is not whole."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from pathlib import Path

import onnx_bytes as wire
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.worker.onnx_file import (
    ELEMENT_TYPES,
    OnnxError,
    OnnxNode,
    OnnxOutput,
    OnnxTensor,
    Place,
    onnx_parts,
    onnx_tensors,
)

BITS = {kind: bits for kind, (_, bits) in ELEMENT_TYPES.items() if bits is not None}
#: Fields that newer writers may add, of every wire type.
UNKNOWN = [
    wire.number(90, 1 << 40),
    wire.message(91, b"\x08\x01later"),
    wire.fixed(92, 1.5),
    b"\xe9\x05" + bytes(8),
]

in_folder = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return path


def read(folder: Path, data: bytes) -> list[OnnxTensor]:
    return list(onnx_tensors(written(folder, data)))


def packed(kind: int, elements: int) -> int:
    return -(-elements * BITS[kind] // 8)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[int, list[int], str, bool]:
    """Element type, shape, where the values are, and whether the shape is packed into one field."""
    dims = draw(st.lists(st.integers(0, 5), max_size=4))
    kind = draw(st.sampled_from(sorted(BITS)))
    return kind, dims, draw(st.sampled_from(["raw", "external", "typed"])), draw(st.booleans())


@in_folder
@given(st.lists(tensors(), max_size=6), st.randoms(use_true_random=False))
def test_every_tensor_is_found_with_its_size_wherever_its_values_are(
    tmp_path: Path, wanted: list[tuple[int, list[int], str, bool]], order: random.Random
) -> None:
    beside = bytearray()
    contents, expected = [], []
    for index, (kind, dims, where, packed_dims) in enumerate(wanted):
        elements = 1
        for one in dims:
            elements *= one
        size = packed(kind, elements)
        name = f"weight {index}"
        if where == "raw":
            made = wire.tensor(name, kind, dims, raw=bytes(size), packed_dims=packed_dims)
        elif where == "external":
            beside += bytes(order.randrange(3))
            place: dict[str, str | int] = {
                "location": "model.onnx.data",
                "offset": len(beside),
                "length": size,
            }
            beside += bytes(size)
            made = wire.tensor(name, kind, dims, external=place, packed_dims=packed_dims)
        else:
            made = wire.tensor(
                name, kind, dims, packed_dims=packed_dims, more=wire.message(4, bytes(elements))
            )
        contents.append(order.choice(UNKNOWN) + made + order.choice(UNKNOWN))
        expected.append(OnnxTensor(name, ELEMENT_TYPES[kind][0], elements, size, "graph"))
    (tmp_path / "model.onnx.data").write_bytes(beside)
    assert read(tmp_path, order.choice(UNKNOWN) + wire.model(contents)) == expected


@in_folder
@given(st.data())
def test_a_damaged_file_gives_tensors_or_a_reason_and_never_anything_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = wire.model(
        [
            wire.tensor("a", wire.FLOAT, [3, 2], raw=bytes(24)),
            wire.tensor("b", wire.UINT4, [5], external={"location": "beside", "offset": 2, "length": 3}),
        ],
        nodes=[wire.node(wire.message(5, wire.tensor("", wire.INT64, [1], raw=bytes(8))))],
    )
    (tmp_path / "beside").write_bytes(bytes(5))
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(OnnxError):
        assert all(one.elements >= 0 for one in read(tmp_path, bytes(changed)))


def test_every_cut_inside_the_graph_has_a_reason(tmp_path: Path) -> None:
    head = wire.number(1, 10)
    graph = wire.message(7, wire.message(5, wire.tensor("a", wire.FLOAT, [2, 3], raw=bytes(24))))
    assert [one.size_bytes for one in read(tmp_path, head + graph)] == [24]
    for length in range(len(head + graph)):
        with pytest.raises(OnnxError, match=r"ends inside|no graph"):
            read(tmp_path, (head + graph)[:length])


def test_constants_of_nodes_branches_and_functions_are_told_from_initialisers(tmp_path: Path) -> None:
    def constant(name: str) -> bytes:
        return wire.tensor(name, wire.FLOAT, [1], raw=bytes(4))

    branch = wire.message(5, constant("of a branch")) + wire.message(
        1, wire.node(wire.message(10, constant("deep")))
    )
    function = wire.message(25, wire.message(7, wire.node(wire.message(5, constant("of a function")))))
    data = wire.model(
        [constant("of the graph")],
        nodes=[wire.node(wire.message(5, constant("of a node"))), wire.node(wire.message(6, branch))],
        more=function,
    )
    found = {one.name: one.place for one in read(tmp_path, data)}
    places: dict[str, Place] = dict.fromkeys(["of a node", "deep", "of a function"], "aside")
    assert found == {**places, "of a branch": "branch", "of the graph": "graph"}


def test_nodes_and_outputs_are_those_of_the_graph_and_its_branches_and_of_no_function(tmp_path: Path) -> None:
    def output(name: str) -> bytes:
        return wire.message(12, wire.message(2, b"its type") + wire.message(1, name.encode()))

    def node(operator: str, *inputs: str, more: bytes = b"") -> bytes:
        names = b"".join(wire.message(1, one.encode()) for one in inputs)
        return names + wire.message(2, b"y") + wire.message(4, operator.encode()) + more

    branch = wire.message(1, node("Neg", "w")) + output("y")
    inner = wire.message(5, wire.message(6, branch))
    function = wire.message(25, wire.message(7, node("Exp", "w", more=inner)))
    graph = wire.message(1, node("MatMul", "x", "w")) + wire.message(1, node("If", "flag", more=inner))
    path = written(tmp_path, wire.message(7, graph + output("logits")) + function)
    assert list(onnx_parts(path, whole=True)) == [
        OnnxNode("MatMul", ("x", "w")),
        OnnxNode("Neg", ("w",)),
        OnnxOutput("y"),
        OnnxNode("If", ("flag",)),
        OnnxOutput("logits"),
    ]


def test_bytes_that_are_not_there_matter_where_it_is_asked(tmp_path: Path) -> None:
    absent = wire.tensor("w", wire.FLOAT, [2], external={"location": "absent"})
    path = written(tmp_path, wire.model([absent]))
    assert list(onnx_parts(path, whole=False)) == [OnnxTensor("w", "FLOAT", 2, 8, "graph")]
    with pytest.raises(OnnxError, match="is not there"):
        list(onnx_parts(path, whole=True))


def test_texts_and_empty_tensors_need_no_bytes(tmp_path: Path) -> None:
    texts = wire.tensor("words", wire.STRING, [2], more=wire.message(6, b"a") + wire.message(6, b"b"))
    empty = wire.tensor("empty", wire.FLOAT, [0, 4])
    assert [
        (one.kind, one.elements, one.size_bytes) for one in read(tmp_path, wire.model([texts, empty]))
    ] == [
        ("STRING", 2, None),
        ("FLOAT", 0, 0),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (wire.tensor("w", 99, [1], raw=b"1"), "unknown type 99"),
        (wire.tensor("w", wire.FLOAT, [2], raw=bytes(4)), "4 of 8 bytes"),
        (wire.tensor("w", wire.FLOAT, [2]), "taken out"),
        (wire.tensor("w", wire.FLOAT, [1], raw=bytes(4), more=wire.message(3, b"")), "segment"),
        (wire.tensor("w", wire.FLOAT, [1 << 63], raw=bytes(4)), "no possible shape"),
        (wire.tensor("w", wire.FLOAT, [1] * 65, raw=bytes(4)), "no possible shape"),
        (wire.tensor("w" * 70_000, wire.FLOAT, [1], raw=bytes(4)), "name of 70,000 bytes"),
        (wire.tensor("", wire.FLOAT, [1], raw=bytes(4), more=wire.message(8, b"\xff\xfe")), "can't decode"),
        (wire.tensor("w", wire.UINT8, [4], external={"location": "absent"}), "absent.* is not there"),
        (wire.tensor("w", wire.UINT8, [4], external={"location": "short"}), "short ends before"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "short", "offset": 1}), "short ends before"),
        (
            wire.tensor("w", wire.UINT8, [3], external={"location": "short", "length": 2}),
            "says 2 bytes and has 3",
        ),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "short", "offset": -4}), "says 3 bytes"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "short", "offset": "x"}), "no place"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": ""}), "no file below"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "../short"}), "no file below"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "/etc/passwd"}), "no file below"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "C:\\short"}), "no file below"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "a\0b"}), "a.*b|not there"),
        (wire.tensor("w", wire.UINT8, [3], external={"location": "."}), "no file below"),
    ],
)
def test_a_tensor_that_is_not_understood_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "short").write_bytes(bytes(3))
    with pytest.raises(OnnxError, match=said):
        read(tmp_path, wire.model([content]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no graph"),
        (b"<html>nothing of the kind</html>" * 10, "no protobuf|ends inside"),
        (b"\x1c\x00\x00\x00ORTM" + bytes(100), "no protobuf|ends inside"),
        (wire.number(1, 10) + b"\xff" * 11, "ten bytes"),
        (wire.model() + wire.message(0, b""), "no protobuf"),
        (wire.number(1, 10) + wire.message(7, wire.message(15, b"")), "sparse"),
        (wire.model(nodes=[wire.node(wire.message(22, b""))]), "sparse"),
    ],
)
def test_a_file_that_is_not_understood_says_why(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(OnnxError, match=said):
        read(tmp_path, data)


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(60):
        graph = wire.message(1, wire.node(wire.message(6, graph)))
    with pytest.raises(OnnxError, match="nested"):
        read(tmp_path, wire.message(7, graph))


def test_a_large_tensor_is_passed_over_and_never_held(tmp_path: Path) -> None:
    size = 1 << 28
    path = tmp_path / "model.onnx"
    raw = wire.varint(9 << 3 | 2) + wire.varint(size)
    head = wire.tensor("w", wire.UINT8, [size]) + raw
    tensor = wire.varint(5 << 3 | 2) + wire.varint(len(head) + size) + head
    with path.open("wb") as file:  # sparse: nothing of it is written
        file.write(wire.number(1, 10) + wire.varint(7 << 3 | 2) + wire.varint(len(tensor) + size) + tensor)
        file.truncate(file.tell() + size)
    tracemalloc.start()
    try:
        assert [one.size_bytes for one in onnx_tensors(path)] == [size]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
