"""Axes that fit their figures: linear from zero, or logarithmic where they span much; and where on it a figure lies.

Owns the choice. Imports the standard library; altair inside `Axis.scale`. Contract: what a chart draws and where
`harness.plot.lettering` thinks it is drawn follow from the same limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

#: Spans above this are logarithmic.
_WIDE = 8.0
#: An axis ends at this multiple of its greatest figure, though an error bar may go on.
_LONGEST = 1.5
#: Free room at the ends of an axis, as a share of its length.
_ROOM = 0.05


@dataclass(frozen=True, slots=True)
class Axis:
    """The limits of an axis, and whether it is logarithmic."""

    low: float
    high: float
    logarithmic: bool

    def shown(self, value: float) -> float:
        """The figure as it is drawn: not beyond the axis' ends."""
        return min(max(value, self.low), self.high)

    def share(self, value: float) -> float:
        """Where a figure lies between the ends, 0 to 1."""
        value = self.shown(value)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def scale(self) -> alt.Scale:
        """For altair."""
        import altair as alt

        return alt.Scale(
            type="log" if self.logarithmic else "linear",
            domain=[self.low, self.high],
            nice=False,
            zero=alt.Undefined if self.logarithmic else False,
            clamp=True,
        )


def fitting(values: Iterable[float], *, floor: float | None = None) -> Axis:
    """The axis of these figures.

    Args:
        values: at least one, finite.
        floor: the axis is logarithmic, and figures below this are drawn at its end.
    """
    known = list(values)
    positive = [value for value in known if value > 0]
    if floor is not None:
        low = max(floor, min(positive, default=floor))
        return _logarithmic(low, max(max(known), low * 10))
    if len(positive) == len(known) and max(known) / min(known) > _WIDE:
        return _logarithmic(min(known), max(known))
    top = max(*known, 0.0) or 1.0
    return Axis(min(*known, 0.0), top * (1 + _ROOM), logarithmic=False)


def with_bars(values: Iterable[float], ends: Iterable[float | None]) -> list[float]:
    """The figures and the upper ends of their bars, for `fitting`: no bar makes the axis longer by half."""
    known = list(values)
    most = _LONGEST * max(known)
    return [*known, *(min(end, most) for end in ends if end is not None)]


def _logarithmic(low: float, high: float) -> Axis:
    room = (high / low) ** _ROOM
    return Axis(low / room, high * room, logarithmic=True)
