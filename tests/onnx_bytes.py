"""ONNX files written byte by byte, for tests: no onnx package is needed, and every odd spelling can be had."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

FLOAT, UINT8, INT64, STRING, FLOAT16, UINT4, INT2 = 1, 2, 7, 8, 10, 21, 26


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def number(field: int, value: int) -> bytes:
    """A field that is a number."""
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    """A field with a length: a message, a text or bytes."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def fixed(field: int, value: float) -> bytes:
    """A field of four bytes."""
    return varint(field << 3 | 5) + struct.pack("<f", value)


def entry(key: str, value: str | int) -> bytes:
    """One word on where a tensor's bytes are."""
    return message(13, message(1, key.encode()) + message(2, str(value).encode()))


def tensor(
    name: str,
    kind: int,
    dims: Sequence[int],
    *,
    raw: bytes | None = None,
    external: Mapping[str, str | int] | None = None,
    packed_dims: bool = False,
    more: bytes = b"",
) -> bytes:
    """The content of a TensorProto."""
    if packed_dims:
        made = message(1, b"".join(varint(one) for one in dims))
    else:
        made = b"".join(number(1, one) for one in dims)
    made += number(2, kind) + message(8, name.encode())
    if raw is not None:
        made += message(9, raw)
    if external is not None:
        made += b"".join(entry(key, value) for key, value in external.items()) + number(14, 1)
    return made + more


def model(initializers: Sequence[bytes] = (), *, nodes: Sequence[bytes] = (), more: bytes = b"") -> bytes:
    """A whole file: what a producer writes before the graph, the graph, and the operator sets after it."""
    graph = b"".join(message(1, one) for one in nodes) + message(2, b"main_graph")
    graph += b"".join(message(5, one) for one in initializers)
    return number(1, 10) + message(2, b"by hand") + message(7, graph) + message(8, number(2, 21)) + more


def node(*attributes: bytes) -> bytes:
    """The content of a NodeProto with these attributes."""
    head = message(1, b"x") + message(2, b"y") + message(4, b"Constant")
    return head + b"".join(message(5, message(1, b"value") + one) for one in attributes)
