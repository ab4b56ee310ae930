"""Log-likelihoods of continuations after contexts: what evaluation tasks ask of a model, reduced inside the worker.

Owns the order in which a batch is computed and the sums over logits. Imports numpy and the worker half. Contract: the
answers stand in the order of the questions; sums in float64 and in nats; what several questions share at their
beginning is computed once where the backend has the capability ``prefix``, and again for each where it has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.worker.api import Backend, Logits, Tokens
from harness.worker.scoring import BLOCK_ELEMENTS, log_softmax


@dataclass(frozen=True, slots=True)
class Pair:
    """A continuation after a context; both token ids, neither empty."""

    context: list[int]
    continuation: list[int]


@dataclass(frozen=True, slots=True)
class PairsSpec:
    """A batch of questions."""

    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class PairScore:
    """An answer.

    Attributes:
        logprob: sum over the continuation's tokens, nats.
        greedy: whether each of them has the largest logit at its place.
    """

    logprob: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class PairsResult:
    """The answers in the order of the questions, and what they took.

    Attributes:
        scores: one for each pair.
        tokens: that the pairs have to have processed, each on its own.
        computed_tokens: that were processed; fewer where pairs share their beginning.
    """

    scores: list[PairScore]
    tokens: int
    computed_tokens: int


@dataclass(slots=True)
class _Sum:
    """The rows of one pair as they come: position of the first, the tokens they predict, and the sums."""

    first: int
    targets: Tokens
    logprob: float = 0.0
    greedy: bool = True


def loglikelihoods(
    backend: Backend, pairs: Sequence[Pair], *, vocab_size: int, context_tokens: int
) -> PairsResult:
    """Answer a batch.

    Args:
        backend: loaded.
        pairs: the questions.
        vocab_size: width of the backend's logits.
        context_tokens: room in the backend's cache.

    Raises:
        ValueError: a pair is empty, does not fit, or has ids outside the vocabulary; logits are not finite.
    """
    sums = [_sum(pair, vocab_size, context_tokens) for pair in pairs]
    # The last token of a continuation is only predicted. Pairs that differ in it alone are one computation.
    groups: dict[tuple[int, ...], list[_Sum]] = {}
    for pair, one in zip(pairs, sums, strict=True):
        groups.setdefault((*pair.context, *pair.continuation[:-1]), []).append(one)
    held: tuple[int, ...] = ()
    computed = 0
    # In this order neighbours have the longest beginning in common.
    for given in sorted(groups):
        members = groups[given]
        first = min(one.first for one in members)
        kept, blocks = _begin(backend, given, min(_common(held, given), first), first)
        computed += len(given) - kept
        _reduce(blocks, members, first, len(given), vocab_size)
        held = given
    return PairsResult(
        scores=[PairScore(one.logprob, one.greedy) for one in sums],
        tokens=sum(len(pair.context) + len(pair.continuation) - 1 for pair in pairs),
        computed_tokens=computed,
    )


def _sum(pair: Pair, vocab_size: int, context_tokens: int) -> _Sum:
    if not pair.context or not pair.continuation:
        raise ValueError("a context and a continuation have at least one token each")
    if len(pair.context) + len(pair.continuation) - 1 > context_tokens:
        raise ValueError(
            f"{len(pair.context)} + {len(pair.continuation)} tokens do not fit a context of {context_tokens}"
        )
    if not all(0 <= token < vocab_size for token in (*pair.context, *pair.continuation)):
        raise ValueError(f"there are token ids outside the vocabulary 0 .. {vocab_size - 1}")
    return _Sum(len(pair.context) - 1, np.asarray(pair.continuation, dtype=np.int32))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _begin(
    backend: Backend, given: Sequence[int], kept: int, first: int
) -> tuple[int, Iterator[tuple[int, Logits]]]:
    """How many tokens the cache kept, and the logits from position ``first`` on."""
    tokens: Tokens = np.asarray(given, dtype=np.int32)
    if kept > 0 and "prefix" in backend.capabilities:
        blocks = backend.logits_from(tokens, kept, first)
        if blocks is not None:
            return kept, blocks
    return 0, backend.logits(tokens, first)


def _reduce(
    blocks: Iterator[tuple[int, Logits]], members: Sequence[_Sum], first: int, end: int, vocab_size: int
) -> None:
    rows = max(1, BLOCK_ELEMENTS // vocab_size)
    expected = first
    for position, block in blocks:
        if position != expected or block.ndim != 2 or block.shape[1] != vocab_size:
            raise ValueError(
                f"the backend gave logits of shape {block.shape} at position {position}; "
                f"expected [*, {vocab_size}] at {expected}"
            )
        expected += len(block)
        for start in range(0, len(block), rows):
            _add(members, position + start, block[start : start + rows])
    if expected != end:
        raise ValueError(f"the backend gave logits up to position {expected - 1}, expected {end - 1}")


def _add(members: Sequence[_Sum], position: int, block: Logits) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise ValueError(f"the logits at position {position + int(finite.argmin())} are not finite")
    logprobs, best = log_softmax(block), block.argmax(axis=1)
    for one in members:
        begin, end = max(position, one.first), min(position + len(block), one.first + len(one.targets))
        if begin >= end:
            continue
        rows = np.arange(begin - position, end - position)
        targets = one.targets[begin - one.first : end - one.first]
        one.logprob += float(logprobs[rows, targets].sum())
        one.greedy = one.greedy and bool((best[rows] == targets).all())
