"""Parsing what kernels say about a process's memory."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker.memory import (
    MemoryReader,
    ProcessMemoryCounters,
    RusageInfoV4,
    Shares,
    Usage,
    parse_counters,
    parse_rollup,
    parse_rusage,
    parse_status,
    read_shares,
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

#: As a Linux 5.15 kernel wrote it, in part.
ROLLUP = """\
00400000-7ffd1c5fe000 ---p 00000000 00:00 0                              [rollup]
Rss:               39104 kB
Pss:               30951 kB
Pss_Anon:          28004 kB
Pss_File:           2947 kB
Shared_Clean:       9312 kB
Shared_Dirty:          0 kB
Private_Clean:      1788 kB
Private_Dirty:     28004 kB
Anonymous:         28004 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""


def test_the_linux_status_gives_the_high_water_mark_and_the_shares_in_bytes() -> None:
    usage = parse_status(STATUS)
    assert usage == Usage(30820 * 1024, 30016 * 1024, 17848 * 1024, 12160 * 1024, 8 * 1024)


def test_the_resident_set_is_the_sum_of_its_three_shares() -> None:
    usage = parse_status(STATUS)
    assert usage.anon_bytes is not None
    assert usage.file_bytes is not None
    assert usage.shared_bytes is not None
    assert usage.rss_bytes == usage.anon_bytes + usage.file_bytes + usage.shared_bytes


def test_the_rollup_gives_the_proportional_and_the_unique_set() -> None:
    assert parse_rollup(ROLLUP) == Shares(30_951 * 1024, (1_788 + 28_004) * 1024)


@pytest.mark.parametrize("text", ["", "Rss: 5 kB\nPrivate_Dirty: 5 kB\n", "Pss: 5 kB\n", "Pss: many kB\n"])
def test_a_rollup_without_its_fields_is_missing_with_the_reason(text: str) -> None:
    shares = parse_rollup(text)
    assert (shares.pss_bytes, shares.uss_bytes) == (None, None)
    assert shares.reason is not None


def test_a_process_whose_rollup_cannot_be_read_says_why(tmp_path: Path) -> None:
    shares = read_shares(tmp_path)
    assert (shares.pss_bytes, shares.uss_bytes) == (None, None)
    assert shares.reason


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


#: As the systems' own structures lie in memory: all zero but what is given, by its offset in the system's header.
def _recorded(size: int, **at: int) -> bytes:
    data = bytearray(size)
    for offset, value in at.items():
        data[int(offset[1:]) : int(offset[1:]) + 8] = value.to_bytes(8, "little")
    return bytes(data)


def test_a_recorded_macos_structure_is_read_at_the_offsets_of_its_header() -> None:
    # After the uuid: 7th of the 64-bit fields ri_resident_size, 29th ri_lifetime_max_phys_footprint.
    raw = _recorded(296, _64=312_442_880, _72=298_000_384, _240=401_604_608)
    usage = parse_rusage(RusageInfoV4.from_buffer_copy(raw))
    assert usage == Usage(401_604_608, 312_442_880, None, None)


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_size_t) != 8, reason="the recorded structure is a 64-bit system's")
def test_a_recorded_windows_structure_is_read_at_the_offsets_of_its_header() -> None:
    raw = _recorded(72, _8=355_217_408, _16=350_000_128, _56=290_000_896)
    usage = parse_counters(ProcessMemoryCounters.from_buffer_copy(raw))
    assert usage == Usage(355_217_408, 350_000_128, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_own_unique_set_is_below_the_proportional_one_and_not_read_inside_a_timed_pass() -> None:
    between, inside = MemoryReader().read("load"), MemoryReader().read("prefill", in_timed_pass=True)
    assert between.pss_bytes is not None
    assert between.uss_bytes is not None
    assert between.rss_bytes is not None
    assert 0 < between.uss_bytes <= between.pss_bytes <= 1.1 * between.rss_bytes
    assert between.shares_reason is None
    assert (inside.pss_bytes, inside.uss_bytes) == (None, None)
    assert inside.shares_reason == "not read inside a timed pass"


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
