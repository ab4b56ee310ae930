"""A PostgreSQL server for the tests, where its programs are installed: one of its own, gone afterwards.

A plugin of the test suite (see `conftest.py`): `any_database` runs a test on SQLite and on PostgreSQL. Its tables are
made once and copied: making them takes longer than most of what is done with them.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from harness.store import Store

_numbers = itertools.count()


def _program(name: str) -> str | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    return shutil.which(name)


@contextmanager
def postgresql() -> Iterator[str]:
    """URL of a running server, without a database; skips the test where there is none to run."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (edgebench[postgresql])")
    # The server refuses to run as root. Its socket's path must be short, so not pytest's folder.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="edgebench-pg-"))
    data = home / "data"
    try:
        if user is not None:
            os.chown(home, user, -1)
        # Nothing has to survive, and nobody waits for statistics of hundreds of databases.
        settings = ("fsync=off", "full_page_writes=off", "autovacuum=off", f"unix_socket_directories={home}")
        options = " ".join(f"-c {one}" for one in ("listen_addresses=''", *settings))
        for command in (
            [
                initdb,
                "-D",
                str(data),
                "-U",
                "bench",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ],
            [pg_ctl, "-D", str(data), "-w", "-o", options, "-l", str(home / "log"), "start"],
        ):
            subprocess.run(command, check=True, user=user, cwd=home, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg://bench@/{{database}}?host={home}"
        finally:
            subprocess.run(
                [pg_ctl, "-D", str(data), "-m", "immediate", "-w", "stop"],
                check=True,
                user=user,
                cwd=home,
                stdout=subprocess.DEVNULL,
            )
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a server, with a place for the name of a database."""
    with postgresql() as url:
        yield url


@cache
def _administration(server: str) -> Engine:
    """Makes and removes databases on a server."""
    url = server.format(database="postgres")
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def new_database(server: str, template: str | None = None) -> str:
    """URL of an empty database on a server, or of a copy of another one that nobody uses."""
    name = f"bench{next(_numbers)}"
    with _administration(server).connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
    return server.format(database=name)


@contextmanager
def database(server: str, template: str | None = None) -> Iterator[str]:
    """As `new_database`, and gone afterwards: one takes 300 files."""
    url = new_database(server, template)
    yield url
    with _administration(server).connect() as connection:
        connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))


@pytest.fixture
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """URL of an empty database on a server."""
    with database(postgresql_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def new_any_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that does not exist yet (a file), or is empty (on a server): path or URL."""
    if request.param == "sqlite":
        return str(tmp_path / "new folder" / "edgebench.db")
    url: str = request.getfixturevalue("postgresql_database")
    return url


@pytest.fixture(scope="session")
def made_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `Store.open` made, to be copied."""
    path = tmp_path_factory.mktemp("made") / "edgebench.db"
    Store.open(path).close()
    return path


@pytest.fixture(scope="session")
def made_on_server(postgresql_server: str) -> str:
    """The name of a database on the server that `Store.open` made, to be copied."""
    url = new_database(postgresql_server)
    Store.open(url).close()
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database as `Store.open` makes it, without a row of anybody's: path or URL."""
    if request.param == "sqlite":
        yield str(shutil.copyfile(request.getfixturevalue("made_file"), tmp_path / "edgebench.db"))
        return
    server: str = request.getfixturevalue("postgresql_server")
    with database(server, request.getfixturevalue("made_on_server")) as url:
        yield url
