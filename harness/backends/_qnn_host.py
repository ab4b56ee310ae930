"""The caller's half of a static graph: embedding rows, rotary angles, masks and the KV cache.

Owns what `_qnn_graph` leaves to the host, with numpy alone. Contract: tokens go through in blocks of the graph's own
size; a block that is not full is padded, what is padded is attended by nobody and never enters the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.backends._qnn_graph import MASKED, Shape
from harness.worker.api import Logits, Tokens

Arrays = Mapping[str, npt.NDArray[np.float32]]
#: Runs one graph: inputs by name to outputs by name.
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A table of rows, whole in float32 or in int8 with one scale per row.

    Attributes:
        rows: float32 or int8 [vocabulary, hidden].
        scale: float32 [vocabulary], None for float32 rows.
    """

    rows: npt.NDArray[np.generic]
    scale: npt.NDArray[np.float32] | None

    def look_up(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Rows of ``tokens: int32[n]`` as float32[n, hidden]."""
        found = self.rows[tokens].astype(np.float32)
        return found if self.scale is None else found * self.scale[tokens, np.newaxis]


class StaticModel:
    """A static graph with its cache.

    Args:
        shape: the model's sizes.
        context: tokens of the cache.
        embedding: its rows.
        graphs: by tokens of one pass; 1 is among them where decoding has a graph of its own.
    """

    def __init__(self, shape: Shape, context: int, embedding: Embedding, graphs: Mapping[int, Run]) -> None:
        self._shape = shape
        self._context = context
        self._embedding = embedding
        self._graphs = dict(sorted(graphs.items()))
        past = (1, shape.kv_heads, context, shape.head_dim)
        self._past = {
            f"past_{kind}_{layer}": np.zeros(past, np.float32)
            for layer in range(shape.layers)
            for kind in ("key", "value")
        }
        self._length = 0

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values on the host."""
        return sum(array.nbytes for array in self._past.values())

    def reset(self) -> None:
        """Forget every token.

        Masked places are emptied too: a quantised mask is not quite zero, so what stood there would be felt by the next
        text (on A16W8 the divergence of a second window was 7 % off).
        """
        self._length = 0
        for array in self._past.values():
            array.fill(0.0)

    def feed(self, tokens: Tokens) -> Iterator[tuple[int, Logits]]:
        """Process ``tokens: int32[n]`` after what the cache holds.

        Yields ``(position in tokens, float32[block, vocab])``, one block after another.

        Raises:
            ValueError: they do not fit into the context.
        """
        if self._length + len(tokens) > self._context:
            raise ValueError(
                f"{self._length} + {len(tokens)} tokens do not fit the graph's context of {self._context}"
            )
        begin = 0
        while begin < len(tokens):
            block = self._block_for(len(tokens) - begin)
            part = tokens[begin : begin + block]
            yield begin, self._pass(part, block)
            begin += len(part)

    def _block_for(self, left: int) -> int:
        # The smallest graph that takes all that is left, or the largest there is.
        return next((block for block in self._graphs if block >= left), max(self._graphs))

    def _pass(self, tokens: Tokens, block: int) -> Logits:
        count = len(tokens)
        padded = np.zeros(block, np.int32)
        padded[:count] = tokens
        feeds = {
            "embeddings": self._embedding.look_up(padded)[np.newaxis],
            **rotary(self._shape, self._length, block),
            "mask": mask(self._shape, self._length, block, self._context),
            **self._past,
        }
        found = self._graphs[block](feeds)
        here = slice(self._length, self._length + count)
        for layer in range(self._shape.layers):
            for kind in ("key", "value"):
                self._past[f"past_{kind}_{layer}"][:, :, here] = found[f"{kind}_{layer}"][:, :, :count]
        self._length += count
        return found["logits"][0, :count]


def rotary(shape: Shape, start: int, block: int) -> dict[str, npt.NDArray[np.float32]]:
    """``cosine`` and ``sine`` float32[1, 1, block, head_dim / 2] of the positions from ``start``."""
    half = shape.head_dim // 2
    frequency = shape.rope_theta ** (-np.arange(half, dtype=np.float64) / half)
    angle = np.arange(start, start + block, dtype=np.float64)[:, np.newaxis] * frequency
    return {
        name: function(angle).astype(np.float32)[np.newaxis, np.newaxis]
        for name, function in (("cosine", np.cos), ("sine", np.sin))
    }


def mask(shape: Shape, length: int, block: int, context: int) -> npt.NDArray[np.float32]:
    """Who attends to whom: float32[1, 1, heads / kv_heads * block, context + block].

    Args:
        shape: the model's sizes.
        length: tokens in the cache.
        block: tokens of the pass.
        context: places in the cache, which come before the block's own tokens.
    """
    one = np.full((block, context + block), MASKED, np.float32)
    one[:, :length] = 0
    one[:, context:] = np.where(np.tri(block, dtype=bool), 0, MASKED)
    return np.tile(one, (shape.heads // shape.kv_heads, 1))[np.newaxis, np.newaxis]
