"""The interface of every energy meter, and counters that wrap.

Owns `Meter`, `EnergyWindow` and `WrappingCounter`. Imports only the standard library. Contract: a reading is joules per
domain since the meter was opened; it never goes back and never guesses. A meter that cannot be trusted
any more raises `MeterError`; energy is then None with that text as the reason.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

#: A window shorter than this many update periods of its meter measures the period, not the energy.
MIN_UPDATE_PERIODS = 50

#: What no socket, memory bank or board draws; bounds how long a counter may go unread before it could wrap twice.
PLAUSIBLE_WATTS = 1000.0


class MeterError(Exception):
    """A meter gave no trustworthy reading; the message is the reason a person reads."""


@dataclass(frozen=True, slots=True)
class MissingMeter:
    """A kind of meter that is not usable here: why, and what would bring it."""

    name: str
    reason: str
    next_step: str


class WrappingCounter:
    """A counter that restarts from 0 after its range, made monotonic.

    Args:
        first: the reading that counts as 0.
        full_range: the largest value it shows, in its own unit.
    """

    def __init__(self, first: int, full_range: int) -> None:
        self._last = first
        self._range = full_range
        self.total = 0

    def update(self, raw: int) -> int:
        """Growth since `first`, after one more reading; at most one wrap may lie between two readings."""
        step = raw - self._last
        if step < 0:
            # A reading above the declared range shows that the range is larger than declared.
            step += max(self._range, self._last)
        self._last = raw
        self.total += step
        return self.total


class Meter(ABC):
    """A source of energy readings.

    Attributes:
        name: ``powercap`` or ``nvml``.
        domains: what it measures: ``package-0``, ``dram-0``, ``psys``, ``gpu:0``.
        method: ``counter`` (the hardware integrates) or ``power`` (we would).
        resolution_s: its update period.
        resolution_joules: its smallest step, None where it is not told.
        max_gap_s: longest time between two readings without risk of losing a wrap; None: it does not wrap.
    """

    name: ClassVar[str]
    method: ClassVar[Literal["counter", "power"]]
    resolution_s: ClassVar[float]
    resolution_joules: float | None = None
    max_gap_s: float | None = None
    domains: tuple[str, ...]

    @abstractmethod
    def read(self) -> dict[str, float]:
        """Joules by domain since the meter was opened, never falling.

        Raises:
            MeterError: a domain cannot be read any more, or lost count.
        """

    @property
    def min_window_s(self) -> float:
        """The shortest window worth reading."""
        return MIN_UPDATE_PERIODS * self.resolution_s

    @contextlib.contextmanager
    def window(self) -> Iterator[EnergyWindow]:
        """Reads before and after the body; the figures stand in the window afterwards.

        A meter that fails leaves the window without joules and with the reason; the body is not disturbed.
        """
        window = EnergyWindow()
        before: Mapping[str, float] | None = None
        try:
            before = self.read()
        except MeterError as error:
            window.reason = str(error)
        started = time.monotonic()
        try:
            yield window
        finally:
            window.seconds = time.monotonic() - started
            if before is not None:
                try:
                    after = self.read()
                except MeterError as error:
                    window.reason = str(error)
                else:
                    self._settle(window, before, after)

    def _settle(self, window: EnergyWindow, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        if self.max_gap_s is not None and window.seconds > self.max_gap_s:
            window.reason = (
                f"{self.name}: the counter may have wrapped more than once in {window.seconds:.0f} s"
                f" (read it at least every {self.max_gap_s:.0f} s)"
            )
            return
        window.joules = {domain: after[domain] - before[domain] for domain in after if domain in before}


@dataclass(slots=True)
class EnergyWindow:
    """What a meter saw between two readings; ``joules`` is None with a ``reason`` where that is nothing."""

    seconds: float = 0.0
    joules: dict[str, float] | None = None
    reason: str | None = field(default=None)
