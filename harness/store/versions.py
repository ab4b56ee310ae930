"""What surrounded a cell's runs in each session: packages, components, drivers, the program, the artifact.

Owns that question and the comparison of two answers. Imports SQLAlchemy Core and the tables. Contract: only what is
stored is told; what one side does not tell is None there. The newest run that is ok speaks for a session and version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from harness.store.batches import batches
from harness.store.tables import table

#: Of a session's state, what changes all the time without being a version of anything, or is no value.
_PASSING = ("battery_percent", "reasons", "drivers")

#: ``(kind, name)`` -> version; kinds are `package`, `component`, `system`, `driver`, `program`, `artifact`.
Surroundings = Mapping[tuple[str, str], str]


class VersionChange(NamedTuple):
    """What differs between two sessions.

    Attributes:
        kind: `package`, `component` (what the framework tells of itself), `system`, `driver`, `program` (edgebench and
            the commit under test) or `artifact`.
        name: its name.
        before: its version, or other text; None where the earlier session does not tell.
        after: likewise, of the later one.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """For people."""
        return f"{self.kind} {self.name} {self.before or '(none)'} -> {self.after or '(none)'}"


def differences(before: Surroundings, after: Surroundings) -> list[VersionChange]:
    """What differs, packages first, in order of name."""
    order = ("package", "component", "driver", "system", "program", "artifact")
    keys = sorted(before.keys() | after.keys(), key=lambda one: (order.index(one[0]), one[1]))
    return [
        VersionChange(*key, before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key)
    ]


def surroundings(
    connection: Connection, cell_id: str, session_ids: Sequence[str]
) -> dict[tuple[str, str | None], Surroundings]:
    """What surrounded the timed runs of a cell, by session and framework version."""
    runs = table("run")
    columns = ("session_id", "framework_version", "environment_id", "artifact_id", "versions")
    newest: dict[tuple[str, str | None], Any] = {}
    for some in batches(session_ids):
        query = (
            select(*(runs.c[name] for name in columns))
            .where(
                runs.c.cell_id == cell_id,
                runs.c.kind == "timed",
                runs.c.session_id.in_(some),
                runs.c.status == "ok",
            )
            .order_by(runs.c.session_id, runs.c.run_index, runs.c.attempt)
        )
        for row in connection.execute(query):
            newest[row.session_id, row.framework_version] = row
    of_session = _of_sessions(connection, sorted({session for session, _ in newest}))
    packages = _packages(connection, sorted({row.environment_id for row in newest.values()} - {None}))
    found: dict[tuple[str, str | None], Surroundings] = {}
    for key, row in newest.items():
        told = dict(of_session[row.session_id])
        told |= {("package", name): version for name, version in packages.get(row.environment_id, ())}
        told |= {
            ("component", name): str(version) for name, version in row.versions.items() if version is not None
        }
        if row.artifact_id is not None:
            told["artifact", "content"] = row.artifact_id[:16]
        found[key] = told
    return found


def _packages(connection: Connection, environments: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    rows = table("environment_package")
    found: dict[str, list[tuple[str, str]]] = {one: [] for one in environments}
    for some in batches(environments):
        query = select(rows.c.environment_id, rows.c.name, rows.c.version).where(
            rows.c.environment_id.in_(some)
        )
        for environment, name, version in connection.execute(query):
            found[environment].append((name, version))
    return found


def _of_sessions(connection: Connection, sessions: Sequence[str]) -> dict[str, dict[tuple[str, str], str]]:
    rows = table("session")
    found: dict[str, dict[tuple[str, str], str]] = {}
    for some in batches(sessions):
        query = select(rows.c.id, rows.c.system, rows.c.edgebench_version, rows.c.commit_sha).where(
            rows.c.id.in_(some)
        )
        for session, system, version, commit in connection.execute(query):
            told = state_of(system, version)
            if commit is not None:
                told["program", "commit"] = commit
            found[session] = told
    return found


def state_of(system: Mapping[str, Any], edgebench_version: str) -> dict[tuple[str, str], str]:
    """What a machine's state says of versions, as `harness.machine.describe_session_state` gives it."""
    told = {
        ("system", name): str(value)
        for name, value in system.items()
        if name not in _PASSING and value is not None
    }
    told |= {
        ("driver", name): str(driver)
        for name, driver in (system.get("drivers") or {}).items()
        if driver is not None
    }
    told["program", "edgebench"] = edgebench_version
    return told
