"""Several sequences in one context of llama.cpp.

Owns the arrays of a ``llama_batch`` with sequence ids, and what llama.cpp counts of such passes. Imports numpy and
ctypes; the caller brings ``llama_cpp``. Contract: that of the batch calls of `harness.worker.api.Backend`; tokens go
in as llama-batched-bench's do, one sequence after the other, but so that the last tokens of all sequences are in one
``llama_decode``: only the logits of the newest call can be read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.worker.api import Tokens


class _Given:
    """The input of one ``llama_decode`` of tokens that are any sequences', in any number of each."""

    def __init__(
        self, llama: Any, tokens: Tokens, positions: Tokens, owners: Tokens, *, logits: bool
    ) -> None:
        total = len(tokens)
        self._tokens, self._positions, self._owners = (
            np.ascontiguousarray(each, dtype=np.int32) for each in (tokens, positions, owners)
        )
        self._addresses = self._owners.ctypes.data + self._owners.itemsize * np.arange(total, dtype=np.uintp)
        self._each = np.ones(total, dtype=np.int32)
        self._wanted = np.full(total, logits, dtype=np.int8)
        self.struct = llama.llama_batch(
            n_tokens=total,
            token=_pointer(self._tokens, ctypes.c_int32),
            pos=_pointer(self._positions, ctypes.c_int32),
            n_seq_id=_pointer(self._each, ctypes.c_int32),
            seq_id=_pointer(self._addresses, ctypes.POINTER(ctypes.c_int32)),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )


class _Block:
    """The input of one ``llama_decode``: ``count`` tokens of each of ``batch`` sequences, sequence after sequence."""

    def __init__(self, llama: Any, batch: int, count: int, *, logits: bool) -> None:
        total = batch * count
        self.tokens = np.zeros((batch, count), dtype=np.int32)
        self.positions = np.zeros((batch, count), dtype=np.int32)
        #: Index of each sequence's last token.
        self.last = np.arange(1, batch + 1) * count - 1
        self._owners = np.repeat(np.arange(batch, dtype=np.int32), count)
        self._addresses = self._owners.ctypes.data + self._owners.itemsize * np.arange(total, dtype=np.uintp)
        self._each = np.ones(total, dtype=np.int32)
        self._wanted = np.zeros(total, dtype=np.int8)
        self._wanted[self.last] = logits
        self.struct = llama.llama_batch(
            n_tokens=total,
            token=_pointer(self.tokens, ctypes.c_int32),
            pos=_pointer(self.positions, ctypes.c_int32),
            n_seq_id=_pointer(self._each, ctypes.c_int32),
            seq_id=_pointer(self._addresses, ctypes.POINTER(ctypes.c_int32)),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


class Sequences:
    """The sequences of a loaded context.

    Args:
        llama: the low-level module of llama-cpp-python.
        context: made for ``batch`` sequences, its cache empty; one token of each fits into its ``n_batch``.
        batch: how many.
        vocab_size: width of the logits.
        process: hands a ``llama_batch`` to ``llama_decode`` and raises where that fails.
    """

    def __init__(
        self, llama: Any, context: int, batch: int, vocab_size: int, process: Callable[[Any], None]
    ) -> None:
        self._llama, self._context, self._batch = llama, context, batch
        self._vocab_size, self._process = vocab_size, process
        self._room = int(llama.llama_n_batch(context))
        self._at_once = self._room // batch
        self._step = _Block(llama, batch, 1, logits=True)
        self.reset()

    def reset(self) -> None:
        """The cache and llama.cpp's counters were emptied."""
        self._past = 0
        self._past_of = np.zeros(self._batch, dtype=np.int32)
        self._prefill_ms = 0.0
        self._rows = self._step.last[:0]

    def prefill(self, tokens: Tokens) -> None:
        """Process ``int32[batch, n]``, ``n_batch`` tokens at a time, with logits for the last token of each row."""
        counted = self._counted_ms()
        count = tokens.shape[1]
        blocks = []  # llama.cpp reads them until it is synchronised
        for start in range(0, count, self._at_once):
            part = tokens[:, start : start + self._at_once]
            block = _Block(self._llama, self._batch, part.shape[1], logits=start + part.shape[1] == count)
            block.tokens[:] = part
            block.positions[:] = np.arange(self._past, self._past + part.shape[1], dtype=np.int32)
            blocks.append(block)
            self._process(block.struct)
            self._past += part.shape[1]
        self._llama.llama_synchronize(self._context)
        self._rows = blocks[-1].last
        self._prefill_ms += self._counted_ms() - counted

    def decode(self, tokens: Tokens) -> None:
        """Process ``int32[batch]``, one token of each sequence."""
        self._step.tokens[:, 0] = tokens
        self._step.positions[:] = self._past
        self._process(self._step.struct)
        self._llama.llama_synchronize(self._context)
        self._past += 1
        self._rows = self._step.last

    def prefill_ragged(self, prompts: Sequence[Tokens]) -> None:
        """Process prompts of any lengths, ``n_batch`` tokens at a time, and then the last token of all in one pass."""
        counted = self._counted_ms()
        lengths = np.array([len(prompt) - 1 for prompt in prompts], dtype=np.int32)
        tokens = np.concatenate([prompt[:-1] for prompt in prompts])
        owners = np.repeat(np.arange(len(prompts), dtype=np.int32), lengths)
        positions = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        given = []  # llama.cpp reads them until it is synchronised
        for start in range(0, len(tokens), self._room):
            part = slice(start, start + self._room)
            given.append(_Given(self._llama, tokens[part], positions[part], owners[part], logits=False))
            self._process(given[-1].struct)
        self._past_of[: len(prompts)] = lengths
        self.decode_ragged(range(len(prompts)), np.array([prompt[-1] for prompt in prompts], dtype=np.int32))
        self._prefill_ms += self._counted_ms() - counted

    def decode_ragged(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """Process one token of each of these sequences."""
        owners = np.asarray(sequences, dtype=np.int32)
        given = _Given(self._llama, tokens, self._past_of[owners], owners, logits=True)
        self._process(given.struct)
        self._llama.llama_synchronize(self._context)
        self._past_of[owners] += 1
        self._rows = np.arange(len(owners))

    def sample(self) -> Tokens:
        """The token with the largest logit of each sequence of the newest pass; the logits stay where they are."""
        if not len(self._rows):
            raise RuntimeError(
                "llama.cpp has no logits yet: nothing was processed since the cache was emptied"
            )
        chosen = np.empty(len(self._rows), dtype=np.int32)
        for sequence, index in enumerate(self._rows):
            row = self._llama.llama_get_logits_ith(self._context, int(index))
            chosen[sequence] = np.ctypeslib.as_array(row, shape=(self._vocab_size,)).argmax()
        return chosen

    def counters(self) -> Mapping[str, float]:
        """llama.cpp's own times since `reset`. It counts every pass of more than one token as a prompt's."""
        return {
            "prefill_s": self._prefill_ms / 1e3,
            "decode_s": (self._counted_ms() - self._prefill_ms) / 1e3,
        }

    def _counted_ms(self) -> float:
        data = self._llama.llama_perf_context(self._context)
        return float(data.t_p_eval_ms + data.t_eval_ms)
