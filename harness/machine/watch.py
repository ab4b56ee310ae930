"""What could have spoiled a run, read by the parent before, during and after it.

Owns the readings and their difference over a window; `validity` judges it. Imports only psutil. Contract: the parent
reads on demand and never polls, and nothing is read inside the measured process. What a system does not tell is None in
the window, with its reason in ``missing``.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.machine import parse
from harness.machine.files import read_int, read_text
from harness.machine.identity import cgroup_folders
from harness.machine.throttle import GpuClocks, GpuReading, GpuWindow, cpu_throttles, gpu_windows

#: What one count of the kernel's CPU times stands for.
TICK_S = 1 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """The worker's tree at one moment; counts are since it began.

    Attributes:
        cpu_s: CPU time.
        voluntary: context switches of its threads that wait for something.
        involuntary: context switches of its threads that would have run on.
        waited_s: time for which its threads were ready to run and waited for a CPU.
        minor_faults: page faults that found their page in memory.
        major_faults: page faults that waited for a disk.
        swap_bytes: what of it lies in swap.
    """

    cpu_s: float
    voluntary: int | None
    involuntary: int | None
    waited_s: float | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    swap_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine at one moment.

    Attributes:
        at_s: monotonic clock.
        cpu: CPU times of the machine, in ticks.
        pressure_us: total of ``some`` CPU pressure since boot.
        memory_pressure_us: total of ``some`` memory pressure since boot.
        swapped_bytes: moved to and from swap since boot.
        throttled_s: time the cgroup was stopped by its quota.
        thermal_throttles: events in which a core or package lowered its clock for heat.
        throttles: what slows the processors down at this moment, in words.
        frequency_hz: mean over the CPUs.
        temperature_c: the hottest CPU sensor.
        gpus: NVIDIA's boards.
        worker: the worker's tree, None before it began or after it ended.
    """

    at_s: float
    cpu: parse.CpuTimes | None
    pressure_us: int | None
    throttled_s: float | None
    thermal_throttles: int | None
    frequency_hz: float | None
    temperature_c: float | None
    worker: WorkerReading | None
    memory_pressure_us: int | None = None
    swapped_bytes: int | None = None
    throttles: tuple[str, ...] = ()
    gpus: tuple[GpuReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two readings. Shares are of 1; ``missing`` says why a figure is None.

    ``steal_s`` is over all CPUs together; ``worker_*`` and the faults are of the worker's tree; ``swapped_bytes`` is
    the machine's; ``throttles`` are the phrases of both readings.
    """

    seconds: float
    steal_share: float | None = None
    steal_s: float | None = None
    cpu_pressure_share: float | None = None
    memory_pressure_share: float | None = None
    foreign_cores: float | None = None
    worker_cpu_s: float | None = None
    worker_waited_s: float | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    swapped_bytes: int | None = None
    worker_swap_bytes: int | None = None
    throttled_share: float | None = None
    thermal_throttles: int | None = None
    throttles: tuple[str, ...] = ()
    frequency_before_hz: float | None = None
    frequency_after_hz: float | None = None
    temperature_before_c: float | None = None
    temperature_after_c: float | None = None
    gpus: tuple[GpuWindow, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The window as JSON-able values."""
        return dataclasses.asdict(self)


class RunWatch:
    """Readings around one run.

    Args:
        root: where ``proc`` and ``sys`` are.
        gpus: NVIDIA's boards, where their clocks are to be read too.

    ``watch.begin()`` just before the worker starts, ``watch.sample(pid)`` while it lives (before and after the measured
    passes: never in a loop), ``watch.end()`` when it is over. The window lies between the first and the last sample
    that saw the worker, so that starting, importing and loading do not count; with one such sample only, it begins at
    `begin`.
    """

    def __init__(self, root: Path = Path("/"), gpus: GpuClocks | None = None) -> None:
        self._root = root
        self._gpus = gpus or GpuClocks()
        self._readings: list[Reading] = []

    def begin(self) -> Reading:
        """First reading, before the worker exists; forgets what was read before."""
        self._readings = [self._read(None)]
        return self._readings[0]

    def sample(self, pid: int) -> Reading:
        """A reading with the worker's tree; costs about a millisecond of the parent."""
        self._readings.append(self._read(pid))
        return self._readings[-1]

    def _read(self, pid: int | None) -> Reading:
        return dataclasses.replace(read(self._root, pid), gpus=self._gpus.read())

    def end(self, worker_cpu_s: float | None = None) -> Window:
        """The window of the measured passes, see the class.

        Args:
            worker_cpu_s: CPU seconds of the whole finished worker, where the caller had them from `os.wait4`; then the
                window is the worker's whole life: from `begin` to now.

        Raises:
            RuntimeError: `begin` was not called.
        """
        if not self._readings:
            raise RuntimeError("RunWatch.end() before begin()")
        first = self._readings[0]
        with_worker = [each for each in self._readings[1:] if each.worker is not None]
        if worker_cpu_s is not None:
            seen = with_worker[-1].worker if with_worker else None
            exact = dataclasses.replace(seen or WorkerReading(0.0, None, None), cpu_s=worker_cpu_s)
            return difference(first, dataclasses.replace(self._read(None), worker=exact))
        if len(with_worker) > 1:
            return difference(with_worker[0], with_worker[-1])
        return difference(first, with_worker[-1] if with_worker else self._read(None))


def read(root: Path, pid: int | None) -> Reading:
    """The machine now, and the tree of a worker if it lives."""
    proc, cpu = root / "proc", root / "sys/devices/system/cpu"
    counts = [read_int(path) for path in cpu.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    swapped = parse.swapped_pages(read_text(proc / "vmstat") or "")
    return Reading(
        at_s=time.monotonic(),
        cpu=parse.cpu_times(read_text(proc / "stat") or ""),
        pressure_us=parse.pressure_total_us(read_text(proc / "pressure/cpu") or ""),
        throttled_s=_throttled(root),
        thermal_throttles=sum(known) if known else None,
        frequency_hz=_frequency(cpu),
        temperature_c=_temperature(root),
        worker=None if pid is None else read_worker(proc, pid),
        memory_pressure_us=parse.pressure_total_us(read_text(proc / "pressure/memory") or ""),
        swapped_bytes=None if swapped is None else swapped * _PAGE_BYTES,
        throttles=cpu_throttles(root),
    )


def _throttled(root: Path) -> float | None:
    for folder in cgroup_folders(root):
        value = parse.throttled_s(read_text(folder / "cpu.stat") or "")
        if value is not None:
            return value
    return None


def _frequency(cpu: Path) -> float | None:
    values = [
        value
        for path in cpu.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        if (value := read_int(path)) is not None
    ]
    return 1000 * sum(values) / len(values) if values else None


def cpu_temperature_c(root: Path = Path("/")) -> float | None:
    """The hottest CPU sensor now; None where none can be read."""
    return _temperature(root)


_ZONES = ("x86_pkg_temp", "cpu", "soc", "acpitz")
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cputemp", "soc_thermal")


def _temperature(root: Path) -> float | None:
    """The hottest of the thermal zones and hwmon sensors that are a CPU's (AMD's has no zone)."""
    found = [
        value
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
        if (read_text(zone / "type") or "").lower().startswith(_ZONES)
        and (value := read_int(zone / "temp")) is not None
    ]
    found += [
        value
        for chip in (root / "sys/class/hwmon").glob("hwmon*")
        if (read_text(chip / "name") or "").lower().startswith(_SENSORS)
        for sensor in chip.glob("temp*_input")
        if (value := read_int(sensor)) is not None
    ]
    return max(found) / 1000 if found else None


def read_worker(proc: Path, pid: int) -> WorkerReading | None:
    """A process with its descendants, and all their threads; None if it is gone."""
    own = parse.process_ticks(read_text(proc / str(pid) / "stat") or "")
    if own is None:
        return None
    folders = [proc / str(each) for each in (pid, *_descendants(pid))]
    stats = [read_text(folder / "stat") or "" for folder in folders]
    tasks = [task for folder in folders for task in (folder / "task").glob("[0-9]*")]
    switches = [parse.switches(read_text(task / "status") or "") for task in tasks]
    known = [count for count in switches if count is not None]
    waited = _sum(parse.waited_ns(read_text(task / "schedstat") or "") for task in tasks)
    faults = [found for stat in stats if (found := parse.faults(stat)) is not None]
    return WorkerReading(
        cpu_s=sum(parse.process_ticks(stat) or 0 for stat in stats) * TICK_S,
        voluntary=sum(each.voluntary for each in known) if known else None,
        involuntary=sum(each.involuntary for each in known) if known else None,
        waited_s=None if waited is None else waited / 1e9,
        minor_faults=sum(each.minor for each in faults) if faults else None,
        major_faults=sum(each.major for each in faults) if faults else None,
        swap_bytes=_sum(parse.swap_bytes(read_text(folder / "status") or "") for folder in folders),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


#: Why a figure of the worker is None, where the worker itself was seen.
_UNTOLD = {
    "worker_waited_s": "no /proc/PID/task/*/schedstat, or a thread ended in the window and took its time along",
    "minor_faults": "/proc/PID/stat tells no page faults",
    "major_faults": "/proc/PID/stat tells no page faults",
    "voluntary_switches": "a thread ended in the window and took its count along",
    "involuntary_switches": "a thread ended in the window and took its count along",
    "worker_swap_bytes": "/proc/PID/status tells no VmSwap",
}


def difference(before: Reading, after: Reading) -> Window:
    """What happened between two readings; a pure function."""
    seconds = after.at_s - before.at_s
    if seconds <= 0:
        return Window(seconds=0.0, missing={"seconds": "the window has no length"})
    missing: dict[str, str] = {}
    steal_s, steal_share, busy_s = _cpu_shares(before, after, missing)
    worker = _worker(before, after)
    if worker.cpu_s is None:
        missing["worker_cpu_s"] = "the worker was not seen alive"
    foreign = None
    if busy_s is not None and worker.cpu_s is not None:
        foreign = max(0.0, busy_s - worker.cpu_s) / seconds
    else:
        missing["foreign_cores"] = missing.get("worker_cpu_s") or missing["steal_share"]
    throttles = _minus(after.thermal_throttles, before.thermal_throttles)
    swapped = _minus(after.swapped_bytes, before.swapped_bytes)
    window = Window(
        seconds=seconds,
        steal_share=steal_share,
        steal_s=steal_s,
        cpu_pressure_share=_pressure(before.pressure_us, after.pressure_us, seconds),
        memory_pressure_share=_pressure(before.memory_pressure_us, after.memory_pressure_us, seconds),
        foreign_cores=foreign,
        worker_cpu_s=worker.cpu_s,
        worker_waited_s=worker.waited_s,
        voluntary_switches=worker.voluntary,
        involuntary_switches=worker.involuntary,
        minor_faults=worker.minor_faults,
        major_faults=worker.major_faults,
        swapped_bytes=None if swapped is None else int(swapped),
        worker_swap_bytes=after.worker.swap_bytes if after.worker else None,
        throttled_share=_share(_minus(after.throttled_s, before.throttled_s), seconds),
        thermal_throttles=None if throttles is None else int(throttles),
        throttles=tuple(dict.fromkeys(before.throttles + after.throttles)),
        frequency_before_hz=before.frequency_hz,
        frequency_after_hz=after.frequency_hz,
        temperature_before_c=before.temperature_c,
        temperature_after_c=after.temperature_c,
        gpus=gpu_windows(before.gpus, after.gpus),
        missing=missing,
    )
    for name, reason in _reasons(window).items():
        missing.setdefault(name, reason)
    return window


def _reasons(window: Window) -> dict[str, str]:
    """Why figures of a window are None."""
    untold = {
        "cpu_pressure_share": "/proc/pressure/cpu is not readable (kernel without PSI)",
        "memory_pressure_share": "/proc/pressure/memory is not readable (kernel without PSI)",
        "swapped_bytes": "/proc/vmstat does not tell it",
        "throttled_share": "no cgroup with CPU statistics",
        "thermal_throttles": "the CPU's driver counts none",
        **{
            name: reason if window.worker_cpu_s is not None else "the worker was not seen alive"
            for name, reason in _UNTOLD.items()
        },
    }
    found = {name: reason for name, reason in untold.items() if getattr(window, name) is None}
    for name, value in (
        ("frequency_hz", window.frequency_after_hz),
        ("temperature_c", window.temperature_after_c),
    ):
        if value is None:
            found[name] = f"no CPU {name.rpartition('_')[0]} is exposed"
    return found


def _pressure(before_us: int | None, after_us: int | None, seconds: float) -> float | None:
    if before_us is None or after_us is None:
        return None
    return min(1.0, max(0.0, (after_us - before_us) / 1e6 / seconds))


def _share(amount: float | None, seconds: float) -> float | None:
    return None if amount is None else amount / seconds


def _cpu_shares(
    before: Reading, after: Reading, missing: dict[str, str]
) -> tuple[float | None, float | None, float | None]:
    """Stolen seconds over all CPUs, their share of all CPU time, and busy seconds."""
    if before.cpu is None or after.cpu is None:
        missing["steal_share"] = missing["steal_s"] = "/proc/stat is not readable"
        return None, None, None
    total = after.cpu.total - before.cpu.total
    if total <= 0:
        missing["steal_share"] = missing["steal_s"] = "the machine's CPU clock did not advance in the window"
        return None, None, None
    steal = max(0, after.cpu.steal - before.cpu.steal)
    return steal * TICK_S, min(1.0, steal / total), max(0, after.cpu.busy - before.cpu.busy) * TICK_S


@dataclass(frozen=True, slots=True)
class _WorkerWindow:
    """The worker's own part of a window."""

    cpu_s: float | None = None
    voluntary: int | None = None
    involuntary: int | None = None
    waited_s: float | None = None
    minor_faults: int | None = None
    major_faults: int | None = None


def _worker(before: Reading, after: Reading) -> _WorkerWindow:
    last = after.worker
    if last is None:
        return _WorkerWindow()
    # Before it began, everything was 0.
    first = before.worker or WorkerReading(0.0, 0, 0, 0.0, 0, 0, 0)

    def whole(later: int | None, earlier: int | None) -> int | None:
        grown = _minus(later, earlier)
        return None if grown is None else int(grown)

    return _WorkerWindow(
        cpu_s=max(0.0, last.cpu_s - first.cpu_s),
        voluntary=whole(last.voluntary, first.voluntary),
        involuntary=whole(last.involuntary, first.involuntary),
        waited_s=_minus(last.waited_s, first.waited_s),
        minor_faults=whole(last.minor_faults, first.minor_faults),
        major_faults=whole(last.major_faults, first.major_faults),
    )


def _minus(after: float | None, before: float | None) -> float | None:
    """A counter's growth; None where it is unknown or went backwards (a thread ended and took its count along)."""
    if after is None or before is None or after < before:
        return None
    return after - before
