"""The float tensors and the hyper-parameters of a GGUF file, read with numpy alone.

Owns: the container format (version 2 and 3, little-endian) as far as F32 and F16 tensors go. Contract: tensors are
views of the mapped file, never copies; anything else than what is known raises `ValueError` with the file's name.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_FLOATS: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
#: GGUF's type numbers of scalar values; 8 is a string, 9 an array.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class GGUF:
    """What a file holds.

    Attributes:
        metadata: keys and values; arrays (the vocabulary) are left out.
        tensors: by GGUF's names, in the order of rows: ``[rows, columns]``.
    """

    metadata: dict[str, Any]
    tensors: dict[str, npt.NDArray[Any]]

    def hyper(self, key: str, default: Any = None) -> Any:
        """A value below the architecture's prefix."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}", default)


def read(path: Path) -> GGUF:
    """Metadata and mapped tensors of ``path``.

    Raises:
        ValueError: no GGUF file of a known version, or a tensor that is neither F32 nor F16.
    """
    with path.open("rb") as file:
        magic, version = struct.unpack("<4sI", file.read(8))
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path.name} is no GGUF file of version 2 or 3")
        tensor_count, key_count = struct.unpack("<QQ", file.read(16))
        metadata = {}
        for _ in range(key_count):
            key = _string(file)
            value = _value(file, _scalar(file, "<I"))
            if value is not None:
                metadata[key] = value
        described = [_described(file, path) for _ in range(tensor_count)]
        alignment = int(metadata.get("general.alignment", 32))
        start = -(-file.tell() // alignment) * alignment
    tensors: dict[str, npt.NDArray[Any]] = {
        name: np.memmap(path, dtype=kind, mode="r", offset=start + offset, shape=shape)
        for name, kind, shape, offset in described
    }
    return GGUF(metadata, tensors)


def _described(file: BinaryIO, path: Path) -> tuple[str, np.dtype[Any], tuple[int, ...], int]:
    name = _string(file)
    dimensions = _scalar(file, "<I")
    # The fastest axis comes first in the file, last in numpy.
    shape = tuple(_scalar(file, "<Q") for _ in range(dimensions))[::-1]
    kind, offset = _scalar(file, "<I"), _scalar(file, "<Q")
    if kind not in _FLOATS:
        raise ValueError(f"tensor {name} of {path.name} is of GGML type {kind}, neither F32 nor F16")
    return name, _FLOATS[kind], shape, offset


def _scalar(file: BinaryIO, code: str) -> Any:
    return struct.unpack(code, file.read(struct.calcsize(code)))[0]


def _string(file: BinaryIO) -> str:
    return file.read(_scalar(file, "<Q")).decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> Any:
    """A metadata value; None for arrays, which are read past."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _scalar(file, _SCALARS[kind])
    item, count = _scalar(file, "<I"), _scalar(file, "<Q")
    if item in _SCALARS:
        file.seek(count * struct.calcsize(_SCALARS[item]), 1)
    else:
        for _ in range(count):
            _value(file, item)
    return None
