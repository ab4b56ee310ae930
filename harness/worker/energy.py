"""Energy windows: the same work over and over, for a meter that the runner reads from outside.

Owns what is done in a window and what is told of it. Imports what the timed passes use. Contract: the preparation of a
window, and every refilling of the cache, is outside of it; nothing here reads a meter.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.worker.api import Backend, Tokens, Unsupported
from harness.worker.timing import Emit, _check_room, _no_garbage_collection, only_streams, random_tokens


@dataclass(frozen=True, slots=True)
class EnergySpec:
    """One long window of the same work, for an energy meter that the runner reads around it.

    Attributes:
        phase: the work: prefills, single-token decodes, or nothing.
        seconds: the window lasts at least this long.
        prompt_tokens: tokens of each prefill (``prefill`` only).
        depth: tokens in the KV cache before the work.
        seed: seed of the token ids.
        stretch_s: no stretch of the window is shorter; where the cache is full sooner, the window ends unfinished.
    """

    phase: Literal["prefill", "decode", "idle"]
    seconds: float
    prompt_tokens: int = 0
    depth: int = 0
    seed: int = 0
    stretch_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """What was done in a window.

    Attributes:
        phase: as asked.
        tokens: tokens processed as that phase's work.
        passes: prefills, or single-token forward passes.
        stretches: pieces of the window; between two of them the full cache was emptied and filled to its depth again.
        seconds: length of all stretches together.
        deepest_tokens: most tokens that the cache held.
    """

    phase: str
    tokens: int
    passes: int
    stretches: int
    seconds: float
    deepest_tokens: int


#: Work until the cache is full; each step gives (tokens processed, tokens in the cache).
Stretch = Iterator[tuple[int, int]]


def energy_window(
    backend: Backend | None, spec: EnergySpec, *, vocab_size: int, context_tokens: int, emit: Emit
) -> EnergyWindow:
    """Repeat one kind of work for at least ``spec.seconds``, if the cache has room for stretches of ``spec.stretch_s``.

    A ``window`` event with ``edge`` ``begin`` goes out right before each stretch and one with ``end`` right after it,
    so that the runner reads its meter without the preparation.

    Args:
        backend: loaded; None is enough for ``idle``.
        spec: the work.
        vocab_size: token ids are below it.
        context_tokens: room in the cache.
        emit: sends the events.

    Raises:
        ValueError: the spec asks for work that does not fit.
    """
    work = _work(backend, spec, vocab_size, context_tokens)
    tokens = passes = stretches = deepest = 0
    seconds = 0.0
    with _no_garbage_collection():
        while seconds < spec.seconds:
            stretch = next(work)  # prepares it
            emit("window", {"edge": "begin", "phase": spec.phase})
            begin = now = time.monotonic()
            end = begin + max(spec.seconds - seconds, spec.stretch_s)
            while now < end:
                done = next(stretch, None)
                now = time.monotonic()
                if done is None:
                    break
                tokens, deepest = tokens + done[0], max(deepest, done[1])
                passes += done[0] > 0
            emit("window", {"edge": "end", "phase": spec.phase})
            seconds += now - begin
            stretches += 1
            if now - begin < spec.stretch_s:
                break
    return EnergyWindow(spec.phase, tokens, passes, stretches, seconds, deepest)


def _work(
    backend: Backend | None, spec: EnergySpec, vocab_size: int, context_tokens: int
) -> Iterator[Stretch]:
    """Stretches of work, each prepared when it is taken."""
    if spec.seconds <= 0:
        raise ValueError("seconds must be above 0")
    if min(spec.prompt_tokens, spec.depth, spec.seed) < 0:
        raise ValueError("prompt_tokens, depth and seed must not be negative")
    if spec.phase == "idle":
        return itertools.repeat(_rest(spec.seconds))
    if backend is None:
        raise ValueError(f"nothing is loaded for {spec.phase!r}")
    if only_streams(backend):
        raise Unsupported("a client of a server cannot tell the energy of prefill and decode apart")
    if spec.phase == "prefill":
        if spec.prompt_tokens == 0:
            raise ValueError("prompt_tokens is 0: nothing to prefill")
        _check_room(spec.depth + spec.prompt_tokens, context_tokens)
        if spec.depth == 0:
            return itertools.repeat(_first_prefills(backend, spec, vocab_size))
        return _deeper_prefills(backend, spec, vocab_size, context_tokens)
    if spec.phase == "decode":
        _check_room(spec.depth + 1, context_tokens)
        return _decodes(backend, spec, vocab_size, context_tokens)
    raise ValueError(f"unknown phase {spec.phase!r}")


def _rest(seconds: float) -> Stretch:
    while True:
        time.sleep(seconds)
        yield 0, 0


def _first_prefills(backend: Backend, spec: EnergySpec, vocab_size: int) -> Stretch:
    """Prompts into an empty cache: one stretch without end, because emptying costs nothing that counts."""
    for repetition in itertools.count():
        backend.reset()
        backend.prefill(random_tokens(spec.seed, repetition, spec.prompt_tokens, vocab_size))
        yield spec.prompt_tokens, spec.prompt_tokens


def _deeper_prefills(
    backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int
) -> Iterator[Stretch]:
    """Prompts one behind the other, from the depth on, until no further one fits."""
    prompts = (context_tokens - spec.depth) // spec.prompt_tokens
    for repetition in itertools.count():
        ids = random_tokens(spec.seed, repetition, spec.depth + prompts * spec.prompt_tokens, vocab_size)
        backend.reset()
        backend.prefill(ids[: spec.depth])

        def stretch(ids: Tokens = ids) -> Stretch:
            for begin in range(spec.depth, len(ids), spec.prompt_tokens):
                end = begin + spec.prompt_tokens
                backend.prefill(ids[begin:end])
                yield spec.prompt_tokens, end

        yield stretch()


def _decodes(backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int) -> Iterator[Stretch]:
    """Single tokens from the depth on, until the cache is full."""
    for repetition in itertools.count():
        ids = random_tokens(spec.seed, repetition, spec.depth + 1, vocab_size)
        backend.reset()
        if spec.depth:
            backend.prefill(ids[:-1])

        def stretch(token: int = int(ids[-1])) -> Stretch:
            for held in range(spec.depth, context_tokens):
                backend.decode(token)
                token = backend.sample()
                yield 1, held + 1

        yield stretch()
