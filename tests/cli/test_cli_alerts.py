"""`edgebench alerts`: the list, and what a person does with an alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import make_store_records as make
import pytest
from make_store_series import stepped, store_nights

from harness.cli import main
from harness.history.alerts import look
from harness.machine import describe_machine
from harness.runner.front import record_machine
from harness.store import Store

CELL = make.cell()


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with one alert, of another machine than this one."""
    path = tmp_path_factory.mktemp("alerts") / "lab.db"
    with Store.open(path) as store:
        store_nights(store, [(CELL, stepped(24, 12, 1.1))])
        look(store, make.machine().id, datetime(2027, 3, 1, tzinfo=UTC), metrics=["decode_tps"])
    return path.read_bytes()


@pytest.fixture
def database(looked: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "lab.db"
    path.write_bytes(looked)
    return path


def alerts(capsys: pytest.CaptureFixture[str], database: Path, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["alerts", *words, "--db", str(database)])
    answer = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, answer.out, answer.err


def listed(capsys: pytest.CaptureFixture[str], database: Path, *words: str) -> list[dict[str, str]]:
    status, out, _ = alerts(capsys, database, "--json", *words)
    assert status == 0
    found: list[dict[str, str]] = json.loads(out)["alerts"]
    return found


def test_the_list_says_what_moved_since_when_and_how_sure(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (alert,) = listed(capsys, database)
    assert (alert["state"], alert["metric"], alert["direction"]) == ("open", "decode_tps", "down")
    status, out, _ = alerts(capsys, database)
    assert status == 0
    for word in (alert["id"], "open", "Q4_K_M", "-9.1 %", "2026-12-05 06:12", "decode_tps"):
        assert word in out


def test_an_alert_goes_from_open_to_acknowledged_to_resolved(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (alert,) = listed(capsys, database)
    assert alerts(capsys, database, "ack", alert["id"][:5], "--note", "asked upstream")[0] == 0
    (known,) = listed(capsys, database)
    assert (known["state"], known["note"]) == ("acknowledged", "asked upstream")
    assert alerts(capsys, database, "resolve", alert["id"], "--note", "fixed")[0] == 0
    assert listed(capsys, database) == []
    assert "--all" in alerts(capsys, database)[1]
    (over,) = listed(capsys, database, "--all")
    assert (over["state"], over["note"]) == ("resolved", "fixed")
    status, _, err = alerts(capsys, database, "ack", alert["id"], "--note", "again")
    assert status == 2
    assert "resolved already" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ack", "0000000", "--note", "x"), "no alert"),
        (("ack", "0000000"), "--note"),
        (("--machine", "nowhere"), "no machine is called"),
        (("--all", "resolve", "0000000", "--note", "x"), "are of the list"),
    ],
)
def test_wrong_words_are_refused(
    database: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    status, _, err = alerts(capsys, database, *words)
    assert status == 2
    assert told in err


def test_an_empty_note_says_nothing(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alert,) = listed(capsys, database)
    assert alerts(capsys, database, "ack", alert["id"], "--note", " ")[0] == 2
    assert listed(capsys, database) == [alert]


def test_the_database_may_be_named_before_the_command(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (alert,) = listed(capsys, database)
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "--db", str(database), "ack", alert["id"], "--note", "seen"])
    assert ended.value.code == 0
    assert "is acknowledged" in capsys.readouterr().out
    assert listed(capsys, database)[0]["state"] == "acknowledged"


def test_find_looks_at_this_machine_alone(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = alerts(capsys, database, "find", "--json")
    assert (status, json.loads(out)) == (0, {"raised": [], "waiting": 0, "series": 0, "short": 0})
    with Store.open(database) as store:
        here = record_machine(store)
        assert here == describe_machine().id
        with store.writing() as connection:
            connection.exec_driver_sql(f"UPDATE session SET machine_id = '{here}'")
    status, out, _ = alerts(capsys, database, "find")
    assert status == 0
    assert "looked at 2 series, 0 more are too short; 2 raised" in out
    assert "decode_tps" in out
