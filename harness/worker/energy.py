"""Energy windows: the same work over and over, for a meter that the runner reads from outside.

Owns what is done in a window and what is told of it. Imports what the timed passes use. Contract: the preparation of a
window, and every refilling of the cache, is outside of it; nothing here reads a meter.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from harness.worker.api import Backend, Stream, Tokens, Unsupported
from harness.worker.timing import (
    Emit,
    _check_room,
    _no_garbage_collection,
    calls_of,
    only_streams,
    random_tokens,
)

#: Rounds of requests are prepared for this much more time than the fastest round so far would fill.
ROUNDS_MARGIN = 1.5


@dataclass(frozen=True, slots=True)
class EnergySpec:
    """One long window of the same work, for an energy meter that the runner reads around it.

    Attributes:
        phase: the work: prefills, single-token decodes (of what only streams: whole requests), or nothing.
        seconds: the window lasts at least this long.
        prompt_tokens: tokens of each prefill (``prefill``, and requests).
        depth: tokens in the KV cache before the work.
        seed: seed of the token ids.
        stretch_s: no stretch of the window is shorter; where the cache is full sooner, the window ends unfinished.
        batch: sequences processed together, as the model was loaded.
        decode_tokens: tokens that a whole request asks for behind its first (``decode`` of what only streams).
        concurrency: requests at the same time (of what only streams).
    """

    phase: Literal["prefill", "decode", "idle"]
    seconds: float
    prompt_tokens: int = 0
    depth: int = 0
    seed: int = 0
    stretch_s: float = 0.0
    batch: int = 1
    decode_tokens: int = 0
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """What was done in a window.

    Attributes:
        phase: as asked.
        tokens: tokens processed as that phase's work, of all sequences.
        passes: prefills, single-token forward passes, or rounds of requests.
        stretches: pieces of the window; between two of them the full cache was emptied and filled to its depth again,
            or further requests were prepared.
        seconds: length of all stretches together.
        deepest_tokens: most tokens that the cache held, of one sequence.
        prompts: prompts that were prefilled in the window.
    """

    phase: str
    tokens: int
    passes: int
    stretches: int
    seconds: float
    deepest_tokens: int
    prompts: int = 0


class Step(NamedTuple):
    """One step of a stretch: tokens processed as the phase's work, tokens in a cache after it, prompts prefilled."""

    tokens: int
    held: int
    prompts: int = 0


#: Work until the cache is full.
Stretch = Iterator[Step]


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
    tokens = passes = stretches = deepest = prompts = 0
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
                tokens, deepest, prompts = (
                    tokens + done.tokens,
                    max(deepest, done.held),
                    prompts + done.prompts,
                )
                passes += done.tokens > 0
            emit("window", {"edge": "end", "phase": spec.phase})
            seconds += now - begin
            stretches += 1
            if now - begin < spec.stretch_s:
                break
    return EnergyWindow(spec.phase, tokens, passes, stretches, seconds, deepest, prompts)


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
        return _requests(backend, spec, vocab_size, context_tokens)
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
        yield Step(0, 0)


def _ids(spec: EnergySpec, repetition: int, count: int, vocab_size: int) -> Tokens:
    """``int32[count]``, or ``int32[batch, count]``."""
    ids = random_tokens(spec.seed, repetition, spec.batch * count, vocab_size)
    return ids.reshape(spec.batch, count) if spec.batch > 1 else ids


def _first_prefills(backend: Backend, spec: EnergySpec, vocab_size: int) -> Stretch:
    """Prompts into an empty cache: one stretch without end, because emptying costs nothing that counts."""
    calls, count = calls_of(backend, spec.batch), spec.prompt_tokens
    for repetition in itertools.count():
        backend.reset()
        calls.prefill(_ids(spec, repetition, count, vocab_size))
        yield Step(spec.batch * count, count, spec.batch)


def _deeper_prefills(
    backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int
) -> Iterator[Stretch]:
    """Prompts one behind the other, from the depth on, until no further one fits."""
    calls, count = calls_of(backend, spec.batch), spec.prompt_tokens
    prompts = (context_tokens - spec.depth) // count
    for repetition in itertools.count():
        ids = _ids(spec, repetition, spec.depth + prompts * count, vocab_size)
        backend.reset()
        calls.prefill(np.ascontiguousarray(ids[..., : spec.depth]))

        def stretch(ids: Tokens = ids) -> Stretch:
            for begin in range(spec.depth, ids.shape[-1], count):
                end = begin + count
                calls.prefill(np.ascontiguousarray(ids[..., begin:end]))
                yield Step(spec.batch * count, end, spec.batch)

        yield stretch()


def _decodes(backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int) -> Iterator[Stretch]:
    """Single tokens (of a batch: one of each sequence) from the depth on, until the cache is full."""
    calls = calls_of(backend, spec.batch)
    for repetition in itertools.count():
        ids = _ids(spec, repetition, spec.depth + 1, vocab_size)
        backend.reset()
        if spec.depth:
            calls.prefill(np.ascontiguousarray(ids[..., :-1]))

        def stretch(token: int | Tokens = ids[..., -1] if spec.batch > 1 else int(ids[-1])) -> Stretch:
            for held in range(spec.depth, context_tokens):
                calls.decode(token)
                token = calls.sample()
                yield Step(spec.batch, held + 1)

        yield stretch()


def _requests(backend: Backend, spec: EnergySpec, vocab_size: int, context_tokens: int) -> Iterator[Stretch]:
    """Rounds of requests to a server, each with prompts of its own, which are prepared before the stretch begins.

    For ``prefill`` a request asks for the one token that its prefill gives; for ``decode`` for `decode_tokens` more,
    and its prefill is in the window too: the runner takes it out again.
    """
    if (reason := backend.unmetered()) is not None:
        raise Unsupported(reason)
    if spec.phase not in ("prefill", "decode"):
        raise ValueError(f"unknown phase {spec.phase!r}")
    if spec.depth != (spec.prompt_tokens if spec.phase == "decode" else 0):
        raise Unsupported(f"{backend.title} begins every request with a prompt and an empty cache")
    if spec.prompt_tokens < 1 or spec.concurrency < 1 or (spec.phase == "decode" and spec.decode_tokens < 1):
        raise ValueError("a request has a prompt, a concurrency, and in a decode window tokens to decode")
    more = spec.decode_tokens if spec.phase == "decode" else 0
    _check_room(spec.prompt_tokens + more, context_tokens)
    rounds = itertools.count()

    def ready() -> Callable[[], list[Stream]]:
        count = spec.prompt_tokens
        ids = random_tokens(spec.seed, next(rounds), count * spec.concurrency, vocab_size)
        return backend.ready_stream([ids[at : at + count] for at in range(0, len(ids), count)], more + 1)

    first = ready()
    begin = time.monotonic()
    first()  # tells how long a round is
    fastest = time.monotonic() - begin
    while True:
        wanted = max(1, math.ceil(ROUNDS_MARGIN * max(spec.seconds, spec.stretch_s) / max(fastest, 1e-3)))
        prepared = [ready() for _ in range(wanted)]

        def stretch(prepared: list[Callable[[], list[Stream]]] = prepared) -> Stretch:
            for send in prepared:
                streams = send()
                nanoseconds = max(each.arrivals_ns[-1] for each in streams) - min(
                    each.submitted_ns for each in streams
                )
                nonlocal fastest
                fastest = min(fastest, nanoseconds / 1e9)
                yield Step(_counted(streams, spec), spec.prompt_tokens + more, len(streams))

        yield stretch()


def _counted(streams: list[Stream], spec: EnergySpec) -> int:
    """Tokens of the phase's work in a round.

    Raises:
        Unsupported: the server does not say how many there were.
    """
    if spec.phase == "prefill":
        told = [each.prompt_tokens for each in streams if each.prompt_tokens is not None]
        if len(told) < len(streams):
            raise Unsupported("the server does not tell how many tokens a prompt has")
        return sum(told)
    tokens = [each.tokens - 1 for each in streams if each.tokens is not None]
    if len(tokens) < len(streams):
        raise Unsupported("the server does not tell how many tokens it gave")
    return sum(tokens)
