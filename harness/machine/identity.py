"""What this machine is: a description and an id that survive updates and reboots.

Owns `Machine` and the count of cores that a worker may use. Imports only psutil. Contract: the id is made of
CPU model, sockets, cores, threads, rounded memory and accelerator hardware; no serial number, host name or
address is read. Drivers, OS and power mode are left out on purpose: they belong to a session, so that an update
shows in a history and does not begin a new one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.machine import parse
from harness.machine.accelerators import find_accelerators
from harness.machine.files import read_int, read_text

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine.

    Attributes:
        id: 16 hexadecimal digits, the same after every update of software.
        name: a line for a person.
        system: as `sys.platform`; not part of the id.
        arch: as `platform.machine`; not part of the id.
        cpu_model: the vendor's name of the CPU.
        sockets: CPU packages, None where the system does not tell.
        cores: physical cores online, None where the system does not tell.
        threads: logical CPUs online.
        memory_bytes: memory that the kernel manages.
        memory_gib: the same on the grid of `round_memory_gib`; this is what the id holds.
        accelerators: PCI ids of GPUs and NPUs, or the names their drivers give where there is no PCI.
    """

    id: str
    name: str
    system: str
    arch: str
    cpu_model: str
    sockets: int | None
    cores: int | None
    threads: int
    memory_bytes: int
    memory_gib: float
    accelerators: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The machine as JSON-able values."""
        return {**dataclasses.asdict(self), "accelerators": list(self.accelerators)}


def round_memory_gib(size_bytes: int) -> float:
    """Memory in GiB on a grid of quarter powers of two.

    What a kernel reserves for itself differs by some per cent between versions; installed memory does not come in
    steps that small.
    """
    gib = size_bytes / _GIB
    if gib <= 0:
        return 0.0
    step = float(2.0 ** (math.floor(math.log2(gib)) - 2))
    return round(gib / step) * step


def machine_id(
    cpu_model: str,
    sockets: int | None,
    cores: int | None,
    threads: int,
    memory_gib: float,
    accelerators: tuple[str, ...],
) -> str:
    """The id of a machine with these properties."""
    text = json.dumps([cpu_model, sockets, cores, threads, memory_gib, sorted(accelerators)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe_machine(root: Path = Path("/"), *, nvml: Any = None) -> Machine:
    """This machine.

    Args:
        root: where ``proc``, ``sys`` and ``dev`` are.
        nvml: module with NVML's functions; ``pynvml`` by default.
    """
    cpu = _cpu_model(root)
    threads = psutil.cpu_count(logical=True) or 1
    cores = psutil.cpu_count(logical=False)
    sockets = _sockets(root)
    memory = psutil.virtual_memory().total
    gib = round_memory_gib(memory)
    found = find_accelerators(root, nvml=nvml)
    # Drivers come and go; the PCI bus does not. Without one, what the drivers enumerate is all there is.
    hardware = found.hardware or tuple(
        sorted(each.name for each in found.accelerators if each.api in ("cuda", "metal", "npu", "qnn-htp"))
    )
    name = f"{cpu}, {cores or threads} core{'s' if (cores or threads) > 1 else ''}, {gib:g} GiB"
    return Machine(
        id=machine_id(cpu, sockets, cores, threads, gib, hardware),
        name=name,
        system=sys.platform,
        arch=platform.machine(),
        cpu_model=cpu,
        sockets=sockets,
        cores=cores,
        threads=threads,
        memory_bytes=memory,
        memory_gib=gib,
        accelerators=hardware,
    )


def _cpu_model(root: Path) -> str:
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        name = asked.stdout.strip() or None
    elif sys.platform == "win32":
        import winreg

        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        ) as key:
            name = str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip() or None
    else:
        name = parse.cpu_model(read_text(root / "proc/cpuinfo") or "")
        board = read_text(root / "proc/device-tree/model")
        if board:  # on Arm boards the part number alone does not tell one board from another
            name = f"{name or 'CPU'} ({board.rstrip(chr(0))})"
    return name or platform.processor() or f"unnamed {platform.machine()} CPU"


def _sockets(root: Path) -> int | None:
    packages = {
        read_int(folder / "topology/physical_package_id")
        for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
    } - {None}
    return len(packages) or None


def physical_cores(root: Path = Path("/"), *, affinity: frozenset[int] | None = None) -> int:
    """Physical cores that a process started here may really use; at least 1.

    Counts the cores under the CPU affinity (two hyper-threads of a core are one), and no more than the CPU quota of
    the cgroup, rounded down: a thread more than the quota is a thread that is stopped.
    """
    cores = _cores_in_affinity(root, affinity) or psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    quota = cgroup_cpus(root)
    if quota is not None:
        cores = min(cores, math.floor(quota))
    return max(1, cores)


def _cores_in_affinity(root: Path, affinity: frozenset[int] | None) -> int:
    if affinity is None:
        if not hasattr(os, "sched_getaffinity"):
            return 0
        affinity = frozenset(os.sched_getaffinity(0))
    seen: set[tuple[int | None, ...]] = set()
    for cpu in affinity:
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        core = read_int(topology / "core_id")
        if core is None:
            return 0
        seen.add((read_int(topology / "physical_package_id"), read_int(topology / "die_id"), core))
    return len(seen)


def cgroup_folders(root: Path) -> list[Path]:
    """Folders that hold this process's CPU limits, its own first, then its ancestors'; of either cgroup version."""
    paths = parse.cgroup_paths(read_text(root / "proc/self/cgroup") or "")
    bases = [("", "sys/fs/cgroup"), ("", "sys/fs/cgroup/unified")]
    bases += [("cpu", "sys/fs/cgroup/cpu"), ("cpu", "sys/fs/cgroup/cpu,cpuacct")]
    folders: list[Path] = []
    for controller, base in bases:
        if controller in paths:
            own = root / base / paths[controller].lstrip("/")
            above = [folder for folder in own.parents if folder.is_relative_to(root / base)]
            folders += [folder for folder in (own, *above) if folder.is_dir()]
    return folders


def cgroup_cpus(root: Path = Path("/")) -> float | None:
    """CPUs that the cgroup allows, the smallest of all its ancestors; None without a limit."""
    limits: list[float] = []
    for folder in cgroup_folders(root):
        v2 = parse.cgroup_quota(read_text(folder / "cpu.max") or "")
        v1 = parse.cgroup_quota_v1(
            read_text(folder / "cpu.cfs_quota_us") or "", read_text(folder / "cpu.cfs_period_us") or ""
        )
        limits += [limit for limit in (v2, v1) if limit is not None]
    return min(limits, default=None)
