"""The deadline of a night, and waiting for a machine that is hot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.machine.watch import cpu_temperature_c
from harness.nightly.pace import LONGEST_WAIT_S, NightPace

NOW = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)


class Room:
    """A clock that sleeping moves, and a sensor that cools while it does."""

    def __init__(self, readings: list[dict[str, float]]) -> None:
        self.time = NOW
        self.told: list[str] = []
        self._readings: Iterator[dict[str, float]] = iter(readings)
        self._last: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        self._last = next(self._readings, self._last)
        return self._last

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def pace(self, deadline: datetime | None = None, below_c: float | None = None) -> NightPace:
        return NightPace(
            deadline, self.read, self.told.append, below_c=below_c, now=lambda: self.time, sleep=self.sleep
        )


def cpu(*values: float) -> list[dict[str, float]]:
    return [{"CPU": value} for value in values]


def test_a_cool_machine_is_not_waited_for() -> None:
    room = Room(cpu(40, 45, 54))
    pace = room.pace()
    for _ in range(3):
        pace.before_timed()
    assert (pace.cooled.waits, room.time, room.told) == (0, NOW, [])


def test_a_hot_one_is_waited_for_until_it_is_near_its_rest() -> None:
    room = Room(cpu(48, 80, 70, 64, 63))
    pace = room.pace()
    pace.before_timed()
    pace.before_timed()
    assert room.time == NOW + timedelta(seconds=10)
    assert (pace.cooled.waits, pace.cooled.seconds, pace.cooled.still_hot) == (1, 10.0, 0)
    assert room.told == ["cooling down: CPU has 80 °C, more than 63 °C"]


def test_what_is_never_hot_is_not_waited_for_however_cool_it_rests() -> None:
    room = Room(cpu(20, 49))
    pace = room.pace()
    pace.before_timed()
    pace.before_timed()
    assert pace.cooled.waits == 0


def test_a_limit_of_a_person_holds_for_every_sensor() -> None:
    room = Room([{"CPU": 40.0, "0: GPU": 71.0}, {"CPU": 40.0, "0: GPU": 65.0}])
    pace = room.pace(below_c=66)
    pace.before_timed()
    assert room.told == ["cooling down: 0: GPU has 71 °C, more than 66 °C"]
    assert pace.cooled.seconds == 5.0 * (pace.cooled.waits - 1)


def test_a_machine_that_stays_hot_is_not_waited_for_for_ever() -> None:
    room = Room(cpu(40, 90))
    pace = room.pace()
    pace.before_timed()
    pace.before_timed()
    assert (room.time - NOW).total_seconds() == LONGEST_WAIT_S
    assert pace.cooled.still_hot == 1
    assert "going on" in room.told[-1]


def test_a_clock_that_is_set_back_makes_no_wait_longer() -> None:
    room = Room(cpu(40, 90))
    pace = room.pace()
    pace.before_timed()
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        room.time -= timedelta(hours=1)

    pace._sleep = sleep
    pace.before_timed()
    assert sum(slept) == LONGEST_WAIT_S
    assert (pace.cooled.waits, pace.cooled.still_hot) == (1, 1)


def test_a_wait_does_not_go_beyond_the_deadline() -> None:
    room = Room(cpu(40, 90))
    pace = room.pace(NOW + timedelta(seconds=12))
    pace.before_timed()
    pace.before_timed()
    assert (room.time - NOW).total_seconds() == 15.0
    assert pace.over() is not None


def test_where_nothing_can_be_read_it_is_said_once_and_not_waited() -> None:
    room = Room([{}])
    pace = room.pace(below_c=10)
    pace.before_timed()
    pace.before_timed()
    assert (pace.cooled.unreadable, room.time, len(room.told)) == (True, NOW, 1)


def test_time_that_is_over_stays_over_when_the_clock_is_set_back() -> None:
    room = Room([])
    pace = room.pace(NOW + timedelta(hours=1))
    assert pace.over() is None
    room.time = NOW + timedelta(hours=1)
    assert pace.over() == "the night's time budget was over at 2026-11-26 23:00 UTC"
    room.time = NOW
    assert pace.over() is not None
    assert Room([]).pace(None).over() is None


def test_the_hottest_cpu_sensor_is_read(tmp_path: Path) -> None:
    assert cpu_temperature_c(tmp_path) is None
    for number, (kind, value) in enumerate(
        (("x86_pkg_temp", 61_000), ("acpitz", 40_000), ("iwlwifi", 90_000))
    ):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{value}\n")
    assert cpu_temperature_c(tmp_path) == pytest.approx(61.0)
