"""When a worker is warm: after a fixed number of passes, or once passes take as long as those before them.

Owns this one rule (in words: ``docs/method.md``). Imports the worker half only. Contract: pure; the answer follows from
the passes so far and the time they took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.worker.protocol import Sample, TimedSpec

#: Successive passes that have to agree. Two would be fooled by a single pass that happened to repeat a cold one.
AGREEING_PASSES = 3

#: What has to agree: each of these that the passes hold.
_COMPARED = ("prefill_s", "decode_s", "wall_s")

EndedBy = Literal["number", "stable", "passes", "seconds"]


@dataclass(frozen=True, slots=True)
class Warmup:
    """How warm-up went.

    Attributes:
        passes: untimed passes that were made.
        ended_by: ``number``: a fixed one was asked for; ``stable``: the newest passes agreed; ``passes``, ``seconds``:
            the most that was allowed, and they did not.
        change: how far the newest passes lay apart, as a share; None with fewer than `AGREEING_PASSES`.
    """

    passes: int
    ended_by: EndedBy
    change: float | None


def spread(samples: Sequence[Sample]) -> float | None:
    """Largest over smallest of the newest passes less 1, of whichever phase differs most; None: too few passes."""
    newest = samples[-AGREEING_PASSES:]
    if len(newest) < AGREEING_PASSES:
        return None
    shares = [0.0]
    for name in _COMPARED:
        seconds = [sample.values[name] for sample in newest if name in sample.values]
        if seconds and min(seconds) > 0:
            shares.append(max(seconds) / min(seconds) - 1)
    return max(shares)


def warmup_end(spec: TimedSpec, samples: Sequence[Sample], elapsed_s: float) -> Warmup | None:
    """How warm-up ended, None while another pass is wanted.

    Args:
        spec: number of passes, and the rule if there is one.
        samples: the passes so far.
        elapsed_s: since the first of them began.
    """
    passes, rule = len(samples), spec.warmup_rule
    change = spread(samples)
    if rule is None:
        return Warmup(passes, "number", change) if passes >= spec.warmups else None
    stable = change is not None and change <= rule.change
    if stable and (elapsed_s >= rule.min_s or passes >= spec.warmups):
        return Warmup(passes, "stable", change)
    if passes >= spec.warmups:
        return Warmup(passes, "passes", change)
    if elapsed_s >= rule.max_s:
        return Warmup(passes, "seconds", change)
    return None
