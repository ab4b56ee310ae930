"""Passwords in addresses: in no message, no stack trace, no database, no worker's variables."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab

from harness.runner import front
from harness.runner.process import _inherited
from harness.store import Store
from harness.store.engine import explain, locate

SECRET = "hunter2"
PLACES = [
    f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/db",
    f"postgresql://me:p@{SECRET}/w@127.0.0.1:9/db",
    f"postgresql+psycopg://127.0.0.1:9/db?user=me&password={SECRET}",
    f"postgresql+psycopg://127.0.0.1:9/db?sslpassword={SECRET}",
    f"oracle://me:{SECRET}@lab/db",
    f"postgresql://me:{SECRET}@lab:port/db",
    f"postgresql://me:{SECRET}@[lab/db",
    f"sqlite:///x.db?password={SECRET}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "words", [("table",), ("db", "check"), ("db", "info", "--traceback"), ("run", "fake.yaml", "--traceback")]
)
def test_no_message_repeats_a_password(bare_lab: Lab, place: str, words: tuple[str, ...]) -> None:
    for given in (("--db", place), (f"--db={place}",)):
        result = bare_lab.run(*words, *given)
        assert result.status in (1, 2)
        assert "error: " in result.err
        assert SECRET not in result.out + result.err


@pytest.mark.parametrize(
    "words",
    [
        ("table", PLACES[0]),
        ("db", "info", PLACES[0]),
        (PLACES[0],),
        ("import", PLACES[0]),
        ("run", PLACES[0]),
        ("table", "--db", f"postgresql+psycopg:/me:{SECRET}@lab/db"),
        ("table", "--db", f"postgresql:me:{SECRET}@lab/db"),
    ],
)
def test_words_in_the_wrong_place_are_told_without_a_password(bare_lab: Lab, words: tuple[str, ...]) -> None:
    result = bare_lab.run(*words)
    assert result.status in (1, 2)
    assert result.err
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize("place", [PLACES[0], *PLACES[2:4]])
def test_a_place_is_described_without_its_password(place: str) -> None:
    found = locate(place)
    assert SECRET not in str(found)

    class OperationalError(Exception):
        """As the driver's: whatever it says of the connection."""

    said = explain(OperationalError(f"connection with {SECRET} and {found.url.password} failed"), found)
    assert said is not None
    assert SECRET not in said.what


def test_the_stored_command_line_has_none(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.suite(SUITE)
    words = [
        "edgebench",
        "run",
        "fake.yaml",
        f"--db={PLACES[0]}",
        "--option",
        f"server.url=http://a:{SECRET}@b/v1",
    ]
    monkeypatch.setattr(sys, "argv", words)
    with Store.open(lab.database) as store:
        front.begin_session(front.make_plan(front.Request("fake.yaml")), store)
    for path in Path(lab.database).parent.iterdir():
        assert SECRET.encode() not in path.read_bytes()
    kept = json.loads(lab.query("SELECT command_line FROM session")[0][0])
    assert [word.replace("***", SECRET) for word in kept] == words


def test_a_worker_does_not_inherit_the_databases_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_DB", PLACES[0])
    inherited = _inherited()
    assert SECRET not in json.dumps(inherited)
    assert inherited == {name: value for name, value in os.environ.items() if name != "EDGEBENCH_DB"}
