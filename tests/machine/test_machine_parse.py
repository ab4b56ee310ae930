"""`harness.machine.parse` on recorded text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.machine import parse

STAT = """cpu  105964 12 11012 169451 607 5 134 2407 88 0
cpu0 51064 0 5119 87288 68 0 19 1252 0 0
intr 1 2 3
"""
EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC   7B13
microcode\t: 0x1000065
flags\t\t: fpu vme hypervisor lahf_lm
"""
PI = """processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd05
"""


def test_cpu_times_count_guests_once_and_steal_apart() -> None:
    times = parse.cpu_times(STAT)
    assert times is not None
    assert times.busy == 105964 + 12 + 11012 + 5 + 134
    assert times.steal == 2407
    assert times.total == times.busy + 169451 + 607 + 2407


def test_old_kernels_without_steal_have_none_stolen() -> None:
    times = parse.cpu_times("cpu 1 2 3 4\n")
    assert times == parse.CpuTimes(busy=6, steal=0, total=10)


def test_pressure_is_read_of_some_and_not_of_full() -> None:
    text = "some avg10=25.55 avg60=6.56 avg300=5.59 total=324164379\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    assert parse.pressure_total_us(text) == 324164379
    assert parse.pressure_total_us(text, "full") == 7
    assert parse.pressure_avg10(text) == 25.55


def test_process_time_survives_any_command_name() -> None:
    tail = "S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0 5"
    assert parse.process_ticks(f"17 (python) {tail}") == 127
    assert parse.process_ticks(f"17 (a) b (c 9) {tail}") == 127


def test_context_switches_of_a_thread() -> None:
    text = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t345\n"
    assert parse.switches(text) == parse.Switches(12, 345)


def test_page_faults_of_a_process_are_added_to_its_childrens() -> None:
    stat = "7 (a (b) c) R 1 1 1 0 -1 4194560 1000 20 30 4 150 50 0 0 20 0 1 0 1 1 1"
    assert parse.faults(stat) == parse.Faults(minor=1020, major=34)


def test_a_threads_waiting_is_the_second_figure_of_its_schedstat() -> None:
    assert parse.waited_ns("913647 6881431 2\n") == 6881431
    assert parse.waited_ns("0 0") is None


def test_swapping_counts_both_directions_and_needs_both() -> None:
    assert parse.swapped_pages("pgfault 9\npswpin 30\npswpout 12\n") == 42
    assert parse.swapped_pages("pswpin 30\n") is None


def test_swap_of_a_process_and_areas_of_the_machine() -> None:
    assert parse.swap_bytes("VmRSS:\t 9 kB\nVmSwap:\t      12 kB\n") == 12 * 1024
    table = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 8388604 512 100\n"
    assert (parse.swap_areas(table), parse.swap_areas(table.splitlines()[0] + "\n")) == (1, 0)


def test_cache_sizes_as_sysfs_writes_them() -> None:
    assert parse.size_bytes("32768K\n") == 32 * 2**20
    assert parse.size_bytes("4M") == 4 * 2**20
    assert parse.size_bytes("many") is None


def test_cpu_models_have_their_vendors_name_or_their_parts() -> None:
    assert parse.cpu_model(EPYC) == "AMD EPYC 7B13"
    assert parse.cpu_model(PI) == "Arm parts 0xd05+0xd0b"
    assert parse.cpu_model("processor : 0\n") is None


def test_cpu_lists() -> None:
    assert parse.cpu_list("0-3,8,10-11\n") == {0, 1, 2, 3, 8, 10, 11}
    assert parse.cpu_list("") == frozenset()


def test_quotas_of_both_cgroup_versions() -> None:
    assert parse.cgroup_quota("150000 100000") == 1.5
    assert parse.cgroup_quota("max 100000") is None
    assert parse.cgroup_quota_v1("250000\n", "100000\n") == 2.5
    assert parse.cgroup_quota_v1("-1", "100000") is None


def test_cgroup_paths_of_both_versions() -> None:
    paths = parse.cgroup_paths("4:memory:/a\n2:cpu,cpuacct:/b\n0::/c:d\n")
    assert paths == {"memory": "/a", "cpu": "/b", "cpuacct": "/b", "": "/c:d"}


def test_throttled_time_is_seconds_in_both_versions() -> None:
    assert parse.throttled_s("usage_usec 5\nnr_throttled 2\nthrottled_usec 1500000") == 1.5
    assert parse.throttled_s("nr_periods 1\nthrottled_time 2500000000\n") == 2.5
    assert parse.throttled_s("usage_usec 5") is None


@pytest.mark.parametrize(
    ("cpuinfo", "dmi", "name"),
    [
        (EPYC, {"sys_vendor": "QEMU"}, "KVM/QEMU"),
        (EPYC, {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, "Hyper-V"),
        (EPYC, {}, "unnamed (the CPU reports a hypervisor)"),
        ("flags : fpu vme\n", {"sys_vendor": "Dell"}, "none"),
        (PI, {}, None),
    ],
)
def test_hypervisors(cpuinfo: str, dmi: dict[str, str], name: str | None) -> None:
    assert parse.hypervisor(cpuinfo, dmi) == name


def test_macos_power() -> None:
    assert parse.pmset_source("Now drawing from 'AC Power'\n -InternalBattery-0 80%") == "AC"
    assert parse.pmset_source("Now drawing from 'Battery Power'\n") == "battery"
    assert parse.pmset_low_power("System-wide power settings:\n lowpowermode         1\n") == "low power"
    assert parse.pmset_low_power("") is None


def test_os_names() -> None:
    assert parse.os_name('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n') == (
        "Debian GNU/Linux 12 (bookworm)"
    )


@given(st.text(max_size=200))
def test_no_text_makes_a_parser_fail(text: str) -> None:
    for parser in (
        parse.cpu_times,
        parse.pressure_total_us,
        parse.pressure_avg10,
        parse.process_ticks,
        parse.switches,
        parse.faults,
        parse.waited_ns,
        parse.swapped_pages,
        parse.swap_bytes,
        parse.swap_areas,
        parse.size_bytes,
        parse.pi_throttled,
        parse.cpu_model,
        parse.cgroup_quota,
        parse.cgroup_paths,
        parse.throttled_s,
        parse.os_name,
        parse.pmset_source,
    ):
        parser(text)
