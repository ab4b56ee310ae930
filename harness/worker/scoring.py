"""Scores: what teacher-forced logits say about an artifact, reduced inside the worker.

Owns the arithmetic on blocks of logits. Imports numpy, `harness.worker.api`, the reference's files and the protocol.
Contract: sums in float64 and in nats; memory bounded by a block and 8 bytes a position; no NaN or infinity leaves this
module: positions whose logits are not finite are left out of the sums and counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.worker.api import Backend, Logits, Tokens
from harness.worker.protocol import ScoreResult, ScoreSpec, WindowScore
from harness.worker.reference import ReferenceReader, ReferenceWriter, open_reference

Floats = npt.NDArray[np.float64]

#: Logits reduced at once: bounds the temporaries at a few times 16 MB.
BLOCK_ELEMENTS = 2_000_000
#: Of one scored position in ``positions_out``: negative log-likelihood and divergence in nats, the change of the true
#: token's probability, the reference's most likely token and this artifact's. NaN and -1: no reference, or logits that
#: are not finite.
POSITION = np.dtype(
    [("nll", "<f4"), ("kld", "<f4"), ("delta_p", "<f4"), ("reference_top", "<i4"), ("top", "<i4")]
)

#: Percentiles of delta-p that a score tells, by name.
DELTA_P_PERCENTILES = {
    "p1": 0.01,
    "p5": 0.05,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
}

#: Sends an event of this name and body to the runner.
Emit = Callable[[str, dict[str, Any]], None]


def log_softmax(logits: npt.NDArray[Any]) -> Floats:
    """Log-probabilities in nats along the last axis, ``float64``, of finite ``logits``."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def log_sum_exp(logits: npt.NDArray[np.float32], top: npt.NDArray[np.float32]) -> Floats:
    """Log-sum-exp in nats of each row of finite ``logits: [rows, vocab]``; ``top``: the rows' largest.

    Single-precision exponentials, summed in double precision: an error of 1e-7 nats, at a third of the time.
    """
    return np.asarray(
        np.log(np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)) + top, dtype=np.float64
    )


@dataclass(slots=True)
class _Window:
    """Sums over one window as its blocks come."""

    positions: int = 0
    nll_sum: float = 0.0
    kld_sum: float = 0.0
    same_top: int = 0
    delta_p_sq_sum: float = 0.0


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

    ``details`` holds ``tokens`` (of the text), ``positions`` (scored), ``non_finite_positions``, ``first_non_finite``
    (number of the first such scored position, or None), ``bos``, and ``truncated_from``: the width of the logits
    where it exceeds the reference's vocabulary (padding), else None.

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
    with contextlib.ExitStack() as files:
        reader = writer = None
        width = vocab_size
        if spec.reference_in is not None:
            reader = files.enter_context(open_reference(Path(spec.reference_in)))
            width = _common_width(reader, positions, vocab_size)
        if spec.reference_out is not None:
            out = Path(spec.reference_out)
            writer = files.enter_context(ReferenceWriter(out, positions, vocab_size, exact=spec.exact))
        by_position = None
        if spec.positions_out is not None:
            by_position = files.enter_context(Path(spec.positions_out).open("wb"))
        result = _Scorer(backend, spec, ids, width, vocab_size, emit, reader, writer, by_position).run(begins)
        # Log-probabilities that are not finite are no reference; leaving removes the file.
        if writer is not None and result.finite:
            writer.finish()
        return result


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
        by_position: BinaryIO | None,
    ) -> None:
        self._backend = backend
        self._spec = spec
        self._ids = ids
        self._width = width
        self._vocab_size = vocab_size
        self._emit = emit
        self._reader = reader
        self._writer = writer
        self._by_position = by_position
        self._klds: list[npt.NDArray[np.float32]] = []
        self._delta_ps: list[npt.NDArray[np.float32]] = []
        self._non_finite = 0
        self._first_non_finite: int | None = None
        self._seen = 0

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
            "first_non_finite": self._first_non_finite,
            "bos": self._spec.bos,
            "truncated_from": self._vocab_size if self._vocab_size != self._width else None,
        }
        kld, delta_p = self._percentiles()
        return ScoreResult(windows, kld, self._non_finite == 0, self._width, details, delta_p)

    def _percentiles(self) -> tuple[dict[str, float] | None, dict[str, float] | None]:
        """Of the divergence and of the true token's change of probability, over positions."""
        klds = np.concatenate(self._klds) if self._klds else np.empty(0, dtype=np.float32)
        if klds.size == 0:
            return None, None
        median, p99, p999 = np.quantile(klds.astype(np.float64), (0.5, 0.99, 0.999))
        kld = {"median": float(median), "p99": float(p99), "p999": float(p999), "max": float(klds.max())}
        delta_p = np.quantile(
            np.concatenate(self._delta_ps).astype(np.float64), list(DELTA_P_PERCENTILES.values())
        )
        return kld, dict(zip(DELTA_P_PERCENTILES, map(float, delta_p), strict=True))

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
        top, low = block.max(axis=1), block.min(axis=1)
        # NaN passes through both, an infinity shows in one of them: two passes that need no array of flags.
        usable = np.isfinite(top) & np.isfinite(low)
        given = len(block)
        if not usable.all():
            self._non_finite += int((~usable).sum())
            if self._first_non_finite is None:
                self._first_non_finite = self._seen + int(np.argmin(usable))
            block, targets, top = block[usable], targets[usable], top[usable]
        self._seen += given
        rows = np.arange(len(block))
        lse = log_sum_exp(block, top)
        target_logp = block[rows, targets].astype(np.float64) - lse
        tops = block.argmax(axis=1)
        told = _untold(len(block))
        told["nll"], told["top"] = -target_logp, tops
        if self._writer is not None and usable.all():
            self._writer.write(log_softmax(block), targets)
        sums.positions += len(block)
        sums.nll_sum -= float(target_logp.sum())
        if self._reader is not None:
            reference = self._reader.compare(block, lse, targets, usable)
            delta_p = np.exp(target_logp) - np.exp(reference.target_logp)
            sums.kld_sum += float(reference.kld.sum())
            sums.same_top += int((reference.top == tops).sum())
            sums.delta_p_sq_sum += float(np.square(delta_p).sum())
            told["kld"], told["delta_p"], told["reference_top"] = reference.kld, delta_p, reference.top
            self._klds.append(told["kld"].copy())
            self._delta_ps.append(told["delta_p"].copy())
        if self._by_position is not None:
            kept = _untold(given)
            kept[usable] = told
            self._by_position.write(kept.tobytes())


def _untold(rows: int) -> npt.NDArray[Any]:
    kept = np.zeros(rows, dtype=POSITION)
    for name in ("nll", "kld", "delta_p"):
        kept[name] = np.nan
    kept["reference_top"] = kept["top"] = -1
    return kept
