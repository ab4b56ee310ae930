"""The one place where the two halves meet: versioned JSON lines over a pipe of their own.

Owns the messages and their encoding. Imports only the standard library, so that either half can use it.
Contract: one JSON object a line, UTF-8, no pickles; the lab sends requests, the worker answers each with exactly
one ``result`` or ``error`` of the same id, and may send ``event`` lines before it. A message of another
protocol version is refused.

    {"v": 1, "id": 3, "kind": "request", "method": "timed", "body": {...}}
    {"v": 1, "id": 3, "kind": "event",   "name": "phase",   "body": {"phase": "prefill", ...}}
    {"v": 1, "id": 3, "kind": "result",  "body": {...}}
    {"v": 1, "id": 3, "kind": "error",   "body": {"type": "Unsupported", "message": "...", "traceback": "..."}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = 1

Method = Literal[
    "hello",
    "devices",
    "make",
    "tokenize",
    "load",
    "timed",
    "energy",
    "score",
    "generate",
    "more",
    "complete",
    "likelihood",
    "encode",
    "detokenize",
    "generate_batch",
    "generate_ragged",
    "more_ragged",
    "logits",
    "evaluate",
    "answer",
    "unload",
    "exit",
]
Kind = Literal["request", "event", "result", "error"]


class ProtocolError(Exception):
    """A line that is no message of this protocol version."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line on the pipe."""

    id: int
    kind: Kind
    name: str
    body: dict[str, Any]

    def encode(self) -> bytes:
        """The line, with its newline. NaN and infinities are refused: a figure that is none is None."""
        text = json.dumps(
            {"v": VERSION, "id": self.id, "kind": self.kind, "name": self.name, "body": self.body},
            allow_nan=False,
            separators=(",", ":"),
        )
        return text.encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Message:
        """The message of a line.

        Raises:
            ProtocolError: not JSON, not a message, or of another version.
        """
        try:
            raw = json.loads(line)
        except ValueError as error:
            raise ProtocolError(f"not JSON: {line[:80]!r}") from error
        if not isinstance(raw, dict) or raw.keys() != {"v", "id", "kind", "name", "body"}:
            raise ProtocolError(f"not a message: {line[:80]!r}")
        if raw["v"] != VERSION:
            raise ProtocolError(f"protocol version {raw['v']!r}, this side speaks {VERSION}")
        shapes = ((raw["id"], int), (raw["name"], str), (raw["body"], dict))
        if raw["kind"] not in ("request", "event", "result", "error") or any(
            not isinstance(value, kind) for value, kind in shapes
        ):
            raise ProtocolError(f"not a message: {line[:80]!r}")
        return cls(raw["id"], raw["kind"], raw["name"], raw["body"])


@dataclass(frozen=True, slots=True)
class WarmupRule:
    """When warm-up is over, instead of after a fixed number of passes.

    Attributes:
        change: how far the newest passes may lie apart, as a share: 0.1 is 10 %.
        min_s: warm-up lasts at least this long, unless the passes run out.
        max_s: no further pass begins after this time.
    """

    change: float
    min_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class TextSpec:
    """A fixed text, tokenised and detokenised after the passes.

    Attributes:
        file: UTF-8.
        model: the model's own file, for frameworks whose artifacts hold no tokenizer; None: there is none.
    """

    file: str
    model: str | None


@dataclass(frozen=True, slots=True)
class TimedSpec:
    """The timed passes of one run.

    Every repetition resets the cache, fills ``depth`` tokens untimed, then prefills ``prompt_tokens`` fresh
    tokens, then decodes ``decode_tokens`` one at a time, each forward pass timed apart from sampling. Of a batch, every
    pass does so for all its sequences together, and the counts are of each sequence.

    Attributes:
        prompt_tokens: tokens of the timed prefill.
        decode_tokens: timed single-token forward passes.
        depth: tokens already in the KV cache before the prefill.
        repetitions: timed passes.
        warmups: untimed passes first: stored, marked, excluded. With a ``warmup_rule``: at most.
        seed: seed of the token ids; every repetition draws its own.
        concurrency: requests at the same time, each with a prompt of its own; above 1 for streams only.
        warmup_rule: warm up until stable; None: exactly ``warmups`` passes.
        prompt_file: little-endian int32 ids that prompts are cut from; None: uniform random ids.
        text: what is tokenised and detokenised after the passes; None: nothing.
        batch: sequences processed together, each with tokens of its own; what was loaded has room for so many.
    """

    prompt_tokens: int
    decode_tokens: int
    depth: int
    repetitions: int
    warmups: int
    seed: int
    concurrency: int = 1
    warmup_rule: WarmupRule | None = None
    prompt_file: str | None = None
    text: TextSpec | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One repetition's raw numbers.

    Attributes:
        repetition: from 0, warm-ups first, counted through.
        warmup: excluded from every figure.
        values: ``prefill_s``, ``decode_s`` (sum of the forward times), ``sampling_s``, ``ttft_s``, and the
            framework's own counters as ``framework_prefill_s``, ``framework_decode_s`` and the like (``_cycles``). Of
            streams: ``ttft_s`` (the
            median of the requests'), ``wall_s`` (first submission to last arrival), ``tokens`` and ``arrivals`` of
            all requests, ``prompt_tokens_told`` (of all prompts, by the server's count). Beside the pass:
            ``tokenize_s``, ``detokenize_s`` and ``text_tokens`` of a fixed text.
        forward_ns: duration of each single-token forward pass; of a batch, one token of each sequence.
        token_ns: time of each token since the prompt was submitted; the first is the one the prefill gave. Of a batch,
            when every sequence had its token. Empty for concurrent requests, and where a server does not tell how many
            tokens it sent at once.
        request_ns: of concurrent requests: for each its submission and the time of each of its tokens, since the
            first submission.
    """

    repetition: int
    warmup: bool
    values: dict[str, float]
    forward_ns: list[int]
    token_ns: list[int]
    request_ns: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """The worker's own memory at the end of a phase.

    Attributes:
        phase: ``import``, ``load``, ``warmup``, ``prefill``, ``decode``, ``score``.
        peak_rss_bytes: high-water mark since the process began (VmHWM; Windows PeakWorkingSetSize; macOS
            lifetime max phys_footprint).
        rss_bytes: resident set now.
        anon_bytes: its anonymous share, None where the system does not tell.
        file_bytes: its file-backed share, None where the system does not tell.
        method: which definition the peak has: ``VmHWM``, ``PeakWorkingSetSize``, ``max_phys_footprint``.
        allocator_peak_bytes: the framework's own figure, None where it keeps none.
        reason: why the peak is None, None where it is not.
        shared_bytes: its share in shared memory (shmem, tmpfs), None where the system does not tell.
        pss_bytes: proportional set size: each page divided by the processes that map it.
        uss_bytes: unique set size: pages that nobody else maps.
        shares_reason: why the last two are None, None where they are not.
    """

    phase: str
    peak_rss_bytes: int | None
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    method: str
    allocator_peak_bytes: int | None = None
    reason: str | None = None
    shared_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    shares_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """Score token ids, teacher-forced in windows.

    Attributes:
        tokens_file: little-endian int32 ids of the whole text, without BOS.
        window: tokens a window.
        stride: tokens between the beginnings of two windows.
        score_from: first position of a window whose logits are scored; the last scored is ``window - 2``
            (logits at ``i`` predict token ``i + 1``), as llama.cpp's perplexity does with ``window / 2``.
        max_windows: windows at most.
        bos: id that replaces the first token of each window, None: none.
        reference_in: the quality reference's distributions, None when this is the reference.
        reference_out: where to write this artifact's distributions, None except for the reference.
        exact: write every log-probability, not sketches.
        positions_out: where to write the figures of every scored position (`harness.worker.scoring.POSITION`), None:
            nowhere.
        text_file: the text; an artifact with a tokenizer of its own must make the same ids of it. None: not asked.
    """

    tokens_file: str
    window: int
    stride: int
    score_from: int
    max_windows: int
    bos: int | None
    reference_in: str | None
    reference_out: str | None
    exact: bool = True
    positions_out: str | None = None
    text_file: str | None = None


@dataclass(frozen=True, slots=True)
class WindowScore:
    """Sums over the scored positions of one window, in nats; divergence fields are None without a reference."""

    window: int
    positions: int
    nll_sum: float
    kld_sum: float | None
    same_top: int | None
    delta_p_sq_sum: float | None


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What scoring gives: windows, and what cannot be had from sums over windows.

    ``finite`` is False when any scored logit was NaN or infinite; then the sums hold only what could be had. ``kld``
    holds ``median``, ``p99``, ``p999``, ``max`` over positions, ``delta_p`` percentiles of the change of the true
    token's probability; None without a reference.
    """

    windows: list[WindowScore]
    kld: dict[str, float] | None
    finite: bool
    vocab_size: int
    details: dict[str, Any] = field(default_factory=dict)
    delta_p: dict[str, float] | None = None
