"""Databases of every released schema, brought to the newest: nothing is lost, whatever happens meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from forks import Forks
from old_databases import FOLDER, migrate, migrated, restore, tables_of
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    MetaData,
    NullPool,
    Table,
    create_engine,
    insert,
    make_url,
    select,
    text,
)
from store_servers import database, new_database

from harness.errors import EdgebenchError
from harness.report import session_rows
from harness.store import Store, looking, schema
from harness.store.views import VIEWS

REVISIONS = list(schema.REVISIONS)
OLD = [one for one in REVISIONS if one != schema.newest()]

#: Rewritten where they cannot be believed: compared by hand below.
REWRITTEN = "energy_reading"

Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(path: Path, tables: dict[str, list[str]]) -> Rows:
    """All rows of these tables and columns, in order."""
    found = {}
    for table, columns in tables.items():
        names = ", ".join(f'"{one}"' for one in columns)
        found[table] = sorted(query(path, f"SELECT {names} FROM {table}"), key=repr)
    return found


def tables_in(path: Path) -> dict[str, list[str]]:
    connection = sqlite3.connect(path)
    try:
        return tables_of(connection)
    finally:
        connection.close()


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def statements(path: Path) -> list[str]:
    """What made each table, index and view; constraints of a copied table come in another order."""
    found = query(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [
        "\n".join(sorted(line.strip(" \t,").replace('"', "") for line in str(sql).splitlines()))
        for (sql,) in found
    ]


def use(store: Store, revision: str) -> None:
    """The newest program's table, `show` and views on an upgraded database."""
    everything = store.sessions()
    sessions = [one for one in everything if one["trigger"] != "import"]
    assert (len(sessions), len(everything)) == (2, 3 if revision >= "0012" else 2)
    for session in sessions:
        rows, _ = session_rows(store, session["id"])
        measured, skipped = rows
        assert measured["decode_tps"] == pytest.approx(2 / 0.016002003, rel=1e-3)
        assert (measured["runs"], measured["status"]) == (2, "failed")
        assert measured["perplexity"] > 1
        assert measured["prepare_peak_bytes"] == (700_000_000 if revision >= "0002" else None)
        assert bool(measured["tasks"]) == (revision >= "0010")
        assert (skipped["status"], skipped["reason"]) == ("skipped", "no NPU here")
    with store._reading() as connection:
        for kind in looking.KINDS:
            for row_id in connection.execute(text(f"SELECT id FROM {kind}")).scalars():
                assert looking.describe(connection, kind, row_id)["what"] == kind
        for view in VIEWS:
            found = connection.execute(text(f"SELECT * FROM {view.name}")).all()
            assert bool(found) == (view.name != "v_tasks" or revision >= "0010"), view.name


def check_energy(rows: list[tuple[Any, ...]], columns: list[str]) -> None:
    """What 0009 makes of joules that nobody can say the source of: words, not figures."""
    readings = {row[columns.index("position")]: dict(zip(columns, row, strict=True)) for row in rows}
    sound = readings[1]
    assert (sound["gross_joules"], sound["net_joules"], sound["meter"]) == (12.5, 9.5, "powercap")
    assert readings[2]["gross_joules"] is None
    assert "gross 4.5 J net 3.5 J" in readings[2]["reason"]
    assert (readings[3]["gross_joules"], readings[3]["method"]) == (5.5, "power")
    assert (readings[4]["gross_joules"], readings[4]["estimate_joules"]) == (6.5, None)
    assert "30.0 J" in readings[4]["reason"] or "30 J" in readings[4]["reason"]
    assert readings[5]["reason"] == "an older version stored no reason"


@pytest.fixture(scope="module")
def made_by_migrations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What makes the tables of each revision, as the migrations leave them, each from the one before it."""
    path = tmp_path_factory.mktemp("made") / "made.db"
    return {revision: statements(migrated(path, revision)) for revision in REVISIONS}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_released_revision_is_kept(
    tmp_path: Path, made_by_migrations: dict[str, list[str]], revision: str
) -> None:
    """`python tests/store/old_databases.py` makes that of a new one."""
    kept = restore(revision, tmp_path / "kept.db")
    assert query(kept, "SELECT version_num FROM alembic_version") == [(revision,)]
    made = made_by_migrations[revision]
    views = [one for one in made if "CREATE VIEW" in one]
    assert statements(kept) == [one for one in made if one not in views], "a released revision never changes"
    assert [name for name, rows in rows_of(kept, tables_in(kept)).items() if not rows] == []
    assert query(kept, "PRAGMA foreign_key_check") == []
    assert (FOLDER / f"{revision}.sql").stat().st_size < 72_000


@pytest.mark.parametrize("revision", OLD)
def test_an_old_database_keeps_all_its_rows_and_is_used_like_a_new_one(tmp_path: Path, revision: str) -> None:
    path = restore(revision, tmp_path / "edgebench.db")
    tables = tables_in(path)
    before = rows_of(path, tables)
    with Store.open(path) as store:
        assert store.upgraded is not None
        assert f"from schema {revision} to {schema.newest()}" in store.upgraded
        assert store.check() == []
        use(store, revision)
        assert all(store.describe("cell", one)["batch"] == 1 for (one,) in query(path, "SELECT id FROM cell"))
    after = rows_of(path, tables)
    for name in tables.keys() - {"alembic_version", "schema_revision", REWRITTEN}:
        assert after[name] == before[name], name
    assert set(before["schema_revision"]) <= set(after["schema_revision"])
    columns = tables_in(path)[REWRITTEN]
    if revision < "0009":
        check_energy(query(path, "SELECT * FROM energy_reading WHERE run_key = 1"), columns)
    else:
        assert after[REWRITTEN] == before[REWRITTEN]
    assert len(after[REWRITTEN]) == len(before[REWRITTEN])
    Store.open(tmp_path / "new.db").close()
    assert statements(path) == statements(tmp_path / "new.db")
    [copy] = tmp_path.glob("*.backup")
    assert rows_of(copy, tables) == before
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]


# -- on a server -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def migrated_there(postgresql_server: str) -> Callable[[str], str]:
    """By revision: the name of a database with its tables, made by the migrations from the one before; to be copied."""
    made: dict[str, str] = {}

    def make(revision: str) -> str:
        if revision not in made:
            place = REVISIONS.index(revision)
            url = new_database(postgresql_server, make(REVISIONS[place - 1]) if place else None)
            engine = create_engine(url, poolclass=NullPool)
            migrate(engine, revision)
            made[revision] = str(make_url(url).database)
        return made[revision]

    return make


@pytest.fixture
def old_server(postgresql_server: str, migrated_there: Callable[[str], str], revision: str) -> Iterator[str]:
    """URL of a database with the tables of a revision and no rows."""
    with database(postgresql_server, migrated_there(revision)) as url:
        yield url


def fill_server(url: str, kept: Path) -> dict[str, Table]:
    """Copies the rows of the kept file into the tables there; gives the tables."""
    engine = create_engine(url)
    reflected = MetaData()
    reflected.reflect(engine)
    for column in (one for table in reflected.sorted_tables for one in table.columns):
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
    connection = sqlite3.connect(kept)
    connection.row_factory = sqlite3.Row
    with engine.begin() as target:
        for table in reflected.sorted_tables:
            if table.name == "alembic_version":
                continue
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table.name}")]
            target.execute(insert(table), [_converted(table, row) for row in rows])
    connection.close()
    engine.dispose()
    return dict(reflected.tables)


def _converted(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """A row of SQLite as PostgreSQL's driver wants it."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        kind = table.c[name].type
        if value is None:
            made[name] = None
        elif isinstance(kind, JSON):
            made[name] = json.loads(value)
        elif isinstance(kind, Boolean):
            made[name] = bool(value)
        elif isinstance(kind, DateTime):
            made[name] = datetime.fromisoformat(value).replace(tzinfo=UTC)
        else:
            made[name] = value
    return made


def server_rows(url: str, tables: dict[str, Table]) -> dict[str, list[str]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for name, table in tables.items()
        }
    engine.dispose()
    return found


@pytest.mark.parametrize("revision", OLD)
def test_an_old_database_on_a_server_keeps_all_its_rows(
    tmp_path: Path, old_server: str, revision: str
) -> None:
    kept = restore(revision, tmp_path / "kept.db")
    tables = fill_server(old_server, kept)
    before = server_rows(old_server, tables)
    with Store.open(old_server) as store:
        assert store.upgraded is not None
        assert f"from schema {revision} to {schema.newest()}" in store.upgraded
        use(store, revision)
        with store._reading() as connection:
            rows = connection.execute(text("SELECT * FROM energy_reading WHERE run_key = 1")).all()
    after = server_rows(old_server, tables)
    for name in tables.keys() - {"alembic_version", "schema_revision", REWRITTEN}:
        assert after[name] == before[name], name
    if revision < "0009":
        check_energy([tuple(row) for row in rows], [str(one) for one in rows[0]._fields])
    with Store.open(old_server) as store:
        assert store.upgraded is None


@pytest.mark.parametrize("revision", ["0001"])
def test_an_upgrade_on_a_server_that_fails_leaves_it_as_it_was(
    tmp_path: Path, old_server: str, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    kept = restore(revision, tmp_path / "kept.db")
    tables = fill_server(old_server, kept)
    before = server_rows(old_server, tables)

    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "_note_revisions", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        Store.open(old_server)
    monkeypatch.undo()
    assert server_rows(old_server, tables) == before
    with Store.open(old_server) as store:
        use(store, revision)


# -- killed ----------------------------------------------------------------------------------------------------------

#: Kills itself at the n-th statement of the upgrade, or where the backup is about to get its name.
DYING = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from harness.store import Store, schema

path, instant = sys.argv[1], sys.argv[2]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
count = 0

@event.listens_for(Engine, "before_cursor_execute")
def _count(connection, cursor, statement, parameters, context, many):
    global count
    count += 1
    if instant == str(count):
        die()

@event.listens_for(Engine, "commit")
def _commit(connection):
    if instant == "commit" and connection.get_execution_options().get("begin"):
        die()

if instant == "backup":
    Path.replace = lambda *_: die()
if instant == "after":
    schema.keep_journal = lambda *_: None
Store.open(path).close()
print(count)
if instant == "after":
    die()
"""


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> int:
    """How many statements the longest upgrade takes."""
    path = restore("0001", tmp_path_factory.mktemp("whole") / "edgebench.db")
    done = forks.run(DYING, str(path), "never")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("instant", ["backup", 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0, "commit", "after"])
def test_an_upgrade_that_is_killed_leaves_a_usable_database_and_a_second_one_succeeds(
    tmp_path: Path, length: int, forks: Forks, instant: str | float
) -> None:
    path = restore("0001", tmp_path / "edgebench.db")
    tables = tables_in(path)
    before, made = rows_of(path, tables), statements(path)
    at = instant if isinstance(instant, str) else str(max(1, round(length * instant)))
    killed = forks.run(DYING, str(path), at)
    assert killed.returncode == -signal.SIGKILL, (at, killed.stdout, killed.stderr)
    # As any program of the old version would find it: whole, with the old schema and every row.
    look = tmp_path / "look"
    look.mkdir()
    for one in tmp_path.glob("edgebench.db*"):
        shutil.copy(one, look)
    assert query(look / path.name, "PRAGMA integrity_check") == [("ok",)]
    if instant != "after":
        assert query(look / path.name, "SELECT version_num FROM alembic_version") == [("0001",)]
        assert rows_of(look / path.name, tables) == before
        assert statements(look / path.name) == made
    for copy in tmp_path.glob("*.backup"):
        assert query(copy, "PRAGMA integrity_check") == [("ok",)]
        assert rows_of(copy, tables) == before
    with Store.open(path) as store:
        assert (store.upgraded is None) == (instant == "after")
        assert store.check() == []
        use(store, "0001")
    assert not list(tmp_path.glob("*.part"))
    copies = list(tmp_path.glob("*.backup"))
    assert copies
    for copy in copies:
        assert rows_of(copy, tables) == before


HOSTILE = {
    "nothing but its revision": None,
    "a table less": "DROP TABLE lineage",
    "a word that no run has": "UPDATE run SET status = 'weird'",
    "a table that a later revision makes": "CREATE TABLE preparation (x)",
    "a table in the place of a view": "CREATE TABLE v_runs (x)",
    "two revisions": "INSERT INTO alembic_version VALUES ('0002')",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_old_database_that_is_not_what_it_says_is_refused_and_left_as_it_was(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "old.db"
    statement = HOSTILE[what]
    if statement is None:
        statement = (
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0001')"
        )
    else:
        restore("0001", path)
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA ignore_check_constraints = ON; {statement};")
    connection.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(EdgebenchError):
            Store.open(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.backup"))
