"""A run's memory over time, read by the parent: where it is anonymous, file-backed, shared.

Owns the sampling thread and what it keeps. Imports psutil and the store's records. Contract: nothing is read inside the
measured process, and nothing but counters (`/proc/PID/status`; never ``smaps``, which walks page tables). A reading is
one ``pread`` of a file that stays open, some 10 microseconds; what the thread cost is kept beside what it saw. The
headline peak stays the process's own high-water mark: a sampler misses what lies between two readings.
"""

from __future__ import annotations

import contextlib
import math
import re
import sys
import threading
import time
from typing import Literal, Protocol

import psutil

from harness.runner.tree import LOOK_AGAIN_S
from harness.store.records import TimelineRecord

if sys.platform == "linux":
    from harness.runner.tree import ProcFiles

#: Between two readings.
INTERVAL_S = 0.05
#: Readings kept; when there are more, every other one goes and the interval doubles. 32 bytes each.
KEPT_AT_MOST = 20_000
#: Whose memory: the worker's own, or that of everything it started (a server; the worker is its client).
Scope = Literal["worker", "descendants"]

#: Every process sees them next to each other, since Linux 4.5.
_SHARES = re.compile(rb"^RssAnon:\s+(\d+) kB\nRssFile:\s+(\d+) kB\nRssShmem:\s+(\d+) kB$", re.MULTILINE)


class MemoryReader(Protocol):
    """Reads the memory of a run's processes."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a reading holds, each ending in its unit."""

    @property
    def method(self) -> str:
        """Where it comes from."""

    def read(self) -> tuple[int, ...] | None:
        """The figures now; None where no process is left or none has begun."""

    def close(self) -> None:
        """Let go of what is open."""


if sys.platform == "linux":

    class ProcReader:
        """The three shares of the resident set from ``status``, summed over the processes.

        Args:
            pid: the worker's process.
            scope: whose memory.
        """

        names = ("anon_bytes", "file_bytes", "shared_bytes")
        method = "/proc/PID/status"

        def __init__(self, pid: int, scope: Scope = "worker") -> None:
            own = scope == "worker"
            self._files = ProcFiles(pid, "status", root=own, below=not own)

        def read(self) -> tuple[int, ...] | None:
            """Sums over the processes, in bytes."""
            # A process that has ended but is not reaped yet has no such lines.
            found = [match for text in self._files.read() if (match := _SHARES.search(text)) is not None]
            if not found:
                return None
            return tuple(1024 * sum(int(match[place]) for match in found) for place in (1, 2, 3))

        def close(self) -> None:
            """Closes the files."""
            self._files.close()


class PsutilReader:
    """macOS and Windows: the resident set (working set), which is all that they tell cheaply."""

    names = ("rss_bytes",)

    def __init__(self, pid: int, scope: Scope = "worker") -> None:
        self._root = pid
        self._scope = scope
        self._processes: list[psutil.Process] = []
        self._look_at = 0.0
        self.method = "working set" if sys.platform == "win32" else "resident size"

    def read(self) -> tuple[int, ...] | None:
        """The sum over the processes, in bytes."""
        now = time.monotonic()
        if now >= self._look_at:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self._root)
                self._processes = [root] if self._scope == "worker" else root.children(recursive=True)
            self._look_at = now + LOOK_AGAIN_S if self._scope == "descendants" else math.inf
        sizes = []
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                sizes.append(int(process.memory_info().rss))
        return (sum(sizes),) if sizes else None

    def close(self) -> None:
        """Nothing is open."""


if sys.platform == "linux":

    def reader_for(pid: int, scope: Scope) -> MemoryReader:
        """The reader of this system."""
        return ProcReader(pid, scope)

else:

    def reader_for(pid: int, scope: Scope) -> MemoryReader:
        """The reader of this system."""
        return PsutilReader(pid, scope)


class MemoryWatch:
    """Samples one run's memory in a thread of the parent: `start`, `mark` each phase, `stop`.

    A reading equal to the one before is not kept: a figure holds until the time of the next.

    Args:
        scope: whose memory.
        interval_s: between two readings.
    """

    def __init__(self, scope: Scope = "worker", interval_s: float = INTERVAL_S) -> None:
        self._scope: Scope = scope
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._marks: list[tuple[str, int]] = []
        self._rows: list[tuple[int, ...]] = []
        self._began_ns = self._ended_ns = 0
        self._readings = 0
        self._cpu_s = 0.0

    def start(self, pid: int, reader: MemoryReader | None = None) -> None:
        """Begin to watch the process that has just been started."""
        self._reader = reader or reader_for(pid, self._scope)
        self._began_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="memory-watch", daemon=True)
        self._thread.start()

    def mark(self, phase: str) -> None:
        """A phase begins now."""
        if self._thread is not None:
            self._marks.append((phase, time.monotonic_ns() - self._began_ns))

    def stop(self) -> TimelineRecord | None:
        """End the thread; what it saw, None if it was never started. A second call gives the same."""
        if self._thread is None:
            return None
        self._stopped.set()
        self._thread.join()
        names = ("time_ns", *self._reader.names)
        reason = None
        if not self._rows:
            whose = "the worker" if self._scope == "worker" else "a process that the worker started"
            reason = f"no reading saw {whose}"
        return TimelineRecord(
            scope=self._scope,
            method=self._reader.method,
            interval_s=self._interval_s,
            readings=self._readings,
            seconds=(self._ended_ns - self._began_ns) / 1e9,
            watcher_cpu_s=self._cpu_s,
            series={name: [row[place] for row in self._rows] for place, name in enumerate(names)},
            marks=tuple(self._marks),
            reason=reason,
        )

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while True:
                self._sample()
                # A reading that is late does not make the next ones hurry.
                due = max(due + self._interval_s, time.monotonic())
                if self._stopped.wait(due - time.monotonic()):
                    break
        finally:
            self._reader.close()
            self._ended_ns = time.monotonic_ns()
            self._cpu_s = time.thread_time()

    def _sample(self) -> None:
        found = self._reader.read()
        if found is None:
            return
        self._readings += 1
        if self._rows and self._rows[-1][1:] == found:
            return
        self._rows.append((time.monotonic_ns() - self._began_ns, *found))
        if len(self._rows) > KEPT_AT_MOST:
            del self._rows[1::2]
            self._interval_s *= 2


class NoWatch:
    """Stands where nothing is to be watched."""

    def start(self, pid: int) -> None:
        """Nothing begins."""

    def mark(self, phase: str) -> None:
        """Nothing is kept."""

    def stop(self) -> None:
        """There is no timeline."""
