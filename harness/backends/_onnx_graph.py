"""Which weights of an ONNX graph a token does not read whole.

Owns which operators look single rows of a table up. Imports the format's reader alone: the user's own environment and
those that run models have no ``onnx`` package. Contract: tensors' bytes are stepped over, never read, so a graph of any
size costs its nodes; any file whatsoever gives either facts or a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.worker.onnx_file import INDICES, OnnxNode, OnnxOutput, onnx_parts

#: Operators that take single rows of a table, and which of their inputs belong to it; the others are indices.
LOOK_UPS: Mapping[str, frozenset[int]] = {
    "Gather": frozenset({0}),
    "GatherBlockQuantized": frozenset({0, 2, 3}),  # rows, scales, zero points
}


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
    """The weights of a graph, with those of the graphs in its branches.

    Args:
        path: of the graph's file; tensors may lie in it or beside it.
        ignored: names of initialisers that are no weights.

    Raises:
        ValueError: the file is no ONNX graph.
    """
    sizes: dict[str, int | None] = {}
    read_whole: set[str] = set()
    for part in onnx_parts(path, whole=False):
        if isinstance(part, OnnxOutput):
            read_whole.add(part.name)
        elif isinstance(part, OnnxNode):
            rows = LOOK_UPS.get(part.operator, frozenset())
            read_whole.update(name for position, name in enumerate(part.inputs) if position not in rows)
        elif part.place != "aside":
            sizes[part.name] = None if part.kind in INDICES else part.size_bytes
    weights = {name: size for name, size in sizes.items() if size is not None and name not in ignored}
    return Weights(weights, frozenset(weights.keys() - read_whole))
