"""The quality reference's distributions on disk: every log-probability, or a sketch of each position.

Owns both files, how they are written and checked, and the divergence of a block of logits from the next positions of
either. Imports numpy and `harness.worker.sketch`. Contract: positions in order of windows; a file is complete and on
disk, or removed; what is read is bounded by the block that is compared (nothing is mapped or held whole).

The exact file is a ``.npy`` of ``float32[positions, vocab]``. A sketch file is one line of JSON (`_FORMAT`, the
vocabulary, positions and shape) and then one record of `SketchShape.dtype` a position.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from harness.worker.sketch import Floats, SketchShape, divergence, sketch

_FORMAT = "edgebench reference sketch 1"
#: Of the tokens that a sketch draws: fixed, so that a reference is the same wherever it is computed.
_SEED = 20260101


@dataclass(frozen=True, slots=True)
class Compared:
    """A block of positions beside the reference.

    Attributes:
        kld: divergence from the reference in nats, ``float64[rows]``.
        top: the reference's most likely token, ``int[rows]``.
        target_logp: the reference's log-probability of the token that came next, ``float64[rows]``.
    """

    kld: Floats
    top: npt.NDArray[np.intp]
    target_logp: Floats


def kl_divergence(reference: Floats, other: Floats) -> Floats:
    """KLD(reference || other) in nats for each row of two ``[rows, vocab]`` arrays of log-probabilities.

    Summed as ``1 + sum p (d - 1)`` with ``d = log p - log q``: where both sum to one (``other`` must) this equals the
    textbook ``sum p d``, but it is of second order in ``d``. The rounding of the stored reference (float32) then does
    not appear as a divergence of its own, positive or negative.
    """
    difference = reference - other
    difference -= 1.0
    divergence_ = 1.0 + np.einsum("rv,rv->r", np.exp(reference), difference)
    # The last bits of a sum of ones may fall below zero; a divergence cannot.
    return np.asarray(np.maximum(divergence_, 0.0), dtype=np.float64)


class ReferenceWriter:
    """Writes the reference block by block; without `finish` the file is removed.

    Args:
        path: file to write.
        positions: rows that will be written.
        vocab_size: width of a row.
        exact: every log-probability, else sketches.
    """

    def __init__(self, path: Path, positions: int, vocab_size: int, *, exact: bool) -> None:
        self._path = path
        self._left = positions
        self._written = 0
        self._shape = None if exact else SketchShape.of(vocab_size)
        self._file = path.open("wb")
        if self._shape is None:
            np.lib.format.write_array_header_1_0(
                self._file, {"descr": "<f4", "fortran_order": False, "shape": (positions, vocab_size)}
            )
        else:
            header = {
                "format": _FORMAT,
                "vocab_size": vocab_size,
                "positions": positions,
                "exact": self._shape.exact,
                "drawn": self._shape.drawn,
            }
            self._file.write(json.dumps(header).encode() + b"\n")
        self._complete = False

    def __enter__(self) -> ReferenceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._complete:
            self._path.unlink(missing_ok=True)

    def write(self, log_p: Floats, targets: npt.NDArray[Any]) -> None:
        """Append ``log_p: [rows, vocab]``, log-probabilities in nats, with the tokens that came next."""
        if self._shape is None:
            self._file.write(np.ascontiguousarray(log_p, dtype="<f4").data)
        else:
            self._file.write(sketch(log_p, targets, self._shape, _SEED, self._written).tobytes())
        self._written += len(log_p)
        self._left -= len(log_p)

    def finish(self) -> None:
        """All rows are written: put them on disk."""
        if self._left:
            raise ValueError(f"{self._path}: {self._left} rows are missing")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._complete = True


class ReferenceReader(ABC):
    """Compares blocks of logits with the positions of a reference, in order. `open_reference` makes one.

    Attributes:
        positions: rows of the file.
        vocab_size: width of the distributions.
    """

    positions: int
    vocab_size: int

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @abstractmethod
    def compare(
        self,
        logits: npt.NDArray[np.float32],
        lse: Floats,
        targets: npt.NDArray[Any],
        usable: npt.NDArray[np.bool_],
    ) -> Compared:
        """The next ``len(usable)`` positions of the reference beside those rows of a block that are usable.

        Args:
            logits: the usable rows, ``[usable.sum(), vocab]``.
            lse: their log-sum-exp.
            targets: the tokens that came next after these.
            usable: which of the next positions they are; the others are passed over.

        Raises:
            ValueError: the file ends early or holds what is no distribution.
        """

    def _rows(self, dtype: Any, rows: int, each: int) -> npt.NDArray[Any]:
        block = np.fromfile(self._file, dtype=dtype, count=rows * each)
        if block.size != rows * each:
            raise ValueError(f"{self._path} ends early")
        return block


def open_reference(path: Path) -> ReferenceReader:
    """A reader of either kind of file.

    Raises:
        ValueError: not a whole file of a reference.
    """
    file = path.open("rb")
    try:
        magic = file.read(1)
        file.seek(0)
        reader: ReferenceReader = _Sketches(path, file) if magic == b"{" else _Exact(path, file)
    except ValueError as error:
        file.close()
        raise ValueError(f"{path} is not a file of reference log-probabilities: {error}") from error
    return reader


def is_whole(path: Path) -> bool:
    """Whether there is a file of a reference, as long as its header says. Reads the header alone."""
    try:
        with open_reference(path):
            return True
    except (FileNotFoundError, ValueError):
        return False


class _Exact(ReferenceReader):
    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__(path, file)
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f".npy version {version}")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 2 or fortran_order or dtype != np.dtype("<f4"):
            raise ValueError(f"shape {shape}, dtype {dtype}")
        if path.stat().st_size != file.tell() + 4 * shape[0] * shape[1]:
            raise ValueError("its size is not that of its header")
        self.positions, self.vocab_size = int(shape[0]), int(shape[1])

    def compare(
        self,
        logits: npt.NDArray[np.float32],
        lse: Floats,
        targets: npt.NDArray[Any],
        usable: npt.NDArray[np.bool_],
    ) -> Compared:
        block = self._rows("<f4", len(usable), self.vocab_size)
        if not np.isfinite(block).all():
            raise ValueError(f"{self._path} holds log-probabilities that are not finite")
        log_p = block.reshape(len(usable), self.vocab_size)[usable].astype(np.float64)
        log_q = logits.astype(np.float64) - lse[:, None]
        # Normalised in float64 here: the exact divergence is of second order only where q sums to one to the last bit.
        log_q -= np.log(np.exp(log_q).sum(axis=1, keepdims=True))
        rows = np.arange(len(log_p))
        return Compared(kl_divergence(log_p, log_q), log_p.argmax(axis=1), log_p[rows, targets])


class _Sketches(ReferenceReader):
    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__(path, file)
        line = file.readline(1000)
        header = json.loads(line)  # its error is a ValueError
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            raise ValueError("another format")
        wanted = ("vocab_size", "positions", "exact", "drawn")
        if any(not isinstance(header.get(name), int) or header[name] < 0 for name in wanted):
            raise ValueError("its header lacks a number")
        self._shape = SketchShape(header["vocab_size"], header["exact"], header["drawn"])
        if self._shape != SketchShape.of(self._shape.vocab_size):
            raise ValueError(f"a sketch of another shape, {header['exact']}+{header['drawn']}")
        self.positions, self.vocab_size = header["positions"], header["vocab_size"]
        if path.stat().st_size != len(line) + self.positions * self._shape.dtype.itemsize:
            raise ValueError("its size is not that of its header")

    def compare(
        self,
        logits: npt.NDArray[np.float32],
        lse: Floats,
        targets: npt.NDArray[Any],
        usable: npt.NDArray[np.bool_],
    ) -> Compared:
        del targets  # the same text: the sketch knows them
        kept = self._rows(self._shape.dtype, len(usable), 1)[usable]
        for name in ("target_logp", "exact_logp", "drawn_logp"):
            if not np.isfinite(kept[name]).all():
                raise ValueError(f"{self._path} holds log-probabilities that are not finite")
        if max(kept["exact_id"].max(initial=0), kept["drawn_id"].max(initial=0)) >= self.vocab_size:
            raise ValueError(f"{self._path} holds tokens outside its vocabulary")
        return Compared(
            divergence(kept, self._shape, logits, lse),
            kept["exact_id"][:, 0].astype(np.intp),
            kept["target_logp"].astype(np.float64),
        )
