"""Parsers of what Linux tells about itself: text in, plain values out.

Owns the reading of ``/proc`` and ``/sys`` formats. Opens no file, so that every parser is tested on recorded text.
Contract: text that does not hold the figure gives None (or an empty mapping), never 0 and never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time of the whole machine since boot, in clock ticks, from the first line of ``/proc/stat``.

    Attributes:
        busy: user, nice, system, irq and softirq; guests are part of user and nice already.
        steal: time that the hypervisor gave to somebody else.
        total: busy, idle, iowait and steal.
    """

    busy: int
    steal: int
    total: int


def cpu_times(stat: str) -> CpuTimes | None:
    """The machine's CPU times from ``/proc/stat``."""
    match = re.search(r"^cpu\s+(\d+(?:\s+\d+)*)\s*$", stat, re.MULTILINE)
    if match is None:
        return None
    fields = [int(word) for word in match[1].split()]
    if len(fields) < 4:
        return None
    fields += [0] * (8 - len(fields))
    user, nice, system, idle, iowait, irq, softirq, steal = fields[:8]
    busy = user + nice + system + irq + softirq
    return CpuTimes(busy=busy, steal=steal, total=busy + idle + iowait + steal)


def pressure_total_us(pressure: str, kind: str = "some") -> int | None:
    """Microseconds since boot during which tasks waited, from ``/proc/pressure/cpu``."""
    match = re.search(rf"^{kind}\s.*\btotal=(\d+)", pressure, re.MULTILINE)
    return int(match[1]) if match else None


def pressure_avg10(pressure: str) -> float | None:
    """Per cent of the last ten seconds during which some task waited, from ``/proc/pressure/cpu``."""
    match = re.search(r"^some\s.*\bavg10=([\d.]+)", pressure, re.MULTILINE)
    return float(match[1]) if match else None


def process_ticks(stat: str) -> int | None:
    """User and system ticks of a process and of its children that it has waited for, from ``/proc/<pid>/stat``."""
    # The command's name stands in parentheses and may hold anything, spaces and parentheses included.
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 15 or not all(re.fullmatch(r"-?\d+", word) for word in fields[11:15]):
        return None
    return sum(int(word) for word in fields[11:15])


@dataclass(frozen=True, slots=True)
class Faults:
    """Page faults of a process and of its children that it has waited for.

    Attributes:
        minor: the page was in memory already.
        major: it had to be read from a disk.
    """

    minor: int
    major: int


def faults(stat: str) -> Faults | None:
    """Page faults from ``/proc/<pid>/stat``."""
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 15 or not all(word.isdigit() for word in fields[7:11]):
        return None
    minor, minor_children, major, major_children = (int(word) for word in fields[7:11])
    return Faults(minor + minor_children, major + major_children)


def waited_ns(schedstat: str) -> int | None:
    """Nanoseconds for which a thread was ready to run and waited for a CPU, from its ``schedstat``."""
    words = schedstat.split()
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else None


def swapped_pages(vmstat: str) -> int | None:
    """Pages that the machine has moved to and from swap since boot, from ``/proc/vmstat``."""
    moved = [re.search(rf"^{key} (\d+)", vmstat, re.MULTILINE) for key in ("pswpin", "pswpout")]
    return sum(int(match[1]) for match in moved if match) if all(moved) else None


def swap_bytes(status: str) -> int | None:
    """Bytes of a process that lie in swap, from ``/proc/<pid>/status``."""
    match = re.search(r"^VmSwap:\s*(\d+) kB", status, re.MULTILINE)
    return 1024 * int(match[1]) if match else None


def swap_areas(swaps: str) -> int:
    """Number of swap areas in ``/proc/swaps``."""
    return sum(1 for line in swaps.splitlines()[1:] if line.strip())


def swap_used_bytes(meminfo: str) -> int | None:
    """Swap in use, from ``/proc/meminfo``."""
    found = [re.search(rf"^{key}:\s*(\d+) kB", meminfo, re.MULTILINE) for key in ("SwapTotal", "SwapFree")]
    total, free = (None if match is None else int(match[1]) for match in found)
    return None if total is None or free is None else 1024 * (total - free)


def size_bytes(text: str) -> int | None:
    """A cache's size as sysfs writes it: ``32768K``."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text.strip())
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match else None


_PI_THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}


def pi_throttled(text: str) -> tuple[str, ...] | None:
    """What a Raspberry Pi's firmware holds back right now, from its ``get_throttled``; None where it is no number."""
    try:
        bits = int(text.strip(), 16)
    except ValueError:
        return None
    return tuple(word for bit, word in _PI_THROTTLED.items() if bits >> bit & 1)


@dataclass(frozen=True, slots=True)
class Switches:
    """Context switches of one thread since it began."""

    voluntary: int
    involuntary: int


def switches(status: str) -> Switches | None:
    """Context switches from ``/proc/<pid>/task/<tid>/status``."""
    voluntary = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)
    involuntary = re.search(r"^nonvoluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)
    if voluntary is None or involuntary is None:
        return None
    return Switches(int(voluntary[1]), int(involuntary[1]))


def cpu_list(text: str) -> frozenset[int]:
    """CPU numbers of a list such as ``0-3,8,10-11``; what is no number is left out."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


_ARM_IMPLEMENTERS = {
    "0x41": "Arm", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon",
    "0x4e": "NVIDIA", "0x50": "APM", "0x51": "Qualcomm", "0x53": "Samsung", "0x56": "Marvell",
    "0x61": "Apple", "0x6d": "Microsoft", "0xc0": "Ampere",
}  # fmt: skip


def cpuinfo_fields(cpuinfo: str) -> dict[str, str]:
    """First value of every field of ``/proc/cpuinfo``."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            fields.setdefault(key.strip(), value.strip())
    return fields


def cpu_model(cpuinfo: str) -> str | None:
    """The CPU's name: the vendor's where it tells one, else implementer and parts (Arm has no name).

    Of a chip with several kinds of cores every kind is named, in order of their part numbers.
    """
    fields = cpuinfo_fields(cpuinfo)
    for key in ("model name", "cpu model", "Model", "Hardware"):
        if key in fields and not fields[key].isdigit():
            return " ".join(fields[key].split())
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(0x[0-9a-fA-F]+)", cpuinfo, re.MULTILINE)))
    if not parts:
        return None
    implementer = fields.get("CPU implementer", "").lower()
    return f"{_ARM_IMPLEMENTERS.get(implementer, implementer or 'Arm')} parts {'+'.join(parts)}"


def cgroup_quota(cpu_max: str) -> float | None:
    """CPUs allowed by a cgroup v2 ``cpu.max``; None without a limit."""
    words = cpu_max.split()
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def cgroup_quota_v1(quota_us: str, period_us: str) -> float | None:
    """CPUs allowed by a cgroup v1 quota and period; None without a limit (a quota of -1)."""
    quota, period = quota_us.strip(), period_us.strip()
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def cgroup_paths(cgroup: str) -> dict[str, str]:
    """Cgroup path of every controller from ``/proc/self/cgroup``; version 2 is under the empty name."""
    paths: dict[str, str] = {}
    for line in cgroup.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def throttled_s(cpu_stat: str) -> float | None:
    """Seconds for which a cgroup was stopped by its CPU quota, from ``cpu.stat`` of either version."""
    if match := re.search(r"^throttled_usec (\d+)", cpu_stat, re.MULTILINE):
        return int(match[1]) / 1e6
    if match := re.search(r"^throttled_time (\d+)", cpu_stat, re.MULTILINE):
        return int(match[1]) / 1e9
    return None


def os_name(os_release: str) -> str | None:
    """``PRETTY_NAME`` of ``/etc/os-release``."""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?', os_release, re.MULTILINE)
    return match[1].strip() if match else None


def pmset_source(text: str) -> str | None:
    """``AC`` or ``battery`` from macOS ``pmset -g batt``."""
    match = re.search(r"drawing from '([^']+)'", text)
    if match is None:
        return None
    return "AC" if match[1].startswith("AC") else "battery"


def pmset_low_power(text: str) -> str | None:
    """``low power`` or ``normal`` from macOS ``pmset -g``."""
    match = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d)", text, re.MULTILINE)
    return {"0": "normal", "1": "low power", "2": "high power"}.get(match[1]) if match else None


def hypervisor(cpuinfo: str, dmi: Mapping[str, str]) -> str | None:
    """The hypervisor's name; ``none`` on bare metal; None where nothing tells.

    Args:
        cpuinfo: ``/proc/cpuinfo``; x86 has a flag for it.
        dmi: ``sys_vendor`` and ``product_name`` where readable.
    """
    text = " ".join((dmi.get("sys_vendor", ""), dmi.get("product_name", ""))).lower()
    names = {
        "qemu": "KVM/QEMU", "kvm": "KVM", "vmware": "VMware", "virtualbox": "VirtualBox", "xen": "Xen",
        "microsoft corporation virtual": "Hyper-V", "amazon ec2": "EC2", "google compute": "GCE",
        "parallels": "Parallels", "firecracker": "Firecracker",
    }  # fmt: skip
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    flagged = flags is not None and " hypervisor" in flags[1]
    for word, name in names.items():
        if word in text and (flagged or flags is None):
            return name
    if flagged:
        return "unnamed (the CPU reports a hypervisor)"
    return "none" if flags is not None else None
