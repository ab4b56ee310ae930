"""The worker's command loop: one request at a time, one answer each.

Owns the requests and calling the backend; `serving` reads, checks and answers them. Imports the standard library,
numpy and the worker half; the framework comes with the backend. Contract: that of `serving`.

Requests and the bodies of their answers (dataclasses of `harness.worker.api` and `.protocol` as `bodies` writes them):

==============  =========================================  =========================================================
method          request                                    result
==============  =========================================  =========================================================
hello           {}                                         protocol, framework, versions, python, implementation,
                                                           platform, pid, import_s, memory
devices         {}                                         devices: [Device]
make            MakeRequest                                Made, seconds, memory
tokenize        model, text_file (UTF-8), out              tokens (count), bos; ``out`` holds int32 little-endian
load            LoadSpec                                   Loaded, load_s, memory
timed           TimedSpec                                  samples: [Sample], memory, warmup: Warmup, text: TextResult
                                                           or null
energy          EnergySpec                                 EnergyWindow, memory
score           ScoreSpec                                  ScoreResult, score_s, memory
generate        tokens, count                              tokens: the ``count`` greedy choices after ``tokens``
generate_batch  tokens (a list for each sequence), count   tokens: the same for each sequence of a batch
more            count                                      tokens: as many greedy choices after those of ``generate``
                                                           or ``more``, which must be the request before it
generate_ragged tokens (a list for each sequence), count   tokens: the same, of prompts of any lengths, at most a batch
more_ragged     sequences (their numbers), count           tokens: as many more of each of these, after those of
                                                           ``generate_ragged`` or ``more_ragged``, which must be the
                                                           request before it
complete        tokens, text, count, stops                 text: greedy, after ``tokens``, which are those of ``text``
likelihood      PairsSpec                                  PairsResult
encode          EncodeSpec                                 tokens: [ids of a text, without BOS], bos
detokenize      DetokenizeSpec                             texts
logits          tokens, first                              positions, argmax, logprob (of the argmax), dtype, width,
                                                           finite
unload          {}                                         {}
exit            {}                                         {}, and the process ends
==============  =========================================  =========================================================

``memory`` is always a list of MemoryReading. The first request that needs the framework imports it.
"""

from __future__ import annotations

import importlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.worker import energy, likelihood, scoring, timing
from harness.worker.api import Backend, Loaded, LoadSpec, MakeRequest, Tokens, Unsupported
from harness.worker.bodies import to_body
from harness.worker.memory import MemoryReader
from harness.worker.protocol import VERSION, MemoryReading, Message, ProtocolError, ScoreSpec, TimedSpec
from harness.worker.same_tokens import check_tokens
from harness.worker.serving import Handler, Server, serve_lines
from harness.worker.text import time_text
from harness.worker.together import Together


@dataclass(frozen=True, slots=True)
class _Nothing:
    """The body of a request without arguments."""


@dataclass(frozen=True, slots=True)
class TokenizeSpec:
    """Tokenise a UTF-8 file with a model's own tokenizer, into a file of int32 ids."""

    model: Path
    text_file: Path
    out: Path


@dataclass(frozen=True, slots=True)
class GenerateSpec:
    """Greedy choices after a prompt, from an empty cache."""

    tokens: list[int]
    count: int


@dataclass(frozen=True, slots=True)
class GenerateBatchSpec:
    """Greedy choices after prompts of equal length, from empty caches, computed together."""

    tokens: list[list[int]]
    count: int


@dataclass(frozen=True, slots=True)
class GenerateRaggedSpec:
    """Greedy choices after prompts of any lengths, from empty caches, computed together."""

    tokens: list[list[int]]
    count: int


@dataclass(frozen=True, slots=True)
class MoreRaggedSpec:
    """More greedy choices of some of these sequences; the others have ended."""

    sequences: list[int]
    count: int


@dataclass(frozen=True, slots=True)
class MoreSpec:
    """More greedy choices, on top of what the cache holds."""

    count: int


@dataclass(frozen=True, slots=True)
class CompleteSpec:
    """Greedy text after a prompt, from an empty cache."""

    tokens: list[int]
    text: str
    count: int
    stops: list[str]


@dataclass(frozen=True, slots=True)
class EncodeSpec:
    """Tokenise texts with a model's own tokenizer; ``special``: words for special tokens are read as these tokens."""

    model: Path
    texts: list[str]
    special: bool


@dataclass(frozen=True, slots=True)
class DetokenizeSpec:
    """Texts of token ids by a model's own tokenizer; special tokens are written out."""

    model: Path
    tokens: list[list[int]]


@dataclass(frozen=True, slots=True)
class LogitsSpec:
    """Teacher-forced logits of a few tokens, summarised."""

    tokens: list[int]
    first: int


class WrongDeviceError(RuntimeError):
    """The framework loaded the model on another device than it was told to."""


def serve(read_fd: int, write_fd: int, backend: str) -> None:
    """Serve requests from ``read_fd`` until ``exit`` or its end; never returns.

    Args:
        read_fd: requests.
        write_fd: answers and events.
        backend: ``module:Class``.
    """
    serve_lines(read_fd, write_fd, lambda send: Worker(backend, send))


class Worker(Server):
    """One backend and what it has loaded.

    Args:
        backend: ``module:Class``; imported by the first ``hello``.
        send: writes a message.
    """

    def __init__(self, backend: str, send: Callable[[Message], None]) -> None:
        super().__init__(send)
        self._backend_name = backend
        self._started: Backend | None = None
        self._loaded: Loaded | None = None
        self._context_tokens = 0
        self._batch = 1
        self._newest = self._held = 0
        self._together: Together | None = None
        self._import_s = 0.0
        self._reader = MemoryReader()
        self._memory: list[MemoryReading] = []
        self._handlers: dict[str, Handler] = {
            "hello": (_Nothing, self._hello),
            "devices": (_Nothing, self._devices),
            "make": (MakeRequest, self._make),
            "tokenize": (TokenizeSpec, self._tokenize),
            "load": (LoadSpec, self._load),
            "timed": (TimedSpec, self._timed),
            "energy": (energy.EnergySpec, self._energy),
            "score": (ScoreSpec, self._score),
            "generate": (GenerateSpec, self._generate),
            "generate_batch": (GenerateBatchSpec, self._generate_batch),
            "generate_ragged": (GenerateRaggedSpec, self._generate_ragged),
            "more_ragged": (MoreRaggedSpec, self._more_ragged),
            "more": (MoreSpec, self._more),
            "complete": (CompleteSpec, self._complete),
            "likelihood": (likelihood.PairsSpec, self._likelihood),
            "encode": (EncodeSpec, self._encode),
            "detokenize": (DetokenizeSpec, self._detokenize),
            "logits": (LogitsSpec, self._logits),
            "unload": (_Nothing, self._unload),
            "exit": (_Nothing, self._exit),
        }

    @property
    def _backend(self) -> Backend:
        return self._started or self._start()

    @property
    def _model(self) -> Loaded:
        if self._loaded is None:
            raise ProtocolError("nothing is loaded")
        return self._loaded

    def _read_memory(self, phase: str, *, in_timed_pass: bool = False) -> list[MemoryReading]:
        elsewhere = self._backend.memory(phase)
        if elsewhere is not None:
            return elsewhere
        own_peak = self._backend.allocator_peak_bytes()
        return [self._reader.read(phase, own_peak, in_timed_pass=in_timed_pass)]

    def _start(self) -> Backend:
        self._emit("phase", {"phase": "import", "done": 0, "total": 1})
        begin = time.perf_counter()
        module, _, name = self._backend_name.partition(":")
        backend: Backend = getattr(importlib.import_module(module), name)()
        backend.start()
        self._import_s = time.perf_counter() - begin
        self._started = backend
        # Right after the import: peaks are compared less this.
        self._memory = self._read_memory("import")
        return backend

    # -- requests --------------------------------------------------------------------------------------------------

    def _hello(self, _: _Nothing) -> dict[str, Any]:
        backend = self._backend
        return {
            "protocol": VERSION,
            "framework": backend.framework,
            "versions": dict(backend.versions()),
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "platform": platform.platform(),
            "pid": os.getpid(),
            "import_s": self._import_s,
            "memory": to_body(self._memory),
        }

    def _devices(self, _: _Nothing) -> dict[str, Any]:
        return {"devices": to_body(self._backend.devices())}

    def _make(self, request: MakeRequest) -> dict[str, Any]:
        backend = self._backend
        if not request.out.is_dir() or any(request.out.iterdir()):
            raise ValueError(f"{request.out} is not an empty folder")
        self._emit("phase", {"phase": "make", "done": 0, "total": 1})
        begin = time.perf_counter()
        made = backend.make(request) if request.synthetic is None else backend.synthesize(request)
        seconds = time.perf_counter() - begin
        if not (request.out / made.entry).exists():
            raise FileNotFoundError(f"{made.entry} is not among what was made")
        return {**to_body(made), "seconds": seconds, "memory": to_body(self._read_memory("make"))}

    def _tokenize(self, spec: TokenizeSpec) -> dict[str, Any]:
        tokenizer = self._backend.tokenizer(spec.model)
        ids = tokenizer.tokenize(spec.text_file.read_text(encoding="utf-8"))
        np.asarray(ids, dtype="<i4").tofile(spec.out)
        return {"tokens": len(ids), "bos": tokenizer.bos}

    def _load(self, spec: LoadSpec) -> dict[str, Any]:
        backend = self._backend
        if self._loaded is not None:
            raise ProtocolError("something is loaded already; 'unload' comes first")
        if spec.threads < 1 or spec.context_tokens < 1 or spec.batch < 1:
            raise ValueError("threads, context_tokens and batch must be at least 1")
        if spec.batch > 1 and "batch" not in backend.capabilities:
            raise Unsupported(f"{backend.title} processes one sequence at a time here")
        if not spec.artifact.exists():
            raise FileNotFoundError(f"no artifact at {spec.artifact}")
        self._emit("phase", {"phase": "load", "done": 0, "total": 1})
        begin = time.perf_counter()
        loaded = backend.load(spec)
        load_s = time.perf_counter() - begin
        if (loaded.device.id, loaded.device.api) != (spec.device, spec.api):
            backend.unload()
            raise WrongDeviceError(
                f"asked for {spec.device} ({spec.api}), the model runs on {loaded.device.id} ({loaded.device.api})"
            )
        self._loaded, self._context_tokens, self._batch = loaded, spec.context_tokens, spec.batch
        return {**to_body(loaded), "load_s": load_s, "memory": to_body(self._read_memory("load"))}

    def _timed(self, spec: TimedSpec) -> dict[str, Any]:
        vocab_size = self._model.vocab_size
        timing.check_timed(spec, self._context_tokens)
        self._check_batch(spec.batch)
        result = timing.timed_passes(
            self._backend, spec, vocab_size=vocab_size, emit=self._emit, read_memory=self._read_memory
        )
        if spec.text is not None:
            self._emit("phase", {"phase": "text", "done": 0, "total": spec.repetitions})
        text = None if spec.text is None else time_text(self._backend, spec.text, spec.repetitions)
        if text is not None:
            timed = (sample for sample in result.samples if not sample.warmup)
            for sample, values in zip(timed, text.values, strict=True):
                sample.values.update(values)
        return {
            "samples": to_body(result.samples),
            "memory": to_body(result.memory),
            "warmup": to_body(result.warmup),
            "text": to_body(text),
        }

    def _energy(self, spec: energy.EnergySpec) -> dict[str, Any]:
        loaded = self._loaded
        if spec.phase != "idle":
            self._check_batch(spec.batch)
        window = energy.energy_window(
            self._backend if loaded is not None else None,
            spec,
            vocab_size=loaded.vocab_size if loaded is not None else 0,
            context_tokens=self._context_tokens,
            emit=self._emit,
        )
        return {**to_body(window), "memory": to_body(self._read_memory(spec.phase))}

    def _score(self, spec: ScoreSpec) -> dict[str, Any]:
        vocab_size = self._model.vocab_size
        self._check_batch(1)
        if spec.window > self._context_tokens:
            raise ValueError(
                f"a window of {spec.window} does not fit into the context of {self._context_tokens}"
            )
        own = check_tokens(self._backend, spec)
        begin = time.perf_counter()
        result = scoring.score(self._backend, spec, vocab_size=vocab_size, emit=self._emit)
        score_s = time.perf_counter() - begin
        told = {"own_tokens_compared": own.compared, "own_tokens_reason": own.reason}
        result = replace(result, details={**result.details, **told})
        return {**to_body(result), "score_s": score_s, "memory": to_body(self._read_memory("score"))}

    def _generate(self, spec: GenerateSpec) -> dict[str, Any]:
        tokens = self._token_ids(spec.tokens)
        if spec.count < 1 or len(tokens) + spec.count - 1 > self._context_tokens:
            raise ValueError(
                f"{len(tokens)} + {spec.count} tokens do not fit a context of {self._context_tokens}"
            )
        self._check_batch(1)
        backend = self._backend
        backend.reset()
        backend.prefill(tokens)
        chosen = [backend.sample()]
        while len(chosen) < spec.count:
            backend.decode(chosen[-1])
            chosen.append(backend.sample())
        self._newest, self._held = chosen[-1], len(tokens) + spec.count - 1
        return {"tokens": chosen}

    def _generate_batch(self, spec: GenerateBatchSpec) -> dict[str, Any]:
        rows = [self._token_ids(row) for row in spec.tokens]
        self._check_batch(len(rows))
        if len(rows) < 2:
            raise ValueError("one sequence is no batch")
        length = len(rows[0])
        if any(len(row) != length for row in rows):
            raise ValueError("the sequences of a batch have one length")
        if spec.count < 1 or length + spec.count - 1 > self._context_tokens:
            raise ValueError(f"{length} + {spec.count} tokens do not fit a context of {self._context_tokens}")
        backend = self._backend
        backend.reset()
        backend.prefill_batch(np.stack(rows))
        chosen = [backend.sample_batch()]
        while len(chosen) < spec.count:
            backend.decode_batch(chosen[-1])
            chosen.append(backend.sample_batch())
        return {"tokens": np.stack(chosen, axis=1).tolist()}

    def _generate_ragged(self, spec: GenerateRaggedSpec) -> dict[str, Any]:
        rows = [self._token_ids(row) for row in spec.tokens]
        if not 1 <= len(rows) <= self._batch:
            raise ValueError(f"the model was loaded for 1 to {self._batch} sequences, not for {len(rows)}")
        if spec.count < 1:
            raise ValueError("at least one token is generated")
        self._together = Together(self._backend, self._context_tokens)
        return {"tokens": self._together.begin(rows, spec.count)}

    def _more_ragged(self, spec: MoreRaggedSpec) -> dict[str, Any]:
        if self._before not in ("generate_ragged", "more_ragged") or self._together is None:
            raise ProtocolError(f"'more_ragged' comes after 'generate_ragged', not after {self._before!r}")
        if spec.count < 1:
            raise ValueError("at least one token is generated")
        return {"tokens": self._together.go_on(spec.sequences, spec.count)}

    def _check_batch(self, batch: int) -> None:
        if batch != self._batch:
            raise ValueError(f"the model was loaded for a batch of {self._batch}, not of {batch}")

    def _more(self, spec: MoreSpec) -> dict[str, Any]:
        if self._before not in ("generate", "more"):
            raise ProtocolError(f"'more' comes after 'generate', not after {self._before!r}")
        if spec.count < 1 or self._held + spec.count > self._context_tokens:
            raise ValueError(
                f"{self._held} + {spec.count} tokens do not fit a context of {self._context_tokens}"
            )
        backend, chosen = self._backend, []
        for _ in range(spec.count):
            backend.decode(self._newest)
            self._newest = backend.sample()
            chosen.append(self._newest)
        self._held += spec.count
        return {"tokens": chosen}

    def _complete(self, spec: CompleteSpec) -> dict[str, Any]:
        if self._loaded is None:
            raise ProtocolError("nothing is loaded")
        if not spec.tokens or spec.count < 1 or len(spec.tokens) + spec.count > self._context_tokens:
            raise ValueError(
                f"{len(spec.tokens)} + {spec.count} tokens do not fit a context of {self._context_tokens}"
            )
        stops = [stop for stop in spec.stops if stop]
        tokens = np.asarray(spec.tokens, dtype=np.int32)
        return {"text": self._backend.complete(tokens, spec.text, spec.count, stops)}

    def _likelihood(self, spec: likelihood.PairsSpec) -> dict[str, Any]:
        self._check_batch(1)
        result = likelihood.loglikelihoods(
            self._backend,
            spec.pairs,
            vocab_size=self._model.vocab_size,
            context_tokens=self._context_tokens,
        )
        return dict(to_body(result))

    def _encode(self, spec: EncodeSpec) -> dict[str, Any]:
        tokenizer = self._backend.tokenizer(spec.model)
        encode = tokenizer.tokenize_special if spec.special else tokenizer.tokenize
        return {"tokens": [encode(text) for text in spec.texts], "bos": tokenizer.bos}

    def _detokenize(self, spec: DetokenizeSpec) -> dict[str, Any]:
        tokenizer = self._backend.tokenizer(spec.model)
        return {"texts": [tokenizer.detokenize(tokens) for tokens in spec.tokens]}

    def _logits(self, spec: LogitsSpec) -> dict[str, Any]:
        tokens = self._token_ids(spec.tokens)
        self._check_batch(1)
        if not 0 <= spec.first < len(tokens):
            raise ValueError(f"first must be 0 .. {len(tokens) - 1}")
        positions: list[int] = []
        argmax: list[int] = []
        logprob: list[float | None] = []
        dtypes, widths, finite = set(), set(), True
        for position, block in self._backend.logits(tokens, spec.first):
            positions.extend(range(position, position + len(block)))
            argmax.extend(int(index) for index in block.argmax(axis=1))
            whole = bool(np.isfinite(block).all())
            finite = finite and whole
            best = scoring.log_softmax(block).max(axis=1) if whole else [None] * len(block)
            logprob.extend(None if value is None else float(value) for value in best)
            dtypes.add(str(block.dtype))
            widths.add(block.shape[1])
        return {
            "positions": positions,
            "argmax": argmax,
            "logprob": logprob,
            "dtype": "/".join(sorted(dtypes)),
            "width": min(widths, default=0) if len(widths) == 1 else 0,
            "finite": finite,
        }

    def _token_ids(self, tokens: list[int]) -> Tokens:
        vocab_size = self._model.vocab_size
        if not tokens or len(tokens) > self._context_tokens or not all(0 <= t < vocab_size for t in tokens):
            raise ValueError(
                f"expected 1 .. {self._context_tokens} token ids in 0 .. {vocab_size - 1}, got {len(tokens)}"
            )
        return np.asarray(tokens, dtype=np.int32)

    def _unload(self, _: _Nothing) -> dict[str, Any]:
        if self._loaded is not None:
            self._backend.unload()
            self._loaded, self._batch = None, 1
        return {}

    def _exit(self, _: _Nothing) -> dict[str, Any]:
        return {}
