"""`harness.meter.external_lines`: what is understood, what is refused, and the energy that follows."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.meter.base import MeterError
from harness.meter.external_lines import MAX_LINE_BYTES, Limit, Reading, Track, parse

DOMAINS = ["wall", "battery", "module", "psys", "package-0", "dram-1", "gpu:0", "npu:12", "rail:VDD_IN"]
FINITE = st.floats(-1e12, 1e12, allow_nan=False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"12.5 18.4 W\n", Reading(12.5, 18.4, "W", "wall")),
        (b"  12 3e2\tJ  gpu:0\r\n", Reading(12.0, 300.0, "J", "gpu:0")),
        (b"limit 2300", Limit(2300.0, "wall")),
        (b"limit 75.5 gpu:1\n", Limit(75.5, "gpu:1")),
        (b"\n", None),
        (b"# Yokogawa WT310, channel 1\n", None),
    ],
)
def test_a_line_of_the_protocol_is_understood(line: bytes, said: Reading | Limit | None) -> None:
    assert parse(line) == said


@pytest.mark.parametrize(
    "line",
    [
        b"18.4 W",
        b"12.5 18.4",
        b"12.5 18.4 kW",
        b"12.5 18.4 W attic",
        b"12.5 nan W",
        b"12.5 inf J",
        b"12.5 1e999 J",
        b"limit 1e999",
        b"12,5 18,4 W",
        b"12.5 18.4 W wall 7",
        b"limit 0",
        b"limit -5 wall",
        b"0x10 1 W",
        b"\xff\xfe1\x002\x00",
        "١٢ ١ W".encode(),
        b"1 1 W" + b" " * MAX_LINE_BYTES,
    ],
)
def test_anything_else_is_refused_with_the_line(line: bytes) -> None:
    with pytest.raises(MeterError, match="none of the protocol"):
        parse(line)


@given(st.binary(max_size=300))
def test_no_line_does_more_than_raise_a_meter_error(line: bytes) -> None:
    try:
        said = parse(line)
    except MeterError:
        return
    assert said is None or isinstance(said, Reading | Limit)


@given(FINITE, FINITE, st.sampled_from(["J", "W"]), st.sampled_from(DOMAINS))
def test_what_a_program_prints_with_pythons_numbers_is_read_back(
    time_s: float, value: float, unit: str, domain: str
) -> None:
    said = parse(f"{time_s:.9f} {value!r} {unit} {domain}\n".encode())
    assert isinstance(said, Reading)
    assert said.time_s == pytest.approx(time_s, abs=1e-8)
    assert (said.value, said.unit, said.domain) == (value, unit, domain)


def track(*readings: tuple[float, float], unit: str = "J", late: float = 0.0, ahead: float = 50.0) -> Track:
    """A track of (time, value), each arriving some time after it was taken; our clock is ahead of the program's."""
    made: Track | None = None
    for time_s, value in readings:
        reading = Reading(time_s, value, "J" if unit == "J" else "W", "wall")
        if made is None:
            made = Track(reading, time_s + ahead + late)
        else:
            made.add(reading, time_s + ahead + late)
    assert made is not None
    return made


def test_a_counter_is_read_between_its_readings() -> None:
    counted = track((10, 1000.0), (11, 1010.0), (12, 1030.0))
    assert counted.joules_at(60.0) == 0.0
    assert counted.joules_at(61.5) == pytest.approx(20.0)
    assert counted.joules_at(62.0) == pytest.approx(30.0)
    assert counted.joules_at(62.1) is None, "no reading says yet what was used until then"


def test_power_is_integrated_by_the_trapezoid() -> None:
    assert track((10, 10.0), (11, 30.0), (13, 30.0), unit="W").joules_at(63.0) == pytest.approx(20.0 + 60.0)


def test_the_period_is_the_middle_one_of_the_gaps() -> None:
    counted = track((10, 1.0), (11, 2.0), (12.01, 3.0), (17, 4.0))
    assert counted.period_s == pytest.approx(1.01)
    assert counted.readings == 4


@given(
    st.lists(st.tuples(st.floats(0.05, 5.0), st.floats(0.0, 1e4)), min_size=1, max_size=40),
    st.sampled_from(["J", "W"]),
    st.floats(-1e6, 1e6),
)
def test_energy_never_decreases_and_its_parts_add_up(
    steps: list[tuple[float, float]], unit: str, origin: float
) -> None:
    time_s, total = 0.0, origin if unit == "J" else 5.0
    readings = [(time_s, total)]
    for gap, step in steps:
        time_s += gap
        total = total + step if unit == "J" else step
        readings.append((time_s, total))
    try:
        counted = track(*readings, unit=unit)
    except MeterError:
        # Only power has gaps that are too long: a counter may be silent.
        hypothesis.assume(unit == "J")
        raise
    moments = [50.0 + time_s * share / 7 for share in range(8)]
    joules = [counted.joules_at(moment) for moment in moments]
    known = [value for value in joules if value is not None]
    assert len(known) >= 7
    assert known == sorted(known)
    if unit == "J" and joules[-1] is not None:
        assert joules[-1] == pytest.approx(readings[-1][1] - origin, abs=1e-3)


@pytest.mark.parametrize(
    ("readings", "unit", "words"),
    [
        ([(10, 5.0), (11, 4.0)], "J", "the energy of wall went back from 5 J to 4 J"),
        ([(10, 5.0), (10, 6.0)], "J", "its time went from 10 s to 10 s"),
        ([(10, 5.0), (9, 6.0)], "J", "its time went from 10 s to 9 s"),
        ([(10, -5.0)], "W", "wall tells a power of -5 W"),
        ([(10, 5.0), (11, -1.0)], "W", "tells a power of -1 W"),
        ([(10, 5.0), (11, 5.0), (40, 5.0)], "W", "no power for 29 s"),
    ],
)
def test_what_contradicts_physics_or_itself_is_an_error(
    readings: list[tuple[float, float]], unit: str, words: str
) -> None:
    with pytest.raises(MeterError, match=words):
        track(*readings, unit=unit)


def test_a_domain_that_changes_its_unit_is_an_error() -> None:
    counted = track((10, 5.0))
    with pytest.raises(MeterError, match="wall came in J and now in W"):
        counted.add(Reading(11, 5.0, "W", "wall"), 61.0)


@pytest.mark.parametrize("speed", [0.5, 2.0, 1000.0])
def test_a_clock_that_runs_at_another_speed_is_noticed(speed: float) -> None:
    counted = track((0.0, 0.0))

    def run() -> None:
        for second in range(1, 60):
            counted.add(Reading(second * speed, float(second), "J", "wall"), 50.0 + second)

    with pytest.raises(MeterError, match="its clock counted"):
        run()


def test_a_reading_that_was_late_does_not_move_the_clock() -> None:
    counted = track((10, 0.0), (11, 10.0))
    counted.add(Reading(12, 20.0, "J", "wall"), 62.6)
    assert counted.joules_at(61.5) == pytest.approx(15.0)
