"""A compact stand-in for the reference's distributions: its most likely tokens exactly, the rest by a sample.

Owns how a distribution is sketched and how a divergence is estimated from a sketch. Imports numpy only. Contract: the
estimate is unbiased but for a cut at 0, and zero for the reference itself; memory is bounded by the block that is
given; the same distribution, seed and position give the same sketch.

With ``r = q / p`` the divergence of two distributions is ``KLD(p || q) = sum p f(r)``, ``f(r) = r - 1 - log r``,
because ``sum p (r - 1)`` is 0. Every term is at least 0 and of second order where q is close to p, so a sample of the
terms has a small variance where the divergence is small. Tokens outside the exact part are drawn from an even mixture
of p and of the uniform distribution over them: p finds what it gives weight, the uniform half what only q does. Where
q is far from p, a few tokens with a huge r would decide a sample's mean; but what q has outside the exact part is
known to the last bit, so there only ``-p log r`` is drawn and ``sum (q - p)`` is put in as it is. Which of the two a
position takes depends on its exact part alone, so neither biases the other. Plain top-k with one lumped tail would be
biased low: lumping tokens together can only lower a divergence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: A sketch takes at most one part in this of what the float32 logits take.
COMPRESSION = 52
#: Tokens kept of a position, at least and at most: fewer are too few to draw, more buy nothing that matters.
MIN_TOKENS, MAX_TOKENS = 400, 1024
#: Vocabularies up to this are kept whole.
WHOLE_VOCABULARY = 1024
#: Divergence of the exact part, in nats, beyond which q counts as far from p.
_FAR = 0.25
#: Share of the kept tokens that are the most likely ones; the others are drawn.
_EXACT_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class SketchShape:
    """How many tokens of a position are kept.

    Attributes:
        vocab_size: width of the distributions.
        exact: the most likely tokens, with their probabilities.
        drawn: tokens drawn from the others.
    """

    vocab_size: int
    exact: int
    drawn: int

    @classmethod
    def of(cls, vocab_size: int) -> SketchShape:
        """The shape for a vocabulary."""
        if vocab_size <= WHOLE_VOCABULARY:
            return cls(vocab_size, vocab_size, 0)
        bytes_each = 4 + _id_type(vocab_size).itemsize
        tokens = max(MIN_TOKENS, min(MAX_TOKENS, (4 * vocab_size // COMPRESSION - 8) // bytes_each))
        exact = int(_EXACT_SHARE * tokens)
        return cls(vocab_size, exact, tokens - exact)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one position: everything little-endian, log-probabilities in nats."""
        ids = _id_type(self.vocab_size)
        return np.dtype(
            [
                ("target_logp", "<f4"),
                ("tail_mass", "<f4"),
                ("exact_id", ids, (self.exact,)),
                ("exact_logp", "<f4", (self.exact,)),
                ("drawn_id", ids, (self.drawn,)),
                ("drawn_logp", "<f4", (self.drawn,)),
            ]
        )


def _id_type(vocab_size: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def sketch(
    log_p: Floats, targets: npt.NDArray[Any], shape: SketchShape, seed: int, first: int
) -> npt.NDArray[Any]:
    """Sketches of ``log_p: [rows, vocab]``, log-probabilities in nats.

    Args:
        log_p: finite, each row normalised.
        targets: ``int[rows]``, the token that really came next.
        shape: how much is kept.
        seed: of the drawn tokens.
        first: number of the first row's position in the text, so that a block's borders do not matter.

    Returns:
        ``shape.dtype[rows]``.
    """
    rows = np.arange(len(log_p))
    kept = np.zeros(len(log_p), dtype=shape.dtype)
    kept["target_logp"] = log_p[rows, targets]
    if shape.drawn == 0:
        order = np.argsort(-log_p, axis=1, kind="stable")
    else:
        order = np.argpartition(-log_p, shape.exact - 1, axis=1)[:, : shape.exact]
        inner = np.argsort(-np.take_along_axis(log_p, order, 1), axis=1, kind="stable")
        order = np.take_along_axis(order, inner, 1)
    kept["exact_id"] = order
    kept["exact_logp"] = np.take_along_axis(log_p, order, 1)
    if shape.drawn:
        for row in rows:
            _draw(kept[row : row + 1], log_p[row], order[row], shape, seed, first + int(row))
    return kept


def _draw(
    kept: npt.NDArray[Any],
    log_p: Floats,
    exact: npt.NDArray[Any],
    shape: SketchShape,
    seed: int,
    position: int,
) -> None:
    """Systematic sampling: one random offset, then equal steps along the cumulated weights; less varied than dice."""
    tail = np.exp(log_p)
    tail[exact] = 0.0
    # As it is stored: who estimates must know the very weights that were drawn by.
    mass = float(np.float32(tail.sum()))
    weights = tail * (0.5 / mass) if mass > 0 else np.zeros_like(tail)
    weights += 0.5 / (shape.vocab_size - shape.exact)
    weights[exact] = 0.0
    cumulated = np.cumsum(weights)
    offset = np.random.Generator(np.random.PCG64([seed, position])).random()
    steps = (np.arange(shape.drawn) + offset) / shape.drawn * cumulated[-1]
    drawn = np.minimum(np.searchsorted(cumulated, steps, side="right"), shape.vocab_size - 1)
    kept["tail_mass"] = mass
    kept["drawn_id"] = drawn
    kept["drawn_logp"] = log_p[drawn]


def divergence(
    kept: npt.NDArray[Any], shape: SketchShape, logits: npt.NDArray[np.float32], lse: Floats
) -> Floats:
    """KLD(reference || other) in nats, ``float64[rows]``.

    Args:
        kept: sketches of the reference, ``[rows]``.
        shape: theirs.
        logits: the other's logits, ``[rows, vocab]``.
        lse: their log-sum-exp over the vocabulary, ``[rows]``.
    """
    p, q, terms = _terms(kept["exact_id"], kept["exact_logp"], logits, lse)
    found = terms.sum(axis=1)
    if shape.drawn == 0:
        return np.asarray(found, dtype=np.float64)
    mass = kept["tail_mass"].astype(np.float64)
    rest = np.maximum(1.0 - q.sum(axis=1), 0.0) - mass
    p, q, terms = _terms(kept["drawn_id"], kept["drawn_logp"], logits, lse)
    proposal = np.divide(0.5 * p, mass[:, None], out=np.zeros_like(p), where=mass[:, None] > 0)
    # Without any mass to draw by, all of the draw was uniform.
    proposal += np.where(mass > 0, 0.5, 1.0)[:, None] / (shape.vocab_size - shape.exact)
    terms /= proposal
    known = np.where(found > _FAR, rest - ((q - p) / proposal).mean(axis=1), 0.0)
    return np.asarray(np.maximum(found + terms.mean(axis=1) + known, 0.0), dtype=np.float64)


def _terms(
    ids: npt.NDArray[Any], log_p: npt.NDArray[Any], logits: npt.NDArray[np.float32], lse: Floats
) -> tuple[Floats, Floats, Floats]:
    """p, q and ``p f(q / p)`` of some tokens of each row."""
    wide = log_p.astype(np.float64)
    log_q = np.take_along_axis(logits, ids.astype(np.intp), axis=1).astype(np.float64) - lse[:, None]
    log_r = log_q - wide
    p, q = np.exp(wide), np.exp(log_q)
    # expm1(x) - x loses nothing where q and p are close; q - p - p log r keeps huge ratios finite.
    close = np.abs(log_r) < 1.0
    small = np.where(close, log_r, 0.0)
    return p, q, np.where(close, p * (np.expm1(small) - small), q - p - p * log_r)
