"""`harness.machine.throttle`: what holds processors back, on recorded trees and a scripted NVML."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.machine.throttle import GpuClocks, cpu_throttles


class Nvml:
    """One board that is too hot; ``old`` knows only the names of drivers before 535."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """Any failure."""

    def __init__(self, reasons: int = 0, *, boards: int = 1, old: bool = False, broken: bool = False) -> None:
        self.reasons = reasons
        self.boards = boards
        self.old = old
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802
        if self.broken:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.boards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return f"Board {handle}".encode()

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:  # noqa: N802
        return 1980

    def nvmlDeviceGetTemperature(self, handle: int, kind: int) -> int:  # noqa: N802
        return 84

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> int:  # noqa: N802
        if self.old:
            raise self.NVMLError("function not found")
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetViolationStatus(self, handle: int, policy: int) -> Any:  # noqa: N802
        if policy == 3:
            raise self.NVMLError("not supported")
        return SimpleNamespace(referenceTime=1, violationTime=(policy + 1) * 1_500_000_000)


@pytest.mark.parametrize("old", [False, True])
def test_a_boards_reasons_that_mean_trouble_are_named_and_its_power_cap_is_not(old: bool) -> None:
    (board,) = GpuClocks.of_this_machine(Nvml(0x04 | 0x20 | 0x01, old=old)).read()
    assert board.name == "Board 0"
    assert board.reasons == ("software thermal slowdown",)
    assert board.power_capped is True
    assert (board.clock_hz, board.temperature_c) == (1.98e9, 84)
    assert board.lost_s == {"power_s": 1.5, "thermal_s": 3.0}


def test_without_boards_or_a_driver_there_is_nothing_to_read() -> None:
    assert GpuClocks.of_this_machine(Nvml(boards=0)).read() == ()
    assert GpuClocks.of_this_machine(Nvml(broken=True)).read() == ()
    assert GpuClocks().read() == ()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("0x0", ()),
        ("50005", ("firmware: under-voltage, throttled",)),
        ("50000", ()),  # it happened since boot, not now
        ("garbage", ()),
    ],
)
def test_a_raspberry_pis_firmware_says_what_it_holds_back_now(
    tmp_path: Path, word: str, said: tuple[str, ...]
) -> None:
    file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text(word + "\n", encoding="ascii")
    assert cpu_throttles(tmp_path) == said


def test_cooling_devices_at_rest_and_fans_slow_nothing_down(tmp_path: Path) -> None:
    for name, kind, state in (
        ("0", "Processor", "0"),
        ("1", "pwm-fan", "3"),
        ("2", "intel_powerclamp", "-1"),
    ):
        folder = tmp_path / f"sys/class/thermal/cooling_device{name}"
        folder.mkdir(parents=True)
        (folder / "type").write_text(kind + "\n", encoding="ascii")
        (folder / "cur_state").write_text(state + "\n", encoding="ascii")
    assert cpu_throttles(tmp_path) == ()
    (tmp_path / "sys/class/thermal/cooling_device0/cur_state").write_text("4\n", encoding="ascii")
    assert cpu_throttles(tmp_path) == ("cooling device Processor at step 4",)
