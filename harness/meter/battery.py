"""What the battery gives, through Linux ``power_supply``: low resolution, and of the whole device.

Owns reading ``power_now``, else ``current_now`` times ``voltage_now``. Imports only the standard library. Contract:
batteries count only while they discharge. ``energy_now`` is not read: it is an estimate of what is left, in steps of
about 36 J, and is no counter of what was used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.machine.files import read_text
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.sampled import SampledMeter
from harness.meter.sysfs import integer

#: The kernel asks a battery's controller at most once a second.
PERIOD_S = 1.0


class BatteryMeter(SampledMeter):
    """The power that all batteries of the device give together.

    Args:
        batteries: their folders.
        clock: monotonic seconds.
    """

    name = "battery"

    def __init__(self, batteries: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(("battery",), PERIOD_S, clock)
        self._batteries = tuple(batteries)

    def watts(self) -> dict[str, float]:
        statuses = [read_text(each / "status") for each in self._batteries]
        if "Discharging" not in statuses:
            told = ", ".join(status or "no status" for status in statuses)
            raise MeterError(f"the battery does not discharge ({told}): the device runs on mains")
        return {"battery": sum(_watts(each) for each in self._batteries)}


def _watts(folder: Path) -> float:
    # Some drivers tell a discharging current as negative.
    if (folder / "power_now").exists():
        return abs(integer(folder / "power_now", signed=True)) / 1e6
    current = abs(integer(folder / "current_now", signed=True))
    return current * integer(folder / "voltage_now") / 1e12


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    folder = sources.sysfs / "class/power_supply"
    batteries = [
        each
        for each in sorted(folder.glob("*"))
        # A mouse has a battery too; only the system's own matters.
        if read_text(each / "type") == "Battery" and read_text(each / "scope") != "Device"
    ]
    if not batteries:
        step = "on a device with a battery and Linux: measure with the charger unplugged"
        return [MissingMeter("battery", f"no battery under {folder}", step, expected=False)]
    meter = BatteryMeter(batteries, sources.clock)
    try:
        meter.watts()
    except MeterError as error:
        return [MissingMeter("battery", str(error), "unplug the charger while measuring", expected=False)]
    return [meter]
