"""What can change between two sessions on one machine: OS, kernel, drivers, firmware, power.

Owns `describe_session_state`. Imports only psutil. Contract: every key is always there; a value that cannot be
read is None and its reason stands under the same key in ``reasons``.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from harness.machine import parse
from harness.machine.accelerators import find_accelerators
from harness.machine.files import read_text, why_unreadable

Told = tuple[Any, str | None]

_CPU = "sys/devices/system/cpu"


def describe_session_state(
    root: Path = Path("/"), *, system: str | None = None, nvml: Any = None
) -> dict[str, Any]:
    """State of this machine now.

    Returns:
        ``os, kernel, drivers, governor, energy_preference, boost, power_mode, microcode, firmware, power_source,
        battery_percent, hypervisor, smt, python`` and ``reasons: {key: why it is None}``.
    """
    system = system or sys.platform
    askers: dict[str, Callable[[Path, str], Told]] = {
        "os": _os,
        "kernel": lambda _root, _system: (platform.release() or None, "the platform tells no release"),
        "governor": _governor,
        "energy_preference": _energy_preference,
        "boost": _boost,
        "power_mode": _power_mode,
        "microcode": _microcode,
        "firmware": _firmware,
        "power_source": _power_source,
        "battery_percent": _battery,
        "hypervisor": _hypervisor,
        "smt": _smt,
    }
    state: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for key, ask in askers.items():
        value, reason = ask(root, system)
        state[key] = value
        if value is None:
            reasons[key] = reason or "the system does not tell"
    state["drivers"] = {
        f"{each.api} {each.name}": each.driver
        for each in find_accelerators(root, system=system, nvml=nvml).accelerators
    }
    state["python"] = platform.python_version()
    state["reasons"] = reasons
    return state


def _linux_only(system: str) -> Told:
    return None, f"not read on {system}"


def _command(*words: str) -> str:
    """What a system tool prints; empty where it is missing or fails."""
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout


def _os(root: Path, system: str) -> Told:
    if system == "linux":
        path = root / "etc/os-release"
        return parse.os_name(read_text(path) or ""), why_unreadable(path)
    if system == "darwin":
        return f"macOS {platform.mac_ver()[0]}", None
    return platform.platform() or None, "the platform tells no name"


def _across_cpus(root: Path, system: str, name: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    paths = sorted((root / _CPU).glob(f"cpu[0-9]*/cpufreq/{name}"))
    values = sorted({text for path in paths if (text := read_text(path))})
    if values:
        return "+".join(values), None
    return None, f"no cpufreq/{name} under {root / _CPU}: the kernel or hypervisor exposes none"


def _governor(root: Path, system: str) -> Told:
    return _across_cpus(root, system, "scaling_governor")


def _energy_preference(root: Path, system: str) -> Told:
    return _across_cpus(root, system, "energy_performance_preference")


def _boost(root: Path, system: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    boost = read_text(root / _CPU / "cpufreq/boost")
    if boost in ("0", "1"):
        return boost == "1", None
    no_turbo = read_text(root / _CPU / "intel_pstate/no_turbo")
    if no_turbo in ("0", "1"):
        return no_turbo == "0", None
    return None, "neither cpufreq/boost nor intel_pstate/no_turbo is exposed"


def _power_mode(root: Path, system: str) -> Told:
    if system == "linux":
        path = root / "sys/firmware/acpi/platform_profile"
        return read_text(path), why_unreadable(path)
    if system == "darwin":
        return parse.pmset_low_power(_command("/usr/bin/pmset", "-g")), "pmset tells no power mode"
    return _command("powercfg", "/getactivescheme").strip() or None, "powercfg tells no scheme"


def _microcode(root: Path, system: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    fields = parse.cpuinfo_fields(read_text(root / "proc/cpuinfo") or "")
    return fields.get("microcode"), "/proc/cpuinfo has no microcode field"


def _firmware(root: Path, system: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    folder = root / "sys/class/dmi/id"
    words = [read_text(folder / name) for name in ("bios_vendor", "bios_version", "bios_date")]
    return " ".join(word for word in words if word) or None, why_unreadable(folder / "bios_version")


def _power_source(root: Path, system: str) -> Told:
    if system == "darwin":
        return parse.pmset_source(_command("/usr/bin/pmset", "-g", "batt")), "pmset tells no source"
    if system == "win32":
        battery = psutil.sensors_battery()
        return (None, "no battery is reported") if battery is None else (_source(battery.power_plugged), None)
    supplies = list((root / "sys/class/power_supply").glob("*"))
    mains = [
        read_text(each / "online")
        for each in supplies
        if read_text(each / "type") in ("Mains", "USB") and read_text(each / "online") is not None
    ]
    if mains:
        return _source("1" in mains), None
    status = [read_text(each / "status") for each in supplies if read_text(each / "type") == "Battery"]
    if status:
        return _source("Discharging" not in status), None
    return None, "no power supply is reported (a desktop, server or virtual machine)"


def _source(plugged: bool | None) -> str | None:
    return {True: "AC", False: "battery", None: None}[plugged]


def _battery(root: Path, system: str) -> Told:
    if system == "linux":
        for each in sorted((root / "sys/class/power_supply").glob("*")):
            # A mouse has a battery too; only the system's own matters.
            if read_text(each / "type") == "Battery" and read_text(each / "scope") != "Device":
                text = read_text(each / "capacity")
                return (
                    (float(text), None)
                    if text and text.isdigit()
                    else (None, why_unreadable(each / "capacity"))
                )
        return None, "no battery"
    battery = psutil.sensors_battery()
    return (None, "no battery") if battery is None else (float(battery.percent), None)


def _hypervisor(root: Path, system: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    kind = read_text(root / "sys/hypervisor/type")
    folder = root / "sys/class/dmi/id"
    dmi = {name: read_text(folder / name) or "" for name in ("sys_vendor", "product_name")}
    named = parse.hypervisor(read_text(root / "proc/cpuinfo") or "", dmi)
    return kind or named, "neither /sys/hypervisor nor the CPU's flags tell"


def _smt(root: Path, system: str) -> Told:
    if system != "linux":
        return _linux_only(system)
    path = root / _CPU / "smt/active"
    text = read_text(path)
    return (text == "1") if text in ("0", "1") else None, why_unreadable(path)
