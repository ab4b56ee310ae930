"""What plain `sqlite3` does: the same rows and questions, by hand-written SQL, with the same promises to the disk.

Owns the statements. Imports the standard library only. Contract: same schema, indexes, checks and synchronisation as
the store's; nothing is asked that the store does not answer too.
"""

from __future__ import annotations

import sqlite3
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def connect(path: Path) -> sqlite3.Connection:
    """As safe as the store's connections."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def make(path: Path, schema: str) -> sqlite3.Connection:
    """A new file of the schema, with a write-ahead log."""
    connection = connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(schema)
    return connection


def tables(connection: sqlite3.Connection) -> list[str]:
    """All tables, parents before children as the schema makes them."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
    return [name for (name,) in rows if name not in ("alembic_version", "schema_revision")]


def insert(connection: sqlite3.Connection, rows: Rows) -> None:
    """All rows in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for name, some in rows.items():
        if some:
            marks = ", ".join("?" * len(some[0]))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", some)
    connection.execute("COMMIT")


def history(connection: sqlite3.Connection, cell_id: str, machine_id: str) -> list[tuple[str, str, float]]:
    """Session, version and median of the seconds of a decode, by session."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for session_id, version, value in connection.execute(
        """
        SELECT run.session_id, run.framework_version, sample.value
        FROM run
        JOIN sample ON sample.run_key = run."key"
            AND sample.metric_key = (SELECT "key" FROM metric WHERE name = 'decode_s') AND NOT sample.warmup
        WHERE run.cell_id = ? AND run.kind = 'timed' AND run.status = 'ok' AND run.validity = 'ok'
            AND run.session_id IN (SELECT id FROM session WHERE machine_id = ?)
        ORDER BY run.session_id
        """,
        (cell_id, machine_id),
    ):
        found[session_id, version].append(value)
    return [(*key, statistics.median(values)) for key, values in found.items()]


def session(connection: sqlite3.Connection, session_id: str) -> int:
    """Reads every row that a table of a session is made from; gives their number."""
    scored = "IN (SELECT run_key FROM session_score WHERE session_id = :session)"
    mine = 'IN (SELECT "key" FROM run WHERE session_id = :session)'
    count = 0
    for statement in (
        "SELECT * FROM session WHERE id = :session",
        "SELECT * FROM session_cell JOIN cell ON cell.id = cell_id WHERE session_id = :session",
        "SELECT * FROM run WHERE session_id = :session",
        *(
            f"SELECT * FROM {name} WHERE run_key {mine}"
            for name in ("sample", "trace", "memory_reading", "energy_reading")
        ),
        f"SELECT * FROM score WHERE run_key {scored}",
        f"SELECT * FROM score_window WHERE run_key {scored}",
    ):
        count += len(connection.execute(statement, {"session": session_id}).fetchall())
    return count


def check(connection: sqlite3.Connection) -> None:
    """Everything that SQLite can check."""
    damage = connection.execute("PRAGMA integrity_check").fetchall()
    loose = connection.execute("PRAGMA foreign_key_check").fetchmany(1)
    if damage != [("ok",)] or loose:
        raise ValueError(f"the database is not whole: {damage[:1]} {loose}")
