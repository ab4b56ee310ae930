"""`harness.machine.validity`: which windows are believed, and what is said of the others."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.machine.parse import CpuTimes
from harness.machine.throttle import GpuWindow
from harness.machine.validity import LIMITS, Limits, verdict
from harness.machine.watch import Reading, RunWatch, Window, WorkerReading, difference

PAGE = (Path(__file__).parents[2] / "docs" / "method.md").read_text(encoding="utf-8")
CLEAN = Window(
    seconds=10.0,
    steal_share=0.0,
    steal_s=0.0,
    cpu_pressure_share=0.0,
    memory_pressure_share=0.0,
    foreign_cores=0.0,
    worker_cpu_s=20.0,
    worker_waited_s=0.0,
    involuntary_switches=0,
    minor_faults=100_000,
    major_faults=0,
    swapped_bytes=0,
    worker_swap_bytes=0,
    throttled_share=0.0,
    thermal_throttles=0,
)
BOARD = GpuWindow("RTX", 2e9, 2e9, 60.0, 70.0, (), True, 9.0, 0.0, 0.0)
PRESSED = {"cpu_pressure_share": 0.43, "worker_waited_s": 2.0, "foreign_cores": 0.08}


def test_a_quiet_run_is_ok() -> None:
    assert verdict(CLEAN, calibrations={"compute": (1.0, 1.05), "memory": (1.0, 0.9)}) == ("ok", ())


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"steal_share": 0.023, "steal_s": 0.46}, "steal time 2.3 % (limit 1 %)"),
        (PRESSED, "CPU pressure 43 % of the time, the worker waited 10 % of its CPU time (limit 5 %)"),
        ({"foreign_cores": 1.2}, "foreign CPU load 120 % of a core (limit 10 %)"),
        (
            {"involuntary_switches": 20_000, "worker_waited_s": 2.0, "foreign_cores": 0.08},
            "involuntary context switches 1000 a CPU second (limit 500)",
        ),
        (
            {"involuntary_switches": 20_000, "worker_waited_s": None, "foreign_cores": None},
            "involuntary context switches 1000 a CPU second (limit 500)",
        ),
        ({"memory_pressure_share": 0.2}, "memory pressure 20 % of the time (limit 1 %)"),
        ({"major_faults": 4000}, "major page faults 400 a second (limit 50)"),
        ({"swapped_bytes": 35_000_000}, "swapping 3.5 MB a second (limit 1 MB)"),
        ({"throttled_share": 0.5}, "stopped by the CPU quota 50 % of the time (limit 1 %)"),
        ({"thermal_throttles": 3}, "thermal throttling: 3 events during the run"),
        (
            {"throttles": ("firmware: under-voltage",)},
            "thermal throttling: firmware: under-voltage",
        ),
        (
            {"gpus": (replace(BOARD, thermal_s=0.5), BOARD)},
            "GPU held back: RTX: heat 5 % of the time",
        ),
        (
            {"gpus": (replace(BOARD, reasons=("power brake",)),)},
            "GPU held back: RTX: power brake",
        ),
    ],
)
def test_each_limit_has_its_flag_with_figures(change: dict[str, Any], flag: str) -> None:
    assert verdict(replace(CLEAN, **change)) == ("suspect", (flag,))


def test_figures_at_their_limits_are_still_ok() -> None:
    edge = replace(
        CLEAN,
        steal_share=0.01,
        cpu_pressure_share=0.05,
        worker_waited_s=20.0,
        foreign_cores=0.10,
        involuntary_switches=10_000,
        memory_pressure_share=0.01,
        major_faults=500,
        swapped_bytes=10_000_000,
        throttled_share=0.01,
        gpus=(BOARD,),
    )
    assert verdict(edge) == ("ok", ())


def test_threads_that_yield_while_they_spin_are_not_disturbed() -> None:
    yielding = replace(CLEAN, involuntary_switches=6_000_000, worker_waited_s=30.0, foreign_cores=0.05)
    assert verdict(yielding) == ("ok", ())
    assert verdict(replace(yielding, foreign_cores=0.06))[0] == "suspect"
    assert verdict(replace(yielding, foreign_cores=0.06, worker_waited_s=0.9)) == ("ok", ())


def test_single_ticks_of_a_short_window_flag_nothing() -> None:
    short = replace(CLEAN, seconds=0.4, worker_cpu_s=0.8)
    assert verdict(replace(short, steal_share=0.025, steal_s=0.02))[0] == "ok"
    assert verdict(replace(short, foreign_cores=0.2))[0] == "ok"
    assert verdict(replace(short, major_faults=45))[0] == "ok"
    assert verdict(replace(short, steal_share=0.1, steal_s=0.08))[0] == "suspect"
    assert verdict(replace(short, foreign_cores=0.9))[0] == "suspect"


@pytest.mark.parametrize(
    "harmless",
    [
        # Others waited for the worker: a daemon, or the thread that samples its memory.
        {**PRESSED, "worker_waited_s": 0.9},
        # The worker's own threads waited for each other: more of them than CPUs.
        {**PRESSED, "foreign_cores": 0.04},
    ],
)
def test_pressure_that_nobody_put_on_the_worker_flags_nothing(harmless: dict[str, Any]) -> None:
    assert verdict(replace(CLEAN, **harmless)) == ("ok", ())


def test_pressure_flags_alone_where_the_kernel_does_not_tell_who_waited() -> None:
    blind = replace(CLEAN, cpu_pressure_share=0.43, worker_waited_s=None, foreign_cores=None)
    assert verdict(blind) == ("suspect", ("CPU pressure 43 % of the time (limit 5 %)",))


def test_limits_can_be_set() -> None:
    stolen = replace(CLEAN, steal_share=0.05, steal_s=1.0)
    assert verdict(stolen, limits=Limits(steal_share=0.1))[0] == "ok"


@pytest.mark.parametrize(
    ("after", "flag"),
    [
        ({"compute": (1.0, 1.25)}, "compute calibration changed by +25.0 % (limit 10 %)"),
        ({"compute": (1.0, 0.8)}, "compute calibration changed by -20.0 % (limit 10 %)"),
        ({"memory": (1.0, 2.0)}, "memory calibration changed by +100.0 % (limit 25 %)"),
    ],
)
def test_a_calibration_that_changed_is_a_flag(
    after: dict[Literal["compute", "memory"], tuple[float, float]], flag: str
) -> None:
    assert verdict(CLEAN, calibrations=after) == ("suspect", (flag,))


def test_every_limit_stands_in_the_table_of_the_method_with_its_figure() -> None:
    section = PAGE[PAGE.index("## Validity") :]
    lines = re.findall(r"^\| [^|]* \| ([^|]*) \|[^|]*\| (`[a-z_, `]+`) \|$", section, re.MULTILINE)
    documented = {name: text for text, names in lines for name in re.findall(r"[a-z_]+", names)}
    values = {field.name: getattr(LIMITS, field.name) for field in dataclasses.fields(Limits)}
    assert set(documented) == set(values)
    for name, value in values.items():
        assert _written(name, value) in documented[name], name


def _written(name: str, figure: float) -> str:
    """As the page writes it."""
    if name.endswith(("_share", "_change", "_cores")):
        return f"{100 * figure:g} %"
    if name.endswith("_bytes_per_s"):
        return f"{figure / 1e6:g} MB"
    return f"{figure * 1000:g} ms" if figure < 1 else f"{figure:g}"


# -- many runs, as the kernel would count them ------------------------------------------------------------------------

TICKS_PER_S = 100


def counted(generator: random.Random, seconds: float, background: float, steal: float, hogs: int) -> Window:
    """A run of two threads on two CPUs, read through counters of 10 ms.

    Args:
        generator: of the chance in it.
        seconds: of the window.
        background: cores that the rest of the system takes.
        steal: share of all CPU time.
        hogs: processes beside it that compute without end, sharing the CPUs fairly.
    """
    wanted = 2.0 + hogs
    foreign_s = seconds * (2.0 * hogs / wanted + background * generator.uniform(0.0, 2.0))
    stolen_s = seconds * 2 * steal * generator.uniform(0.0, 2.0)
    worker_s = 2 * seconds - foreign_s - stolen_s
    # Whoever is on a CPU at a tick gets all of it: sums are right on average, and off by a tick or two.
    off = [generator.choice((-1, 0, 0, 1)) for _ in range(3)]
    ticks = [
        max(0, round(TICKS_PER_S * value) + by)
        for value, by in zip((foreign_s, worker_s, stolen_s), off, strict=True)
    ]
    before = Reading(
        0.0, CpuTimes(0, 0, 0), 0, 0.0, 0, None, None, WorkerReading(0.0, 0, 0, 0.0, 0, 0, 0), 0, 0
    )
    # Everybody waits 3 ms for each wake-up behind a busy worker; the worker itself waits for what others compute.
    waiting_s = min(seconds, seconds * (1.0 if hogs else generator.uniform(0.02, 0.15)))
    after = Reading(
        seconds,
        CpuTimes(ticks[0] + ticks[1], ticks[2], sum(ticks)),
        round(1e6 * waiting_s),
        0.0,
        0,
        None,
        None,
        WorkerReading(ticks[1] / TICKS_PER_S, 100, round(40 * seconds), foreign_s, 4000, 0, 0),
        0,
        0,
    )
    return difference(before, after)


def marked(background: float, steal: float, hogs: int, limits: Limits = LIMITS) -> float:
    """Share of 400 runs of 0.3 to 10 s that are marked."""
    generator = random.Random(f"{background} {steal} {hogs}")
    windows = [
        counted(generator, generator.choice((0.3, 0.6, 1.2, 3.0, 10.0)), background, steal, hogs)
        for _ in range(400)
    ]
    return sum(verdict(window, limits=limits)[0] == "suspect" for window in windows) / len(windows)


def test_beside_a_hog_at_least_95_of_100_runs_are_marked() -> None:
    assert marked(background=0.01, steal=0.0, hogs=1) >= 0.95
    assert marked(background=0.01, steal=0.001, hogs=3) >= 0.95


def test_on_a_quiet_machine_at_most_5_of_100_runs_are_marked() -> None:
    assert marked(background=0.01, steal=0.0, hogs=0) <= 0.05
    assert marked(background=0.03, steal=0.002, hogs=0) <= 0.05


def test_a_hypervisor_that_steals_marks_runs() -> None:
    assert marked(background=0.01, steal=0.03, hogs=0) >= 0.5


def test_without_smallest_amounts_single_ticks_would_mark_quiet_runs() -> None:
    blunt = Limits(steal_s=0.0, foreign_s=0.0)
    assert marked(background=0.05, steal=0.005, hogs=0) <= 0.05
    assert marked(background=0.05, steal=0.005, hogs=0, limits=blunt) > 0.15


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_run_beside_a_real_hog_on_its_cpu_is_marked() -> None:
    cpu = min(os.sched_getaffinity(0))
    burn = f"import os, time\nos.sched_setaffinity(0, {{{cpu}}})\nprint(1, flush=True)\nwhile True: pass"
    watch = RunWatch()
    watch.begin()
    with (
        subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) as worker,
        subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) as beside,
    ):
        try:
            for process in (worker, beside):
                assert process.stdout is not None
                process.stdout.readline()
            watch.sample(worker.pid)
            time.sleep(1.0)
            watch.sample(worker.pid)
        finally:
            worker.kill()
            beside.kill()
    window = watch.end()
    validity, flags = verdict(window)
    assert validity == "suspect"
    assert any(flag.startswith("foreign CPU load") for flag in flags)
    assert window.worker_waited_s is not None
    assert window.worker_waited_s > 0.1
