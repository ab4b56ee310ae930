"""Schema revisions: what a database is, making a new one, and bringing an old one to the newest, after a backup.

Owns the list of revisions and the upgrade. Imports Alembic only while upgrading: opening a database of the newest
revision asks one question in plain SQL. Contract: an upgrade happens in one transaction, so one that is interrupted
leaves the old database as it was; a database of a newer program, or of another program, is never touched.
"""

from __future__ import annotations

import glob
import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, insert, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from harness.errors import EdgebenchError
from harness.files import sync_folder
from harness.store import views
from harness.store.engine import Place, connect, explain, explained, reading, short, writing
from harness.store.tables import metadata, table

if TYPE_CHECKING:
    from alembic.config import Config

#: Every revision ever released, oldest first, with the first version of edgebench that reads it.
REVISIONS: dict[str, str] = {
    "0001": "0.1.0",
    "0002": "0.1.0",
    "0003": "0.1.0",
    "0004": "0.1.0",
    "0005": "0.1.0",
    "0006": "0.1.0",
    "0007": "0.1.0",
    "0008": "0.1.0",
    "0009": "0.1.0",
    "0010": "0.1.0",
    "0011": "0.1.0",
    "0012": "0.1.0",
    "0013": "0.1.0",
    "0014": "0.1.0",
    "0015": "0.1.0",
    "0016": "0.1.0",
    "0017": "0.1.0",
}

#: Alembic's scripts; one file a revision in `versions`.
MIGRATIONS = Path(__file__).resolve().parent / "migrations"

# Alembic's own table, as it would make it.
_VERSION_TABLE = (
    "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL, \n"
    "\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)"
)


class State(Enum):
    """What was found."""

    NEW = "holds nothing yet"
    CURRENT = "of the newest revision"
    OLD = "of an older revision"


@dataclass(frozen=True, slots=True)
class Found:
    """A database's state and its revision (None: it holds nothing yet)."""

    state: State
    revision: str | None


def newest() -> str:
    """The revision that this program writes."""
    return next(reversed(REVISIONS))


def prepare(engine: Engine, place: Place, *, read_only: bool) -> str | None:
    """Brings a database to the newest revision: makes it, or upgrades it after a backup.

    Returns:
        For people: what was done, such as where the backup is; None where nothing was to do.

    Raises:
        EdgebenchError: it is newer, of another program, no database, read-only, locked or damaged.
    """
    found = _look(engine, place)
    if place.is_sqlite and found.state is not State.NEW:
        with reading(engine, place) as connection:
            _check_schema(connection, place, whole=found.state is State.CURRENT)
    if found.state is State.CURRENT:
        return None
    if read_only:
        if found.state is State.NEW:
            raise EdgebenchError(
                f"{place} holds no results yet", next_step="run a suite first: edgebench run quickstart"
            )
        raise EdgebenchError(
            f"{place} is of an older edgebench (schema {found.revision}) and can only be read after an upgrade",
            next_step="open it writable once: edgebench db upgrade",
        )
    if found.state is State.NEW:
        _create(engine, place)
        return None
    return _upgrade(engine, place)


def _check_schema(connection: Connection, place: Place, *, whole: bool) -> None:
    """Refuse a file whose schema would run something of its own: edgebench makes no trigger and reads real tables.

    A view in a table's place could be a query without an end, a virtual table a function; a trigger changes what is
    written. Views and tables of other names are nobody's business: nothing of ours reads them.

    Args:
        connection: to an SQLite file.
        place: where it is.
        whole: every table has to be there, with its columns; not so in a file that is yet to be upgraded.
    """
    made = {
        str(name).lower(): (str(kind), str(sql))
        for kind, name, sql in connection.execute(text("SELECT type, name, sql FROM sqlite_schema"))
    }
    problem = next((f"the trigger {name}" for name, (kind, _) in made.items() if kind == "trigger"), None)
    for name in metadata.tables:
        kind, sql = made.get(name, ("", ""))
        if kind not in ("", "table") or sql.upper().startswith("CREATE VIRTUAL"):
            problem = problem or f"something else in place of the table {name}"
        elif whole and problem is None:
            columns = connection.execute(
                text("SELECT name, hidden FROM pragma_table_xinfo(:name)"), {"name": name}
            )
            plain = {str(column) for column, hidden in columns if not hidden}
            if lacking := sorted(column.name for column in table(name).c if column.name not in plain):
                problem = f"no {name}.{lacking[0]}" if kind else f"no table {name}"
    if problem is not None:
        raise EdgebenchError(
            f"{place} is no database as edgebench makes them: it has {problem}",
            next_step="use a copy from before it was changed by hand or by another program",
        )


def is_older(place: Place) -> bool:
    """Whether a database is of an older revision, which this program can read only after an upgrade.

    Raises:
        EdgebenchError: it is newer, of another program, no database, or damaged.
    """
    engine = connect(place, read_only=True)
    try:
        return _look(engine, place).state is State.OLD
    finally:
        engine.dispose()


def keep_journal(engine: Engine, place: Place) -> None:
    """Has SQLite write ahead (WAL): readers and one writer do not wait for one another. Kept in the file."""
    if not place.is_sqlite or place.path is None:
        return
    with explained(place), engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raw.execute("PRAGMA journal_mode=WAL")


def _look(engine: Engine, place: Place) -> Found:
    with reading(engine, place) as connection:
        return _classify(connection, place)


def _classify(connection: Connection, place: Place) -> Found:
    revision = _revision(connection, place)
    names: set[str] = set()
    if revision is None:
        # Looked up by name: what else a shared server holds is not ours to judge; an SQLite file is one program's.
        names = set(inspect(connection).get_table_names())
        if "alembic_version" in names:
            # Made by another process since: a statement that fails sees no state that the next one would see too.
            revision = _revision(connection, place)
    if revision is None:
        if names and (place.is_sqlite or names & metadata.tables.keys()):
            raise EdgebenchError(
                f"{place} is a database, but not one of edgebench's",
                next_step="name another one with --db; this one was left as it is",
            )
        return Found(State.NEW, None)
    if revision == newest():
        return Found(State.CURRENT, revision)
    if revision in REVISIONS:
        return Found(State.OLD, revision)
    raise _newer(connection, place, revision)


def _revision(connection: Connection, place: Place) -> str | None:
    try:
        # Where a statement fails, PostgreSQL refuses all that follow until this savepoint is left.
        with connection.begin_nested():
            row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    except DBAPIError as error:
        known = explain(error.orig, place)
        if known is not None:
            raise known from error
        return None  # no such table
    return str(row[0]) if row else None


def _newer(connection: Connection, place: Place, revision: str) -> EdgebenchError:
    if not inspect(connection).has_table("schema_revision"):
        return EdgebenchError(
            f"{place} is a database, but not one of edgebench's",
            next_step="name another one with --db; this one was left as it is",
        )
    version = connection.execute(
        text("SELECT edgebench_version FROM schema_revision WHERE revision = :revision"),
        {"revision": revision},
    ).scalar()
    # The file's own word, which may hold anything: shown and advised only where it is a version.
    version = _version(version)
    readable = f"edgebench {version} or newer" if version else "a newer edgebench"
    return EdgebenchError(
        f"{place} was written by {readable} (schema {revision}; this one reads up to {newest()})",
        next_step=f"pip install --upgrade 'edgebench>={version}'"
        if version
        else "pip install --upgrade edgebench",
    )


def _version(told: object) -> str | None:
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(str(told)))
    except InvalidVersion:
        return None


def _create(engine: Engine, place: Place) -> None:
    """Makes all tables and views in one transaction."""
    keep_journal(engine, place)
    try:
        with writing(engine, place) as connection:
            if _classify(connection, place).state is State.CURRENT:
                return  # another process was faster
            _make_newest(connection)
            _note_revisions(connection)
    except DBAPIError:
        # A server does not make others wait for new tables: whoever comes second finds them made.
        if _look(engine, place).state is not State.CURRENT:
            raise


def _make_newest(connection: Connection) -> None:
    """Makes the tables and views of the newest revision; the tests hold this equal to what the migrations make."""
    metadata.create_all(connection, checkfirst=False)
    views.create(connection)
    connection.execute(text(_VERSION_TABLE))
    connection.execute(
        text("INSERT INTO alembic_version (version_num) VALUES (:revision)"), {"revision": newest()}
    )


def _migrations() -> Config:
    from alembic.config import Config

    config = Config()
    # The parser of this option expands %.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _upgrade(engine: Engine, place: Place) -> str:
    from alembic import command  # a third of a second, paid once per upgrade
    from alembic.util import CommandError

    config = _migrations()
    try:
        with explained(place), engine.connect().execution_options(begin="BEGIN IMMEDIATE") as connection:
            if place.is_sqlite:
                # Changing a table means copying it; the references are checked at the end instead. SQLite ignores
                # this inside a transaction, and `connection.connection` does not begin one.
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.execute("PRAGMA foreign_keys=OFF")
                # A view that somebody added to the file may read a table that is being copied.
                raw.execute("PRAGMA legacy_alter_table=ON")
            with connection.begin():
                found = _classify(connection, place)
                if found.state is State.CURRENT:
                    return f"{place} was upgraded by another process"
                # After the lock: nobody writes between the copy and the change.
                copy = _back_up(place, str(found.revision))
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, "head")
                    _check_references(connection, place)
                    _note_revisions(connection)
                except Exception as error:
                    # All of it is undone, so there is nothing to keep a copy of.
                    if copy is not None:
                        copy.unlink()
                    if isinstance(error, SQLAlchemyError | CommandError):
                        raise _not_upgraded(error, place, str(found.revision)) from error
                    raise
    finally:
        engine.dispose()  # that connection does not check foreign keys
    kept = f"; the old one is kept as {copy.name}" if copy else ""
    return f"{place} was upgraded from schema {found.revision} to {newest()}{kept}"


def _not_upgraded(error: Exception, place: Place, revision: str) -> EdgebenchError:
    known = explain(error.orig, place) if isinstance(error, DBAPIError) else None
    if known is not None:
        return known
    return EdgebenchError(
        f"{place} says that it is of schema {revision}, but is not what edgebench made then, and was left as it is: "
        f"{short(error)}",
        next_step="use a copy from before the database was changed by hand or by another program; where nobody "
        "did that, run the same command with --traceback and report what it prints",
    )


def _note_revisions(connection: Connection) -> None:
    """Writes down which program reads which revision, so that older programs can say so."""
    revisions = table("schema_revision")
    known = set(connection.execute(revisions.select().with_only_columns(revisions.c.revision)).scalars())
    rows = [
        {"revision": revision, "edgebench_version": version, "applied_at": datetime.now(UTC)}
        for revision, version in REVISIONS.items()
        if revision not in known
    ]
    if rows:
        connection.execute(insert(revisions), rows)


def _check_references(connection: Connection, place: Place) -> None:
    if place.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise EdgebenchError(
            f"{place} holds rows that refer to nothing; it was not upgraded and is as it was",
            next_step="find them with `sqlite3 FILE 'PRAGMA foreign_key_check'`",
        )


def _back_up(place: Place, revision: str) -> Path | None:
    """Copies an SQLite file beside itself, whole or not at all. A server's backups are its administrator's."""
    if place.path is None:
        return None
    for half in place.path.parent.glob(f"{glob.escape(place.path.name)}.*.backup.*.part"):
        half.unlink()  # of an upgrade that was killed; this one holds the lock
    copy = place.path.with_name(f"{place.path.name}.{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S}.backup")
    copy_file(place.path, copy)
    return copy


def copy_compact(place: Place, target: Path) -> None:
    """A copy of an SQLite file whose pages lie in order and hold nothing but its rows; it writes ahead, as all do.

    Raises:
        EdgebenchError, sqlite3.Error: no copy was made.
    """
    assert place.path is not None
    with explained(place):
        connection = sqlite3.connect(place.path, isolation_level=None)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        finally:
            connection.close()
        made = sqlite3.connect(target)
        try:
            made.execute("PRAGMA journal_mode=WAL")
        finally:
            made.close()


def make_at(engine: Engine, place: Place, revision: str) -> None:
    """Makes the tables of a revision in a new database: the newest one's at once, an older one's by the migrations.

    Raises:
        EdgebenchError: it cannot be written.
    """
    if revision == newest():
        with writing(engine, place) as connection:
            _make_newest(connection)
        return
    from alembic import command

    config = _migrations()
    with writing(engine, place) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def copy_file(source: Path, target: Path) -> None:
    """A consistent copy of an SQLite file that others may be using. An existing target is replaced at the end.

    Raises:
        OSError, sqlite3.Error: no copy was made, and nothing is left of it.
    """
    half = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        reader = sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)
        try:
            writer = sqlite3.connect(half)
            try:
                reader.backup(writer)
                # The copy is one file: its journal is not beside it where it is carried to.
                writer.execute("PRAGMA journal_mode=DELETE")
            finally:
                writer.close()
        finally:
            reader.close()
        with half.open("rb") as written:
            os.fsync(written.fileno())
        half.replace(target)
        sync_folder(target.parent)
    finally:
        half.unlink(missing_ok=True)
