"""The worker's own memory, as its kernel counts it.

Owns reading and parsing. Imports the standard library only. Contract: bytes, or None where the system does not
tell, with the reason; the headline is the process's own high-water mark, never ``ru_maxrss``, which a child inherits
from its parent. Reading the counters costs some 50 microseconds and is done outside timed spans only. The proportional
shares (``smaps_rollup``) are read between passes, never inside one that is timed: the kernel walks the page tables for
them, some milliseconds per gigabyte.
"""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.worker.protocol import MemoryReading

_SELF = Path("/proc/self")
_IN_TIMED_PASS = "not read inside a timed pass"


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory of one process, in bytes; None where the system does not tell."""

    peak_rss_bytes: int | None
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shared_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """What of its pages is a process's own, in bytes, or the reason why that is not known.

    Attributes:
        pss_bytes: every page divided by the number of processes that map it.
        uss_bytes: pages that no other process maps.
        reason: why they are None.
    """

    pss_bytes: int | None = None
    uss_bytes: int | None = None
    reason: str | None = None


class MemoryReader:
    """Readings whose peak never falls.

    Linux counts pages per processor and sums them up roughly: a later ``VmHWM`` may be some hundred kilobytes below
    an earlier one. What was once read was reached, so the highest of all readings stands.
    """

    def __init__(self) -> None:
        self._peak: int | None = None

    def read(
        self, phase: str, allocator_peak_bytes: int | None = None, *, in_timed_pass: bool = False
    ) -> MemoryReading:
        """This process's memory now.

        Args:
            phase: the phase that has just ended.
            allocator_peak_bytes: the framework's own figure, passed through.
            in_timed_pass: a timed pass is under way, its clock stopped: only counters are read.
        """
        shares = Shares(reason=_IN_TIMED_PASS) if in_timed_pass else read_shares(_SELF)
        reading = _read(phase, allocator_peak_bytes, shares)
        if reading.peak_rss_bytes is not None:
            self._peak = max(reading.peak_rss_bytes, self._peak or 0)
        return dataclasses.replace(reading, peak_rss_bytes=self._peak)


def _read(phase: str, allocator_peak_bytes: int | None, shares: Shares) -> MemoryReading:
    if sys.platform == "linux":
        method, usage = "VmHWM", parse_status((_SELF / "status").read_text())
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
        reason=None if usage.peak_rss_bytes is not None else f"{sys.platform} told no peak ({method})",
        shared_bytes=usage.shared_bytes,
        pss_bytes=shares.pss_bytes,
        uss_bytes=shares.uss_bytes,
        shares_reason=shares.reason,
    )


def read_shares(process: Path) -> Shares:
    """The proportional and the unique set size of a process, from its folder under ``/proc``."""
    if sys.platform != "linux":
        return Shares(reason=f"{sys.platform} does not tell what of a resident set is whose")
    try:
        text = (process / "smaps_rollup").read_text()
    except OSError as error:
        return Shares(reason=f"smaps_rollup cannot be read: {error.strerror or error}")
    return parse_rollup(text)


def parse_rollup(text: str) -> Shares:
    """`Shares` from the text of Linux's ``/proc/PID/smaps_rollup``.

    The unique set is clean and dirty private pages, huge ones (``Private_Hugetlb``) included.
    """
    found = _kilobytes(text)
    private = [value for name, value in found.items() if name.startswith("Private_")]
    if "Pss" not in found or not private:
        return Shares(reason="smaps_rollup holds no Pss or no Private fields")
    return Shares(found["Pss"], sum(private))


def _kilobytes(text: str) -> dict[str, int]:
    """The fields ``Name: N kB`` of a file of procfs, in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if len(parts) == 2 and parts[1] == "kB" and parts[0].isascii() and parts[0].isdigit():
            found[name] = int(parts[0]) * 1024
    return found


def parse_status(text: str) -> Usage:
    """`Usage` from the text of Linux's ``/proc/PID/status``.

    The resident set is the sum of the three shares. Fields that a kernel leaves out are None.
    """
    found = _kilobytes(text)
    return Usage(*(found.get(name) for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")))


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
