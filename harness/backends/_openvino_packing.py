"""Weights in the types that NNCF's compression stores, packed as an IR's constants.

Owns: the arithmetic of rounding and the order of bytes. Imports numpy alone. Contract: rows in, bytes out; no row is
larger in memory than a chunk of rows in float32.

A compressed tensor is ``(q - zero_point) * scale``, one scale for a group of weights (int4) or for a row (int8); scales
are float16, and a symmetric mode has no zero points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.worker.synthetic import SyntheticModel, SyntheticTensor, pool, row_order

Part = Literal["weight", "scale", "zero_point"]

#: Rows gathered at once: 4096 rows of 16 thousand columns in 8 bits are 64 MB.
CHUNK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Format:
    """How a tensor is stored.

    Attributes:
        kind: OpenVINO's name of the element type: ``f32``, ``f16``, ``u8``, ``i8``, ``u4``, ``i4``.
        group: weights that share a scale; None: a row does, or nothing where the type is a float.
    """

    kind: str
    group: int | None = None

    @property
    def bits(self) -> int:
        """Of one weight."""
        return int(self.kind[1:])

    @property
    def asymmetric(self) -> bool:
        """Whether there are zero points."""
        return self.kind.startswith("u")

    def parts(self, shape: tuple[int, ...]) -> dict[Part, tuple[str, tuple[int, ...]]]:
        """Element type and shape of each constant of a tensor."""
        if self.kind.startswith("f"):
            return {"weight": (self.kind, shape)}
        rows, columns = shape
        grouped = (rows, columns // self.group, self.group) if self.group else (rows, columns)
        scales = (*grouped[:-1], 1)
        found: dict[Part, tuple[str, tuple[int, ...]]] = {
            "weight": (self.kind, grouped),
            "scale": ("f16", scales),
        }
        if self.asymmetric:
            found["zero_point"] = (self.kind, scales)
        return found

    def quantized(self, rows: npt.NDArray[np.float32]) -> dict[Part, npt.NDArray[np.generic]]:
        """One value an element, unpacked: ``rows: float32[n, columns]`` in this format."""
        if self.kind.startswith("f"):
            return {"weight": rows.astype(f"<f{self.bits // 8}")}
        count, columns = rows.shape
        groups = rows.reshape(count, -1, self.group or columns)
        steps = 2**self.bits
        if not self.asymmetric:
            # NNCF's symmetric modes reach one further on the negative side: the extreme value gets it.
            extreme = np.take_along_axis(groups, np.abs(groups).argmax(-1, keepdims=True), -1)
            scale = (-extreme / (steps / 2)).astype(np.float16)
            q = np.rint(groups / scale.astype(np.float32)).clip(-steps / 2, steps / 2 - 1).astype(np.int8)
            return {"weight": q.reshape(count, columns), "scale": scale.reshape(count, -1)}
        low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
        scale = ((np.maximum(high, 0) - np.minimum(low, 0)) / (steps - 1)).astype(np.float16)
        wide = scale.astype(np.float32)
        zero = np.rint(-np.minimum(low, 0) / wide).clip(0, steps - 1)
        q = (np.rint(groups / wide) + zero).clip(0, steps - 1).astype(np.uint8)
        return {
            "weight": q.reshape(count, columns),
            "scale": scale.reshape(count, -1),
            "zero_point": zero.astype(np.uint8).reshape(count, -1),
        }

    def packed(self, part: Part, values: npt.NDArray[np.generic]) -> bytes:
        """The bytes of a constant's next values; two of 4 bits share a byte, the first in the low half."""
        if part == "scale" or self.bits >= 8:
            return values.tobytes()
        return _halved(values.ravel()).tobytes()


class RandomRows:
    """The seeded random tensors of a synthetic model, rounded once per pool of rows."""

    def __init__(self, model: SyntheticModel) -> None:
        self._model = model
        self._pools: dict[tuple[int, float, Format], Mapping[Part, npt.NDArray[np.generic]]] = {}

    def chunks(self, tensor: SyntheticTensor, form: Format, part: Part) -> Iterator[bytes]:
        """The bytes of one constant of a tensor, in order."""
        if tensor.kind == "norm":
            yield np.ones(tensor.shape, f"<f{form.bits // 8}").tobytes()
            return
        columns = tensor.shape[1]
        key = (columns, tensor.deviation, form)
        if key not in self._pools:
            self._pools[key] = form.quantized(pool(self._model, columns, tensor.deviation))
        values = self._pools[key][part]
        whole = form.bits == 4 and part != "scale" and values.shape[1] % 2 == 0
        # Rows that end with a byte need to be packed once only.
        rows = _halved(values) if whole else values
        order = row_order(self._model, tensor)
        for begin in range(0, len(order), CHUNK_ROWS):
            taken = rows[order[begin : begin + CHUNK_ROWS]]
            yield taken.tobytes() if whole else form.packed(part, taken)


def _halved(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Two values of 4 bits in each byte, along the last axis, which has an even length."""
    nibbles = values.view(np.uint8) & np.uint8(0xF)
    packed: npt.NDArray[np.uint8] = nibbles[..., 0::2] | nibbles[..., 1::2] << np.uint8(4)
    return packed
