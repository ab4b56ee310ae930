"""The worker's own memory, as its kernel counts it.

Owns reading and parsing. Imports the standard library only. Contract: bytes, or None where the system does not
tell; the headline is the process's own high-water mark, never ``ru_maxrss``, which a child inherits from its parent.
Reading costs some 50 microseconds and is done outside timed spans only; ``smaps`` is never read, because walking the
page tables stalls the process that is measured.
"""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.worker.protocol import MemoryReading

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory of one process, in bytes; None where the system does not tell."""

    peak_rss_bytes: int | None
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None


class MemoryReader:
    """Readings whose peak never falls.

    Linux counts pages per processor and sums them up roughly: a later ``VmHWM`` may be some hundred kilobytes below
    an earlier one. What was once read was reached, so the highest of all readings stands.
    """

    def __init__(self) -> None:
        self._peak: int | None = None

    def read(self, phase: str, allocator_peak_bytes: int | None = None) -> MemoryReading:
        """This process's memory now.

        Args:
            phase: the phase that has just ended.
            allocator_peak_bytes: the framework's own figure, passed through.
        """
        reading = _read(phase, allocator_peak_bytes)
        if reading.peak_rss_bytes is not None:
            self._peak = max(reading.peak_rss_bytes, self._peak or 0)
        return dataclasses.replace(reading, peak_rss_bytes=self._peak)


def _read(phase: str, allocator_peak_bytes: int | None) -> MemoryReading:
    if sys.platform == "linux":
        method, usage = "VmHWM", parse_status(_STATUS.read_text())
    elif sys.platform == "darwin":
        method, usage = "max_phys_footprint", _darwin_usage()
    elif sys.platform == "win32":
        method, usage = "PeakWorkingSetSize", _windows_usage()
    else:
        method, usage = "none", Usage(None, None, None, None)
    return MemoryReading(
        phase=phase,
        peak_rss_bytes=usage.peak_rss_bytes,
        rss_bytes=usage.rss_bytes,
        anon_bytes=usage.anon_bytes,
        file_bytes=usage.file_bytes,
        method=method,
        allocator_peak_bytes=allocator_peak_bytes,
    )


def parse_status(text: str) -> Usage:
    """`Usage` from the text of Linux's ``/proc/PID/status``.

    ``RssShmem`` is in the resident set and in neither share. Fields that a kernel leaves out are None.
    """
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if name in ("VmHWM", "VmRSS", "RssAnon", "RssFile") and len(parts) == 2 and parts[1] == "kB":
            found[name] = int(parts[0]) * 1024
    return Usage(found.get("VmHWM"), found.get("VmRSS"), found.get("RssAnon"), found.get("RssFile"))


class RusageInfoV4(ctypes.Structure):
    """``struct rusage_info_v4`` of macOS's ``sys/resource.h``."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "ri_user_time", "ri_system_time", "ri_pkg_idle_wkups", "ri_interrupt_wkups", "ri_pageins",
                "ri_wired_size", "ri_resident_size", "ri_phys_footprint", "ri_proc_start_abstime",
                "ri_proc_exit_abstime", "ri_child_user_time", "ri_child_system_time", "ri_child_pkg_idle_wkups",
                "ri_child_interrupt_wkups", "ri_child_pageins", "ri_child_elapsed_abstime", "ri_diskio_bytesread",
                "ri_diskio_byteswritten", "ri_cpu_time_qos_default", "ri_cpu_time_qos_maintenance",
                "ri_cpu_time_qos_background", "ri_cpu_time_qos_utility", "ri_cpu_time_qos_legacy",
                "ri_cpu_time_qos_user_initiated", "ri_cpu_time_qos_user_interactive", "ri_billed_system_time",
                "ri_serviced_system_time", "ri_logical_writes", "ri_lifetime_max_phys_footprint",
                "ri_instructions", "ri_cycles", "ri_billed_energy", "ri_serviced_energy",
                "ri_interval_max_phys_footprint", "ri_runnable_time",
            )
        ),
    )  # fmt: skip


def parse_rusage(info: RusageInfoV4) -> Usage:
    """`Usage` from macOS's ``proc_pid_rusage``; the footprint counts compressed memory, which is why it is the peak."""
    return Usage(
        int(info.ri_lifetime_max_phys_footprint) or None, int(info.ri_resident_size) or None, None, None
    )


class ProcessMemoryCounters(ctypes.Structure):
    """``PROCESS_MEMORY_COUNTERS`` of Windows."""

    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        *(
            (name, ctypes.c_size_t)
            for name in (
                "PeakWorkingSetSize", "WorkingSetSize", "QuotaPeakPagedPoolUsage", "QuotaPagedPoolUsage",
                "QuotaPeakNonPagedPoolUsage", "QuotaNonPagedPoolUsage", "PagefileUsage", "PeakPagefileUsage",
            )
        ),
    )  # fmt: skip


def parse_counters(counters: ProcessMemoryCounters) -> Usage:
    """`Usage` from Windows' ``GetProcessMemoryInfo``."""
    return Usage(int(counters.PeakWorkingSetSize) or None, int(counters.WorkingSetSize) or None, None, None)


if sys.platform == "darwin":
    import os

    _RUSAGE_INFO_V4 = 4

    def _darwin_usage() -> Usage:
        info = RusageInfoV4()
        if (
            ctypes.CDLL(None, use_errno=True).proc_pid_rusage(
                os.getpid(), _RUSAGE_INFO_V4, ctypes.byref(info)
            )
            != 0
        ):
            return Usage(None, None, None, None)
        return parse_rusage(info)


if sys.platform == "win32":

    def _windows_usage() -> Usage:
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.GetCurrentProcess.restype = ctypes.c_void_p
        read = kernel32.K32GetProcessMemoryInfo
        read.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
        counters = ProcessMemoryCounters()
        counters.cb = ctypes.sizeof(counters)
        if not read(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
            return Usage(None, None, None, None)
        return parse_counters(counters)
