"""`harness.meter.nvml` and the accelerators, on a recorded NVML."""

from __future__ import annotations

from typing import Any

import pytest

from harness.machine.accelerators import Absent, find_accelerators
from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.nvml import NvmlMeter, NvmlPowerMeter, find


class FakeNvml:
    """Plays the functions of the module pynvml from recorded counters (millijoules), a list per board."""

    class NVMLError(Exception):
        """Any failure of NVML."""

    def __init__(self, *boards: list[int | None], watts: float | None = None) -> None:
        self.boards = [list(board) for board in boards]
        self.watts = watts
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

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        del handle
        if self.watts is None:
            raise self.NVMLError("Not Supported")
        return round(self.watts * 1000)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        if handle:
            raise self.NVMLError("Not Supported")
        return 250_000


def looked_for(nvml: FakeNvml) -> list[Meter | MissingMeter]:
    return find(Sources(modules={"pynvml": nvml}))


def opened(nvml: FakeNvml) -> NvmlMeter:
    [meter] = looked_for(nvml)
    assert isinstance(meter, NvmlMeter), meter
    return meter


def test_millijoules_become_joules_since_the_opening() -> None:
    # The first value of a board is read when looking whether it has a counter at all.
    meter = opened(FakeNvml([1000, 2000, 4500], [10, 10, 10]))
    assert meter.domains == ("gpu:0", "gpu:1")
    assert meter.read() == {"gpu:0": 2.5, "gpu:1": 0.0}


def test_a_counter_that_goes_back_is_an_error_and_no_wrap() -> None:
    meter = opened(FakeNvml([1000, 2000, 5, 5, 7, 1007]))
    for _ in range(2):
        with pytest.raises(MeterError, match=r"gpu:0 went back \(was the driver reloaded\?\)"):
            meter.read()
    with meter:  # the next run counts anew
        assert meter.read() == {"gpu:0": 1.0}


def test_a_board_without_a_counter_is_left_out() -> None:
    assert opened(FakeNvml([None], [7])).domains == ("gpu:1",)


def test_boards_without_counter_and_power_make_no_meter_and_close_nvml() -> None:
    nvml = FakeNvml([None])
    [missing] = looked_for(nvml)
    assert isinstance(missing, MissingMeter)
    assert missing.reason == (
        "gpu:0 has neither energy counter (NVML: Not Supported) nor power (NVML: Not Supported)"
    )
    assert nvml.open == 0


def test_a_board_without_a_counter_is_sampled_and_labelled_so() -> None:
    counted, sampled = looked_for(FakeNvml([7], [None], watts=120.0))
    assert isinstance(counted, NvmlMeter)
    assert isinstance(sampled, NvmlPowerMeter)
    assert (counted.domains, counted.method) == (("gpu:0",), "counter")
    assert (sampled.domains, sampled.method, sampled.resolution_s) == (("gpu:1",), "power", 0.1)
    assert sampled.watts() == {"gpu:1": 120.0}


def test_the_limit_is_the_one_in_force_where_a_board_tells_it() -> None:
    assert opened(FakeNvml([1], [1])).limits_watts == {"gpu:0": 250.0}


def test_a_board_that_falls_off_the_bus_is_an_error() -> None:
    nvml = FakeNvml([1000, 2000, None])
    meter = opened(nvml)
    with meter.window() as window:
        pass
    assert (window.joules, window.reason) == (None, "NVML: Not Supported")


def test_no_board_makes_no_meter() -> None:
    [missing] = looked_for(FakeNvml())
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
