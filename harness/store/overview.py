"""What a whole database holds, for those who publish it: its machines, models, versions, and how runs failed.

Owns these queries. Imports SQLAlchemy Core and the tables. Contract: plain values, in an order that depends on the
content alone; no table of samples is read, and of the runs an index, so that a million of them take a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal_column, select

from harness.store.batches import batches
from harness.store.origins import plain
from harness.store.tables import table


@dataclass(frozen=True, slots=True)
class VersionSpan:
    """One version of a framework: the first and the last session that timed it, and in how many runs."""

    framework: str
    version: str
    first_session: str
    last_session: str
    runs: int


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One session in a list: how many cells it planned, and its runs by how they ended."""

    id: str
    started_at: datetime | None
    suite: str
    trigger: str
    status: str
    machine_id: str
    cells: int
    runs: Mapping[str, int]


def machine_ids(connection: Connection) -> list[str]:
    """Every machine's id, in order."""
    rows = table("machine")
    return list(connection.execute(select(rows.c.id).order_by(rows.c.id)).scalars())


def model_rows(connection: Connection) -> list[dict[str, Any]]:
    """Every stored model, by name."""
    rows = table("model")
    query = select(rows).order_by(rows.c.name, rows.c.id)
    return [plain(dict(row._mapping)) for row in connection.execute(query)]


def version_spans(connection: Connection) -> list[VersionSpan]:
    """The versions of all frameworks that were timed, by framework, in the order of their first sessions."""
    runs, cells = table("run"), table("cell")
    # By cell, which is how the index `ix_run_of_cell` lies; the frameworks are looked up behind it.
    query = (
        select(
            runs.c.cell_id,
            runs.c.framework_version,
            func.min(runs.c.session_id),
            func.max(runs.c.session_id),
            func.count(),
        )
        .where(runs.c.kind == "timed", runs.c.framework_version.is_not(None))
        .group_by(runs.c.cell_id, runs.c.framework_version)
    )
    measured = select(cells.c.id, cells.c.framework).where(cells.c.source.is_(None))
    frameworks = dict(connection.execute(measured).all())
    found: dict[tuple[str, str], VersionSpan] = {}
    for cell_id, version, first, last, count in connection.execute(query):
        framework = frameworks.get(cell_id)
        if framework is None:
            continue
        known = found.get((framework, version))
        if known is not None:
            first, last = min(first, known.first_session), max(last, known.last_session)
            count += known.runs
        found[framework, version] = VersionSpan(framework, version, first, last, count)
    return sorted(found.values(), key=lambda one: (one.framework, one.first_session, one.version))


def session_lines(connection: Connection) -> list[SessionLine]:
    """Every session, newest first; those without a time come last."""
    sessions, runs, cells = table("session"), table("run"), table("session_cell")
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    # One pass over the index `ix_run_of_cell`. Of the plain column SQLite takes an index that lies by session, and then
    # reads every run's own row, which is wide: a minute instead of a second.
    of_session = runs.c.session_id.concat(literal_column("''"))
    counted = select(of_session, runs.c.status, func.count()).group_by(of_session, runs.c.status)
    for session_id, status, count in connection.execute(counted):
        counts[session_id][status] = count
    planned: dict[str, int] = dict(
        connection.execute(select(cells.c.session_id, func.count()).group_by(cells.c.session_id)).all()
    )
    names = ("id", "started_at", "suite", "trigger", "status", "machine_id")
    query = select(*(sessions.c[name] for name in names)).order_by(
        sessions.c.started_at.desc().nulls_last(), sessions.c.id.desc()
    )
    return [
        SessionLine(
            row.id, row.started_at, row.suite, row.trigger, row.status, row.machine_id, planned.get(row.id, 0),
            dict(sorted(counts[row.id].items())),
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def began_before(connection: Connection, machine_id: str, sessions: int) -> datetime | None:
    """When a machine's session so many before its newest one began; None: it has no more than that."""
    rows = table("session")
    query = (
        select(rows.c.started_at)
        .where(rows.c.machine_id == machine_id, rows.c.started_at.is_not(None))
        .order_by(rows.c.started_at.desc(), rows.c.id.desc())
        .offset(sessions)
        .limit(1)
    )
    return connection.execute(query).scalar()


def failure_texts(connection: Connection, session_id: str) -> dict[str, tuple[str | None, str | None]]:
    """The worker's error and the end of its output, of each run of a session that did not end as ok."""
    runs = table("run")
    query = select(runs.c.id, runs.c.error, runs.c.log_tail).where(
        runs.c.session_id == session_id, runs.c.status.not_in(("ok", "skipped"))
    )
    return {row.id: (row.error, row.log_tail) for row in connection.execute(query)}


def environment_rows(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Environments with their ``packages``: name, version and hash of each, by name."""
    rows, packages = table("environment"), table("environment_package")
    found: dict[str, dict[str, Any]] = {}
    for some in batches(sorted(set(ids))):
        for row in connection.execute(select(rows).where(rows.c.id.in_(some)).order_by(rows.c.id)):
            found[row.id] = {**row._mapping, "packages": []}
        query = (
            select(packages)
            .where(packages.c.environment_id.in_(some))
            .order_by(packages.c.environment_id, packages.c.name)
        )
        for row in connection.execute(query):
            found[row.environment_id]["packages"].append((row.name, row.version, row.hash))
    return [found[one] for one in sorted(found)]
