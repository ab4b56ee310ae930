"""Parsing what kernels say about a process's memory."""

from __future__ import annotations

import ctypes
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker.memory import (
    MemoryReader,
    ProcessMemoryCounters,
    RusageInfoV4,
    Usage,
    parse_counters,
    parse_rusage,
    parse_status,
)

STATUS = """\
Name:\tpython
Umask:\t0022
State:\tR (running)
VmPeak:\t   90000 kB
VmSize:\t   89000 kB
VmLck:\t       0 kB
VmHWM:\t   30820 kB
VmRSS:\t   30016 kB
RssAnon:\t   17848 kB
RssFile:\t   12160 kB
RssShmem:\t       8 kB
VmSwap:\t       0 kB
Threads:\t3
"""


def test_the_linux_status_gives_the_high_water_mark_and_the_shares_in_bytes() -> None:
    usage = parse_status(STATUS)
    assert usage == Usage(30820 * 1024, 30016 * 1024, 17848 * 1024, 12160 * 1024)


def test_shared_memory_is_in_neither_share() -> None:
    usage = parse_status(STATUS)
    assert usage.anon_bytes is not None
    assert usage.file_bytes is not None
    assert usage.rss_bytes == usage.anon_bytes + usage.file_bytes + 8 * 1024


def test_fields_that_a_kernel_leaves_out_are_none_not_zero() -> None:
    assert parse_status("Name:\tkthreadd\nVmRSS:\t 12 kB\n") == Usage(None, 12 * 1024, None, None)


@given(st.text())
def test_any_other_text_is_no_error(text: str) -> None:
    assert parse_status(text.replace("Vm", "").replace("Rss", "")) == Usage(None, None, None, None)


def test_the_macos_peak_is_the_lifetime_maximum_of_the_footprint() -> None:
    info = RusageInfoV4(ri_lifetime_max_phys_footprint=5_000, ri_phys_footprint=4_000, ri_resident_size=3_000)
    assert parse_rusage(info) == Usage(5_000, 3_000, None, None)


def test_the_macos_structure_has_the_size_and_offset_of_the_system_header() -> None:
    # struct rusage_info_v4: a 16-byte uuid and 35 64-bit fields.
    assert ctypes.sizeof(RusageInfoV4) == 16 + 35 * 8
    assert RusageInfoV4.ri_lifetime_max_phys_footprint.offset == 16 + 28 * 8


def test_the_windows_peak_is_the_peak_working_set() -> None:
    counters = ProcessMemoryCounters(PeakWorkingSetSize=9_000, WorkingSetSize=8_000)
    assert parse_counters(counters) == Usage(9_000, 8_000, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_own_peak_rises_with_what_is_touched_and_never_falls() -> None:
    reader = MemoryReader()
    before = reader.read("load")
    block = bytearray(b"x") * (64 * 2**20)
    during = reader.read("prefill", allocator_peak_bytes=7)
    del block
    after = reader.read("decode")
    assert before.rss_bytes is not None
    assert during.rss_bytes is not None
    assert during.rss_bytes >= before.rss_bytes + 60 * 2**20
    assert after.peak_rss_bytes is not None
    assert during.peak_rss_bytes is not None
    assert after.peak_rss_bytes >= during.peak_rss_bytes >= during.rss_bytes
    assert after.rss_bytes is not None
    assert after.rss_bytes < during.rss_bytes
    assert (during.phase, during.method, during.allocator_peak_bytes) == ("prefill", "VmHWM", 7)
