"""Databases of the tests: made by copying, and written without waiting for the disk.

A plugin of the test suite (see `conftest.py`) that changes two things in the processes of the tests themselves. What
they start (`edgebench`, workers, writers that are killed) runs as everywhere.

The tables of a new database, of any revision, are made by the store once, and copied afterwards: making them takes
longer than most of what is done with them. And nothing waits until it is on the disk: what a test writes need not
survive a power cut, and that a process ends, however it does, loses nothing that was handed to the system.
`test_store_trouble` looks at a connection as it is without this plugin.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from harness.store import engine as engines
from harness.store import schema

#: As they are outside of the tests.
SQLITE_ENGINE = engines._sqlite_engine
CREATE = schema._create
MAKE_AT = schema.make_at

#: By who makes tables and of which revision: a database in memory with the tables that he made.
_made: dict[tuple[str, str], sqlite3.Connection] = {}


def _without_waiting(place: engines.Place, *, read_only: bool, busy_timeout_s: float) -> Engine:
    engine = SQLITE_ENGINE(place, read_only=read_only, busy_timeout_s=busy_timeout_s)

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, record: Any) -> None:
        del record
        connection.execute("PRAGMA synchronous=OFF")

    return engine


def _copy_or_create(engine: Engine, place: engines.Place) -> None:
    _copy_or_make(("create", schema.newest()), engine, place, lambda: CREATE(engine, place))


def _copy_or_make_at(engine: Engine, place: engines.Place, revision: str) -> None:
    _copy_or_make((str(schema.MIGRATIONS), revision), engine, place, lambda: MAKE_AT(engine, place, revision))


def _copy_or_make(
    what: tuple[str, str], engine: Engine, place: engines.Place, make: Callable[[], None]
) -> None:
    if not place.is_sqlite or (
        place.path is not None and place.path.exists() and place.path.stat().st_size > 0
    ):
        make()  # a server, or a file that somebody else is making
        return
    known = _made.get(what)
    if known is None:
        make()
    elif what[0] == "create":
        schema.keep_journal(engine, place)
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if known is None:
            _made[what] = sqlite3.connect(":memory:", check_same_thread=False)
            raw.backup(_made[what])
        else:
            known.backup(raw)


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(engines, "_sqlite_engine", _without_waiting)
    patch.setattr(schema, "_create", _copy_or_create)
    patch.setattr(schema, "make_at", _copy_or_make_at)
    patch.setattr(os, "fsync", lambda _descriptor: None)
    config.add_cleanup(patch.undo)


def pytest_unconfigure() -> None:
    while _made:
        _made.popitem()[1].close()
