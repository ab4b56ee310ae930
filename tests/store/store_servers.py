"""A PostgreSQL server for the tests, where its programs are installed: one of its own, gone afterwards."""

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
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

_numbers = itertools.count()


def new_database(server: str) -> str:
    """URL of a database without tables on a server that `postgresql` gave."""
    name = f"new{next(_numbers)}"
    engine = create_engine(server.format(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.format(database=name)


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
        options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
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
