"""Energy counters of AMD processors through the hardware monitor ``amd_energy``.

Owns reading its ``energyN_input`` of the sockets. Imports only the standard library. Contract: one domain a package;
the counters of single cores are parts of it and are not read. Where powercap shows the same packages, that is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harness.machine.files import read_text
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.counted import CounterMeter
from harness.meter.sysfs import hwmon, integer

_NAME = re.compile("amd_energy")
_SOCKET = re.compile(r"Esocket(\d+)")


class AmdEnergyMeter(CounterMeter):
    """Socket counters in microjoules, which the driver accumulates in 64 bits: they do not wrap.

    Args:
        files: counter of every domain.

    Raises:
        MeterError: a counter cannot be read.
    """

    name = "amd_energy"
    joules_per_unit = 1e-6
    set_back = "was the driver reloaded"
    # The registers move every millisecond; what the driver adds in between is not told, so this is cautious.
    resolution_s = 0.1

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.domains = tuple(sorted(files))
        self._files = {domain: files[domain] for domain in self.domains}
        self.open()

    def units(self) -> dict[str, int]:
        return {domain: integer(file) for domain, file in self._files.items()}


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    files: dict[str, Path] = {}
    for _, folder in hwmon(sources.sysfs, _NAME):
        for label in sorted(folder.glob("energy*_label")):
            socket = _SOCKET.fullmatch(read_text(label) or "")
            if socket:
                files[f"package-{socket[1]}"] = label.with_name(label.name.replace("_label", "_input"))
    if not files:
        return [
            MissingMeter(
                "amd_energy",
                f"no hardware monitor amd_energy under {sources.sysfs / 'class/hwmon'}",
                "on an AMD server with Linux: the out-of-tree module amd_energy; newer kernels have powercap instead",
                expected=False,
            )
        ]
    try:
        return [AmdEnergyMeter(files)]
    except MeterError as error:
        step = "let this user read the counters: sudo chmod a+r /sys/class/hwmon/hwmon*/energy*_input"
        return [MissingMeter("amd_energy", str(error), step)]
