"""Power monitors on supply rails (Texas Instruments INA) through hwmon, as on Jetson modules.

Owns reading ``powerN_input``, else ``inN_input`` times ``currN_input``. Imports only the standard library. Contract:
one domain a rail; only a rail that is known to feed the whole module is the energy of a device.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.machine.files import read_int, read_text
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.sampled import SampledMeter
from harness.meter.sysfs import hwmon, integer

#: Where the driver tells no ``update_interval``.
PERIOD_S = 0.1
_NAME = re.compile(r"ina\d+.*")
#: Labels of rails that feed the whole module.
_MODULE = {"VDD_IN", "POM_5V_IN"}


@dataclass(frozen=True, slots=True)
class Rail:
    """How the power of a rail is read: one file in microwatts, or volts (mV) and amperes (mA) to multiply."""

    power: Path | None
    volts: Path | None = None
    amperes: Path | None = None

    def watts(self) -> float:
        """The rail's power now.

        Raises:
            MeterError: a file cannot be read.
        """
        if self.power is not None:
            return integer(self.power) / 1e6
        assert self.volts is not None
        assert self.amperes is not None
        # A rail that feeds nothing reads a few milliamperes below zero: the monitor's offset, not energy.
        return max(0, integer(self.volts) * integer(self.amperes, signed=True)) / 1e6


class InaMeter(SampledMeter):
    """Rails by domain.

    Args:
        rails: rail of every domain.
        resolution_s: the monitors' update period.
        clock: monotonic seconds.
    """

    name = "ina"

    def __init__(
        self,
        rails: Mapping[str, Rail],
        resolution_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tuple(sorted(rails)), resolution_s, clock)
        self._rails = dict(rails)

    def watts(self) -> dict[str, float]:
        return {domain: rail.watts() for domain, rail in self._rails.items()}


def find_rails(sys: Path) -> tuple[dict[str, Rail], float]:
    """Every rail by its domain, and the longest update period of their monitors."""
    rails: dict[str, Rail] = {}
    period = 0.0
    for name, folder in hwmon(sys, _NAME):
        told = read_int(folder / "update_interval")
        period = max(period, told / 1000 if told else PERIOD_S)
        for file in sorted([*folder.glob("power*_input"), *folder.glob("curr*_input")]):
            number = re.sub(r"\D", "", file.name)
            label = read_text(folder / f"in{number}_label") or read_text(folder / f"power{number}_label")
            domain = "module" if label in _MODULE else f"rail:{label or f'{name}.{folder.name}.{number}'}"
            if file.name.startswith("power"):
                rails[domain] = Rail(file)
            elif domain not in rails and (folder / f"in{number}_input").exists():
                rails[domain] = Rail(None, folder / f"in{number}_input", file)
    return rails, period


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    rails, period = find_rails(sources.sysfs)
    if not rails:
        return [
            MissingMeter(
                "ina",
                f"no INA power monitor under {sources.sysfs / 'class/hwmon'}",
                "on a Jetson or a board with an INA monitor: load its driver (ina3221, ina2xx)",
                expected=False,
            )
        ]
    meter = InaMeter(rails, period, sources.clock)
    try:
        meter.watts()
    except MeterError as error:
        step = "let this user read the files: sudo chmod a+r /sys/class/hwmon/hwmon*/{in,curr,power}*_input"
        return [MissingMeter("ina", str(error), step)]
    return [meter]
