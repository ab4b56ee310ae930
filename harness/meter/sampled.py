"""Meters that tell power only: sampled by a thread of the runner at the meter's own rate, and integrated.

Owns `SampledMeter`. Imports only the standard library. Contract: nothing of it runs in the measured process; the
integral is the trapezoid over the samples, and a hole in them makes the energy an error, never a guess.
"""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping

from harness.meter.base import Meter, MeterError

#: So many periods may pass between two samples: a busy machine wakes a thread late.
MAX_LATE_PERIODS = 10


class SampledMeter(Meter):
    """Power of each domain, made joules.

    Args:
        domains: what `watts` gives.
        resolution_s: the meter's update period, at which it is sampled.
        clock: monotonic seconds.
    """

    method = "power"

    def __init__(
        self, domains: tuple[str, ...], resolution_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.domains = domains
        self.resolution_s = resolution_s
        self._clock = clock
        self._joules = dict.fromkeys(domains, 0.0)
        self._last: tuple[float, Mapping[str, float]] | None = None
        self._error: MeterError | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def watts(self) -> dict[str, float]:
        """The power of every domain now.

        Raises:
            MeterError: one cannot be read.
        """

    def open(self) -> None:
        """Takes the first sample and begins to sample."""
        self.close()
        self._error, self._last = None, None
        self.sample()
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name=f"meter-{self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def read(self) -> dict[str, float]:
        """Joules by domain, up to a sample that is taken now."""
        self.sample()
        return dict(self._joules)

    def sample(self) -> None:
        """Take one sample and add what lies between it and the one before it.

        Raises:
            MeterError: now or earlier a sample failed, said what no power is, or came too late.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            try:
                self._add(self._clock(), self.watts())
            except MeterError as error:
                self._error = error
                raise

    def _add(self, now: float, watts: Mapping[str, float]) -> None:
        for domain in self.domains:
            value = watts[domain]
            if not math.isfinite(value) or value < 0:
                raise MeterError(f"{self.name}: {domain} tells a power of {value:g} W")
        if self._last is not None:
            then, before = self._last
            if now - then > MAX_LATE_PERIODS * self.resolution_s:
                raise MeterError(
                    f"{self.name}: no sample for {now - then:.3g} s, it is sampled every {self.resolution_s:.3g} s"
                )
            for domain in self.domains:
                self._joules[domain] += (before[domain] + watts[domain]) / 2 * (now - then)
        self._last = (now, dict(watts))

    def _run(self) -> None:
        while not self._ended.wait(self.resolution_s):
            try:
                self.sample()
            except MeterError:
                return  # kept: the next reading raises it
