"""`harness.meter.nvml` and the accelerators, on a recorded NVML."""

from __future__ import annotations

from typing import Any

import pytest

from harness.machine.accelerators import Absent, find_accelerators
from harness.meter.base import MeterError, MissingMeter
from harness.meter.nvml import NvmlMeter, find


class FakeNvml:
    """Plays the functions of the module pynvml from recorded counters (millijoules), a list per board."""

    class NVMLError(Exception):
        """Any failure of NVML."""

    def __init__(self, *boards: list[int | None]) -> None:
        self.boards = [list(board) for board in boards]
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"570.86"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return f"Board {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        del handle
        return type("Memory", (), {"total": 24_000_000_000})()

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        board = self.boards[handle]
        value = board.pop(0) if len(board) > 1 else board[0]
        if value is None:
            raise self.NVMLError("Not Supported")
        return value


def opened(nvml: FakeNvml) -> NvmlMeter:
    meter = find(nvml)
    assert isinstance(meter, NvmlMeter), meter
    return meter


def test_millijoules_become_joules_since_the_opening() -> None:
    # The first value of a board is read when looking whether it has a counter at all.
    meter = opened(FakeNvml([1000, 2000, 4500], [10, 10, 10]))
    assert meter.domains == ("gpu:0", "gpu:1")
    assert meter.read() == {"gpu:0": 2.5, "gpu:1": 0.0}


def test_a_counter_that_goes_back_is_an_error_and_no_wrap() -> None:
    meter = opened(FakeNvml([1000, 2000, 5]))
    with pytest.raises(MeterError, match="went back"):
        meter.read()


def test_a_board_without_a_counter_is_left_out() -> None:
    assert opened(FakeNvml([None], [7])).domains == ("gpu:1",)


def test_only_boards_without_counters_make_no_meter_and_close_nvml() -> None:
    nvml = FakeNvml([None])
    missing = find(nvml)
    assert isinstance(missing, MissingMeter)
    assert missing.reason == "gpu:0 has no energy counter (NVML: Not Supported)"
    assert nvml.open == 0


def test_no_board_makes_no_meter() -> None:
    missing = find(FakeNvml())
    assert isinstance(missing, MissingMeter)
    assert missing.reason == "NVML enumerates no card"


def test_a_window_shorter_than_fifty_updates_is_five_seconds() -> None:
    assert opened(FakeNvml([1])).min_window_s == pytest.approx(5.0)


def test_boards_are_cuda_accelerators_with_driver_and_memory() -> None:
    nvml = FakeNvml([1], [1])
    cards = [each for each in find_accelerators(nvml=nvml).accelerators if each.api == "cuda"]
    assert [(each.name, each.driver, each.memory_bytes) for each in cards] == [
        ("Board 0", "570.86", 24_000_000_000),
        ("Board 1", "570.86", 24_000_000_000),
    ]
    assert nvml.open == 0


def test_a_driver_without_boards_is_no_cuda() -> None:
    absent = {each.api: each for each in find_accelerators(nvml=FakeNvml()).absent}
    assert isinstance(absent["cuda"], Absent)
    assert absent["cuda"].reason == "NVML enumerates no card"
