"""Energy counters of Intel and AMD processors (RAPL) through Linux powercap.

Owns reading ``/sys/class/powercap/intel-rapl:*``. Imports only the standard library. Contract: the domains are
packages and memory, and psys where the platform has it, always apart: psys holds the packages already. Core and
uncore are parts of a package and are not read; ``intel-rapl-mmio`` shows the same packages again and is not read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from harness.machine.files import read_int
from harness.meter.base import PLAUSIBLE_WATTS, Meter, MeterError, MissingMeter, Sources, WrappingCounter
from harness.meter.sysfs import integer

_NAME = re.compile(r"package-\d+(?:-die-\d+)?|psys|dram")

#: Joules that may appear between two readings that lie close together: the counter moves in steps.
_SLACK_J = 1.0


class PowercapMeter(Meter):
    """RAPL counters. Its register is updated about every millisecond.

    Args:
        zones: folder of every domain.
        clock: monotonic seconds.

    Raises:
        MeterError: a counter or its range cannot be read.
    """

    name = "powercap"
    method = "counter"
    resolution_s = 0.001

    def __init__(self, zones: dict[str, Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.domains = tuple(sorted(zones))
        self.limits_watts = {domain: watts for domain in zones if (watts := _limit_watts(zones[domain]))}
        self._clock = clock
        self._files = {domain: zones[domain] / "energy_uj" for domain in self.domains}
        self._ranges = {domain: integer(zones[domain] / "max_energy_range_uj") for domain in self.domains}
        self.max_gap_s = min(self._ranges.values()) / 1e6 / PLAUSIBLE_WATTS
        self.open()

    def open(self) -> None:
        """Counts from now on."""
        self._read_at = self._clock()
        self._counters = {
            domain: WrappingCounter(integer(file), self._ranges[domain])
            for domain, file in self._files.items()
        }

    def read(self) -> dict[str, float]:
        """Joules by domain since the meter was opened."""
        now = self._clock()
        # After a suspend or a reloaded driver the counter begins at 0, which looks like a wrap but is none.
        most_uj = 1e6 * (_SLACK_J + PLAUSIBLE_WATTS * (now - self._read_at))
        joules = {}
        for domain, file in self._files.items():
            try:
                joules[domain] = self._counters[domain].update(integer(file), most_uj) / 1e6
            except MeterError as error:
                raise MeterError(f"{self.name}, {domain}: {error}") from error
        self._read_at = now
        return joules


def _limit_watts(zone: Path) -> float | None:
    """The highest of a zone's power limits, set ones and greatest possible ones; None where it tells none."""
    found = [
        read_int(file)
        for pattern in ("constraint_*_power_limit_uw", "constraint_*_max_power_uw")
        for file in zone.glob(pattern)
    ]
    return max((each / 1e6 for each in found if each), default=None)


def find_zones(root: Path) -> dict[str, Path]:
    """Folder of every domain under ``root`` (``/sys``), by the domain's name."""
    zones: dict[str, Path] = {}
    for folder in sorted((root / "class/powercap").glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text(encoding="ascii").strip()
        except OSError:  # a zone without a name measures nothing that could be named
            continue
        if not _NAME.fullmatch(name):
            continue
        if name == "dram":
            # Memory belongs to the package above it: intel-rapl:1:2 to intel-rapl:1.
            name = f"dram-{folder.name.split(':')[1]}"
        zones.setdefault(name, folder)
    return zones


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    zones = find_zones(sources.sysfs)
    if not zones:
        return [
            MissingMeter(
                "powercap",
                f"no powercap zone under {sources.sysfs / 'class/powercap'}",
                "on bare-metal Intel or AMD with Linux: modprobe intel_rapl_msr; a virtual machine has no such counter",
                expected=sources.system == "linux",
            )
        ]
    try:
        return [PowercapMeter(zones, sources.clock)]
    except MeterError as error:
        return [
            MissingMeter(
                "powercap",
                str(error),
                "let this user read the counters: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
                " /sys/class/powercap/intel-rapl:*:*/energy_uj (until the next boot; docs/meters.md has the udev rule)",
            )
        ]
