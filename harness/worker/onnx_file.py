"""What an ONNX file holds: its tensors' types, shapes and bytes, never a value, and which nodes use them.

Owns walking the protobuf wire format of the few messages that lead there, for both halves. Imports the standard library
alone: the ``onnx`` package is in the environments of some frameworks only. Contract: any file whatsoever gives its
parts, or an `OnnxError` that says what is not understood; memory stays bounded, as a tensor's bytes are passed over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, Literal

#: ONNX's element types: number -> name, bits of an element; a text has no bits (the format's own table; a test compares
#: it with ``onnx``).
ELEMENT_TYPES: Mapping[int, tuple[str, int | None]] = {
    1: ("FLOAT", 32), 2: ("UINT8", 8), 3: ("INT8", 8), 4: ("UINT16", 16), 5: ("INT16", 16), 6: ("INT32", 32),
    7: ("INT64", 64), 8: ("STRING", None), 9: ("BOOL", 8), 10: ("FLOAT16", 16), 11: ("DOUBLE", 64), 12: ("UINT32", 32),
    13: ("UINT64", 64), 14: ("COMPLEX64", 64), 15: ("COMPLEX128", 128), 16: ("BFLOAT16", 16),
    17: ("FLOAT8E4M3FN", 8), 18: ("FLOAT8E4M3FNUZ", 8), 19: ("FLOAT8E5M2", 8), 20: ("FLOAT8E5M2FNUZ", 8),
    21: ("UINT4", 4), 22: ("INT4", 4), 23: ("FLOAT4E2M1", 4), 24: ("FLOAT8E8M0", 8), 25: ("UINT2", 2), 26: ("INT2", 2),
    27: ("FLOAT6E2M3", 6), 28: ("FLOAT6E3M2", 6),
}  # fmt: skip

#: Those that hold shapes, indices, texts and booleans: no weights.
INDICES = frozenset({"INT64", "INT32", "BOOL", "STRING"})

# Wire types.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}

# Field numbers of the messages that are read (onnx.proto).
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_FUNCTION_NODE = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 12, 15
_OUTPUT_NAME = 1
_NODE_INPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 4, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 3, 8, 9, 13, 14
#: float_data, int32_data, string_data, int64_data, double_data, uint64_data.
_TYPED_DATA = frozenset({4, 5, 6, 7, 10, 11})
_KEY, _VALUE = 1, 2
_EXTERNAL = 1

#: Of the file at a time: a seek beyond it reads it anew, so it is small.
_BUFFER_BYTES = 1 << 14
_NAME_BYTES = 1 << 16
_MAX_DIMENSIONS = 64
_GRAPH_DEPTH = 16


#: ``graph``: an initialiser of the model's graph. ``branch``: one of a graph inside a node of it. ``aside``: a constant
#: of a node, or anything inside a function.
Place = Literal["graph", "branch", "aside"]


class OnnxError(ValueError):
    """The file is not understood; the message says why."""


@dataclass(frozen=True, slots=True)
class OnnxTensor:
    """One constant of a model.

    Attributes:
        name: as the graph has it; of a node's own constant often empty.
        kind: element type, as in `ELEMENT_TYPES`.
        elements: how many it has.
        size_bytes: what they take, packed; None of texts.
        place: where it stands.
    """

    name: str
    kind: str
    elements: int
    size_bytes: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node of a model's graph, or of a branch: its operator, and the names of its inputs in their order."""

    operator: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnnxOutput:
    """What a model's graph, or a branch, gives: its name."""

    name: str


OnnxPart = OnnxTensor | OnnxNode | OnnxOutput


@dataclass(slots=True)
class _Tensor:
    """A tensor's message, as far as it was read."""

    name: str = ""
    kind: int = 0
    dims: list[int] = field(default_factory=list)
    raw_bytes: int | None = None
    typed: bool = False
    external: bool = False
    place: dict[str, str] = field(default_factory=dict)


def onnx_tensors(path: Path) -> Iterator[OnnxTensor]:
    """Every constant of a model, all of whose bytes are there; those in files of their own are looked for there.

    Raises:
        OnnxError: it is no ONNX model, not all of it is there, or it holds what is not understood.
        OSError: it cannot be read.
    """
    return (part for part in onnx_parts(path, whole=True) if isinstance(part, OnnxTensor))


def onnx_parts(path: Path, *, whole: bool) -> Iterator[OnnxPart]:
    """Every constant of a model, and the nodes and outputs of its graph and its branches, in the file's order.

    Args:
        path: of the model.
        whole: look also whether the bytes of every constant are there, in the file or beside it.

    Raises:
        OnnxError: it is no ONNX model, or it holds what is not understood; with ``whole`` also: not all of it is there.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        yield from _Walk(path.parent, file, whole=whole).model()


class _Walk:
    """One pass over a file, from the beginning to the end."""

    def __init__(self, folder: Path, file: BinaryIO, *, whole: bool) -> None:
        self._folder = folder
        self._file = file
        self._whole = whole
        self._at = 0  # where the file stands: asking it takes a system call each time
        self._end = os.fstat(file.fileno()).st_size
        self._sizes: dict[str, int] = {}

    # -- the wire format ----------------------------------------------------------------------------------------------

    def _take(self, count: int, end: int) -> bytes:
        taken = self._file.read(count) if self._at + count <= end else b""
        if len(taken) < count:
            raise OnnxError("it ends inside a number or a name")
        self._at += count
        return taken

    def _varint(self, end: int) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._take(1, end)
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise OnnxError("it has a number of more than ten bytes")

    def _fields(self, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, wire type, and the value or the length of each field until ``end``.

        While a field with a length is looked at the file stands at its first byte; afterwards it is passed over.
        """
        while (start := self._at) < end:
            key = self._varint(end)
            number, wire = key >> 3, key & 7
            if number == 0 or wire not in (_VARINT, _BYTES, *_FIXED):
                raise OnnxError(f"it is no protobuf message at byte {start:,}")
            if wire == _VARINT:
                yield number, wire, self._varint(end)
                continue
            length = self._varint(end) if wire == _BYTES else _FIXED[wire]
            after = self._at + length
            if after > end:
                raise OnnxError(f"it ends inside what begins at byte {start:,}")
            yield number, wire, length
            if self._at != after:
                self._file.seek(after)
                self._at = after

    def _messages(self, end: int) -> Iterator[tuple[int, int]]:
        """Number and end of each field with a length."""
        for number, wire, length in self._fields(end):
            if wire == _BYTES:
                yield number, self._at + length

    def _text(self, length: int) -> str:
        if length > _NAME_BYTES:
            raise OnnxError(f"it has a name of {length:,} bytes")
        try:
            return self._take(length, self._at + length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise OnnxError(f"it has a name that is no text: {error}") from error

    # -- the messages -------------------------------------------------------------------------------------------------

    def model(self) -> Iterator[OnnxPart]:
        """Of the whole file."""
        graphs = 0
        for number, end in self._messages(self._end):
            if number == _MODEL_GRAPH:
                graphs += 1
                yield from self._graph(end, 0, "graph")
            elif number == _MODEL_FUNCTION:
                for part, part_end in self._messages(end):
                    if part == _FUNCTION_NODE:
                        yield from self._node(part_end, 1, "aside")
        if not graphs:
            raise OnnxError("it holds no graph")

    def _graph(self, end: int, depth: int, place: Place) -> Iterator[OnnxPart]:
        """``place``: of its initialisers. Inside a function names are the function's own: no node or output counts."""
        if depth > _GRAPH_DEPTH:
            raise OnnxError("its graphs are nested too deeply")
        for number, part_end in self._messages(end):
            if number == _GRAPH_INITIALIZER:
                yield self._tensor(part_end, place)
            elif number == _GRAPH_NODE:
                yield from self._node(part_end, depth + 1, place)
            elif number == _GRAPH_OUTPUT and place != "aside":
                for part, length_end in self._messages(part_end):
                    if part == _OUTPUT_NAME:
                        yield OnnxOutput(self._text(length_end - self._at))
            elif number == _GRAPH_SPARSE:
                raise OnnxError("it holds sparse tensors")

    def _node(self, end: int, depth: int, place: Place) -> Iterator[OnnxPart]:
        """``place``: of the initialisers of the graph that it is in."""
        operator = ""
        inputs: list[str] = []
        for number, part_end in self._messages(end):
            if number == _NODE_ATTRIBUTE:
                yield from self._attribute(part_end, depth, "aside" if place == "aside" else "branch")
            elif place == "aside":
                continue
            elif number == _NODE_OPERATOR:
                operator = self._text(part_end - self._at)
            elif number == _NODE_INPUT:
                inputs.append(self._text(part_end - self._at))
        if place != "aside":
            yield OnnxNode(operator, tuple(inputs))

    def _attribute(self, end: int, depth: int, inside: Place) -> Iterator[OnnxPart]:
        """``inside``: the place of initialisers of a graph in it."""
        for number, part_end in self._messages(end):
            if number in _ATTRIBUTE_TENSORS:
                yield self._tensor(part_end, "aside")
            elif number in _ATTRIBUTE_GRAPHS:
                yield from self._graph(part_end, depth, inside)
            elif number in _ATTRIBUTE_SPARSE:
                raise OnnxError("it holds sparse tensors")

    def _tensor(self, end: int, place: Place) -> OnnxTensor:
        read = _Tensor()
        for number, wire, value in self._fields(end):
            if number == _DIMS:
                self._read_dims(read, wire, value)
            elif wire == _VARINT:
                if number == _DATA_TYPE:
                    read.kind = value
                elif number == _DATA_LOCATION:
                    read.external = value == _EXTERNAL
                elif number in _TYPED_DATA:
                    read.typed = True
            elif number == _NAME and wire == _BYTES:
                read.name = self._text(value)
            elif number == _RAW_DATA and wire == _BYTES:
                read.raw_bytes = value
            elif number == _EXTERNAL_DATA and wire == _BYTES:
                self._read_entry(read, self._at + value)
            elif number == _SEGMENT:
                raise OnnxError(f"its tensor {read.name!r} is a segment of another")
            elif number in _TYPED_DATA:
                read.typed = True
        return self._known(read, place)

    def _read_dims(self, read: _Tensor, wire: int, value: int) -> None:
        """One dimension, or several packed into one field."""
        if wire == _VARINT:
            read.dims.append(value)
        elif wire == _BYTES:
            end = self._at + value
            while self._at < end and len(read.dims) <= _MAX_DIMENSIONS:
                read.dims.append(self._varint(end))
        if len(read.dims) > _MAX_DIMENSIONS or max(read.dims, default=0) >> 63:
            raise OnnxError(f"its tensor {read.name!r} has no possible shape")

    def _read_entry(self, read: _Tensor, end: int) -> None:
        """A word on where the bytes of a tensor are, such as ``offset`` and its value."""
        words = {_KEY: "", _VALUE: ""}
        for number, wire, length in self._fields(end):
            if number in words and wire == _BYTES:
                words[number] = self._text(length)
        read.place[words[_KEY]] = words[_VALUE]

    def _known(self, read: _Tensor, place: Place) -> OnnxTensor:
        known = ELEMENT_TYPES.get(read.kind)
        if known is None:
            raise OnnxError(f"its tensor {read.name!r} has elements of unknown type {read.kind}")
        kind, bits = known
        elements = math.prod(read.dims)
        size = None if bits is None else -(-elements * bits // 8)
        if self._whole and size:
            self._check_bytes(read, size)
        return OnnxTensor(read.name, kind, elements, size, place)

    # -- whether all of it is there -----------------------------------------------------------------------------------

    def _check_bytes(self, read: _Tensor, size: int) -> None:
        if read.external:
            self._check_place(read, size)
        elif read.raw_bytes is not None:
            if read.raw_bytes != size:
                raise OnnxError(f"its tensor {read.name!r} has {read.raw_bytes:,} of {size:,} bytes")
        elif not read.typed:
            raise OnnxError(f"its tensor {read.name!r} has no values: they were taken out")

    def _check_place(self, read: _Tensor, size: int) -> None:
        """That ``size`` bytes of a tensor are where it says, in a file below the model's folder."""
        location = read.place.get("location", "")
        try:
            offset = int(read.place.get("offset") or 0)
            length = int(read.place.get("length") or size)
        except ValueError as error:
            raise OnnxError(f"its tensor {read.name!r} says no place: {error}") from error
        if length != size or offset < 0:
            raise OnnxError(f"its tensor {read.name!r} says {length:,} bytes and has {size:,}")
        if offset + size > self._size_of(location):
            raise OnnxError(f"{location} ends before the bytes of its tensor {read.name!r}")

    def _size_of(self, location: str) -> int:
        """Bytes of a file that the model names."""
        if location not in self._sizes:
            # The strictest rules: a drive, a root and both kinds of slash.
            place = PureWindowsPath(location)
            if not place.parts or place.anchor or ".." in place.parts:
                raise OnnxError(f"it names {location!r}, which is no file below its folder")
            file = self._folder.joinpath(*place.parts)
            try:
                size = file.stat().st_size if file.is_file() else None
            except ValueError as error:  # such as a zero byte in the name
                raise OnnxError(f"it names {location!r}: {error}") from error
            if size is None:
                raise OnnxError(f"{location}, which holds its weights, is not there")
            self._sizes[location] = size
        return self._sizes[location]
