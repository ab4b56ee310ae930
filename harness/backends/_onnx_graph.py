"""What an ONNX graph's file says of its weights, and which of them a token does not read.

Owns reading the few fields of the format that this takes: names, shapes and element types of initialisers, and which
nodes use them. Imports nothing but the standard library: the user's own environment and those that run models have no
``onnx`` package. Contract: tensors' bytes are stepped over, never read, so a graph of any size costs its nodes; any
file whatsoever gives either facts or a `ValueError`.
"""

from __future__ import annotations

import math
import mmap
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Bits of an element of each type of ``TensorProto.DataType`` that weights may have (a test compares it with ``onnx``).
ELEMENT_BITS: Mapping[int, int] = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8,
    20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2, 27: 6, 28: 6,
}  # fmt: skip

#: Types that hold shapes, indices, texts and booleans: INT32, INT64, STRING, BOOL.
INDICES = frozenset({6, 7, 8, 9})

#: Operators that take single rows of a table, and which of their inputs belong to it; the others are indices.
LOOK_UPS: Mapping[str, frozenset[int]] = {
    "Gather": frozenset({0}),
    "GatherBlockQuantized": frozenset({0, 2, 3}),  # rows, scales, zero points
}

# Numbers of fields in the format's ``onnx.proto``.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALISER, _GRAPH_OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 4, 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME = 1, 2, 8
_OUTPUT_NAME = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
#: A graph in a branch of a graph: models have one or two levels.
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Weights:
    """The initialisers of a graph that are weights.

    Attributes:
        bytes: of each, by name.
        unread: names of those that a token does not read whole: tables of which it looks single rows up, and
            initialisers that no node uses.
    """

    bytes: Mapping[str, int]
    unread: frozenset[str]

    @property
    def unread_bytes(self) -> int:
        """Bytes of those that a token does not read whole."""
        return sum(self.bytes[name] for name in self.unread)


def read_weights(path: Path, ignored: Collection[str] = ()) -> Weights:
    """The weights of a graph.

    Args:
        path: of the graph's file; tensors may lie in it or beside it.
        ignored: names of initialisers that are no weights.

    Raises:
        ValueError: the file is no ONNX graph.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graphs = [place for number, place in _messages(data, 0, len(data)) if number == _MODEL_GRAPH]
        if len(graphs) != 1:
            raise ValueError(f"{path.name} is no ONNX model")
        found = _Graph(data)
        found.read(*graphs[0], depth=0)
    weights = {name: size for name, size in found.sizes.items() if size is not None and name not in ignored}
    unread = {name for name in weights if name not in found.outputs and not found.read_whole[name]}
    return Weights(weights, frozenset(unread))


class _Graph:
    """Initialisers and their uses, of a graph with those in its branches."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        #: None: no weight.
        self.sizes: dict[str, int | None] = {}
        self.outputs: set[str] = set()
        self.read_whole: defaultdict[str, bool] = defaultdict(bool)

    def read(self, begin: int, end: int, *, depth: int) -> None:
        """Take a graph's initialisers, nodes and outputs in."""
        if depth > _DEPTH:
            raise ValueError("graphs within graphs have no end")
        for number, place in _messages(self._data, begin, end):
            if number == _GRAPH_NODE:
                self._node(*place, depth=depth)
            elif number == _GRAPH_INITIALISER:
                self._initialiser(*place)
            elif number == _GRAPH_OUTPUT:
                self.outputs |= {
                    self._text(*inner)
                    for field, inner in _messages(self._data, *place)
                    if field == _OUTPUT_NAME
                }

    def _node(self, begin: int, end: int, *, depth: int) -> None:
        inputs: list[str] = []
        operator = ""
        for number, place in _messages(self._data, begin, end):
            if number == _NODE_INPUT:
                inputs.append(self._text(*place))
            elif number == _NODE_OPERATOR:
                operator = self._text(*place)
            elif number == _NODE_ATTRIBUTE:
                for field, inner in _messages(self._data, *place):
                    if field in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                        self.read(*inner, depth=depth + 1)
        rows = LOOK_UPS.get(operator, frozenset())
        for position, name in enumerate(inputs):
            if position not in rows:
                self.read_whole[name] = True

    def _initialiser(self, begin: int, end: int) -> None:
        name, kind = "", 0
        dims: list[int] = []
        for number, wire, place in _fields(self._data, begin, end):
            if number == _TENSOR_NAME and wire == _BYTES:
                name = self._text(*place)
            elif number == _TENSOR_TYPE and wire == _VARINT:
                kind = _varint(self._data, *place)[0]
            elif number == _TENSOR_DIMS and wire == _VARINT:
                dims.append(_varint(self._data, *place)[0])
            elif number == _TENSOR_DIMS and wire == _BYTES:  # packed
                at, stop = place
                while at < stop:
                    dim, at = _varint(self._data, at, stop)
                    dims.append(dim)
        if kind in INDICES:
            self.sizes[name] = None
            return
        if kind not in ELEMENT_BITS:
            raise ValueError(f"{name} has elements of an unknown type {kind}")
        self.sizes[name] = -(-math.prod(dims) * ELEMENT_BITS[kind] // 8)

    def _text(self, begin: int, end: int) -> str:
        return self._data[begin:end].decode("utf-8")


# -- protobuf's wire format -------------------------------------------------------------------------------------------


def _messages(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number and place of each field that is a message or a text."""
    return ((number, place) for number, wire, place in _fields(data, begin, end) if wire == _BYTES)


def _fields(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Number, wire type and place of each field of a message that lies between two offsets."""
    at = begin
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            stop = _varint(data, at, end)[1]
        elif wire == _BYTES:
            length, at = _varint(data, at, end)
            stop = at + length
        elif wire in (_FIXED32, _FIXED64):
            stop = at + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"no protobuf: wire type {wire} at {at}")
        if stop > end:
            raise ValueError(f"no protobuf: the field at {at} ends behind what it is in")
        yield number, wire, (at, stop)
        at = stop


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A whole number and the offset behind it."""
    value = 0
    for index in range(_VARINT_BYTES):
        if at + index >= end:
            raise ValueError(f"no protobuf: the number at {at} does not end")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError(f"no protobuf: the number at {at} is too long")
