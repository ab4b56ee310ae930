"""What is known of cells when a night is planned."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from make_store_series import DAY_S, store_nights

from harness.nightly.candidates import spread_between_runs, what_changed
from harness.store import Store

CELL = make.cell()
OTHER = make.cell("Q8_0", "int8")
BEFORE = {
    ("package", "openvino"): "2026.1",
    ("package", "numpy"): "2.1",
    ("system", "kernel"): "6.1",
    ("driver", "cuda GPU"): "550",
    ("program", "edgebench"): "0.1.0",
    ("program", "commit"): "abc",
}
STATE = {key: value for key, value in BEFORE.items() if key[0] != "package" and key[1] != "commit"}


def test_nothing_changed_where_versions_and_machine_are_as_they_were() -> None:
    assert what_changed([BEFORE], {"openvino": "2026.1"}, STATE) is None
    assert what_changed([], {"openvino": "2026.2"}, STATE) is None
    # What the environment never had is not compared: nobody knows why.
    assert what_changed([BEFORE], {"another": "1.0"}, STATE) is None


@pytest.mark.parametrize(
    ("packages", "state", "told"),
    [
        ({"openvino": "2026.2"}, {}, "package openvino 2026.1 -> 2026.2"),
        ({"openvino": "2026.1"}, {("driver", "cuda GPU"): "551"}, "driver cuda GPU 550 -> 551"),
        ({}, {("system", "kernel"): "6.2"}, "system kernel 6.1 -> 6.2"),
        ({}, {("program", "edgebench"): "0.2.0"}, "program edgebench 0.1.0 -> 0.2.0"),
        ({}, {("system", "governor"): "powersave"}, "system governor (none) -> powersave"),
    ],
)
def test_what_changed_is_told(packages: dict[str, str], state: dict[tuple[str, str], str], told: str) -> None:
    assert what_changed([BEFORE], packages, STATE | state) == told


def test_many_changes_are_counted() -> None:
    state = {("system", str(number)): "new" for number in range(5)}
    told = what_changed([BEFORE], {}, STATE | state)
    assert told is not None
    assert told.endswith(" and 2 more")


def test_noise_is_the_spread_between_runs_of_a_session_pooled_over_sessions(tmp_path: Path) -> None:
    with Store.open(tmp_path / "lab.db") as store:
        store_nights(store, [(CELL, [[0.99, 1.01], [1.98, 2.02], [5.0]]), (OTHER, [[1.0], [1.1]])])
        points = store.history(CELL.id, make.machine().id, ["decode_s"])
        single = store.history(OTHER.id, make.machine().id, ["decode_s"])
    assert spread_between_runs(points) == pytest.approx(0.01 * math.sqrt(2))
    assert spread_between_runs(single) is None
    assert spread_between_runs([]) is None


def test_a_skipped_run_is_no_measurement(tmp_path: Path) -> None:
    with Store.open(tmp_path / "lab.db") as store:
        nights = store_nights(store, [(CELL, [[1.0], [1.0]]), (OTHER, [[1.0]])])
        machine = make.machine().id
        later = store.start_session(make.session(machine, later_s=9 * DAY_S))
        skipped: dict[str, Any] = {
            "status": "skipped",
            "reason": "no room",
            "samples": (),
            "memory": (),
            "energy": (),
            "timeline": None,
        }
        store.record_run(make.run(later, CELL.id, **skipped))
        assert store.last_measured(machine) == {CELL.id: nights[1], OTHER.id: nights[0]}
        store.record_run(make.run(later, CELL.id, 1, **(skipped | {"status": "failed"})))
        assert store.last_measured(machine)[CELL.id] == later
        assert store.last_measured("elsewhere") == {}
        store_nights(store, [(OTHER, [[1.0]])], first=10, session=lambda _night: {"trigger": "gate"})
        assert store.last_measured(machine)[OTHER.id] == nights[0], (
            "what a gate tried is no measurement of the night's"
        )
        assert store.began_at(later) == make.BEGAN + timedelta(days=9)
