"""Names beside the marks of a scatter plot, as many as fit without lying over each other.

Owns the placing. Imports the standard library. Contract: pure and greedy, in the order given: what comes first gets
its place first; a name that fits nowhere is left out, and its mark stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Of the letters, in pixels; a letter is about half as wide as high.
FONT_SIZE = 10
_LETTER = 0.56 * FONT_SIZE
#: Half of a mark's width, and the room between a mark and its name.
_MARK = 6.0

Align = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a name stands, seen from its mark: how it is aligned, and how far off, in pixels; down is above zero."""

    align: Align
    dx: int
    dy: int


_SPOTS = (
    Spot("left", 8, 0), Spot("right", -8, 0), Spot("center", 0, -13), Spot("center", 0, 13),
    Spot("left", 7, -10), Spot("left", 7, 10), Spot("right", -7, -10), Spot("right", -7, 10),
    Spot("center", 0, -24), Spot("center", 0, 24),
)  # fmt: skip

_Box = tuple[float, float, float, float]


def placed(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str | None],
    size: tuple[float, float],
) -> list[Spot | None]:
    """The spot of each name.

    Args:
        points: of all marks, in pixels from the upper left corner.
        texts: their names; None: a mark without one.
        size: width and height of the plot, in pixels.
    """
    taken = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in points]
    found: list[Spot | None] = []
    for point, text in zip(points, texts, strict=True):
        spot = None
        if text is not None:
            for one in _SPOTS:
                box = _box(point, text, one)
                if _inside(box, size) and not any(_overlap(box, other) for other in taken):
                    spot = one
                    taken.append(box)
                    break
        found.append(spot)
    return found


def _box(point: tuple[float, float], text: str, spot: Spot) -> _Box:
    width = _LETTER * len(text)
    x, y = point[0] + spot.dx, point[1] + spot.dy
    left = {"left": x, "center": x - width / 2, "right": x - width}[spot.align]
    return (left, y - FONT_SIZE / 2, left + width, y + FONT_SIZE / 2)


def _inside(box: _Box, size: tuple[float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
