"""`harness.machine.watch`: readings and windows."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine.parse import CpuTimes
from harness.machine.throttle import GpuReading
from harness.machine.validity import verdict
from harness.machine.watch import Reading, RunWatch, WorkerReading, difference, read, read_worker

TICKS = os.sysconf("SC_CLK_TCK")
START = Reading(100.0, CpuTimes(0, 0, 0), 0, 0.0, 3, 2.4e9, 50.0, None, 1000, 4096)


def after(
    busy_s: float, steal_s: float = 0.0, pressure_s: float = 0.0, worker_s: float | None = 20.0
) -> Reading:
    """A reading ten seconds after START on two CPUs."""
    worker = None if worker_s is None else WorkerReading(worker_s, 30, 40, 0.25, 5000, 6, 8192)
    cpu = CpuTimes(round(busy_s * TICKS), round(steal_s * TICKS), 20 * TICKS)
    pressure_us = round(pressure_s * 1e6)
    return Reading(
        110.0, cpu, pressure_us, 0.5, 5, 2.0e9, 71.5, worker, 501_000, 12_288, ("firmware: throttled",)
    )


def test_a_window_is_the_difference_of_two_readings() -> None:
    window = difference(START, after(busy_s=18.0, steal_s=1.0, pressure_s=2.5, worker_s=15.0))
    assert window.seconds == pytest.approx(10)
    assert window.steal_share == pytest.approx(0.05)
    assert window.steal_s == pytest.approx(1.0)
    assert window.cpu_pressure_share == pytest.approx(0.25)
    assert window.memory_pressure_share == pytest.approx(0.05)
    assert window.swapped_bytes == 8192
    assert (window.minor_faults, window.major_faults, window.worker_swap_bytes) == (5000, 6, 8192)
    assert window.worker_waited_s == pytest.approx(0.25)
    assert window.throttles == ("firmware: throttled",)
    assert window.foreign_cores == pytest.approx(0.3)
    assert window.worker_cpu_s == pytest.approx(15)
    assert (window.voluntary_switches, window.involuntary_switches) == (30, 40)
    assert window.throttled_share == pytest.approx(0.05)
    assert window.thermal_throttles == 2
    assert (window.temperature_before_c, window.temperature_after_c) == (50.0, 71.5)
    assert window.missing == {}


def test_what_cannot_be_read_is_none_with_its_reason() -> None:
    blind = Reading(100.0, None, None, None, None, None, None, None)
    window = difference(blind, replace(blind, at_s=110.0))
    assert window.steal_share is None
    assert window.foreign_cores is None
    assert set(window.missing) >= {
        name
        for name, value in window.to_dict().items()
        if value is None and not name.startswith(("frequency", "temperature"))
    }
    assert {"frequency_hz", "temperature_c"} <= set(window.missing)
    assert verdict(window) == ("ok", ())


def test_a_window_without_length_divides_by_nothing() -> None:
    assert difference(START, START).missing == {"seconds": "the window has no length"}


def test_foreign_load_is_never_negative() -> None:
    assert difference(START, after(busy_s=19.0, worker_s=20.0)).foreign_cores == 0.0


def test_a_switch_count_that_lost_a_thread_is_unknown() -> None:
    before = replace(START, worker=WorkerReading(0.0, 100, 100))
    window = difference(before, after(20.0))
    assert window.involuntary_switches is None
    assert "thread ended" in window.missing["involuntary_switches"]


def test_a_window_that_begins_with_a_worker_counts_from_there() -> None:
    before = replace(START, worker=WorkerReading(5.0, 10, 10, 0.05, 4000, 6, 0))
    window = difference(before, after(busy_s=18.0, worker_s=15.0))
    assert (window.minor_faults, window.major_faults) == (1000, 0)
    assert window.worker_waited_s == pytest.approx(0.20)
    assert window.worker_cpu_s == pytest.approx(10)


def test_what_a_board_lost_to_heat_is_the_difference_of_its_counters() -> None:
    first = GpuReading("RTX", 2.5e9, 60.0, (), False, {"power_s": 1.0, "thermal_s": 2.0})
    last = GpuReading("RTX", 1.9e9, 84.0, ("hardware slowdown",), True, {"power_s": 1.5, "thermal_s": 4.0})
    (board,) = difference(replace(START, gpus=(first,)), replace(after(20.0), gpus=(last,))).gpus
    assert (board.power_s, board.thermal_s, board.board_limit_s) == (0.5, 2.0, None)
    assert (board.clock_before_hz, board.clock_after_hz) == (2.5e9, 1.9e9)
    assert (board.temperature_after_c, board.reasons, board.power_capped) == (
        84.0,
        ("hardware slowdown",),
        True,
    )


def test_a_recorded_machine_is_read_whole(tmp_path: Path) -> None:
    def put(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    put("proc/stat", "cpu  10 0 5 100 0 0 0 2 0 0\n")
    put("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=99\n")
    put("proc/pressure/memory", "some avg10=0.00 total=77\nfull avg10=0.00 total=55\n")
    put("proc/vmstat", "nr_free_pages 1\npgfault 9\npswpin 3\npswpout 4\n")
    put("proc/self/cgroup", "0::/lab\n")
    put("sys/fs/cgroup/lab/cpu.stat", "throttled_usec 250000\n")
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2000000\n")
    put("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3000000\n")
    put("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "4\n")
    put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    put("sys/class/thermal/thermal_zone0/temp", "61500\n")
    put("sys/class/thermal/thermal_zone1/type", "iwlwifi\n")
    put("sys/class/thermal/thermal_zone1/temp", "99000\n")
    put("sys/class/hwmon/hwmon0/name", "k10temp\n")
    put("sys/class/hwmon/hwmon0/temp1_input", "64250\n")
    put("sys/class/hwmon/hwmon1/name", "nvme\n")
    put("sys/class/hwmon/hwmon1/temp1_input", "88000\n")
    put("sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n")
    put("sys/class/thermal/cooling_device0/cur_state", "2\n")
    put("sys/class/thermal/cooling_device1/type", "Fan\n")
    put("sys/class/thermal/cooling_device1/cur_state", "1\n")
    reading = read(tmp_path, None)
    assert reading.cpu == CpuTimes(15, 2, 117)
    assert reading.pressure_us == 99
    assert reading.throttled_s == 0.25
    assert reading.frequency_hz == 2.5e9
    assert reading.thermal_throttles == 4
    assert reading.temperature_c == 64.25
    assert reading.memory_pressure_us == 77
    assert reading.swapped_bytes == 7 * os.sysconf("SC_PAGE_SIZE")
    assert reading.throttles == ("cooling device cpufreq-cpu0 at step 2",)


def test_a_recorded_worker_is_read_with_all_its_threads(tmp_path: Path) -> None:
    def put(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    nobody = 4_194_305  # above the kernel's largest process id: psutil finds no descendants of it
    put(f"{nobody}/stat", f"{nobody} (py thon) S 1 1 1 0 -1 4194560 1000 20 30 4 150 50 7 3 20 0 3 0 1 1 1\n")
    put(f"{nobody}/status", "Name:\tpython\nVmSwap:\t     12 kB\n")
    for task, waited in ((nobody, 5_000_000), (nobody + 1, 7_000_000)):
        put(f"{nobody}/task/{task}/schedstat", f"900 {waited} 12\n")
        put(f"{nobody}/task/{task}/status", "voluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t3\n")
    worker = read_worker(tmp_path, nobody)
    assert worker == WorkerReading(210 / TICKS, 20, 6, 0.012, 1020, 34, 12 * 1024)
    assert read_worker(tmp_path, nobody + 7) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_worker_is_seen_while_it_lives_and_its_end_loses_nothing() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True); input()"
    watch = RunWatch()
    watch.begin()
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "1\n"
        reading = watch.sample(worker.pid)
        worker.communicate("\n")
    assert reading.worker is not None
    assert watch.sample(worker.pid).worker is None
    window = watch.end()
    assert window.worker_cpu_s is not None
    assert window.worker_cpu_s >= 0.15
    assert window.involuntary_switches is not None
    assert window.worker_waited_s is not None
    assert window.minor_faults is not None
    assert window.minor_faults > 100
    exact = watch.end(worker_cpu_s=0.5)
    assert exact.worker_cpu_s == 0.5
    assert exact.seconds > window.seconds


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_between_two_samples_of_the_worker_lies_the_window_and_loading_before_them_does_not() -> None:
    burn = (
        "import time\nwhile time.process_time() < 0.3: pass\n"
        "print(1, flush=True); input(); print(2, flush=True); input()"
    )
    watch = RunWatch()
    watch.begin()
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        worker.stdout.readline()
        first = watch.sample(worker.pid)
        worker.stdin.write("\n")
        worker.stdin.flush()
        worker.stdout.readline()
        last = watch.sample(worker.pid)
        worker.communicate("\n")
    window = watch.end()
    assert window.seconds == last.at_s - first.at_s
    assert window.worker_cpu_s is not None
    assert window.worker_cpu_s < 0.15


def test_an_end_without_a_beginning_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        RunWatch().end()
