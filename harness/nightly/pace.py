"""A night's pace: it ends when its time is over, and waits while the machine is hot.

Owns the deadline and the cooling. Imports the machine's readings. Contract: only ever asked between runs; a machine
whose temperature cannot be read is said so once and not waited for; no wait is longer than `LONGEST_WAIT_S`, or goes
beyond the deadline.

Hot is what is more than `ABOVE_REST_C` above the coolest reading of this night, and above `NEVER_HOT_C` at all; or
above what a person named. So a run begins as its neighbours did, whatever ran before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.machine.throttle import GpuClocks
from harness.machine.watch import cpu_temperature_c

ABOVE_REST_C = 15.0
NEVER_HOT_C = 50.0
LONGEST_WAIT_S = 180.0
#: Between two looks at the sensors.
_LOOK_S = 5.0


def temperatures() -> Callable[[], dict[str, float]]:
    """What reads the hottest CPU sensor, and every NVIDIA board; what cannot be read is not in it."""
    boards = GpuClocks.of_this_machine()

    def read() -> dict[str, float]:
        found = {f"{at}: {board.name}": board.temperature_c for at, board in enumerate(boards.read())}
        found["CPU"] = cpu_temperature_c()
        return {name: value for name, value in found.items() if value is not None}

    return read


@dataclass
class Cooled:
    """How a night was held up.

    Attributes:
        waits: runs that were waited with.
        seconds: all waits together.
        still_hot: waits that ended at their limit.
        unreadable: no sensor could be read.
    """

    waits: int = 0
    seconds: float = 0.0
    still_hot: int = 0
    unreadable: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "waits": self.waits,
            "seconds": round(self.seconds, 1),
            "still_hot": self.still_hot,
            "unreadable": self.unreadable,
        }


class NightPace:
    """Asked by the session between its runs; see `harness.runner.pace.Pace`.

    Args:
        deadline: aware; None: none.
        read: temperatures by sensor.
        tell: a line for people.
        below_c: a sensor above it is hot; None: by the rule of this module.
        now: the clock.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        deadline: datetime | None,
        read: Callable[[], dict[str, float]],
        tell: Callable[[str], None],
        *,
        below_c: float | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.deadline = deadline
        self.cooled = Cooled()
        self._read = read
        self._tell = tell
        self._below_c = below_c
        self._now = now
        self._sleep = sleep
        self._rest: dict[str, float] = {}
        self._over = False

    def over(self) -> str | None:
        """Why nothing more may begin."""
        if self.deadline is not None and (self._over or self._now() >= self.deadline):
            self._over = True
            return f"the night's time budget was over at {self.deadline:%Y-%m-%d %H:%M} UTC"
        return None

    def before_timed(self) -> None:
        """Waits while a sensor is hot."""
        hot = self._hot()
        if hot is None:
            return
        self._tell(f"cooling down: {hot}")
        begin = last = self._now()
        slept = 0.0
        self.cooled.waits += 1
        while (hot := self._hot()) is not None:
            last = self._now()
            waited = max(slept, (last - begin).total_seconds())  # the clock may be set back meanwhile
            if waited >= LONGEST_WAIT_S or self.over() is not None:
                self.cooled.still_hot += 1
                self._tell(f"still hot after {waited:.0f} s, going on: {hot}")
                break
            self._sleep(_LOOK_S)
            slept += _LOOK_S
        self.cooled.seconds += max(0.0, (self._now() - begin).total_seconds())

    def _hot(self) -> str | None:
        """The hottest sensor beyond its limit, in words."""
        found = self._read()
        if not found:
            if not self.cooled.unreadable:
                self._tell("no temperature can be read here: nothing is waited for between runs")
            self.cooled.unreadable = True
            return None
        worst: tuple[float, str] | None = None
        for name, value in found.items():
            self._rest[name] = min(value, self._rest.get(name, value))
            limit = self._below_c
            if limit is None:
                limit = max(self._rest[name] + ABOVE_REST_C, NEVER_HOT_C)
            if value > limit and (worst is None or value - limit > worst[0]):
                worst = value - limit, f"{name} has {value:.0f} °C, more than {limit:.0f} °C"
        return None if worst is None else worst[1]
