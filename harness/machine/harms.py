"""What on this machine harms measurements, and how to end it.

Owns the list and its thresholds where `validity` has none. Imports psutil. Contract: nothing is changed; every harm has
the reason why it harms and what to type, everything that is not told has its reason.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.machine import parse
from harness.machine.files import read_int, read_text, why_unreadable
from harness.machine.identity import cgroup_cpus, cgroup_folders
from harness.machine.throttle import cpu_throttles
from harness.machine.validity import LIMITS
from harness.machine.watch import TICK_S

#: Swap in use that a system leaves behind without being short of memory.
_SWAP_BYTES = 64 * 2**20
#: A cgroup v1 without a memory limit says a number near 2**63.
_NO_LIMIT = 1 << 60
#: GUIDs of Windows' power schemes that do not save power.
_WINDOWS_FAST = ("8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c", "e9a42b02-d5df-448d-aa00-03f14749eb61")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Harm:
    """One thing that can harm measurements.

    Attributes:
        name: what.
        harmful: whether it does now; None where that is not known.
        detail: how it stands, with figures.
        reason: why it harms, or why it is not known.
        next_step: how to end it.
    """

    name: str
    harmful: bool | None
    detail: str | None = None
    reason: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What the machine did for a moment while nothing was asked of it.

    Attributes:
        seconds: how long it was watched.
        busy_cores: CPU time of everybody, in cores; None where the system does not tell.
        steal_share: of all CPU time.
        names: the busiest processes, ``NAME (42 %)`` of a core each.
    """

    seconds: float
    busy_cores: float | None
    steal_share: float | None
    names: tuple[str, ...] = ()


def watch_load(seconds: float, root: Path = Path("/")) -> Load:
    """Watch for some seconds, asleep."""
    before, spent = parse.cpu_times(read_text(root / "proc/stat") or ""), _spent()
    begun = time.monotonic()
    time.sleep(seconds)
    after, spent_after = parse.cpu_times(read_text(root / "proc/stat") or ""), _spent()
    seconds = time.monotonic() - begun
    grown = {key: value - spent[key] for key, value in spent_after.items() if key in spent}
    busiest = sorted(grown.items(), key=lambda each: -each[1])[:_NAMED]
    names = tuple(
        f"{name} ({100 * cpu_s / seconds:.0f} %)" for (_, name), cpu_s in busiest if cpu_s / seconds >= 0.02
    )
    if before is None or after is None or after.total <= before.total:
        return Load(seconds, None, None, names)
    return Load(
        seconds,
        (after.busy - before.busy) * TICK_S / seconds,
        (after.steal - before.steal) / (after.total - before.total),
        names,
    )


def _spent() -> dict[tuple[int, str], float]:
    """CPU seconds of every process but this one."""
    found: dict[tuple[int, str], float] = {}
    own = psutil.Process().pid
    for process in psutil.process_iter(["pid", "name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None and process.info["pid"] != own:
            found[process.info["pid"], process.info["name"] or "?"] = times.user + times.system
    return found


def find_harms(state: Mapping[str, Any], load: Load, root: Path = Path("/")) -> tuple[Harm, ...]:
    """Everything that is looked at, harmful or not.

    Args:
        state: from `describe_session_state`.
        load: from `watch_load`.
        root: where ``proc`` and ``sys`` are.
    """
    return (
        _governor(state),
        _boost(state),
        _smt(state),
        _background(load),
        _pressure(root),
        _swap(root),
        _power_mode(state),
        _power_source(state),
        _quota(root),
        _memory_limit(root),
        _hypervisor(state, load, root),
        _throttling(root),
    )


def _unknown(name: str, state: Mapping[str, Any], key: str) -> Harm:
    return Harm(name, None, reason=state["reasons"].get(key, "the system does not tell"))


def _governor(state: Mapping[str, Any]) -> Harm:
    governor, preference = state["governor"], state["energy_preference"]
    if governor is None:
        return _unknown("cpu governor", state, "governor")
    detail = governor if preference is None else f"{governor}, energy preference {preference}"
    if governor == "performance" or preference == "performance":
        return Harm("cpu governor", False, detail)
    return Harm(
        "cpu governor",
        True,
        detail,
        "clocks follow the load: what comes after a pause is slower, and figures spread more",
        "sudo cpupower frequency-set -g performance",
    )


def _boost(state: Mapping[str, Any]) -> Harm:
    boost = state["boost"]
    if boost is None:
        return _unknown("turbo", state, "boost")
    if not boost:
        return Harm("turbo", False, "off")
    return Harm(
        "turbo",
        True,
        "on",
        "the clock depends on heat, on the power budget and on how many cores work; right for what a user gets, wrong "
        "for comparing two versions",
        "to compare: echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, or "
        "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
    )


def _smt(state: Mapping[str, Any]) -> Harm:
    active = state["smt"]
    if active is None:
        return _unknown("SMT siblings", state, "smt")
    if not active:
        return Harm("SMT siblings", False, "off")
    return Harm(
        "SMT siblings",
        True,
        "on",
        "a sibling that works takes up to half of its core, and two compute threads may meet on one core",
        "echo off | sudo tee /sys/devices/system/cpu/smt/control",
    )


def _background(load: Load) -> Harm:
    if load.busy_cores is None:
        return Harm("background load", None, reason="/proc/stat is not readable")
    detail = f"{100 * load.busy_cores:.0f} % of a core in {load.seconds:.1f} s"
    if load.busy_cores <= LIMITS.foreign_cores:
        return Harm("background load", False, detail)
    return Harm(
        "background load",
        True,
        detail + (f": {', '.join(load.names)}" if load.names else ""),
        f"more than {100 * LIMITS.foreign_cores:.0f} % of a core: runs would be suspect",
        "end what works in the background before measuring",
    )


def _pressure(root: Path) -> Harm:
    path = root / "proc/pressure/cpu"
    share = parse.pressure_avg10(read_text(path) or "")
    if share is None:
        return Harm(
            "cpu pressure",
            None,
            reason=why_unreadable(path),
            next_step="a kernel with PSI (boot parameter psi=1); without it spoiled runs are harder to see",
        )
    detail = f"{share:.1f} % of the last 10 s"
    if share <= 100 * LIMITS.cpu_pressure_share:
        return Harm("cpu pressure", False, detail)
    return Harm(
        "cpu pressure", True, detail, "other work waits for the CPUs", "end it, or wait, before measuring"
    )


def _swap(root: Path) -> Harm:
    swaps = read_text(root / "proc/swaps")
    if swaps is None:
        return Harm("swap", None, reason=why_unreadable(root / "proc/swaps"))
    count = parse.swap_areas(swaps)
    if not count:
        return Harm("swap", False, "none")
    used = parse.swap_used_bytes(read_text(root / "proc/meminfo") or "")
    detail = f"{count} area{'s' if count > 1 else ''}, {(used or 0) / 1e6:.0f} MB used"
    if (used or 0) <= _SWAP_BYTES:
        return Harm("swap", False, detail)
    return Harm(
        "swap",
        True,
        detail,
        "memory was short: a model's pages may be moved out while it is measured",
        "close programs, then: sudo swapoff -a && sudo swapon -a",
    )


def _power_mode(state: Mapping[str, Any]) -> Harm:
    mode = state["power_mode"]
    if mode is None:
        return _unknown("power mode", state, "power_mode")
    fast = mode in ("performance", "high power", "normal") or any(guid in mode for guid in _WINDOWS_FAST)
    if fast:
        return Harm("power mode", False, mode)
    return Harm(
        "power mode",
        True,
        mode,
        "clocks and power are limited to save energy or noise",
        {
            "linux": "powerprofilesctl set performance",
            "darwin": "sudo pmset -a lowpowermode 0",
        }.get(sys.platform, "powercfg /setactive SCHEME_MIN"),
    )


def _power_source(state: Mapping[str, Any]) -> Harm:
    source = state["power_source"]
    if source is None:
        return _unknown("power source", state, "power_source")
    if source == "AC":
        return Harm("power source", False, "AC")
    level = state["battery_percent"]
    return Harm(
        "power source",
        True,
        "battery" if level is None else f"battery, {level:.0f} %",
        "most systems lower clocks on battery, more so as it empties",
        "plug it in, unless the battery is what is measured",
    )


def _quota(root: Path) -> Harm:
    quota, cpus = cgroup_cpus(root), psutil.cpu_count() or 1
    if quota is None or quota >= cpus:
        return Harm("cpu quota", False, "none" if quota is None else f"{quota:g} CPUs of {cpus}")
    return Harm(
        "cpu quota",
        True,
        f"{quota:g} CPUs of {cpus} by the cgroup",
        "threads are stopped for the rest of every 100 ms once the quota is used up",
        "start the container without --cpus (use --cpuset-cpus), or set threads to the quota",
    )


def _memory_limit(root: Path) -> Harm:
    limits = [
        value
        for folder in cgroup_folders(root)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (value := read_int(folder / name)) is not None and value < _NO_LIMIT
    ]
    total = psutil.virtual_memory().total
    limit = min(limits, default=total)
    if limit >= total:
        return Harm("memory limit", False, "none")
    return Harm(
        "memory limit",
        True,
        f"{limit / 1e9:.3g} GB of {total / 1e9:.3g} GB by the cgroup",
        "file pages count too: mapped weights may be thrown out and read again",
        "give the container more than the largest model takes, page cache included",
    )


def _hypervisor(state: Mapping[str, Any], load: Load, root: Path) -> Harm:
    name = state["hypervisor"]
    if name is None:
        return _unknown("hypervisor steal", state, "hypervisor")
    if name == "none":
        return Harm("hypervisor steal", False, "no hypervisor")
    since_boot = parse.cpu_times(read_text(root / "proc/stat") or "")
    overall = since_boot.steal / since_boot.total if since_boot is not None and since_boot.total else 0.0
    now = load.steal_share or 0.0
    detail = f"{name}; {100 * now:.1f} % now, {100 * overall:.1f} % since boot"
    if max(now, overall) <= LIMITS.steal_share:
        return Harm("hypervisor steal", False, detail)
    return Harm(
        "hypervisor steal",
        True,
        detail,
        "the host runs others on these CPUs; what they do to caches and memory is not told at all",
        "a dedicated host, or pinned CPUs; else many runs, and believe only those that are not suspect",
    )


def _throttling(root: Path) -> Harm:
    held = cpu_throttles(root)
    if not held:
        return Harm("throttling", False, "nothing holds the clocks down now")
    return Harm(
        "throttling",
        True,
        "; ".join(held),
        "clocks are below what the machine can do, and change while it is measured",
        "let it cool, clean or add a fan; under-voltage wants another power supply",
    )
