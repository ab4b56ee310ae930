"""`harness.meter.sampled`: power becomes energy by the trapezoid, and a hole in the samples is an error."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_trees import Ticks

from harness.meter.base import MeterError
from harness.meter.sampled import SampledMeter


class Scripted(SampledMeter):
    """Tells the powers of a list, the last one for ever."""

    name = "scripted"

    def __init__(self, powers: list[float], clock: Ticks, period: float = 1.0) -> None:
        super().__init__(("gpu:0",), period, clock)
        self.powers = powers
        self.threads: set[int] = set()

    def watts(self) -> dict[str, float]:
        self.threads.add(threading.get_ident())
        power = self.powers.pop(0) if len(self.powers) > 1 else self.powers[0]
        if power < -1:
            raise MeterError("the sensor fell off")
        return {"gpu:0": power}


@given(
    st.lists(st.tuples(st.floats(0.01, 9.9), st.floats(0, 1e3)), min_size=1, max_size=30), st.floats(0, 1e3)
)
def test_the_integral_is_the_trapezoid_over_the_samples(
    steps: list[tuple[float, float]], first: float
) -> None:
    clock = Ticks()
    meter = Scripted([first, *(watts for _, watts in steps)], clock)
    meter.sample()
    expected, before, last = 0.0, first, 0.0
    for seconds, watts in steps:
        clock.after(seconds)
        joules = meter.read()["gpu:0"]
        expected += seconds * (before + watts) / 2
        assert joules == pytest.approx(expected)
        assert joules >= last, "energy never decreases"
        before, last = watts, joules


def test_a_hole_in_the_samples_is_an_error_until_it_is_opened_again() -> None:
    clock = Ticks()
    meter = Scripted([5.0], clock)
    meter.sample()
    clock.after(10.1)
    with pytest.raises(MeterError, match=r"no sample for 10\.1 s, it is sampled every 1 s"):
        meter.read()
    with pytest.raises(MeterError, match="no sample"):
        meter.read()
    with meter:
        assert meter.read() == {"gpu:0": 0.0}


@pytest.mark.parametrize("power", [-0.5, float("nan"), float("inf")])
def test_what_is_no_power_is_an_error(power: float) -> None:
    meter = Scripted([power], Ticks())
    with pytest.raises(MeterError, match="tells a power of"):
        meter.sample()


def test_a_thread_of_the_runner_samples_at_the_meters_own_rate_while_it_is_open() -> None:
    meter = Scripted([40.0], Ticks(), period=0.2)
    meter._clock = time.monotonic
    with meter, meter.window() as window:
        end = time.monotonic() + 20
        while len(meter.threads) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert len(meter.threads) == 2
    assert window.joules is not None, window.reason
    # Of a constant power the integral is exact; what lies between the readings and the window's own clock is not.
    assert window.joules["gpu:0"] == pytest.approx(40 * window.seconds, rel=0.1)
    assert not any(each.name == "meter-scripted" for each in threading.enumerate())


def test_a_sample_that_failed_between_the_ends_of_a_window_voids_it() -> None:
    meter = Scripted([5.0, 5.0, -2.0, 5.0], Ticks())
    meter.sample()
    with meter.window() as window, pytest.raises(MeterError):
        meter.sample()  # as the thread does
    assert (window.joules, window.reason) == (None, "the sensor fell off")
