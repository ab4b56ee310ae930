"""Meters whose counters only grow: what is read is the growth since opening.

Owns `CounterMeter`. Imports only the standard library. Contract: a counter that goes back, or is not told any more, is
an error until the meter is opened again; it is never taken for a wrap.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from harness.meter.base import Meter, MeterError


class CounterMeter(Meter):
    """Counters in a unit of their own.

    Attributes:
        joules_per_unit: how much one is.
        set_back: what usually sets such a counter back, for the reason.
    """

    method = "counter"
    joules_per_unit: ClassVar[float]
    set_back: ClassVar[str]

    _first: dict[str, int]
    _last: dict[str, int]

    @abstractmethod
    def units(self) -> dict[str, int]:
        """The counters by domain now.

        Raises:
            MeterError: one cannot be read.
        """

    def open(self) -> None:
        """Counts from now on."""
        self._first = self.units()
        self._last = dict(self._first)

    def read(self) -> dict[str, float]:
        """Joules by domain since the meter was opened."""
        now = self.units()
        for domain, before in self._last.items():
            if domain not in now:
                raise MeterError(f"{self.name}: {domain} is not told any more")
            if now[domain] < before:
                raise MeterError(f"{self.name}: the counter of {domain} went back ({self.set_back}?)")
        self._last = now
        return {domain: (now[domain] - first) * self.joules_per_unit for domain, first in self._first.items()}
