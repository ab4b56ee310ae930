"""Whether a run is to be believed: the rules, their limits, and the verdict with its reasons.

Owns `Limits`, `RULES` and `verdict`. Imports nothing but the window's type. Contract: pure; a rule without a figure
flags nothing; every limit and why it lies there stands in ``docs/method.md``, "Validity". A limit on a share comes with
a smallest amount where the figure is counted in ticks of 10 ms: in a window of half a second one tick would be 2 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.machine.watch import Window

Validity = Literal["ok", "suspect"]

#: Seconds that the same short work took before and after a run, by what it keeps busy.
Calibrations = Mapping[Literal["compute", "memory"], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a run is suspect. The defaults and their reasons are in ``docs/method.md``.

    Attributes:
        steal_share: of all CPU time in the window.
        steal_s: stolen seconds below which the share says nothing.
        foreign_cores: CPU time of everything but the worker's tree, in cores.
        foreign_s: foreign CPU seconds below which the load says nothing.
        cpu_pressure_share: share of the window in which some task waited for a CPU; counts only together with the next
            two, because everybody's waiting is in it.
        waited_share: the worker's waiting for a CPU, of its CPU time.
        pressing_cores: foreign CPU time that can have made it wait.
        involuntary_per_cpu_s: the worker's involuntary context switches per second of its CPU time; counts only
            together with the two above, because threads that yield while they spin have hundreds of thousands.
        memory_pressure_share: share of the window in which some task waited for memory.
        major_faults_per_s: the worker's page faults that waited for a disk.
        major_faults: number of them below which the rate says nothing.
        swapped_bytes_per_s: moved to and from swap by the machine.
        throttled_share: share of the window in which the cgroup was stopped by its quota.
        gpu_limited_share: share of the window that heat or the board's limits took from a GPU.
        compute_change: relative change of the compute calibration from before the run to after it.
        memory_change: the same of the memory calibration.
    """

    steal_share: float = 0.01
    steal_s: float = 0.05
    foreign_cores: float = 0.10
    foreign_s: float = 0.10
    cpu_pressure_share: float = 0.05
    waited_share: float = 0.05
    pressing_cores: float = 0.05
    involuntary_per_cpu_s: float = 500.0
    memory_pressure_share: float = 0.01
    major_faults_per_s: float = 50.0
    major_faults: int = 50
    swapped_bytes_per_s: float = 1e6
    throttled_share: float = 0.01
    gpu_limited_share: float = 0.01
    compute_change: float = 0.10
    memory_change: float = 0.25


LIMITS = Limits()

#: Looks at one thing; says what speaks against the run, with the figure and its limit.
Rule = Callable[[Window, Limits], str | None]


def _steal(window: Window, limits: Limits) -> str | None:
    share, stolen_s = window.steal_share, window.steal_s
    if share is None or share <= limits.steal_share or (stolen_s or 0.0) < limits.steal_s:
        return None
    return f"steal time {_percent(share)} (limit {_percent(limits.steal_share)})"


def _undisturbed(window: Window, limits: Limits) -> bool:
    """Whether nobody else ran enough to have made the worker wait, or it did not wait."""
    if window.foreign_cores is not None and window.foreign_cores <= limits.pressing_cores:
        return True
    waited = _over(window.worker_waited_s, window.worker_cpu_s)
    return waited is not None and waited <= limits.waited_share


def _cpu_pressure(window: Window, limits: Limits) -> str | None:
    share = window.cpu_pressure_share
    if share is None or share <= limits.cpu_pressure_share:
        return None
    if _undisturbed(window, limits):
        return None  # its threads waited for each other, or others for it
    waited = _over(window.worker_waited_s, window.worker_cpu_s)
    own = "" if waited is None else f", the worker waited {_percent(waited)} of its CPU time"
    return f"CPU pressure {_percent(share)} of the time{own} (limit {_percent(limits.cpu_pressure_share)})"


def _foreign(window: Window, limits: Limits) -> str | None:
    cores = window.foreign_cores
    if cores is None or cores <= limits.foreign_cores or cores * window.seconds < limits.foreign_s:
        return None
    return f"foreign CPU load {_percent(cores)} of a core (limit {_percent(limits.foreign_cores)})"


def _switches(window: Window, limits: Limits) -> str | None:
    rate = _over(window.involuntary_switches, window.worker_cpu_s)
    if rate is None or rate <= limits.involuntary_per_cpu_s:
        return None
    if _undisturbed(window, limits):
        return None  # its threads switched among themselves: sched_yield counts as involuntary on Linux
    return f"involuntary context switches {rate:.0f} a CPU second (limit {limits.involuntary_per_cpu_s:.0f})"


def _memory_pressure(window: Window, limits: Limits) -> str | None:
    share = window.memory_pressure_share
    if share is None or share <= limits.memory_pressure_share:
        return None
    return f"memory pressure {_percent(share)} of the time (limit {_percent(limits.memory_pressure_share)})"


def _major_faults(window: Window, limits: Limits) -> str | None:
    count, rate = window.major_faults, _over(window.major_faults, window.seconds)
    if count is None or rate is None or count <= limits.major_faults or rate <= limits.major_faults_per_s:
        return None
    return f"major page faults {rate:.0f} a second (limit {limits.major_faults_per_s:.0f})"


def _swapping(window: Window, limits: Limits) -> str | None:
    rate = _over(window.swapped_bytes, window.seconds)
    if rate is None or rate <= limits.swapped_bytes_per_s:
        return None
    return f"swapping {rate / 1e6:.3g} MB a second (limit {limits.swapped_bytes_per_s / 1e6:.3g} MB)"


def _quota(window: Window, limits: Limits) -> str | None:
    share = window.throttled_share
    if share is None or share <= limits.throttled_share:
        return None
    return (
        f"stopped by the CPU quota {_percent(share)} of the time (limit {_percent(limits.throttled_share)})"
    )


def _thermal(window: Window, limits: Limits) -> str | None:
    del limits  # one event is one too many
    words = list(window.throttles)
    if window.thermal_throttles:
        words.insert(0, f"{window.thermal_throttles} events during the run")
    return f"thermal throttling: {'; '.join(words)}" if words else None


def _gpu(window: Window, limits: Limits) -> str | None:
    words: list[str] = []
    for board in window.gpus:
        said = list(board.reasons)
        for name, seconds in (("heat", board.thermal_s), ("board limit", board.board_limit_s)):
            share = _over(seconds, window.seconds)
            if share is not None and share > limits.gpu_limited_share:
                said.append(f"{name} {_percent(share)} of the time")
        if said:
            words.append(f"{board.name}: {', '.join(said)}")
    return f"GPU held back: {'; '.join(words)}" if words else None


RULES: tuple[Rule, ...] = (
    _steal,
    _cpu_pressure,
    _foreign,
    _switches,
    _memory_pressure,
    _major_faults,
    _swapping,
    _quota,
    _thermal,
    _gpu,
)


def verdict(
    window: Window, *, limits: Limits = LIMITS, calibrations: Calibrations | None = None
) -> tuple[Validity, tuple[str, ...]]:
    """Whether a run is to be believed, and what speaks against it, with figures; a pure function.

    Args:
        window: from `RunWatch.end` or `difference`.
        limits: beyond which a figure is a flag.
        calibrations: the same short work before and after the run, where it was made.
    """
    flags = [flag for rule in RULES if (flag := rule(window, limits)) is not None]
    for name, (before, after) in (calibrations or {}).items():
        change = after / before - 1
        limit = limits.compute_change if name == "compute" else limits.memory_change
        if abs(change) > limit:
            flags.append(f"{name} calibration changed by {100 * change:+.1f} % (limit {_percent(limit)})")
    return ("suspect" if flags else "ok"), tuple(flags)


def _over(amount: float | None, whole: float | None) -> float | None:
    return amount / whole if amount is not None and whole else None


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
