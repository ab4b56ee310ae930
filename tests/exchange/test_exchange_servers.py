"""Merging and exporting from and to a server: what a file gives, a server gives, and the other way round."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from small_databases import MOST_RUNS, Night, contents, make_database
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from store_servers import new_database

from harness.errors import EdgebenchError
from harness.exchange import export, merging, own_import
from harness.exchange.choosing import Wish
from harness.exchange.source import opened
from harness.exchange.writing import Writer
from harness.store import Store

LAB = {0: Night(MOST_RUNS, 3), 1: Night(MOST_RUNS, 1), 2: Night(2, 0)}


def merge(source: str | Path, target: str | Path) -> merging.Outcome:
    with opened(source) as read, Store.open(target) as store:
        return merging.merge(read, store)


def write(source: str | Path, target: Path, wish: Wish | None = None) -> bytes:
    with opened(source) as read:
        export.export(read, target, export.format_of(target, None), wish or Wish())
    return target.read_bytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_database(tmp_path / "file.db", LAB)
    return tmp_path / "file.db"


def test_a_file_and_a_server_take_each_other_in(file: Path, postgresql_server: str, tmp_path: Path) -> None:
    server, other = new_database(postgresql_server), new_database(postgresql_server)
    make_database(tmp_path / "late.db", {2: Night(MOST_RUNS, 1), 3: Night(2, 0)})
    for target in (server, tmp_path / "target.db"):
        merge(tmp_path / "late.db", target)
        merge(file, target)
    assert contents(server) == contents(tmp_path / "target.db")
    merge(server, other)
    assert contents(other) == contents(server)
    for source, target in ((file, server), (server, tmp_path / "target.db"), (other, server)):
        again = merge(source, target)
        assert not any(again.added.values())
        assert again.changed == 0
    with (
        Store.open(server, read_only=True) as here,
        Store.open(tmp_path / "target.db", read_only=True) as there,
    ):
        for session in [one["id"] for one in here.sessions()]:
            assert here.session_facts(session) == there.session_facts(session)


def test_a_server_gives_the_bytes_that_a_file_gives(
    file: Path, postgresql_database: str, tmp_path: Path
) -> None:
    merge(file, postgresql_database)
    with Store.open(file, read_only=True) as store:
        wish = Wish(sessions=[store.sessions()[0]["id"]])
    assert write(postgresql_database, tmp_path / "a.jsonl") == write(file, tmp_path / "b.jsonl")
    assert write(postgresql_database, tmp_path / "c.jsonl", wish) == write(file, tmp_path / "d.jsonl", wish)
    write(postgresql_database, tmp_path / "e.db")
    assert contents(tmp_path / "e.db") == contents(file)


def test_an_export_is_taken_in_by_a_server(file: Path, postgresql_database: str, tmp_path: Path) -> None:
    write(file, tmp_path / "all.jsonl")
    for path in (tmp_path / "all.jsonl", file):
        with Store.open(postgresql_database) as store:
            own_import.import_own(store, path)
        assert contents(postgresql_database) == contents(file)


def test_a_contradiction_on_a_server_is_refused_and_a_broken_rule_too(
    file: Path, postgresql_database: str, tmp_path: Path
) -> None:
    merge(file, postgresql_database)
    before = contents(postgresql_database)
    for statement, error, words in (
        ("UPDATE run SET duration_s = 99", merging.MergeRefused, "contradicts"),
        (
            "UPDATE planned_run SET position = position + 100",
            EdgebenchError,
            "a row of planned_run cannot be kept",
        ),
        ("UPDATE session SET id = 'x' || id", EdgebenchError, "refers to nothing"),
    ):
        other = tmp_path / "other.db"
        shutil.copy(file, other)
        connection = sqlite3.connect(other)
        connection.execute(statement)
        connection.commit()
        connection.close()
        with pytest.raises(error, match=words):
            merge(other, postgresql_database)
        assert contents(postgresql_database) == before


def test_a_value_that_only_a_file_can_hold_is_said(file: Path, postgresql_database: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE run SET error = 'a' || char(0) || 'b' WHERE \"key\" = 1")
    connection.commit()
    connection.close()
    with pytest.raises(EdgebenchError, match="a row of run cannot be kept"):
        merge(file, postgresql_database)
    assert contents(postgresql_database)["run"] == []


def test_a_row_that_another_process_stores_at_the_same_moment_is_said(
    file: Path, postgresql_database: str
) -> None:
    """What a merge looked for and did not find may be there when it writes: a server has many writers."""
    with Store.open(postgresql_database) as store, opened(file) as source:
        engine = create_engine(postgresql_database)
        insert = Writer.insert

        def late(self: Writer, shape: object, rows: object, runs: object) -> None:
            # Another process stores the first artifact in between.
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO artifact (id, files) VALUES (%(id)s, '[]') ON CONFLICT DO NOTHING",
                    {"id": contents(file)["artifact"][0][0]},
                )
            insert(self, shape, rows, runs)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Writer, "insert", late)
            with pytest.raises(EdgebenchError, match="a row of artifact cannot be kept") as caught:
                merging.merge(source, store)
        engine.dispose()
    assert not isinstance(
        caught.value.__cause__, IntegrityError
    )  # of the COPY, which SQLAlchemy does not see
    assert "do it again" in caught.value.next_step
