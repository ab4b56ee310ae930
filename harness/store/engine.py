"""Connections: a file path or URL becomes an engine whose every connection is safe, and errors become sentences.

Owns SQLite's settings (WAL, full synchronisation, foreign keys, waiting for other writers), transactions, and what a
person reads when the database cannot be used. Contract: writers take their lock when they begin, so that two of
them wait for one another instead of failing half-way; no message ever holds a password.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InvalidRequestError,
    NoSuchModuleError,
    StatementError,
)
from sqlalchemy.pool import QueuePool, StaticPool

from harness.errors import EdgebenchError, UsageError
from harness.safe_text import without_passwords
from harness.store.ids import canonical_json

_SECRET = re.compile("password|passwd|pwd|secret|token", re.IGNORECASE)

#: How long to wait for another process that is writing.
BUSY_TIMEOUT_S = 30.0

#: Whoever waits for another writer asks again after a time between these.
_ASK_AGAIN_S = (0.002, 0.010)
#: What values raise that no version of this program stored: no JSON, no time, text where a number belongs, a list where
#: a mapping does, an id that refers to nothing. The database is somebody else's work, or was changed by hand.
MISFITS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    StatementError,
    InvalidRequestError,
)

_BEGIN_WRITING = {"begin": "BEGIN IMMEDIATE"}

# What SQLite's result codes mean to a person: (what, next step); `{place}` is the file.
_SQLITE_PROBLEMS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: (
        "{place} is locked: another process has been writing to it for too long",
        "end the other process, or wait for it, and try again; what was stored before is safe",
    ),
    sqlite3.SQLITE_FULL: (
        "the disk is full: nothing more can be written to {place}",
        "free some space, then resume; everything that was stored before is safe",
    ),
    sqlite3.SQLITE_READONLY: (
        "{place} is read-only",
        "make the file and its folder writable, or name another database with --db",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "{place} cannot be opened",
        "check that the folder exists and that you may read and write there, or name another database with --db",
    ),
    sqlite3.SQLITE_NOTADB: (
        "{place} is not a database",
        "name another file with --db; this one was left as it is",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "{place} is damaged",
        "restore a copy, or recover what can be read with `sqlite3 FILE .recover`",
    ),
    sqlite3.SQLITE_IOERR: (
        "{place} cannot be read or written: the disk reports an error, or has no space left",
        "check the disk and its free space; everything that was stored before is safe",
    ),
}

# The same for PostgreSQL, by the first characters of its SQLSTATE, the longest that fits first.
_POSTGRESQL_PROBLEMS: dict[str, tuple[str, str]] = {
    "53100": ("the disk of {place} is full", "free some space on the server, then resume"),
    "25006": ("{place} is read-only", "name another database with --db"),
    "42501": ("this user may not do that in {place}", "ask for the right to create and write tables there"),
    "2BP01": (
        "views that are not edgebench's read tables of {place} that an upgrade changes",
        "drop these views, upgrade, and make them again",
    ),
    "55P03": ("{place} is locked by another session", "wait for it and try again"),
    "28": ("{place} refuses this user or password", "check the user and password of the --db URL"),
    "3D": ("{place} does not exist on the server", "create it with `createdb`, or name another with --db"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is.

    Attributes:
        url: SQLAlchemy's.
        path: the file, None for a server or a database in memory.
    """

    url: URL
    path: Path | None

    def __str__(self) -> str:
        """For messages: the file, or the URL without its password."""
        if self.path:
            return str(self.path)
        shown = without_passwords(self.url.render_as_string(hide_password=True))
        for secret in self.secrets():
            shown = shown.replace(secret, "***")
        return shown

    def secrets(self) -> list[str]:
        """What must not be repeated: the password, also where it stands among the settings."""
        settings = [one for name, one in self.url.query.items() if _SECRET.search(name)]
        told = [each for one in settings for each in ((one,) if isinstance(one, str) else one)]
        return [one for one in (str(self.url.password or ""), *told) if one]

    @property
    def is_sqlite(self) -> bool:
        """Whether SQLite holds it."""
        return self.url.get_backend_name() == "sqlite"


def locate(target: str | Path) -> Place:
    """A place from a path or an SQLAlchemy URL.

    Raises:
        UsageError: not a URL that can be understood, or of a database that is not supported.
    """
    if isinstance(target, Path) or "://" not in target:
        path = Path(target).expanduser().absolute()
        return Place(URL.create("sqlite", database=str(path)), path)
    scheme = target.partition("://")[0]
    if target.partition("?")[0].count("@") > 1:
        # It would be cut at the first one, and the rest of the password taken for the server's name.
        raise UsageError(
            f"the database URL that begins with {scheme}:// holds a password or a name with an @",
            next_step="write %40 for an @, %2F for a / and %3A for a : in passwords",
        )
    try:
        url = make_url(target)
    except (ArgumentError, ValueError):
        # The text itself may hold a password: only its scheme is repeated.
        raise UsageError(
            f"the database URL that begins with {scheme}:// cannot be understood",
            next_step="write it as postgresql+psycopg://USER@HOST/DATABASE, or give the path of a file",
        ) from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            return Place(url, None)
        if url.query:
            raise UsageError(
                f"the settings after `?` in {scheme}:// are not supported",
                next_step="give the path of the file alone",
            )
        path = Path(str(url.database)).expanduser().absolute()
        return Place(url.set(database=str(path)), path)
    if url.get_backend_name() != "postgresql":
        raise UsageError(
            f"{scheme}:// is no database that edgebench can store results in",
            next_step="give the path of an SQLite file, or a postgresql+psycopg:// URL",
        )
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return Place(url, None)


def connect(place: Place, *, read_only: bool, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine; nothing is opened yet.

    Raises:
        EdgebenchError: the driver is not installed.
    """
    if place.is_sqlite:
        return _sqlite_engine(place, read_only=read_only, busy_timeout_s=busy_timeout_s)
    try:
        engine = create_engine(
            place.url, json_serializer=canonical_json, hide_parameters=True, pool_pre_ping=True, future=True
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise EdgebenchError(
            f"the driver for {place.url.drivername} is not installed",
            next_step="pip install 'edgebench[postgresql]', and write the URL as postgresql+psycopg://...",
        ) from error

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, record: Any) -> None:
        del record
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(busy_timeout_s * 1000)}")
            cursor.execute("SET timezone = 'UTC'")
            if read_only:
                cursor.execute("SET default_transaction_read_only = on")
        connection.commit()

    return engine


def _sqlite_engine(place: Place, *, read_only: bool, busy_timeout_s: float) -> Engine:
    target = (
        ":memory:"
        if place.path is None
        else f"{place.path.as_uri()}?{_mode(place.path, read_only=read_only)}"
    )

    def open_file() -> sqlite3.Connection:
        # isolation_level=None: the driver begins no transactions behind our back; the listener below does.
        return sqlite3.connect(
            target, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )

    engine = create_engine(
        "sqlite://",
        execution_options={_FROZEN: target.endswith("immutable=1")},
        creator=open_file,
        # One connection for a database in memory: a second one would see another, empty database.
        poolclass=StaticPool if place.path is None else QueuePool,
        json_serializer=canonical_json,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, record: Any) -> None:
        del record
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # Functions in the views, triggers and constraints of a file from elsewhere do nothing by themselves.
        connection.execute("PRAGMA trusted_schema=OFF")
        # A page from elsewhere is looked at before its cells are believed.
        connection.execute("PRAGMA cell_size_check=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            # A series of ten years lies on ten thousand pages; the two megabytes of the default hold five hundred.
            connection.execute(f"PRAGMA cache_size=-{_READERS_CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        words = str(connection.get_execution_options().get("begin", "BEGIN"))
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if words == "BEGIN":
            raw.execute(words)
        else:
            _take_turn(raw, words, busy_timeout_s)

    return engine


def _take_turn(raw: sqlite3.Connection, words: str, patience_s: float) -> None:
    """Begin a transaction that writes, when it is its turn.

    SQLite itself asks less and less often for the lock, ten times a second in the end: where many write, whoever has
    waited longest hardly ever gets it. Here all ask equally often, so that each has the same chance every time.

    Raises:
        sqlite3.OperationalError: others wrote all the time.
    """
    end = time.monotonic() + patience_s
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                raw.execute(words)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= end:
                    raise
                time.sleep(random.uniform(*_ASK_AGAIN_S))
            else:
                return
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(patience_s * 1000)}")


#: At most; pages are kept as they are read.
_READERS_CACHE_KIB = 65_536
#: Of engines: the file was opened as one that stays as it is.
_FROZEN = "edgebench_frozen"


def is_frozen(path: Path) -> bool:
    """Whether an SQLite file must be opened as one that stays as it is.

    A reader needs to write its index beside a file. Where it may not, and nothing waits in the journal, that is the
    only way. Somebody else may be allowed to write there: `reading` looks whether that happened.
    """
    return not _has_pending(path) and not os.access(path.parent, os.W_OK)


def _has_pending(path: Path) -> bool:
    journal = path.with_name(path.name + "-wal")
    return journal.exists() and journal.stat().st_size > 0


def _mode(path: Path, *, read_only: bool) -> str:
    if not read_only:
        return "mode=rwc"
    if is_frozen(path):
        return "mode=ro&immutable=1"
    if os.access(path, os.W_OK) and not _has_pending(path):
        # Opened for reading only, SQLite would leave its index beside the file; `query_only` keeps the promise.
        return "mode=rw"
    return "mode=ro"


@contextmanager
def _unchanged(engine: Engine, place: Place) -> Iterator[None]:
    """Around reading a file that was opened as one that stays as it is: if it did not, what was read is nothing."""
    path = place.path
    if path is None or not engine.get_execution_options().get(_FROZEN):
        yield
        return
    before = _stamp(path)
    try:
        yield
    except Exception as error:
        if _stamp(path) != before:
            engine.dispose()
            raise _written_meanwhile(place) from error
        raise
    if _stamp(path) != before:
        engine.dispose()
        raise _written_meanwhile(place)


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino, _has_pending(path)


def _written_meanwhile(place: Place) -> EdgebenchError:
    return EdgebenchError(
        f"{place} was written to by somebody else while it was being read",
        next_step="run the same command again; where others write often, get the right to write in its folder, "
        "which reading beside writers needs, or read a copy",
    )


@contextmanager
def reading(engine: Engine, place: Place) -> Iterator[Connection]:
    """One consistent view of the database.

    Raises:
        EdgebenchError: it cannot be read, or holds a value that cannot.
    """
    # A server would show each statement what others have stored meanwhile; SQLite shows a transaction one state.
    options = {} if place.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    try:
        with (
            _unchanged(engine, place),
            explained(place),
            engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection
    except MISFITS as error:
        raise _unreadable(place, error) from error


@contextmanager
def computing(place: Place) -> Iterator[None]:
    """Around what is computed from values of a database that were read: as `reading`, for what does not fit together.

    Raises:
        EdgebenchError: a value is of another type or shape than this program ever stores.
    """
    try:
        yield
    except MISFITS as error:
        raise _unreadable(place, error) from error


@contextmanager
def writing(engine: Engine, place: Place) -> Iterator[Connection]:
    """One transaction: all of it is on disk when the block ends, or none of it is stored.

    Raises:
        EdgebenchError: it cannot be written; what was stored before stays.
    """
    with (
        explained(place),
        engine.connect().execution_options(**_BEGIN_WRITING) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turns the errors that a user can act on into sentences; mistakes of this program pass as they are."""
    try:
        yield
    except DBAPIError as error:
        problem = explain(error.orig, place)
        if problem is None:
            raise
        raise problem from error
    except (sqlite3.Error, OSError) as error:
        problem = explain(error, place)
        if problem is None:
            raise
        raise problem from error


def _unreadable(place: Place, error: BaseException) -> EdgebenchError:
    return EdgebenchError(
        f"{place} holds a value that cannot be read: {short(error)}",
        next_step="use a copy from before the database was changed by hand or by another program; where nobody "
        "did that, run the same command with --traceback and report what it prints",
    )


def short(error: BaseException) -> str:
    """An error in words: a hostile value may be of any length."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def explain(error: BaseException | None, place: Place) -> EdgebenchError | None:
    """The sentence for a driver's or system's error; None where it is a mistake of this program."""
    if isinstance(error, sqlite3.Error):
        # The low byte is the kind of result; the rest is detail.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_IOERR and _no_room(place):
            code = sqlite3.SQLITE_FULL
        found = _SQLITE_PROBLEMS.get(code)
        if found:
            return _problem(found, place)
        # The first is raised by Python's driver itself, the second by SQLite under the code of any mistake.
        damaged = ("Could not decode", "unsupported file format")
        return _unreadable(place, error) if any(words in str(error) for words in damaged) else None
    if isinstance(error, OSError):
        return EdgebenchError(
            f"{place} cannot be used: {error.strerror or error}",
            next_step="check the folder, its rights and its free space, or name another database with --db",
        )
    return _explain_postgresql(error, place)


def _no_room(place: Place) -> bool:
    """Whether SQLite's index of its journal (32 KiB) has no room: it calls that an error of the disk."""
    return place.path is not None and shutil.disk_usage(place.path.parent).free < 64 * 1024


def _explain_postgresql(error: BaseException | None, place: Place) -> EdgebenchError | None:
    state = getattr(error, "sqlstate", None)
    for prefix in (str(state), str(state)[:2]) if state else ():
        if prefix in _POSTGRESQL_PROBLEMS:
            return _problem(_POSTGRESQL_PROBLEMS[prefix], place)
    if type(error).__name__ != "OperationalError":
        return None
    text = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
    for secret in place.secrets():
        text = text.replace(secret, "***")
    return EdgebenchError(
        f"{place} cannot be reached: {text}",
        next_step="check that the server runs and that the --db URL is right",
    )


def _problem(words: tuple[str, str], place: Place) -> EdgebenchError:
    what, next_step = words
    return EdgebenchError(what.format(place=place), next_step=next_step)
