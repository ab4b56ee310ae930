"""Energy counters of Intel and AMD processors (RAPL) through Linux powercap.

Owns reading ``/sys/class/powercap/intel-rapl:*``. Imports only the standard library. Contract: the domains are
packages and memory, and psys where the platform has it, always apart: psys holds the packages already. Core and
uncore are parts of a package and are not read; ``intel-rapl-mmio`` shows the same packages again and is not read.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.meter.base import PLAUSIBLE_WATTS, Meter, MeterError, MissingMeter, WrappingCounter

_NAME = re.compile(r"package-\d+(?:-die-\d+)?|psys|dram")


class PowercapMeter(Meter):
    """RAPL counters. Its register is updated about every millisecond."""

    name = "powercap"
    method = "counter"
    resolution_s = 0.001

    def __init__(self, zones: dict[str, Path]) -> None:
        """Opens the zones.

        Args:
            zones: folder of every domain.

        Raises:
            MeterError: a counter or its range cannot be read.
        """
        self.domains = tuple(sorted(zones))
        self._files = {domain: zones[domain] / "energy_uj" for domain in self.domains}
        ranges = {domain: _integer(zones[domain] / "max_energy_range_uj") for domain in self.domains}
        self._counters = {
            domain: WrappingCounter(_integer(self._files[domain]), ranges[domain]) for domain in self.domains
        }
        self.max_gap_s = min(ranges.values()) / 1e6 / PLAUSIBLE_WATTS

    def read(self) -> dict[str, float]:
        """Joules by domain since the meter was opened."""
        return {
            domain: self._counters[domain].update(_integer(file)) / 1e6
            for domain, file in self._files.items()
        }


def _integer(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise MeterError(f"{path} may be read by root only") from error
    except OSError as error:
        raise MeterError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text.isdigit():
        raise MeterError(f"{path} holds no number: {text[:40]!r}")
    return int(text)


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


def find(root: Path) -> PowercapMeter | MissingMeter:
    """The meter of this machine, or why there is none."""
    zones = find_zones(root)
    if not zones:
        return MissingMeter(
            "powercap",
            f"no powercap zone under {root / 'class/powercap'}",
            "on bare-metal Intel or AMD: modprobe intel_rapl_msr; a virtual machine has no such counter",
        )
    try:
        return PowercapMeter(zones)
    except MeterError as error:
        return MissingMeter(
            "powercap",
            str(error),
            "let this user read the counters: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
            " /sys/class/powercap/intel-rapl:*:*/energy_uj (until the next boot; docs/meters.md has the udev rule)",
        )
