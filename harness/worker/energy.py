"""Energy windows: the same work over and over, for a meter that the runner reads from outside.

Owns what is done in a window and what is told of it. Imports what the timed passes use. Contract: the preparation of a
window is outside of it; nothing here reads a meter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.worker.api import Backend, Unsupported
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
    """

    phase: Literal["prefill", "decode", "idle"]
    seconds: float
    prompt_tokens: int = 0
    depth: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """What was done in a window.

    Attributes:
        phase: as asked.
        tokens: tokens processed as that phase's work.
        fill_tokens: tokens processed only to refill the cache inside the window; where this is not small beside
            ``tokens``, energy per token is not that phase's.
        passes: prefills, or single-token forward passes.
        begin_s: `time.monotonic` at the beginning, comparable with the runner's on the same machine.
        end_s: the same at the end.
    """

    phase: str
    tokens: int
    fill_tokens: int
    passes: int
    begin_s: float
    end_s: float


def energy_window(
    backend: Backend | None, spec: EnergySpec, *, vocab_size: int, context_tokens: int, emit: Emit
) -> EnergyWindow:
    """Repeat one kind of work for at least ``spec.seconds``.

    A ``window`` event with ``edge`` ``begin`` goes out right before the window and one with ``end`` right after it, so
    that the runner reads its meter without the preparation.

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
    tokens = fill_tokens = passes = 0
    with _no_garbage_collection():
        emit("window", {"edge": "begin", "phase": spec.phase, "monotonic_s": time.monotonic()})
        begin = time.monotonic()
        deadline = begin + spec.seconds
        while (now := time.monotonic()) < deadline:
            if work is None:
                time.sleep(deadline - now)
                continue
            done, filled = next(work)
            tokens += done
            fill_tokens += filled
            passes += 1
        end = time.monotonic()
        emit("window", {"edge": "end", "phase": spec.phase, "monotonic_s": end})
    return EnergyWindow(spec.phase, tokens, fill_tokens, passes, begin, end)


def _work(
    backend: Backend | None, spec: EnergySpec, vocab_size: int, context_tokens: int
) -> Iterator[tuple[int, int]] | None:
    """Prepared work whose steps give (tokens of the phase, tokens of refilling); None for idle."""
    if spec.seconds <= 0:
        raise ValueError("seconds must be above 0")
    if min(spec.prompt_tokens, spec.depth, spec.seed) < 0:
        raise ValueError("prompt_tokens, depth and seed must not be negative")
    if spec.phase == "idle":
        return None
    if backend is None:
        raise ValueError(f"nothing is loaded for {spec.phase!r}")
    if only_streams(backend):
        raise Unsupported("a client of a server cannot tell the energy of prefill and decode apart")
    if spec.phase == "prefill":
        if spec.prompt_tokens == 0:
            raise ValueError("prompt_tokens is 0: nothing to prefill")
        _check_room(spec.depth + spec.prompt_tokens, context_tokens)
        return _prefills(backend, spec, vocab_size)
    if spec.phase == "decode":
        _check_room(spec.depth + 1, context_tokens)
        steps = _decodes(backend, spec, vocab_size, context_tokens)
        next(steps)  # the first step fills the cache, outside the window
        return steps
    raise ValueError(f"unknown phase {spec.phase!r}")


def _prefills(backend: Backend, spec: EnergySpec, vocab_size: int) -> Iterator[tuple[int, int]]:
    repetition = 0
    while True:
        ids = random_tokens(spec.seed, repetition, spec.depth + spec.prompt_tokens, vocab_size)
        backend.reset()
        if spec.depth:
            backend.prefill(ids[: spec.depth])
        backend.prefill(ids[spec.depth :])
        yield spec.prompt_tokens, spec.depth
        repetition += 1


def _decodes(
    backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int
) -> Iterator[tuple[int, int]]:
    repetition = 0
    while True:
        ids = random_tokens(spec.seed, repetition, spec.depth + 1, vocab_size)
        backend.reset()
        if spec.depth:
            backend.prefill(ids[:-1])
        if repetition == 0:
            yield 0, 0
        token = int(ids[-1])
        for step in range(context_tokens - spec.depth):
            backend.decode(token)
            token = backend.sample()
            yield 1, spec.depth if repetition and step == 0 else 0
        repetition += 1
