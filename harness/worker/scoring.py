"""Scores: what teacher-forced logits say about an artifact, reduced inside the worker.

Owns the arithmetic on blocks of logits, and the file of the reference's log-probabilities. Imports numpy,
`harness.worker.api` and the protocol. Contract: sums in float64 and in nats; memory bounded by a block (the reference
is never mapped or held whole); no NaN or infinity leaves this module: positions whose logits are not finite are left
out of the sums and counted.

The reference file is a ``.npy`` of ``float32[positions, vocab]``, positions in order of windows. The lab writes it
under a temporary name and renames it; here it is complete and on disk, or removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.worker.api import Backend, Logits, Tokens
from harness.worker.protocol import ScoreResult, ScoreSpec, WindowScore

Floats = npt.NDArray[np.float64]

#: Logits reduced at once: bounds the float64 temporaries at a few times 16 MB.
BLOCK_ELEMENTS = 2_000_000

#: Sends an event of this name and body to the runner.
Emit = Callable[[str, dict[str, Any]], None]


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """Log-probabilities in nats along the last axis, ``float64``, of finite ``logits``."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def kl_divergence(reference: Floats, other: Floats) -> Floats:
    """KLD(reference || other) in nats for each row of two ``[rows, vocab]`` arrays of log-probabilities.

    Summed as ``1 + sum p (d - 1)`` with ``d = log p - log q``: where both sum to one (``other`` must) this equals the
    textbook ``sum p d``, but it is of second order in ``d``. The rounding of the stored reference (float32) then does
    not appear as a divergence of its own, positive or negative.
    """
    difference = reference - other
    difference -= 1.0
    divergence = 1.0 + np.einsum("rv,rv->r", np.exp(reference), difference)
    # The last bits of a sum of ones may fall below zero; a divergence cannot.
    return np.asarray(np.maximum(divergence, 0.0), dtype=np.float64)


@dataclass(slots=True)
class _Window:
    """Sums over one window as its blocks come."""

    positions: int = 0
    nll_sum: float = 0.0
    kld_sum: float = 0.0
    same_top: int = 0
    delta_p_sq_sum: float = 0.0


class ReferenceWriter:
    """Writes the reference's log-probabilities block by block; without `close` the file is removed.

    Args:
        path: file to write.
        positions: rows that will be written.
        vocab_size: width of a row.
    """

    def __init__(self, path: Path, positions: int, vocab_size: int) -> None:
        self._path = path
        self._left = positions
        self._file = path.open("wb")
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "<f4", "fortran_order": False, "shape": (positions, vocab_size)}
        )
        self._complete = False

    def __enter__(self) -> ReferenceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._complete:
            self._path.unlink(missing_ok=True)

    def write(self, rows: Floats) -> None:
        """Append ``rows: [n, vocab]``, rounded to float32."""
        self._file.write(np.ascontiguousarray(rows, dtype="<f4").data)
        self._left -= len(rows)

    def finish(self) -> None:
        """All rows are written: put them on disk."""
        if self._left:
            raise ValueError(f"{self._path}: {self._left} rows are missing")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._complete = True


class ReferenceReader:
    """Reads the reference's log-probabilities in order.

    Args:
        path: the ``.npy`` file.

    Raises:
        ValueError: not a whole ``.npy`` file of ``float32[positions, vocab]``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        try:
            version = np.lib.format.read_magic(self._file)
            if version != (1, 0):
                raise ValueError(f".npy version {version}")
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(self._file)
            if len(shape) != 2 or fortran_order or dtype != np.dtype("<f4"):
                raise ValueError(f"shape {shape}, dtype {dtype}")
            if path.stat().st_size != self._file.tell() + 4 * shape[0] * shape[1]:
                raise ValueError("its size is not that of its header")
        except ValueError as error:
            self._file.close()
            raise ValueError(f"{path} is not a file of reference log-probabilities: {error}") from error
        self.positions, self.vocab_size = int(shape[0]), int(shape[1])

    def __enter__(self) -> ReferenceReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, rows: int) -> Floats:
        """The next ``rows`` rows as float64."""
        block = np.fromfile(self._file, dtype="<f4", count=rows * self.vocab_size)
        if block.size != rows * self.vocab_size:
            raise ValueError(f"{self._path} ends early")
        if not np.isfinite(block).all():
            raise ValueError(f"{self._path} holds log-probabilities that are not finite")
        return block.astype(np.float64).reshape(rows, self.vocab_size)


def window_begins(count: int, spec: ScoreSpec) -> range:
    """Where the windows of a text of ``count`` tokens begin: only whole windows, ``max_windows`` at most.

    Raises:
        ValueError: the spec is wrong, or not one window fits.
    """
    if spec.window < 2 or spec.stride < 1 or spec.max_windows < 1:
        raise ValueError("window must be at least 2, stride and max_windows at least 1")
    if not 0 <= spec.score_from <= spec.window - 2:
        raise ValueError(f"score_from must be 0 .. {spec.window - 2} for a window of {spec.window}")
    if count < spec.window:
        raise ValueError(f"the text has {count} tokens, a window needs {spec.window}")
    begins = range(0, count - spec.window + 1, spec.stride)
    return begins[: spec.max_windows]


def score(backend: Backend, spec: ScoreSpec, *, vocab_size: int, emit: Emit) -> ScoreResult:
    """Score a text on a loaded backend.

    ``details`` holds ``tokens`` (of the text), ``positions`` (scored), ``non_finite_positions``, ``bos``, and
    ``truncated_from``: the width of the logits where it exceeds the reference's vocabulary (padding), else None.

    Args:
        backend: loaded, with room for ``spec.window`` tokens.
        spec: what to score.
        vocab_size: width of the backend's logits.
        emit: sends a ``phase`` event for each window.

    Raises:
        ValueError: the text, the reference and the backend do not fit together.
        Unsupported: the backend gives no logits.
    """
    if spec.reference_in is not None and spec.reference_out is not None:
        raise ValueError("reference_in and reference_out exclude each other")
    ids: Tokens = np.fromfile(spec.tokens_file, dtype="<i4").astype(np.int32)
    begins = window_begins(len(ids), spec)
    positions = len(begins) * (spec.window - 1 - spec.score_from)
    if spec.reference_in is not None:
        with ReferenceReader(Path(spec.reference_in)) as reader:
            width = _common_width(reader, positions, vocab_size)
            return _Scorer(backend, spec, ids, width, vocab_size, emit, reader, None).run(begins)
    if spec.reference_out is not None:
        with ReferenceWriter(Path(spec.reference_out), positions, vocab_size) as writer:
            result = _Scorer(backend, spec, ids, vocab_size, vocab_size, emit, None, writer).run(begins)
            # Log-probabilities that are not finite are no reference; leaving removes the file.
            if result.finite:
                writer.finish()
            return result
    return _Scorer(backend, spec, ids, vocab_size, vocab_size, emit, None, None).run(begins)


def _common_width(reader: ReferenceReader, positions: int, vocab_size: int) -> int:
    if reader.vocab_size > vocab_size:
        raise ValueError(
            f"vocabulary mismatch: the reference has {reader.vocab_size} tokens, this artifact {vocab_size}"
        )
    if reader.positions != positions:
        raise ValueError(
            f"the reference holds {reader.positions} positions, this score has {positions}: "
            "divergence is compared only at equal text, window and scored positions"
        )
    return reader.vocab_size


class _Scorer:
    """State of one scoring: the files, and divergences of all positions for their percentiles."""

    def __init__(
        self,
        backend: Backend,
        spec: ScoreSpec,
        ids: Tokens,
        width: int,
        vocab_size: int,
        emit: Emit,
        reader: ReferenceReader | None,
        writer: ReferenceWriter | None,
    ) -> None:
        self._backend = backend
        self._spec = spec
        self._ids = ids
        self._width = width
        self._vocab_size = vocab_size
        self._emit = emit
        self._reader = reader
        self._writer = writer
        self._klds: list[Floats] = []
        self._non_finite = 0

    def run(self, begins: range) -> ScoreResult:
        used = self._ids[: begins[-1] + self._spec.window]
        if used.min() < 0 or used.max() >= self._width:
            raise ValueError(
                f"the text has token ids {used.min()} .. {used.max()}, the vocabulary is 0 .. {self._width - 1}"
            )
        if self._spec.bos is not None and not 0 <= self._spec.bos < self._vocab_size:
            raise ValueError(f"bos {self._spec.bos} is outside the vocabulary 0 .. {self._vocab_size - 1}")
        windows = []
        for index, begin in enumerate(begins):
            self._emit("phase", {"phase": "score", "done": index, "total": len(begins)})
            windows.append(self._window(index, self._ids[begin : begin + self._spec.window]))
        details = {
            "tokens": len(self._ids),
            "positions": sum(window.positions for window in windows),
            "non_finite_positions": self._non_finite,
            "bos": self._spec.bos,
            "truncated_from": self._vocab_size if self._vocab_size != self._width else None,
        }
        return ScoreResult(windows, self._percentiles(), self._non_finite == 0, self._width, details)

    def _percentiles(self) -> dict[str, float] | None:
        values = np.concatenate(self._klds) if self._klds else np.empty(0)
        if values.size == 0:
            return None
        median, p99, p999 = np.quantile(values, (0.5, 0.99, 0.999))
        return {"median": float(median), "p99": float(p99), "p999": float(p999), "max": float(values.max())}

    def _window(self, index: int, tokens: Tokens) -> WindowScore:
        given = tokens.copy()
        if self._spec.bos is not None:
            given[0] = self._spec.bos
        sums = _Window()
        for position, block in self._blocks(given):
            self._reduce(sums, block, tokens[position + 1 : position + 1 + len(block)])
        compared = self._reader is not None
        return WindowScore(
            window=index,
            positions=sums.positions,
            nll_sum=sums.nll_sum,
            kld_sum=sums.kld_sum if compared else None,
            same_top=sums.same_top if compared else None,
            delta_p_sq_sum=sums.delta_p_sq_sum if compared else None,
        )

    def _blocks(self, given: Tokens) -> Iterator[tuple[int, Logits]]:
        """Blocks of the scored positions, checked and cut to size; the row after the last target is dropped."""
        expected, end = self._spec.score_from, len(given)
        rows = max(1, BLOCK_ELEMENTS // self._vocab_size)
        for position, block in self._backend.logits(given, self._spec.score_from):
            if position != expected or block.ndim != 2 or block.shape[1] != self._vocab_size:
                raise ValueError(
                    f"the backend gave logits of shape {block.shape} at position {position}; "
                    f"expected [*, {self._vocab_size}] at {expected}"
                )
            expected += len(block)
            scored = block[: max(0, end - 1 - position), : self._width]
            for start in range(0, len(scored), rows):
                yield position + start, scored[start : start + rows]
        if expected != end:
            raise ValueError(f"the backend gave logits up to position {expected - 1}, expected {end - 1}")

    def _reduce(self, sums: _Window, block: Logits, targets: Tokens) -> None:
        reference = self._reader.read(len(block)) if self._reader is not None else None
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            self._non_finite += int((~finite).sum())
            block, targets = block[finite], targets[finite]
            reference = reference[finite] if reference is not None else None
            if len(block) == 0:
                return
        log_q = log_softmax(block)
        if self._writer is not None:
            self._writer.write(log_q)
        rows = np.arange(len(block))
        sums.positions += len(block)
        sums.nll_sum -= float(log_q[rows, targets].sum())
        if reference is None:
            return
        divergence = kl_divergence(reference, log_q)
        self._klds.append(divergence)
        sums.kld_sum += float(divergence.sum())
        sums.same_top += int((reference.argmax(axis=1) == block.argmax(axis=1)).sum())
        delta_p = np.exp(log_q[rows, targets]) - np.exp(reference[rows, targets])
        sums.delta_p_sq_sum += float(np.square(delta_p).sum())
