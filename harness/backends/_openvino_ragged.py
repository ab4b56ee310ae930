"""Prompts of different lengths in one OpenVINO graph.

Owns the padding and its mask. Imports numpy; the caller brings the request. Contract: that of the ragged calls of
`harness.worker.api.Backend`. Shorter prompts are padded on the left, where the mask hides the padding from every
sequence and positions count from each prompt's own beginning; a sequence that has ended leaves the batch by
``beam_idx``, which says whose part of the KV cache each row goes on with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.worker.api import Tokens


class Ragged:
    """The sequences of one request, from an empty cache on.

    Args:
        ov: the module ``openvino``.
        request: of a graph that gives the last position's logits; its state is empty.
        prompts: one for each sequence.
        room: tokens that fit, for each sequence.
    """

    def __init__(self, ov: Any, request: Any, prompts: Sequence[Tokens], room: int) -> None:
        self._ov, self._request, self._room = ov, request, room
        longest = max(len(prompt) for prompt in prompts)
        self._pads = np.array([longest - len(prompt) for prompt in prompts], dtype=np.int64)
        columns = np.arange(max(room, longest), dtype=np.int64)
        self._mask = (columns >= self._pads[:, None]).astype(np.int64)
        self._rows = list(range(len(prompts)))
        self._past = 0
        ids = np.zeros((len(prompts), longest), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, self._pads[row] :] = prompt
        self._infer(ids, self._rows)

    def decode(self, sequences: Sequence[int], tokens: Tokens) -> None:
        """One token of each of these sequences; the others leave."""
        kept = [self._rows.index(sequence) for sequence in sequences]
        self._rows, self._pads, self._mask = list(sequences), self._pads[kept], self._mask[kept]
        self._infer(tokens[:, np.newaxis].astype(np.int64), kept)

    def _infer(self, ids: np.ndarray[Any, Any], kept: Sequence[int]) -> None:
        total = self._past + ids.shape[1]
        if total > self._room:
            raise ValueError(f"{total} tokens exceed the {self._room} that this model was loaded for")
        positions = np.maximum(np.arange(self._past, total, dtype=np.int64) - self._pads[:, None], 0)
        tensors = {
            "input_ids": ids,
            "position_ids": positions,
            "attention_mask": self._mask[:, :total],
            "beam_idx": np.array(kept, dtype=np.int32),
        }
        for name, array in tensors.items():
            self._request.set_tensor(name, self._ov.Tensor(np.ascontiguousarray(array)))
        self._request.infer()
        self._past = total
