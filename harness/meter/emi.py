"""Energy counters that Windows offers through its Energy Meter Interface (EMI).

Owns reading metadata and measurements of EMI devices and the names of their channels. What asks Windows is
`harness.meter.emi_windows`, behind `Device`. Contract: packages and memory of the processor's own counters are
domains; its parts (PP0, PP1) are in a package and not read; any other channel is a rail.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Protocol

from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.counted import CounterMeter

#: Control codes of emi.h.
GET_VERSION, GET_METADATA_SIZE, GET_METADATA, GET_MEASUREMENT = 0x224000, 0x224004, 0x224008, 0x22400C

#: EMI counts in picowatt-hours.
JOULES_PER_UNIT = 3.6e-9
_NAME_BYTES = 2 * 16  # WCHAR[EMI_NAME_MAX]
_RAPL = re.compile(r"RAPL_Package(\d+)_(PKG|DRAM|PP0|PP1)", re.IGNORECASE)


class Device(Protocol):
    """One open EMI device."""

    def ask(self, code: int, size: int) -> bytes:
        """The answer to a control code, of at most ``size`` bytes.

        Raises:
            OSError: Windows refuses.
        """


def channels(device: Device) -> list[str]:
    """Names of a device's channels, in the order of its measurements.

    Raises:
        MeterError: the device does not answer, or in a way that is not documented.
    """
    try:
        (version,) = struct.unpack("<H", device.ask(GET_VERSION, 2))
        (size,) = struct.unpack("<I", device.ask(GET_METADATA_SIZE, 4))
        raw = device.ask(GET_METADATA, size)
        if version == 1:
            return [_first_version(raw)]
        if version == 2:
            return _second_version(raw)
    except OSError as error:
        raise MeterError(f"EMI: {error}") from error
    except (struct.error, UnicodeDecodeError) as error:
        raise MeterError(f"EMI: its metadata cannot be read ({error})") from error
    raise MeterError(f"EMI: its version {version} is not known")


def _first_version(raw: bytes) -> str:
    # Unit, OEM and model names, revision, size of the name, the name.
    (unit,) = struct.unpack_from("<I", raw)
    _check_unit(unit)
    (size,) = struct.unpack_from("<H", raw, 4 + 2 * _NAME_BYTES + 2)
    return _text(raw, 4 + 2 * _NAME_BYTES + 4, size)


def _second_version(raw: bytes) -> list[str]:
    # OEM and model names, revision, number of channels; a channel is unit, size of the name, the name.
    (count,) = struct.unpack_from("<H", raw, 2 * _NAME_BYTES + 2)
    at, names = 2 * _NAME_BYTES + 4, []
    for _ in range(count):
        unit, size = struct.unpack_from("<IH", raw, at)
        _check_unit(unit)
        names.append(_text(raw, at + 6, size))
        at += 6 + size
    return names


def _check_unit(unit: int) -> None:
    if unit != 0:
        raise MeterError(f"EMI: its unit {unit} is not known (picowatt-hours are 0)")


def _text(raw: bytes, at: int, size: int) -> str:
    if at + size > len(raw):
        raise MeterError("EMI: its metadata ends within a name")
    return raw[at : at + size].decode("utf-16-le").rstrip("\0")


def domain_of(channel: str) -> str | None:
    """The domain of a channel; None for parts of a package."""
    found = _RAPL.fullmatch(channel)
    if found is None:
        return f"rail:{channel}"
    return {"PKG": f"package-{found[1]}", "DRAM": f"dram-{found[1]}"}.get(found[2].upper())


class EmiMeter(CounterMeter):
    """The channels of all EMI devices.

    Args:
        devices: open, with their channels' names.

    Raises:
        MeterError: one does not answer, or there is no channel.
    """

    name = "emi"
    set_back = "did the machine sleep"
    # Windows tells no period; this is cautious: providers refresh their counters more often.
    resolution_s = 0.1
    resolution_joules = joules_per_unit = JOULES_PER_UNIT

    def __init__(self, devices: Sequence[tuple[Device, Sequence[str]]]) -> None:
        self._devices = devices
        self.open()
        self.domains = tuple(sorted(self._first))
        if not self.domains:
            raise MeterError("EMI: no device has a channel")

    def units(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for device, names in self._devices:
            try:
                raw = device.ask(GET_MEASUREMENT, 16 * len(names))
            except OSError as error:
                raise MeterError(f"EMI: {error}") from error
            if len(raw) != 16 * len(names):
                raise MeterError(f"EMI: {len(raw)} bytes for {len(names)} channels")
            # Absolute energy and the time at which it was taken, of each channel.
            energies = struct.unpack(f"<{2 * len(names)}Q", raw)[::2]
            for name, energy in zip(names, energies, strict=True):
                domain = domain_of(name)
                if domain is not None:
                    found[domain] = energy
        return found


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter of this machine, or why there is none."""
    if sources.system != "win32":
        reason = f"the Energy Meter Interface exists on Windows only, this is {sources.system}"
        return [
            MissingMeter(
                "emi", reason, "run on Windows 10 or newer, not in a virtual machine", expected=False
            )
        ]
    windows = sources.module("harness.meter.emi_windows")
    try:
        devices = [(device, channels(device)) for device in windows.open_devices()]
        if not devices:
            step = "run on bare metal; Windows 11 has a provider for Intel's and AMD's counters"
            return [MissingMeter("emi", "Windows lists no energy meter", step)]
        return [EmiMeter(devices)]
    except (MeterError, OSError) as error:
        return [MissingMeter("emi", str(error), "update the chipset's driver")]
