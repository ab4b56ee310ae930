"""`harness.machine.watch`: readings, windows, verdicts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine.parse import CpuTimes
from harness.machine.watch import Limits, Reading, RunWatch, Window, WorkerReading, difference, read, verdict

TICKS = os.sysconf("SC_CLK_TCK")
START = Reading(100.0, CpuTimes(0, 0, 0), 0, 0.0, 3, 2.4e9, 50.0, None)
CLEAN = Window(seconds=10.0, steal_share=0.0, cpu_pressure_share=0.0, foreign_cores=0.0, worker_cpu_s=20.0)


def after(
    busy_s: float, steal_s: float = 0.0, pressure_s: float = 0.0, worker_s: float | None = 20.0
) -> Reading:
    """A reading ten seconds after START on two CPUs."""
    worker = None if worker_s is None else WorkerReading(worker_s, 30, 40)
    cpu = CpuTimes(round(busy_s * TICKS), round(steal_s * TICKS), 20 * TICKS)
    return Reading(110.0, cpu, round(pressure_s * 1e6), 0.5, 5, 2.0e9, 71.5, worker)


def test_a_window_is_the_difference_of_two_readings() -> None:
    window = difference(START, after(busy_s=18.0, steal_s=1.0, pressure_s=2.5, worker_s=15.0))
    assert window.seconds == pytest.approx(10)
    assert window.steal_share == pytest.approx(0.05)
    assert window.cpu_pressure_share == pytest.approx(0.25)
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
    assert set(window.missing) >= {"steal_share", "cpu_pressure_share", "foreign_cores", "throttled_share"}
    assert verdict(window) == ("ok", ())


def test_a_window_without_length_divides_by_nothing() -> None:
    assert difference(START, START).missing == {"seconds": "the window has no length"}


def test_foreign_load_is_never_negative() -> None:
    assert difference(START, after(busy_s=19.0, worker_s=20.0)).foreign_cores == 0.0


def test_a_switch_count_that_lost_a_thread_is_unknown() -> None:
    before = replace(START, worker=WorkerReading(0.0, 100, 100))
    assert difference(before, after(20.0)).involuntary_switches is None


def test_a_quiet_run_is_ok() -> None:
    assert verdict(CLEAN) == ("ok", ())


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"steal_share": 0.023}, "steal time 2.3 % (limit 1 %)"),
        ({"cpu_pressure_share": 0.43}, "CPU pressure 43 % of the time (limit 5 %)"),
        ({"foreign_cores": 1.2}, "foreign CPU load 120 % of a core (limit 10 %)"),
        ({"involuntary_switches": 20_000}, "involuntary context switches 1000 a CPU second (limit 500)"),
        ({"throttled_share": 0.5}, "stopped by the CPU quota 50 % of the time (limit 1 %)"),
        ({"thermal_throttles": 3}, "thermal throttling: 3 events during the run"),
    ],
)
def test_each_limit_has_its_flag_with_figures(change: dict[str, float], flag: str) -> None:
    assert verdict(replace(CLEAN, **change)) == ("suspect", (flag,))  # type: ignore[arg-type]


def test_figures_at_their_limits_are_still_ok() -> None:
    edge = replace(
        CLEAN, steal_share=0.01, cpu_pressure_share=0.05, foreign_cores=0.10, involuntary_switches=10_000
    )
    assert verdict(edge) == ("ok", ())


def test_limits_can_be_set_and_a_calibration_that_changed_is_a_flag() -> None:
    assert verdict(replace(CLEAN, steal_share=0.05), limits=Limits(steal_share=0.1))[0] == "ok"
    assert verdict(CLEAN, calibration=(1.0, 1.25)) == (
        "suspect",
        ("calibration changed by +25.0 % (limit 10 %)",),
    )
    assert verdict(CLEAN, calibration=(1.0, 1.05)) == ("ok", ())


def test_a_recorded_machine_is_read_whole(tmp_path: Path) -> None:
    def put(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    put("proc/stat", "cpu  10 0 5 100 0 0 0 2 0 0\n")
    put("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=99\n")
    put("proc/self/cgroup", "0::/lab\n")
    put("sys/fs/cgroup/lab/cpu.stat", "throttled_usec 250000\n")
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2000000\n")
    put("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3000000\n")
    put("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "4\n")
    put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    put("sys/class/thermal/thermal_zone0/temp", "61500\n")
    put("sys/class/thermal/thermal_zone1/type", "iwlwifi\n")
    put("sys/class/thermal/thermal_zone1/temp", "99000\n")
    reading = read(tmp_path, None)
    assert reading.cpu == CpuTimes(15, 2, 117)
    assert reading.pressure_us == 99
    assert reading.throttled_s == 0.25
    assert reading.frequency_hz == 2.5e9
    assert reading.thermal_throttles == 4
    assert reading.temperature_c == 61.5


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
