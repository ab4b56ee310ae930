"""Tokenising and detokenising a fixed text: figures of their own, outside of every timed pass.

Owns the order of calls and the clock. Imports the worker half only. Contract: runs after the passes and their last
reading of memory, so that a tokenizer costs the figures of the passes nothing; what cannot be measured has a reason and
no figure.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.worker.api import Backend, Tokenizer, Unsupported
from harness.worker.protocol import TextSpec


@dataclass(frozen=True, slots=True)
class TextResult:
    """What was timed.

    Attributes:
        values: for each repetition ``tokenize_s``, ``detokenize_s`` and ``text_tokens``.
        sha256: of the text.
        round_trip: whether detokenising gave the text back; None where it was not done.
        reasons: why ``tokenize_s`` or ``detokenize_s`` is missing, by these names.
    """

    values: list[dict[str, float]]
    sha256: str
    round_trip: bool | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def time_text(
    backend: Backend,
    spec: TextSpec,
    repetitions: int,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> TextResult:
    """Tokenise the text and back, once untimed and ``repetitions`` times timed.

    A tokenizer that fails spoils no figure of the passes, which are done: its error is the reason.
    """
    text = Path(spec.file).read_text(encoding="utf-8")
    result = TextResult([{} for _ in range(repetitions)], hashlib.sha256(text.encode()).hexdigest())
    try:
        tokenizer = backend.tokenizer(None if spec.model is None else Path(spec.model))
    except Exception as error:  # noqa: BLE001  frameworks raise anything; it is told as the reason
        return TextResult(
            result.values, result.sha256, None, dict.fromkeys(("tokenize_s", "detokenize_s"), _told(error))
        )
    try:
        ids = _tokenize(tokenizer, text, result.values, clock)
    except Exception as error:  # noqa: BLE001
        reasons = {"tokenize_s": _told(error), "detokenize_s": "the text was not tokenised"}
        return TextResult([{} for _ in range(repetitions)], result.sha256, None, reasons)
    try:
        back = _detokenize(tokenizer, ids, result.values, clock)
    except Exception as error:  # noqa: BLE001
        return TextResult(result.values, result.sha256, None, {"detokenize_s": _told(error)})
    return TextResult(result.values, result.sha256, back == text)


def _tokenize(
    tokenizer: Tokenizer, text: str, values: list[dict[str, float]], clock: Callable[[], int]
) -> list[int]:
    ids = tokenizer.tokenize(text)
    for each in values:
        begun = clock()
        tokenizer.tokenize(text)
        each["tokenize_s"] = (clock() - begun) / 1e9
        each["text_tokens"] = float(len(ids))
    return ids


def _detokenize(
    tokenizer: Tokenizer, ids: list[int], values: list[dict[str, float]], clock: Callable[[], int]
) -> str:
    back = tokenizer.detokenize(ids)
    taken = []
    for _ in values:
        begun = clock()
        tokenizer.detokenize(ids)
        taken.append((clock() - begun) / 1e9)
    for each, seconds in zip(values, taken, strict=True):
        each["detokenize_s"] = seconds
    return back


def _told(error: Exception) -> str:
    message = str(error) or type(error).__name__
    return message if isinstance(error, Unsupported) else f"{type(error).__name__}: {message}"
