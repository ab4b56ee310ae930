"""The interface of every energy meter, and counters that wrap.

Owns `Meter`, `EnergyWindow`, `Sources` and `WrappingCounter`. Imports only the standard library. Contract: a reading is
joules per domain since the meter was opened; it never goes back and never guesses. A meter that cannot be trusted
any more raises `MeterError`; energy is then None with that text as the reason.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

#: A window shorter than this many update periods of its meter measures the period, not the energy.
MIN_UPDATE_PERIODS = 50

#: What no socket, memory bank or board draws; bounds how long a counter may go unread before it could wrap twice.
PLAUSIBLE_WATTS = 1000.0


class MeterError(Exception):
    """A meter gave no trustworthy reading; the message is the reason a person reads."""


@dataclass(frozen=True, slots=True)
class MissingMeter:
    """A kind of meter that is not usable here.

    Attributes:
        name: of the kind.
        reason: why it is not usable.
        next_step: what would bring it.
        expected: its hardware may well be here, so that its absence belongs to the reason of an empty value; False
            for a kind of another system, of hardware that is not here, or that nobody asked for.
    """

    name: str
    reason: str
    next_step: str
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Sources:
    """Where meters are looked for; tests put recorded trees and scripted modules in their place.

    Attributes:
        sysfs: where the kernel shows its devices.
        system: as `sys.platform`.
        environment: environment variables.
        modules: modules by name, instead of those that can be imported.
        clock: monotonic seconds.
    """

    sysfs: Path = Path("/sys")
    system: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    modules: Mapping[str, Any] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def module(self, name: str) -> Any:
        """A module, or None where it is not installed."""
        if name in self.modules:
            return self.modules[name]
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


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

    def update(self, raw: int, most: float | None = None) -> int:
        """Growth since `first`, after one more reading; at most one wrap may lie between two readings.

        Args:
            raw: the reading.
            most: a wrap that means more growth than this was none: the counter began anew.

        Raises:
            MeterError: the counter was set back.
        """
        step = raw - self._last
        if step < 0:
            # A reading above the declared range shows that the range is larger than declared.
            step += max(self._range, self._last)
            if most is not None and step > most:
                raise MeterError(f"the counter went back from {self._last} to {raw} and did not wrap")
        self._last = raw
        self.total += step
        return self.total


class Meter(ABC):
    """A source of energy readings. It is read between `open` and `close`, or inside ``with meter:``.

    Attributes:
        name: of its kind: ``powercap``, ``nvml`` ...
        domains: what it measures, in the words of `harness.meter.domains`.
        method: ``counter`` (the hardware integrates) or ``power`` (we do, from sampled power).
        resolution_s: its update period.
        resolution_joules: its smallest step, None where it is not told.
        max_gap_s: longest time between two readings without risk of losing a wrap; None: it does not wrap.
        limits_watts: the power that a domain cannot exceed for long, of those domains that tell one.
    """

    name: str
    method: Literal["counter", "power"]
    domains: tuple[str, ...]
    resolution_s: float
    resolution_joules: float | None = None
    max_gap_s: float | None = None
    limits_watts: Mapping[str, float] = {}

    def open(self) -> None:
        """Before the first reading of a series; for meters that have something running meanwhile.

        Raises:
            MeterError: it does not start.
        """
        return

    def close(self) -> None:
        """After the last reading of a series. May be called twice, and without `open`."""
        return

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def read(self) -> dict[str, float]:
        """Joules by domain since the meter was opened, never falling, as of the moment of the call.

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
        # A reading is of the moment in which it was asked for, however long it takes.
        started = time.monotonic()
        try:
            before = self.read()
        except MeterError as error:
            window.reason = str(error)
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
        joules = {domain: after[domain] - before[domain] for domain in after if domain in before}
        fallen = sorted(domain for domain, value in joules.items() if value < 0)
        if fallen:
            window.reason = f"{self.name}: the energy of {', '.join(fallen)} went back, which energy cannot"
            return
        window.joules = joules


@dataclass(slots=True)
class EnergyWindow:
    """What a meter saw between two readings; ``joules`` is None with a ``reason`` where that is nothing."""

    seconds: float = 0.0
    joules: dict[str, float] | None = None
    reason: str | None = field(default=None)
