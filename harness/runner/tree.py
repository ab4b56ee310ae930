"""The process tree of a worker, seen from outside: its resident set, its end, and who killed it.

Owns reading ``/proc`` and psutil. Contract: nothing here runs inside the measured process, and one reading costs tens
of microseconds on Linux; a process that ends meanwhile is no error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import psutil

if sys.platform == "linux":
    _PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

    def tree_rss_bytes(pid: int) -> int:
        """Resident set of a process and its descendants, in bytes; 0 when it is gone.

        Pages that several of them share count for each.
        """
        total, left = 0, [pid]
        while left:
            folder = Path(f"/proc/{left.pop()}")
            try:
                total += int((folder / "statm").read_text().split()[1]) * _PAGE_BYTES
                for task in (folder / "task").iterdir():
                    left.extend(int(child) for child in (task / "children").read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total

else:

    def tree_rss_bytes(pid: int) -> int:
        """Resident set of a process and its descendants, in bytes; 0 when it is gone.

        Pages that several of them share count for each.
        """
        total = 0
        for process in _tree(pid):
            try:
                total += int(process.memory_info().rss)
            except psutil.Error:
                continue
        return total


def kill_tree(pid: int) -> None:
    """Kill a process, its process group if it leads one, and its descendants in whatever group they are.

    The process must not have been reaped yet: until then its number cannot belong to another.
    """
    processes = _tree(pid)
    if sys.platform != "win32":
        # Gone already; macOS says "not permitted" for a group of nothing but zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for process in processes:
        try:
            process.kill()  # checks that the number still means the same process
        except psutil.Error:
            continue


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How often the kernel's out-of-memory killer struck in this process's own memory cgroup; None where unknown.

    Args:
        proc: where procfs is.
        cgroups: where the cgroup file systems are.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        # Version 2 has one hierarchy without names; version 1 one for each controller.
        if controllers == "":
            candidates = [cgroups / inside / "memory.events", cgroups / "unified" / inside / "memory.events"]
        elif "memory" in controllers.split(","):
            candidates = [cgroups / "memory" / inside / "memory.oom_control"]
        else:
            continue
        for candidate in candidates:
            count = _oom_kill_count(candidate)
            if count is not None:
                return count
    return None


def _oom_kill_count(path: Path) -> int | None:
    try:
        text = path.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None
