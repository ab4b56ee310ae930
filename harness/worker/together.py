"""Texts of different lengths, generated together: who goes on, with which token, in how much room.

Owns the bookkeeping between two requests. Imports numpy and the worker half. Contract: the tokens of each sequence
are the greedy choices after its own prompt; what does not fit is refused before anything is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.worker.api import Backend, Tokens


class Together:
    """The sequences of one request for texts, from empty caches on.

    Args:
        backend: loaded for at least as many sequences as there are prompts.
        room: tokens that fit, for each sequence.
    """

    def __init__(self, backend: Backend, room: int) -> None:
        self._backend = backend
        self._room = room
        #: Of each sequence that has not ended: tokens in its cache, and its newest choice, which is not yet there.
        self._held: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def begin(self, prompts: Sequence[Tokens], count: int) -> list[list[int]]:
        """The first ``count`` choices after each prompt.

        Raises:
            ValueError: they do not fit.
        """
        self._check_room(max(len(prompt) for prompt in prompts), count - 1)
        self._backend.reset()
        self._backend.prefill_ragged(prompts)
        self._held = {number: len(prompt) for number, prompt in enumerate(prompts)}
        return self._choose(list(self._held), [self._backend.sample_batch()], count - 1)

    def go_on(self, sequences: Sequence[int], count: int) -> list[list[int]]:
        """As many more of each of these sequences, in ascending order; the others have ended.

        Raises:
            ValueError: one of them has ended before or never was, or they do not fit.
        """
        numbers = sorted(set(sequences))
        if not numbers or numbers != list(sequences) or not self._held.keys() >= set(numbers):
            raise ValueError(f"sequences {list(sequences)} are not among {sorted(self._held)}, in this order")
        self._check_room(max(self._held[number] for number in numbers), count)
        return self._choose(numbers, [], count)

    def _check_room(self, held: int, passes: int) -> None:
        if passes < 0 or held + passes > self._room:
            raise ValueError(f"{held} + {passes} tokens do not fit a context of {self._room}")

    def _choose(self, numbers: list[int], chosen: list[Tokens], passes: int) -> list[list[int]]:
        newest = chosen[-1] if chosen else np.array([self._newest[each] for each in numbers], dtype=np.int32)
        for _ in range(passes):
            self._backend.decode_ragged(numbers, newest)
            newest = self._backend.sample_batch()
            chosen.append(newest)
        self._newest = dict(zip(numbers, map(int, newest), strict=True))
        self._held = {number: self._held[number] + passes for number in numbers}
        rows: list[list[int]] = np.stack(chosen, axis=1).tolist()
        return rows
