"""Whether something holds a processor back: cooling devices, a board's firmware, NVIDIA's counters.

Owns these readings. Imports NVML only where `GpuClocks.of_this_machine` finds it. Contract: read by the parent between
requests; what a system does not tell is an empty tuple or None, and flags nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.machine import parse
from harness.machine.accelerators import load_nvml, nvml_text
from harness.machine.files import read_int, read_text

#: Cooling devices that lower a clock; a fan cools without.
_SLOWING = ("processor", "cpufreq", "powerclamp", "devfreq")
_PI = "sys/devices/platform/soc/soc:firmware/get_throttled"

#: NVML's clock event reasons that mean trouble. Its power cap is how a board normally ends its boost.
_GPU_REASONS: Mapping[int, str] = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
_POWER_CAP = 0x04
#: NVML's counters of time lost, by their policy's number.
_POLICIES: Mapping[str, int] = {"power_s": 0, "thermal_s": 1, "board_limit_s": 3}


def cpu_throttles(root: Path = Path("/")) -> tuple[str, ...]:
    """What slows this machine's processors down right now, each as a phrase."""
    found: list[str] = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = read_text(device / "type") or ""
        state = read_int(device / "cur_state")
        if state is not None and state > 0 and any(word in kind.lower() for word in _SLOWING):
            found.append(f"cooling device {kind} at step {state}")
    firmware = parse.pi_throttled(read_text(root / _PI) or "")
    if firmware:
        found.append(f"firmware: {', '.join(firmware)}")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One NVIDIA board at one moment.

    Attributes:
        name: as its driver tells it.
        clock_hz: of its multiprocessors.
        temperature_c: of the chip.
        reasons: what holds the clock down right now and means trouble.
        power_capped: the clock is held at the board's power limit: ordinary, and stored.
        lost_s: seconds since the driver was loaded that a limit took, by `power_s`, `thermal_s`, `board_limit_s`.
    """

    name: str
    clock_hz: float | None
    temperature_c: float | None
    reasons: tuple[str, ...] = ()
    power_capped: bool | None = None
    lost_s: Mapping[str, float] = field(default_factory=dict)


class GpuClocks:
    """NVIDIA's boards of this machine; opened once, read often.

    Args:
        nvml: NVML's module, initialised; None: no board.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._boards: list[tuple[str, Any]] = []
        if nvml is not None:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            self._boards = [(nvml_text(nvml.nvmlDeviceGetName(handle)), handle) for handle in handles]

    @classmethod
    def of_this_machine(cls, nvml: Any = None) -> GpuClocks:
        """Every board that NVML enumerates; none without NVML. It stays initialised until the process ends."""
        if nvml is None:
            nvml, _ = load_nvml()
            if nvml is None:
                return cls()
        try:
            nvml.nvmlInit()
            return cls(nvml)
        except nvml.NVMLError:
            return cls()

    def read(self) -> tuple[GpuReading, ...]:
        """Every board now."""
        return tuple(self._board(name, handle) for name, handle in self._boards)

    def _board(self, name: str, handle: Any) -> GpuReading:
        nvml = self._nvml
        clock = self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)
        bits = self._ask(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if bits is None:  # the name before driver 535
            bits = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        lost: dict[str, float] = {}
        for key, policy in _POLICIES.items():
            violation = self._ask(nvml.nvmlDeviceGetViolationStatus, handle, policy)
            if violation is not None:
                lost[key] = violation.violationTime / 1e9
        return GpuReading(
            name=name,
            clock_hz=None if clock is None else clock * 1e6,
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            reasons=tuple(word for bit, word in _GPU_REASONS.items() if (bits or 0) & bit),
            power_capped=None if bits is None else bool(bits & _POWER_CAP),
            lost_s=lost,
        )

    def _ask(self, question: Any, *words: Any) -> Any:
        """The answer; None where this board has none."""
        try:
            return question(*words)
        except self._nvml.NVMLError:
            return None


@dataclass(frozen=True, slots=True)
class GpuWindow:
    """One board over a window; ``*_s`` are seconds in it that a limit took, None where the board does not count."""

    name: str
    clock_before_hz: float | None
    clock_after_hz: float | None
    temperature_before_c: float | None
    temperature_after_c: float | None
    reasons: tuple[str, ...]
    power_capped: bool | None
    power_s: float | None
    thermal_s: float | None
    board_limit_s: float | None


def gpu_windows(before: tuple[GpuReading, ...], after: tuple[GpuReading, ...]) -> tuple[GpuWindow, ...]:
    """What happened to each board between two readings."""

    def grown(key: str, first: GpuReading, last: GpuReading) -> float | None:
        if key not in first.lost_s or key not in last.lost_s:
            return None
        return max(0.0, last.lost_s[key] - first.lost_s[key])

    return tuple(
        GpuWindow(
            name=last.name,
            clock_before_hz=first.clock_hz,
            clock_after_hz=last.clock_hz,
            temperature_before_c=first.temperature_c,
            temperature_after_c=last.temperature_c,
            reasons=tuple(dict.fromkeys(first.reasons + last.reasons)),
            power_capped=last.power_capped,
            power_s=grown("power_s", first, last),
            thermal_s=grown("thermal_s", first, last),
            board_limit_s=grown("board_limit_s", first, last),
        )
        for first, last in zip(before, after, strict=True)
    )
