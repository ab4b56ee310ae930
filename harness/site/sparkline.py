"""A series as a small drawing inside a line of text, with its ends in words.

Owns that drawing. Imports the standard library. Contract: numbers and colours of ours only, no word of a database; what
the drawing shows stands beside it as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _EDGE = 240, 36, 3


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A drawing and its words.

    Attributes:
        points: of a polyline each, in a box of `width` x `height`; a hole ends one and begins another.
        changes: where another version of the framework begins.
        words: first, last, lowest and highest value, and how many.
    """

    points: tuple[str, ...]
    changes: tuple[str, ...]
    words: str
    width: int = _WIDTH
    height: int = _HEIGHT


def sparkline(values: Sequence[float | None], versions: Sequence[str | None]) -> Sparkline:
    """The drawing of a series in the order of time; at least one value is there."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    step = (_WIDTH - 2 * _EDGE) / max(1, len(values) - 1)

    def at(place: int, value: float) -> str:
        share = 0.5 if high == low else (value - low) / (high - low)
        return f"{_EDGE + place * step:.1f},{_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE):.1f}"

    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            lines[-1].append(at(place, value))
        elif lines[-1]:
            lines.append([])
    changes = [
        f"{_EDGE + place * step:.1f}"
        for place in range(1, len(versions))
        if versions[place] != versions[place - 1]
    ]
    # A point alone is a line of no length, which round ends show.
    points = tuple(" ".join(line if len(line) > 1 else line * 2) for line in lines if line)
    ends = f"first {known[0]:.4g}, last {known[-1]:.4g}, lowest {low:.4g}, highest {high:.4g} t/s"
    words = f"{len(known)} sessions: {ends}"
    return Sparkline(points, tuple(changes), words)
