"""The process tree of a worker, seen from outside: its resident set, its end, and who killed it.

Owns reading ``/proc`` and psutil. Contract: nothing here runs inside the measured process, and one reading costs tens
of microseconds on Linux; a process that ends meanwhile is no error. What a worker starts is known by a variable of its
environment too: a daemon leaves its parent, its group and its session, and keeps that.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

#: Between two looks for new descendants.
LOOK_AGAIN_S = 0.5
#: Variable of a worker's environment, and so of whatever it starts: ``<its runner's process id>-<number>``.
MARK = "EDGEBENCH_WORKER"
_FILE_BYTES = 4096
#: Looks for what bears a mark, and the time between two of them: one that is being killed may just have forked.
_LOOKS, _LOOK_S = 100, 0.01

if sys.platform == "linux":
    _PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

    def descendants(pid: int, proc: Path = Path("/proc")) -> list[int]:
        """Everything that a process started, and what that started, as far as it is still there."""
        found: list[int] = []
        left = [pid]
        while left:
            folder = proc / str(left.pop()) / "task"
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in folder.iterdir():
                    children = [int(child) for child in (task / "children").read_text().split()]
                    found += children
                    left += children
        return found

    class ProcFiles:
        """One file of procfs of several processes, kept open: a reading is one ``pread`` a process.

        Args:
            pid: a process.
            name: ``status``, ``statm``.
            root: whether the process itself is read.
            below: whether its descendants are.
        """

        def __init__(self, pid: int, name: str, *, root: bool, below: bool) -> None:
            self._pid = pid
            self._name = name
            self._root = root
            self._below = below
            self._open: dict[int, int] = {}
            self._look_at = 0.0

        def read(self) -> list[bytes]:
            """The files now, of the processes that are still there."""
            now = time.monotonic()
            # Finding descendants costs more than reading all of them: a list for every thread of every process.
            if now >= self._look_at:
                self._look()
                self._look_at = now + LOOK_AGAIN_S if self._below else math.inf
            found = []
            for pid, descriptor in list(self._open.items()):
                try:
                    found.append(os.pread(descriptor, _FILE_BYTES, 0))
                except ProcessLookupError:
                    os.close(self._open.pop(pid))
            return found

        def _look(self) -> None:
            wanted = ([self._pid] if self._root else []) + (descendants(self._pid) if self._below else [])
            for pid in wanted:
                if pid not in self._open:
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        self._open[pid] = os.open(f"/proc/{pid}/{self._name}", os.O_RDONLY | os.O_CLOEXEC)

        def close(self) -> None:
            """Closes the files; the next reading opens them again."""
            self._look_at = 0.0
            while self._open:
                os.close(self._open.popitem()[1])

    class TreeMemory:
        """The resident set of a process and its descendants.

        Pages that several of them share count for each; a new descendant counts within half a second.

        Args:
            pid: the process.
        """

        def __init__(self, pid: int) -> None:
            self._files = ProcFiles(pid, "statm", root=True, below=True)

        def rss_bytes(self) -> int:
            """Now, in bytes; 0 when all are gone."""
            return sum(int(statm.split()[1]) for statm in self._files.read()) * _PAGE_BYTES

        def close(self) -> None:
            """Lets go of what is open."""
            self._files.close()

else:

    def descendants(pid: int) -> list[int]:
        """Everything that a process started, and what that started, as far as it is still there."""
        return [process.pid for process in _tree(pid)[1:]]

    class TreeMemory:
        """The resident set of a process and its descendants; pages that several of them share count for each.

        Args:
            pid: the process.
        """

        def __init__(self, pid: int) -> None:
            self._pid = pid

        def rss_bytes(self) -> int:
            """Now, in bytes; 0 when all are gone."""
            total = 0
            for process in _tree(self._pid):
                try:
                    total += int(process.memory_info().rss)
                except psutil.Error:
                    continue
            return total

        def close(self) -> None:
            """Nothing is open."""


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


def kill_marked(mark: str) -> None:
    """Kill everything that bears a worker's mark, in whatever tree, group or session it is."""
    _kill_until_none(lambda: [process for process, found in _marked() if found == mark])


def kill_strays() -> int:
    """Kill what workers of dead runners left behind; gives the number of processes.

    A runner that was killed could not do so itself. Linux only: 0 elsewhere. Processes of other process namespaces
    are left alone: their runner's number means nothing here.
    """
    if sys.platform != "linux":
        return 0

    def strays() -> list[psutil.Process]:
        return [process for process, mark in _marked() if _is_stray(process.pid, mark)]

    return _kill_until_none(strays)


def _is_stray(pid: int, mark: str) -> bool:
    runner = mark.partition("-")[0]
    try:
        here = Path("/proc/self/ns/pid").readlink() == Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:  # it ended, or is another user's
        return False
    # A number that was given away since is taken for a living runner's: rather a stray too many than a kill too many.
    return here and runner.isdigit() and not psutil.pid_exists(int(runner))


def _kill_until_none(find: Callable[[], list[psutil.Process]]) -> int:
    killed: set[int] = set()
    for _ in range(_LOOKS):
        found = find()
        if not found:
            break
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
                killed.add(process.pid)
        time.sleep(_LOOK_S)
    return len(killed)


if sys.platform == "linux":

    def _marked() -> Iterator[tuple[psutil.Process, str]]:
        name = f"{MARK}=".encode()
        for pid in psutil.pids():
            # Read as it is: of hundreds of processes one or two are looked at more closely.
            try:
                environ = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:  # it ended, or is another user's
                continue
            if name not in environ:
                continue
            words = environ.split(b"\0")
            found = [
                word.removeprefix(name).decode(errors="replace") for word in words if word.startswith(name)
            ]
            with contextlib.suppress(psutil.Error):
                if found:
                    yield psutil.Process(pid), found[-1]

else:

    def _marked() -> Iterator[tuple[psutil.Process, str]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                mark = process.environ().get(MARK)
                if mark is not None:
                    yield process, mark


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
