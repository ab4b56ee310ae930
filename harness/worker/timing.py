"""Timed passes: the same code for every framework.

Owns the order of calls, the clock and the token ids. Imports numpy, `harness.worker.api` and the protocol. Contract: a
timed span holds calls of the backend and clock readings, and nothing else: no write, no garbage collection, no reading
of memory. A forward pass is timed apart from choosing a token.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from harness.worker.api import Backend, Stream, Tokens, Unsupported
from harness.worker.prompts import pass_tokens
from harness.worker.prompts import random_tokens as random_tokens
from harness.worker.protocol import MemoryReading, Sample, TimedSpec
from harness.worker.warmup import Warmup, warmup_end

#: Sends an event of this name and body to the runner.
Emit = Callable[[str, dict[str, Any]], None]
#: A monotonic clock, in nanoseconds.
Clock = Callable[[], int]


class ReadMemory(Protocol):
    """Reads the memory that counts at the end of a phase; inside a timed pass counters only, no page tables."""

    def __call__(self, phase: str, *, in_timed_pass: bool = False) -> list[MemoryReading]: ...


@dataclass(frozen=True, slots=True)
class TimedResult:
    """Samples in order of repetition, warm-ups first; one memory reading for each phase that took place.

    ``warmup``: how many passes warmed up, and what ended them.
    """

    samples: list[Sample]
    memory: list[MemoryReading]
    warmup: Warmup


def check_timed(spec: TimedSpec, context_tokens: int) -> None:
    """Raise ValueError where a spec asks for nothing, for negative counts, or for more than the cache holds."""
    for name in ("prompt_tokens", "decode_tokens", "depth", "repetitions", "warmups", "seed"):
        if getattr(spec, name) < 0:
            raise ValueError(f"{name} is negative")
    if spec.warmup_rule is not None and not 0 < spec.warmup_rule.change < math.inf:
        raise ValueError(f"warmup_rule.change is {spec.warmup_rule.change}, not a share above 0")
    if spec.repetitions == 0:
        raise ValueError("repetitions is 0: nothing to time")
    if spec.prompt_tokens == 0 and spec.decode_tokens == 0:
        raise ValueError("prompt_tokens and decode_tokens are both 0: nothing to time")
    if spec.concurrency < 1:
        raise ValueError("concurrency is below 1")
    if spec.batch < 1:
        raise ValueError("batch is below 1")
    _check_room(spec.depth + spec.prompt_tokens + spec.decode_tokens, context_tokens)


def only_streams(backend: Backend | type[Backend]) -> bool:
    """Whether the backend shows nothing but streams: a client of a server."""
    return "stream" in backend.capabilities and "prefill" not in backend.capabilities


def _check_room(tokens: int, context_tokens: int) -> None:
    if tokens > context_tokens:
        raise ValueError(f"{tokens} tokens do not fit into the context of {context_tokens} that was loaded")


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def timed_passes(
    backend: Backend,
    spec: TimedSpec,
    *,
    vocab_size: int,
    emit: Emit,
    read_memory: ReadMemory,
    clock: Clock = time.perf_counter_ns,
) -> TimedResult:
    """Run the warm-ups and the timed repetitions of a `TimedSpec` on a loaded backend.

    A ``phase`` event goes out before each pass, never within one: ``warmup``, then ``prefill``, ``decode`` or
    ``prefill+decode``, with ``done`` and ``total`` passes of that kind (of warm-ups by rule: the most there may be).
    Memory is read after the very first prefill (its peak is then no decode's; the token clock stands still meanwhile),
    at the end of the warm-ups, and at the end.
    """
    streaming = only_streams(backend)
    if spec.concurrency > 1 and not streaming:
        raise Unsupported(f"{backend.title} takes one request at a time here")
    samples: list[Sample] = []
    memory: list[MemoryReading] = []
    timed_phase = "+".join(
        name for name, count in (("prefill", spec.prompt_tokens), ("decode", spec.decode_tokens)) if count
    )

    def between() -> None:
        memory.extend(read_memory("prefill", in_timed_pass=not spec.warmups))

    def take(repetition: int, *, warmup: bool) -> None:
        with _no_garbage_collection():
            samples.append(
                stream_pass(backend, spec, repetition, warmup=warmup, vocab_size=vocab_size)
                if streaming
                else one_pass(
                    backend,
                    spec,
                    repetition,
                    warmup=warmup,
                    vocab_size=vocab_size,
                    between=between
                    if repetition == 0 and spec.prompt_tokens and spec.decode_tokens
                    else None,
                    clock=clock,
                )
            )

    begun = clock()
    while (warmed := warmup_end(spec, samples, (clock() - begun) / 1e9)) is None:
        emit("phase", {"phase": "warmup", "done": len(samples), "total": spec.warmups})
        take(len(samples), warmup=True)
    for done in range(spec.repetitions):
        emit("phase", {"phase": timed_phase, "done": done, "total": spec.repetitions})
        if done == 0 and warmed.passes:
            memory.extend(read_memory("warmup"))
        take(warmed.passes + done, warmup=False)
    memory.extend(read_memory("decode" if spec.decode_tokens else "prefill"))
    return TimedResult(samples, memory, warmed)


@dataclass(frozen=True, slots=True)
class Calls:
    """What a pass is made of: ``int32[n]`` and one token, or ``int32[batch, n]`` and ``int32[batch]``."""

    prefill: Callable[[Tokens], None]
    decode: Callable[[Any], None]
    sample: Callable[[], Any]


def calls_of(backend: Backend, batch: int) -> Calls:
    """The calls of a backend that was loaded for ``batch`` sequences."""
    if batch == 1:
        return Calls(backend.prefill, backend.decode, backend.sample)
    return Calls(backend.prefill_batch, backend.decode_batch, backend.sample_batch)


def one_pass(
    backend: Backend,
    spec: TimedSpec,
    repetition: int,
    *,
    warmup: bool,
    vocab_size: int,
    between: Callable[[], None] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> Sample:
    """One repetition: reset, fill, prefill, decode; of a batch, each call for all its sequences.

    Without a prompt the first token decoded is a random one, ``token_ns`` counts from the beginning of the decode, and
    there is no ``prefill_s`` or ``ttft_s``; without decoding there is no ``decode_s``.

    Args:
        backend: loaded.
        spec: what to do; its counts are taken as checked (`check_timed`).
        repetition: from 0; with the seed it gives the token ids.
        warmup: marks the sample.
        vocab_size: ids are below it.
        between: called between prefill and decode; its time is taken out of ``token_ns``.
        clock: nanoseconds.
    """
    length = spec.depth + spec.prompt_tokens + 1
    ids = pass_tokens(spec, repetition, spec.batch * length, vocab_size)
    calls = calls_of(backend, spec.batch)
    if spec.batch > 1:
        ids = ids.reshape(spec.batch, length)
    fill = np.ascontiguousarray(ids[..., : spec.depth])
    prompt = np.ascontiguousarray(ids[..., spec.depth : length - 1])
    token = ids[..., -1] if spec.batch > 1 else int(ids[-1])
    backend.reset()
    if spec.depth:
        calls.prefill(fill)
    before = dict(backend.counters())
    forward_ns: list[int] = [0] * spec.decode_tokens
    token_ns: list[int] = []
    sampling_ns = 0
    values: dict[str, float] = {}

    submitted = clock()
    if spec.prompt_tokens:
        calls.prefill(prompt)
        computed = clock()
        token = calls.sample()
        chosen = clock()
        values["prefill_s"] = (computed - submitted) / 1e9
        values["ttft_s"] = (chosen - submitted) / 1e9
        sampling_ns = chosen - computed
        token_ns.append(chosen - submitted)
    if between is not None:
        paused = clock()
        between()
        submitted += clock() - paused
    for index in range(spec.decode_tokens):
        begun = clock()
        calls.decode(token)
        computed = clock()
        token = calls.sample()
        chosen = clock()
        forward_ns[index] = computed - begun
        sampling_ns += chosen - computed
        token_ns.append(chosen - submitted)

    if spec.decode_tokens:
        values["decode_s"] = sum(forward_ns) / 1e9
    values["sampling_s"] = sampling_ns / 1e9
    values |= _own_counters(before, backend.counters(), spec)
    return Sample(repetition, warmup, values, forward_ns, token_ns)


def stream_pass(
    backend: Backend, spec: TimedSpec, repetition: int, *, warmup: bool, vocab_size: int
) -> Sample:
    """One repetition of a backend that only streams: fresh prompts, all submitted at the same time.

    Each request asks for one token more than ``decode_tokens``: the first is the one that the prefill gives.

    Raises:
        Unsupported: the spec wants a filled cache, or no prompt: neither can be asked of a server.
    """
    if spec.depth or not spec.prompt_tokens:
        raise Unsupported(f"{backend.title} begins every request with a prompt and an empty cache")
    count = spec.prompt_tokens
    ids = pass_tokens(spec, repetition, count * spec.concurrency, vocab_size)
    prompts = [ids[start : start + count] for start in range(0, len(ids), count)]
    streams = backend.stream(prompts, spec.decode_tokens + 1)
    begin = min(stream.submitted_ns for stream in streams)
    values = {
        "ttft_s": float(np.median([s.arrivals_ns[0] - s.submitted_ns for s in streams])) / 1e9,
        "wall_s": (max(stream.arrivals_ns[-1] for stream in streams) - begin) / 1e9,
        "arrivals": float(sum(len(stream.arrivals_ns) for stream in streams)),
    }
    tokens = [stream.tokens for stream in streams if stream.tokens is not None]
    if len(tokens) == len(streams):
        values["tokens"] = float(sum(tokens))
    told = [stream.prompt_tokens for stream in streams if stream.prompt_tokens is not None]
    if len(told) == len(streams):
        values["prompt_tokens_told"] = float(sum(told))
    known = all(stream.tokens_each for stream in streams)
    if not known:
        return Sample(repetition, warmup, values, [], [])
    if spec.concurrency == 1:
        return Sample(repetition, warmup, values, [], token_times(streams[0], streams[0].submitted_ns))
    requests = [[stream.submitted_ns - begin, *token_times(stream, begin)] for stream in streams]
    return Sample(repetition, warmup, values, [], [], requests)


def token_times(stream: Stream, since_ns: int) -> list[int]:
    """When each token of a stream arrived; tokens that came together came at the same time."""
    return [
        arrival - since_ns
        for arrival, tokens in zip(stream.arrivals_ns, stream.tokens_each, strict=True)
        for _ in range(tokens)
    ]


def _own_counters(
    before: Mapping[str, float], after: Mapping[str, float], spec: TimedSpec
) -> dict[str, float]:
    """The framework's own figures of the pass, without the untimed fill; a phase that did not take place has none."""
    counted = {"prefill": spec.prompt_tokens, "decode": spec.decode_tokens}
    return {
        f"framework_{name}": value - before.get(name, 0.0)
        for name, value in after.items()
        if counted.get(name.partition("_")[0])
    }
