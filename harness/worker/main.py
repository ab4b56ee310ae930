"""The worker's command loop: one request at a time, one answer each.

Owns reading requests, checking them, calling the backend, and answering. Imports the standard library, numpy and
the worker half; the framework comes with the backend. Contract: whatever a request or a framework does, short of
killing the process, the answer is one ``result`` or ``error``; when the request pipe ends, the process ends at once.

Requests and the bodies of their answers (dataclasses of `harness.worker.api` and `.protocol` as `bodies` writes them):

method     request                                            result
=========  =================================================  =======================================================
hello      {}                                                 protocol, framework, versions, python, implementation,
                                                              platform, pid, import_s, memory
devices    {}                                                 devices: [Device]
make       MakeRequest                                        Made, seconds, memory
tokenize   model, text_file (UTF-8), out                      tokens (count), bos; ``out`` holds int32 little-endian
load       LoadSpec                                           Loaded, load_s, memory
timed      TimedSpec                                          samples: [Sample], memory, warmup: Warmup, text:
                                                              TextResult or null
energy     EnergySpec                                         EnergyWindow, memory
score      ScoreSpec                                          ScoreResult, score_s, memory
generate   tokens, count                                      tokens: the ``count`` greedy choices after ``tokens``
logits     tokens, first                                      positions, argmax, logprob (of the argmax), dtype, width,
                                                              finite
unload     {}                                                 {}
exit       {}                                                 {}, and the process ends
=========  =================================================  =======================================================
=======
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
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.worker import energy, orphan, scoring, timing
from harness.worker.api import Backend, Loaded, LoadSpec, MakeRequest, Tokens, Unsupported
from harness.worker.bodies import from_body, to_body
from harness.worker.memory import MemoryReader
from harness.worker.protocol import VERSION, MemoryReading, Message, ProtocolError, ScoreSpec, TimedSpec
from harness.worker.same_tokens import check_tokens
from harness.worker.text import time_text

#: A traceback longer than this is cut in the middle: it is for a person, and the log has it too.
TRACEBACK_CHARACTERS = 20_000


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
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(read_fd, lines), name="requests", daemon=True).start()
    worker = Worker(backend, lambda message: _write(write_fd, message))
    while True:
        worker.handle(lines.get())


def _read_lines(read_fd: int, lines: queue.SimpleQueue[bytes]) -> None:
    # Blocks without the GIL between requests: a thread of its own, so that the end of the pipe is noticed while the
    # main thread computes.
    with os.fdopen(read_fd, "rb") as pipe:
        for line in pipe:
            lines.put(line)
    orphan.leave()


def _write(write_fd: int, message: Message) -> None:
    left = memoryview(message.encode())
    try:
        while left:
            left = left[os.write(write_fd, left) :]
    except BrokenPipeError:
        orphan.leave()


class Worker:
    """One backend and what it has loaded.

    Args:
        backend: ``module:Class``; imported by the first ``hello``.
        send: writes a message.
    """

    def __init__(self, backend: str, send: Callable[[Message], None]) -> None:
        self._backend_name = backend
        self._send = send
        self._request = 0
        self._started: Backend | None = None
        self._loaded: Loaded | None = None
        self._context_tokens = 0
        self._batch = 1
        self._import_s = 0.0
        self._reader = MemoryReader()
        self._memory: list[MemoryReading] = []
        self._handlers: dict[str, tuple[type[Any], Callable[[Any], dict[str, Any]]]] = {
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
            "logits": (LogitsSpec, self._logits),
            "unload": (_Nothing, self._unload),
            "exit": (_Nothing, self._exit),
        }

    def handle(self, line: bytes) -> None:
        """Answer one request line; an error of any kind is an answer too."""
        self._request = -1
        try:
            message = Message.decode(line)
            self._request = message.id
            if message.kind != "request" or message.name not in self._handlers:
                raise ProtocolError(f"no request: {message.kind} {message.name!r}")
            kind, handler = self._handlers[message.name]
            answer = handler(from_body(kind, message.body))
            reply = Message(message.id, "result", message.name, answer)
            reply.encode()  # a NaN in an answer is an error answer, not a crash
        except (Exception, SystemExit) as error:  # noqa: BLE001  frameworks raise anything, and some call sys.exit
            reply = Message(self._request, "error", "error", _described(error))
        self._send(reply)
        if reply.kind == "result" and reply.name == "exit":
            sys.stdout.flush()
            sys.stderr.flush()
            # A framework's own exit handlers may hang or crash, and nothing is left for them to do.
            os._exit(0)

    def _emit(self, name: str, body: dict[str, Any]) -> None:
        self._send(Message(self._request, "event", name, body))

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
        ids, bos = self._backend.tokenize(spec.model, spec.text_file.read_text(encoding="utf-8"))
        np.asarray(ids, dtype="<i4").tofile(spec.out)
        return {"tokens": len(ids), "bos": bos}

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
        if spec.phase != "idle" and self._batch > 1:
            raise Unsupported("energy is measured of one sequence at a time, not of a batch")
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
        check_tokens(self._backend, spec)
        begin = time.perf_counter()
        result = scoring.score(self._backend, spec, vocab_size=vocab_size, emit=self._emit)
        score_s = time.perf_counter() - begin
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

    def _check_batch(self, batch: int) -> None:
        if batch != self._batch:
            raise ValueError(f"the model was loaded for a batch of {self._batch}, not of {batch}")

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


def _described(error: BaseException) -> dict[str, Any]:
    text = "".join(traceback.format_exception(error))
    if len(text) > TRACEBACK_CHARACTERS:
        half = TRACEBACK_CHARACTERS // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__, "traceback": text}
