"""What could have spoiled a run, read by the parent before, during and after it.

Owns the readings, their difference over a window, and the verdict with its limits. Imports only psutil.
Contract: the parent reads on demand and never polls, and nothing is read inside the measured process. What a
system does not tell is None in the window, with its reason in ``missing``; a check without a figure flags nothing.
"""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from harness.machine import parse
from harness.machine.files import read_int, read_text
from harness.machine.identity import cgroup_folders

Validity = Literal["ok", "suspect"]

_TICK_S = 1 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a run is suspect. The defaults and their reasons are in ``docs/method.md``.

    Attributes:
        steal_share: of all CPU time in the window.
        cpu_pressure_share: share of the window in which some task waited for a CPU.
        foreign_cores: CPU time of everything but the worker's tree, in cores.
        involuntary_per_cpu_s: the worker's involuntary context switches per second of its CPU time.
        throttled_share: share of the window in which the cgroup was stopped by its quota.
        calibration_change: relative change of the calibration from before the run to after it.
    """

    steal_share: float = 0.01
    cpu_pressure_share: float = 0.05
    foreign_cores: float = 0.10
    involuntary_per_cpu_s: float = 500.0
    throttled_share: float = 0.01
    calibration_change: float = 0.10


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """The worker's tree at one moment: CPU seconds since it began, context switches of the worker's threads."""

    cpu_s: float
    voluntary: int | None
    involuntary: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine at one moment.

    Attributes:
        at_s: monotonic clock.
        cpu: CPU times of the machine, in ticks.
        pressure_us: total of ``some`` CPU pressure since boot.
        throttled_s: time the cgroup was stopped by its quota.
        thermal_throttles: events in which a core or package lowered its clock for heat.
        frequency_hz: mean over the CPUs.
        temperature_c: the hottest CPU sensor.
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


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two readings. Shares are of 1; ``missing`` says why a figure is None."""

    seconds: float
    steal_share: float | None = None
    cpu_pressure_share: float | None = None
    foreign_cores: float | None = None
    worker_cpu_s: float | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    throttled_share: float | None = None
    thermal_throttles: int | None = None
    frequency_before_hz: float | None = None
    frequency_after_hz: float | None = None
    temperature_before_c: float | None = None
    temperature_after_c: float | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The window as JSON-able values."""
        return dataclasses.asdict(self)


class RunWatch:
    """Readings around one run.

    ``watch.begin()`` just before the worker starts, ``watch.sample(pid)`` while it lives (before and after the measured
    passes: never in a loop), ``watch.end()`` when it is over. The window lies between the first and the last sample
    that saw the worker, so that starting, importing and loading do not count; with one such sample only, it begins at
    `begin`.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._readings: list[Reading] = []

    def begin(self) -> Reading:
        """First reading, before the worker exists; forgets what was read before."""
        self._readings = [read(self._root, None)]
        return self._readings[0]

    def sample(self, pid: int) -> Reading:
        """A reading with the worker's tree; costs about a millisecond of the parent."""
        self._readings.append(read(self._root, pid))
        return self._readings[-1]

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
            exact = WorkerReading(
                worker_cpu_s, seen.voluntary if seen else None, seen.involuntary if seen else None
            )
            return difference(first, dataclasses.replace(read(self._root, None), worker=exact))
        if len(with_worker) > 1:
            return difference(with_worker[0], with_worker[-1])
        return difference(first, with_worker[-1] if with_worker else read(self._root, None))


def read(root: Path, pid: int | None) -> Reading:
    """The machine now, and the tree of a worker if it lives."""
    proc, cpu = root / "proc", root / "sys/devices/system/cpu"
    counts = [read_int(path) for path in cpu.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")]
    known = [count for count in counts if count is not None]
    return Reading(
        at_s=time.monotonic(),
        cpu=parse.cpu_times(read_text(proc / "stat") or ""),
        pressure_us=parse.pressure_total_us(read_text(proc / "pressure/cpu") or ""),
        throttled_s=_throttled(root),
        thermal_throttles=sum(known) if known else None,
        frequency_hz=_frequency(cpu),
        temperature_c=_temperature(root),
        worker=None if pid is None else read_worker(proc, pid),
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


def _temperature(root: Path) -> float | None:
    kinds = ("x86_pkg_temp", "cpu", "soc", "acpitz")
    found: list[float] = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*"):
        value = read_int(zone / "temp")
        if value is not None and (read_text(zone / "type") or "").lower().startswith(kinds):
            found.append(value / 1000)
    return max(found, default=None)


def read_worker(proc: Path, pid: int) -> WorkerReading | None:
    """CPU time of a process with its descendants, and the context switches of all its threads; None if it is gone."""
    ticks = parse.process_ticks(read_text(proc / str(pid) / "stat") or "")
    if ticks is None:
        return None
    for child in _descendants(pid):
        ticks += parse.process_ticks(read_text(proc / str(child) / "stat") or "") or 0
    counts = [
        parse.switches(read_text(task / "status") or "") for task in (proc / str(pid) / "task").glob("[0-9]*")
    ]
    known = [count for count in counts if count is not None]
    return WorkerReading(
        cpu_s=ticks * _TICK_S,
        voluntary=sum(each.voluntary for each in known) if known else None,
        involuntary=sum(each.involuntary for each in known) if known else None,
    )


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def difference(before: Reading, after: Reading) -> Window:
    """What happened between two readings; a pure function."""
    seconds = after.at_s - before.at_s
    missing: dict[str, str] = {}
    if seconds <= 0:
        return Window(seconds=0.0, missing={"seconds": "the window has no length"})
    steal, busy_s = _cpu_shares(before, after, missing)
    worker_cpu = _worker_cpu(before, after)
    if worker_cpu is None:
        missing["worker_cpu_s"] = "the worker was not seen alive"
    foreign = None
    if busy_s is not None and worker_cpu is not None:
        foreign = max(0.0, busy_s - worker_cpu) / seconds
    else:
        missing["foreign_cores"] = missing.get("worker_cpu_s") or missing["steal_share"]
    if before.pressure_us is None or after.pressure_us is None:
        pressure = None
        missing["cpu_pressure_share"] = "/proc/pressure/cpu is not readable (kernel without PSI)"
    else:
        pressure = min(1.0, max(0.0, (after.pressure_us - before.pressure_us) / 1e6 / seconds))
    throttled = _minus(after.throttled_s, before.throttled_s)
    if throttled is None:
        missing["throttled_share"] = "no cgroup with CPU statistics"
    for name, value in (("frequency_hz", after.frequency_hz), ("temperature_c", after.temperature_c)):
        if value is None:
            missing[name] = f"no CPU {name.rpartition('_')[0]} is exposed"
    before_worker = before.worker or WorkerReading(0.0, 0, 0)
    after_worker = after.worker or WorkerReading(0.0, None, None)
    throttles = _minus(after.thermal_throttles, before.thermal_throttles)
    voluntary = _minus(after_worker.voluntary, before_worker.voluntary)
    involuntary = _minus(after_worker.involuntary, before_worker.involuntary)
    return Window(
        seconds=seconds,
        steal_share=steal,
        cpu_pressure_share=pressure,
        foreign_cores=foreign,
        worker_cpu_s=worker_cpu,
        voluntary_switches=None if voluntary is None else int(voluntary),
        involuntary_switches=None if involuntary is None else int(involuntary),
        throttled_share=None if throttled is None else throttled / seconds,
        thermal_throttles=None if throttles is None else int(throttles),
        frequency_before_hz=before.frequency_hz,
        frequency_after_hz=after.frequency_hz,
        temperature_before_c=before.temperature_c,
        temperature_after_c=after.temperature_c,
        missing=missing,
    )


def _cpu_shares(
    before: Reading, after: Reading, missing: dict[str, str]
) -> tuple[float | None, float | None]:
    if before.cpu is None or after.cpu is None:
        missing["steal_share"] = "/proc/stat is not readable"
        return None, None
    total = after.cpu.total - before.cpu.total
    if total <= 0:
        missing["steal_share"] = "the machine's CPU clock did not advance in the window"
        return None, None
    steal = max(0, after.cpu.steal - before.cpu.steal) / total
    return min(1.0, steal), max(0, after.cpu.busy - before.cpu.busy) * _TICK_S


def _worker_cpu(before: Reading, after: Reading) -> float | None:
    if after.worker is None:
        return None
    return max(0.0, after.worker.cpu_s - (before.worker.cpu_s if before.worker else 0.0))


def _minus(after: float | None, before: float | None) -> float | None:
    """A counter's growth; None where it is unknown or went backwards (a thread ended and took its count along)."""
    if after is None or before is None or after < before:
        return None
    return after - before


def verdict(
    window: Window, *, limits: Limits = LIMITS, calibration: tuple[float, float] | None = None
) -> tuple[Validity, tuple[str, ...]]:
    """Whether a run is to be believed, and what speaks against it, with figures; a pure function.

    Args:
        window: from `RunWatch.end` or `difference`.
        limits: beyond which a figure is a flag.
        calibration: seconds of the same short calibration before and after the run, where it was made.
    """
    flags: list[str] = []

    def check(value: float | None, limit: float, text: str) -> None:
        if value is not None and value > limit:
            flags.append(text)

    steal, pressure, foreign = window.steal_share, window.cpu_pressure_share, window.foreign_cores
    check(steal, limits.steal_share, f"steal time {_percent(steal)} (limit {_percent(limits.steal_share)})")
    check(
        pressure,
        limits.cpu_pressure_share,
        f"CPU pressure {_percent(pressure)} of the time (limit {_percent(limits.cpu_pressure_share)})",
    )
    check(
        foreign,
        limits.foreign_cores,
        f"foreign CPU load {_percent(foreign)} of a core (limit {_percent(limits.foreign_cores)})",
    )
    rate = None
    if window.involuntary_switches is not None and window.worker_cpu_s:
        rate = window.involuntary_switches / window.worker_cpu_s
    check(
        rate,
        limits.involuntary_per_cpu_s,
        f"involuntary context switches {rate or 0:.0f} a CPU second (limit {limits.involuntary_per_cpu_s:.0f})",
    )
    check(
        window.throttled_share,
        limits.throttled_share,
        f"stopped by the CPU quota {_percent(window.throttled_share)} of the time"
        f" (limit {_percent(limits.throttled_share)})",
    )
    check(
        window.thermal_throttles, 0, f"thermal throttling: {window.thermal_throttles} events during the run"
    )
    if calibration is not None and calibration[0] > 0:
        change = calibration[1] / calibration[0] - 1
        check(
            abs(change),
            limits.calibration_change,
            f"calibration changed by {100 * change:+.1f} % (limit {_percent(limits.calibration_change)})",
        )
    return ("suspect" if flags else "ok"), tuple(flags)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.3g} %"
