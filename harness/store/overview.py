"""What a whole database holds, for those who publish it: its machines, models, versions, and how runs failed.

Owns these queries. Imports SQLAlchemy Core and the tables. Contract: plain values, in an order that depends on the
content alone; no table of samples is read, and of the runs an index, so that a million of them take a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

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
    query = (
        select(
            cells.c.framework,
            runs.c.framework_version,
            func.min(runs.c.session_id),
            func.max(runs.c.session_id),
            func.count(),
        )
        .join(cells, cells.c.id == runs.c.cell_id)
        .where(runs.c.kind == "timed", runs.c.framework_version.is_not(None), cells.c.source.is_(None))
        .group_by(cells.c.framework, runs.c.framework_version)
    )
    found = [VersionSpan(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (one.framework, one.first_session, one.version))


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


def session_count(connection: Connection) -> int:
    """How many sessions there are, imported ones included."""
    return int(connection.execute(select(func.count()).select_from(table("session"))).scalar_one())
