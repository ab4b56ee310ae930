"""Energy of AMD graphics cards through the amdgpu driver's hardware monitor.

Owns reading ``energy1_input`` and, where a card has none, ``power1_average`` or ``power1_input``. Imports only the
standard library. Contract: one domain a card, in the order of their places on PCI; ``power1_cap`` is its limit. The
accumulator in ``gpu_metrics`` is not read: its unit differs from chip to chip and is not told.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.machine.files import read_int
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.counted import CounterMeter
from harness.meter.sampled import SampledMeter
from harness.meter.sysfs import hwmon, integer

#: The driver's firmware averages power over about so long.
PERIOD_S = 0.1
_NAME = re.compile("amdgpu")


class AmdGpuMeter(CounterMeter):
    """Cards with an energy counter, in microjoules.

    Args:
        folders: hwmon folder of every domain.

    Raises:
        MeterError: a counter cannot be read.
    """

    name = "amdgpu"
    resolution_s = PERIOD_S
    joules_per_unit = 1e-6
    set_back = "was the card reset"

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.domains = tuple(sorted(folders))
        self.limits_watts = _limits(folders)
        self._files = {domain: folders[domain] / "energy1_input" for domain in self.domains}
        self.open()

    def units(self) -> dict[str, int]:
        return {domain: integer(file) for domain, file in self._files.items()}


class AmdGpuPowerMeter(SampledMeter):
    """Cards that tell power only, in microwatts.

    Args:
        files: file of every domain.
        clock: monotonic seconds.
    """

    name = "amdgpu-power"

    def __init__(self, files: Mapping[str, Path], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(tuple(sorted(files)), PERIOD_S, clock)
        self._files = dict(files)
        self.limits_watts = _limits({domain: file.parent for domain, file in files.items()})

    def watts(self) -> dict[str, float]:
        return {domain: integer(file) / 1e6 for domain, file in self._files.items()}


def _limits(folders: Mapping[str, Path]) -> dict[str, float]:
    caps = {domain: read_int(folder / "power1_cap") for domain, folder in folders.items()}
    return {domain: cap / 1e6 for domain, cap in caps.items() if cap}


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meters of this machine, or why there is none."""
    folders = {f"gpu:{index}": folder for index, (_, folder) in enumerate(hwmon(sources.sysfs, _NAME))}
    if not folders:
        return [
            MissingMeter(
                "amdgpu",
                f"no hardware monitor of the amdgpu driver under {sources.sysfs / 'class/hwmon'}",
                "on Linux with an AMD card: load the amdgpu driver",
                expected=False,
            )
        ]
    counted = {domain: each for domain, each in folders.items() if (each / "energy1_input").exists()}
    sampled = {
        domain: file
        for domain, each in folders.items()
        if domain not in counted
        for file in [
            next((each / name for name in ("power1_average", "power1_input") if (each / name).exists()), None)
        ]
        if file is not None
    }
    meters: list[Meter | MissingMeter] = []
    try:
        if counted:
            meters.append(AmdGpuMeter(counted))
        for file in sampled.values():
            integer(file)
    except MeterError as error:
        return [MissingMeter("amdgpu", str(error), "let this user read the file: sudo chmod a+r on it")]
    if sampled:
        meters.append(AmdGpuPowerMeter(sampled, sources.clock))
    return meters or [
        MissingMeter(
            "amdgpu", "the amdgpu driver tells neither energy nor power of this card", "update the kernel"
        )
    ]
