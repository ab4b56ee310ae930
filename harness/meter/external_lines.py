"""The line protocol of external meters: what a program prints, and the energy that follows from it.

Owns parsing and integrating; starts nothing. Imports only the standard library. Contract: a line is understood or it
is an error; energy that goes back, a power that is none and a clock that lies are errors.

A program prints, and flushes, one line for every reading::

    TIME VALUE UNIT [DOMAIN]

``TIME`` in seconds of the program's own clock, with any origin, growing; ``UNIT`` is ``J`` for a counter with any
origin or ``W`` for power; ``DOMAIN`` is ``wall`` where it is left out. ``limit WATTS [DOMAIN]`` tells a power that
the domain cannot exceed. Empty lines and lines that begin with ``#`` say nothing.
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

from harness.meter.base import MeterError
from harness.meter.sampled import MAX_LATE_PERIODS

MAX_LINE_BYTES = 200
#: Readings that are kept to look up the energy at a moment that lies a little back.
_KEPT = 1024
#: How far a program's clock may be from ours: so many seconds, and this share of the time that has passed.
_CLOCK_SLACK_S, _CLOCK_SLACK = 1.0, 0.05

_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?"
_DOMAIN = (
    r"wall|battery|module|psys|(?:package|dram)-[0-9]{1,3}|(?:gpu|npu):[0-9]{1,3}|rail:[A-Za-z0-9_.-]{1,32}"
)
_READING = re.compile(rf"({_NUMBER})\s+({_NUMBER})\s+([JW])(?:\s+({_DOMAIN}))?")
_LIMIT = re.compile(rf"limit\s+({_NUMBER})(?:\s+({_DOMAIN}))?")


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: seconds of the program's clock, and joules (``J``) or watts (``W``)."""

    time_s: float
    value: float
    unit: Literal["J", "W"]
    domain: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A power that a domain cannot exceed."""

    watts: float
    domain: str


def parse(line: bytes) -> Reading | Limit | None:
    """What a line says; None where it says nothing.

    Raises:
        MeterError: it cannot be understood.
    """
    text = line.decode("utf-8", errors="replace").strip()
    if not text or text.startswith("#"):
        return None
    if len(line) <= MAX_LINE_BYTES:
        found = _READING.fullmatch(text)
        if found is not None and math.isfinite(float(found[1])) and math.isfinite(float(found[2])):
            unit: Literal["J", "W"] = "J" if found[3] == "J" else "W"
            return Reading(float(found[1]), float(found[2]), unit, found[4] or "wall")
        found = _LIMIT.fullmatch(text)
        if found is not None and 0 < float(found[1]) < math.inf:
            return Limit(float(found[1]), found[2] or "wall")
    raise MeterError(f"a line that is none of the protocol: {text[:60]!r}")


class Track:
    """The energy of one domain over its readings.

    Args:
        first: the first reading; energy counts from it.
        arrived_s: our clock when it came.
    """

    def __init__(self, first: Reading, arrived_s: float) -> None:
        self.unit = first.unit
        self._first = (first.time_s, arrived_s)
        self._last = first
        #: Our clock less the program's, by the reading that came soonest.
        self._offset = arrived_s - first.time_s
        self._gaps: list[float] = []
        self._line: deque[tuple[float, float]] = deque([(first.time_s, 0.0)], maxlen=_KEPT)
        _check_value(first)

    @property
    def readings(self) -> int:
        """How many there were, as far as the period needs them."""
        return len(self._gaps) + 1

    @property
    def period_s(self) -> float:
        """The update period: the middle one of the first gaps."""
        return sorted(self._gaps)[len(self._gaps) // 2] if self._gaps else 0.0

    def add(self, reading: Reading, arrived_s: float) -> None:
        """One more reading.

        Raises:
            MeterError: it contradicts an earlier one, or physics.
        """
        _check_value(reading)
        gap = reading.time_s - self._last.time_s
        if gap <= 0:
            raise MeterError(f"its time went from {self._last.time_s:.9g} s to {reading.time_s:.9g} s")
        if reading.unit != self.unit:
            raise MeterError(f"{reading.domain} came in {self.unit} and now in {reading.unit}")
        self._check_clock(reading, arrived_s)
        if self.unit == "J":
            step = reading.value - self._last.value
            if step < 0:
                raise MeterError(
                    f"the energy of {reading.domain} went back from {self._last.value:.9g} J to {reading.value:.9g} J"
                )
        else:
            if self.period_s and gap > MAX_LATE_PERIODS * self.period_s:
                raise MeterError(f"{reading.domain}: no power for {gap:.3g} s")
            step = (reading.value + self._last.value) / 2 * gap
        if len(self._gaps) < MAX_LATE_PERIODS:
            self._gaps.append(gap)
        self._offset = min(self._offset, arrived_s - reading.time_s)
        self._line.append((reading.time_s, self._line[-1][1] + step))
        self._last = reading

    def _check_clock(self, reading: Reading, arrived_s: float) -> None:
        theirs, ours = reading.time_s - self._first[0], arrived_s - self._first[1]
        if abs(theirs - ours) > _CLOCK_SLACK_S + 2 * self.period_s + _CLOCK_SLACK * max(theirs, ours):
            raise MeterError(
                f"its clock counted {theirs:.4g} s while {ours:.4g} s passed"
                " (does it print its own time, and flush every line?)"
            )

    def joules_at(self, ours_s: float) -> float | None:
        """Energy since the first reading at a moment of our clock; None while no later reading has come."""
        moment = ours_s - self._offset
        later_s, later = self._line[-1]
        if later_s < moment:
            return None
        for earlier_s, earlier in reversed(self._line):
            if earlier_s <= moment:
                share = (moment - earlier_s) / (later_s - earlier_s) if later_s > earlier_s else 0.0
                return earlier + share * (later - earlier)
            later_s, later = earlier_s, earlier
        return self._line[0][1]


def _check_value(reading: Reading) -> None:
    if reading.unit == "W" and reading.value < 0:
        raise MeterError(f"{reading.domain} tells a power of {reading.value:g} W")
