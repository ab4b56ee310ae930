"""The morning report, from a database of many nights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import make_store_records as make
import pytest
from make_store_series import steady, stepped, store_nights

from harness.history.alerts import look
from harness.history.words import sureness
from harness.nightly.morning import Morning, morning
from harness.nightly.night import Night
from harness.nightly.pace import Cooled
from harness.nightly.planner import Candidate, Choice
from harness.nightly.upgrade import Upgrade
from harness.store import Store, records, writing
from harness.table.render_markdown import escape

CELL = make.cell()
OTHER = make.cell("Q8_0", "int8")
GONE = make.cell(device="npu:0", api="qnn-htp")
MACHINE = make.machine()
NOW = datetime(2026, 12, 17, 6, 30, tzinfo=UTC)


def reported(tmp_path: Path, rate: float = 0.05) -> tuple[Morning, Morning]:
    """The morning after the night in which a step is sure, and the one after it."""
    with Store.open(tmp_path / "lab.db") as store:
        nights = store_nights(
            store,
            [(CELL, stepped(24, 12, 1.1)), (OTHER, steady(24))],
            version=lambda night: "0.3.36" if night < 12 else "0.3.37",
        )
        planned = [
            records.PlannedCellRecord(cell, place, "no | NPU here" if cell is GONE else None)
            for place, cell in enumerate((CELL, OTHER, GONE))
        ]
        with store.writing() as connection:
            writing.session_cells(connection, nights[-1], planned)
        store.record_run(
            make.run(
                nights[-1], OTHER.id, 7, status="timeout", reason="time-out of 600 s", phase="decode", samples=(),
                memory=(), energy=(), timeline=None,
            )
        )  # fmt: skip
        made = []
        for number in range(2):
            night = Night(
                machine_id=MACHINE.id,
                began=NOW + timedelta(days=number, hours=-5),
                ended=NOW + timedelta(days=number),
                look=look(store, MACHINE.id, NOW, metrics=["decode_tps"], rate=rate),
                session=nights[-1],
                choice=Choice((), {"left": "no room in the budget"}, 0.0),
                upgrade=Upgrade(
                    ("x",), ("llamacpp: llama-cpp-python 0.3.36 -> 0.3.37",), ("mlx: not with 9",)
                ),
                cooled=Cooled(3, 65.0, 1),
                failures={},
                names={"left": Candidate("left", "a cell without room", 1.0).name},
            )
            made.append(morning(night, store, "quickstart"))
    return made[0], made[1]


def test_the_report_says_what_moved_since_when_how_sure_and_what_changed_with_it(tmp_path: Path) -> None:
    first, second = reported(tmp_path)
    text = first.markdown()
    assert text.startswith("# Night of 2026-12-17: quickstart on Example CPU")
    assert "**1 new alert (1 worse).**" in text
    (row,) = [line for line in text.splitlines() if "-9.1 %" in line]
    for word in (
        "Q4_K_M",
        "decode_tps",
        ", worse",
        "2026-12-05 06:12 (session 20261205T0612-",
        sureness(first.night.look.raised[0].alert.confidence),
        "package llama-cpp-python 0.3.36 -> 0.3.37",
    ):
        assert escape(word) in row
    assert "5 h 00 min, from 01:30 to 06:30 UTC" in text
    # The next morning it is no news, and not forgotten.
    again = second.markdown()
    assert "Nothing new: no change in 2 series" in again
    assert "## Alerts of earlier nights that are not resolved" in again
    assert first.night.look.raised[0].alert.id in again


def test_coverage_failures_cooling_and_newest_releases_are_told(tmp_path: Path) -> None:
    first, _ = reported(tmp_path)
    text = first.markdown()
    assert "- measured: 1 cell\n" in text
    assert "- not here: 1 cell\n  - 1: no \\| NPU here\n" in text
    assert "- no room: 1 cell\n  - 1: no room in the budget\n" in text
    assert (
        "- waited 3 times for the machine to cool down, 1 min 05 s in all; 1 times it was still hot" in text
    )
    assert "- llamacpp: llama-cpp-python 0.3.36 -\\> 0.3.37\n- failed: mlx: not with 9\n" in text
    assert "time-out of 600 s" in text.partition("## Failures")[2]
    assert first.failed


def test_a_change_that_is_not_sure_enough_is_told_as_that(tmp_path: Path) -> None:
    first, _ = reported(tmp_path, rate=1e-9)
    text = first.markdown()
    assert "**0 new alerts.**" in text
    assert "not among 2. No alert yet." in text.partition("## Not sure enough yet")[2]


def test_a_program_gets_the_same(tmp_path: Path) -> None:
    answer = reported(tmp_path)[0].as_json()
    (raised,) = answer["raised"]
    assert (raised["metric"], raised["direction"], raised["worth"]) == ("decode_tps", "down", "worse")
    assert raised["ratio"] == pytest.approx(1 / 1.1, rel=0.01)
    assert [one["name"] for one in raised["changed"]] == ["llama-cpp-python"]
    assert answer["coverage"] == {"measured": 1, "failed": 1, "not here": 1, "no room": 1}
    assert answer["cooling"] == {"waits": 3, "seconds": 65.0, "still_hot": 1, "unreadable": False}
