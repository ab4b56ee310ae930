"""The clock is set back, during a session and between two: nothing is lost, no duration is wrong, and it is said."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import make_store_records as make
import pytest
from fake_lab import SUITE, Lab

import harness
from harness.store import Store

ONE = SUITE.replace("[fp16, int4]", "fp16")
#: Every module that asks what time it is.
CLOCKS = (
    "harness.runner.front.datetime",
    "harness.runner.session.datetime",
    "harness.runner.record.datetime",
    "harness.runner.making.datetime",
    "harness.store.store.datetime",
    "harness.artifact.store.datetime",
)


def set_clock(monkeypatch: pytest.MonkeyPatch, times: Iterator[datetime]) -> None:
    """From now on, the program reads these times, one after the other."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            time = next(times)
            assert tz is not None, "a time without its zone"
            return cls.fromtimestamp(time.timestamp(), tz)

    for name in CLOCKS:
        monkeypatch.setattr(name, Clock)


def steps(begin: str, seconds: float) -> Iterator[datetime]:
    """A clock that is read again and again, so many seconds later each time."""
    first = datetime.fromisoformat(begin)
    return (first + timedelta(seconds=seconds * number) for number in itertools.count())


def test_every_module_that_reads_the_clock_is_watched_here() -> None:
    root = Path(harness.__file__).parent
    # The others date a file, a manifest or a bench, and compare nothing.
    dated = {
        "harness.environment.manager.datetime",
        "harness.store.schema.datetime",
        "harness.runner.benching.datetime",
        "harness.evaluation.chat.datetime",
        # When a gate was judged.
        "harness.gate.keeping.datetime",
        # When somebody looked at an alert, and until what time of day a night may go on, a reboot between.
        "harness.cli.alerts_command.datetime",
        "harness.nightly.night.datetime",
        "harness.nightly.pace.datetime",
    }
    reading = {
        ".".join(("harness", *path.relative_to(root).with_suffix("").parts, "datetime"))
        for path in root.rglob("*.py")
        if "datetime.now(" in path.read_text(encoding="utf-8")
    }
    assert reading == set(CLOCKS) | dated
    wall = [path for path in root.rglob("*.py") if "time.time(" in path.read_text(encoding="utf-8")]
    assert wall == [], "a duration by the wall clock"


def test_a_clock_that_runs_backwards_during_a_session_spoils_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(ONE)
    set_clock(monkeypatch, steps("2026-11-26T12:00:00+00:00", -3600))
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    assert [run[1:] for run in lab.runs()] == [
        ("reference", 0, 1, "ok"),
        ("score", 0, 1, "ok"),
        ("timed", 0, 1, "ok"),
        ("timed", 1, 1, "ok"),
    ]
    ((began, ended),) = lab.query("SELECT started_at, ended_at FROM session")
    assert ended < began
    durations = lab.query("SELECT duration_s, harness_s FROM run")
    assert all(0 < duration < 600 and 0 < own < 600 for duration, own in durations), durations
    assert all(0 < seconds < 600 for (seconds,) in lab.query("SELECT seconds FROM preparation"))
    assert all(0 < made_s < 600 for (made_s,) in lab.query("SELECT made_s FROM lineage"))
    for words in (("table",), ("show",), ("db", "sessions"), ("db", "info")):
        assert lab.run(*words).status == 0
    (row,) = lab.rows()
    assert (row["status"], row["runs"]) == ("ok", 2)


def test_a_clock_set_back_between_two_attempts_leaves_the_later_attempt_the_last(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(ONE)
    lab.script({"make": [{"do": "raise", "message": "out of order"}]})
    set_clock(monkeypatch, steps("2026-11-26T12:00:00+00:00", 1))
    assert lab.run("run", "fake.yaml").status == 1
    lab.script(None)
    set_clock(monkeypatch, steps("2020-01-01T00:00:00+00:00", 1))
    resumed = lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 0, resumed.err
    (row,) = lab.rows()
    assert (row["status"], row["runs"]) == ("ok", 2)
    assert "nothing to resume" in lab.run("run", "fake.yaml", "--resume").err


@pytest.mark.stocked
def test_a_clock_set_back_between_two_sessions_is_said_and_both_stay(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(ONE)
    set_clock(monkeypatch, steps("2026-11-26T12:00:00+00:00", 1))
    first = lab.run("run", "fake.yaml")
    assert first.status == 0, first.err
    assert "the clock" not in first.err
    set_clock(monkeypatch, steps("2026-11-25T12:00:00+00:00", 1))
    second = lab.run("run", "fake.yaml", "--json")
    assert second.status == 0, second.err
    ids = [row[0] for row in lab.query("SELECT id FROM session ORDER BY rowid")]
    assert [one[:13] for one in ids] == ["20261126T1200", "20261125T1200"]
    # What it prints at its end is its own, not that of the session that seems to be newer.
    assert {row["session"] for row in second.json["rows"]} == {ids[1]}
    third = lab.run("run", "fake.yaml")
    assert "the clock says 2026-11-25 12:0" in third.err
    assert f"but session {ids[0]} began later, at 2026-11-26 12:0" in third.err
    assert "--session" in third.err
    assert lab.query("SELECT status, count(*) FROM session GROUP BY status") == [("ok", 3)]
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'timed'") == [(6,)]


@pytest.mark.stocked
def test_sessions_that_begin_at_the_very_same_time_are_two(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.suite(ONE)
    set_clock(monkeypatch, steps("2026-11-26T12:00:00+00:00", 0))
    for _ in range(2):
        assert lab.run("run", "fake.yaml").status == 0
    assert lab.query("SELECT count(DISTINCT id) FROM session") == [(2,)]
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'timed'") == [(4,)]


@pytest.mark.parametrize("began", [None, "2099-01-01T00:00:00+00:00"])
@pytest.mark.stocked
def test_what_other_tools_measured_says_nothing_about_the_clock(lab: Lab, began: str | None) -> None:
    imported = make.imported()
    time = None if began is None else datetime.fromisoformat(began)
    with Store.open(lab.database) as store:
        assert store.record_import(replace(imported, started_at=time))
    lab.suite(ONE)
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    assert "was it set back" not in result.err
