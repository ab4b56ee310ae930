"""Which energy meters this machine has, and in words why not the others.

Owns `find_meters`. Contract: every kind of meter is either usable or in the second list with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.meter import nvml, powercap
from harness.meter.base import Meter, MissingMeter


def find_meters(
    root: Path | str = "/sys", *, nvml_module: Any = None
) -> tuple[list[Meter], list[MissingMeter]]:
    """Meters that can be read here and now, and those that cannot.

    Args:
        root: where ``class/powercap`` is.
        nvml_module: module with NVML's functions; ``pynvml`` by default.
    """
    meters: list[Meter] = []
    missing: list[MissingMeter] = []
    for found in (powercap.find(Path(root)), nvml.find(nvml_module)):
        if isinstance(found, Meter):
            meters.append(found)
        else:
            missing.append(found)
    return meters, missing


def unavailable_reason(missing: Iterable[MissingMeter]) -> str:
    """The reason of an energy value that is None: ``no energy meter: ...; ...``."""
    return "no energy meter: " + "; ".join(each.reason for each in missing)


def meter_for(device: str, meters: Iterable[Meter]) -> Meter | None:
    """The meter whose domains hold the energy of a device: ``cpu`` needs a package, ``gpu:0`` its board."""
    for meter in meters:
        if device in meter.domains:
            return meter
        if device == "cpu" and any(domain.startswith("package") for domain in meter.domains):
            return meter
    return None
