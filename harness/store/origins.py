"""Where runs come from: session, machine, environments, and the artifact's way back to the model's own file.

Owns these look-ups. Imports SQLAlchemy Core and the tables. Contract: plain values ready for JSON, by id; a chain ends
at a model, at an artifact of which no making is stored, or where it would go in a circle, and says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from harness.store.tables import table


@dataclass(frozen=True, slots=True)
class Origins:
    """What runs come from. Each mapping is by id, in the order in which the ids are met.

    Attributes:
        runs: each with the ids of its session, cell, environment and artifact; of an evaluation also lm-eval's
            environment.
        sessions: with their machine, commit, command line and the hash of their suite's text.
        machines: as stored.
        environments: with their packages.
        artifacts: with their files, and their ``chain``: see `chain`.
    """

    runs: Mapping[str, Mapping[str, Any]]
    sessions: Mapping[str, Mapping[str, Any]]
    machines: Mapping[str, Mapping[str, Any]]
    environments: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, Mapping[str, Any]]


def origins(connection: Connection, run_ids: Collection[str]) -> Origins:
    """The origins of runs; ids that name none are left out."""
    runs = _runs(connection, run_ids)
    sessions = _sessions(connection, _named(runs, "session_id"))
    artifacts = {
        artifact_id: _artifact(connection, artifact_id, _made_for(connection, runs, artifact_id))
        for artifact_id in _named(runs, "artifact_id")
    }
    steps = [step for one in artifacts.values() for step in one["chain"]]
    environments = [
        *_named(runs, "environment_id", "evaluation_environment_id"),
        *(step["environment_id"] for step in steps if step.get("environment_id")),
    ]
    return Origins(
        runs=runs,
        sessions=sessions,
        machines=_by_id(connection, "machine", _named(sessions, "machine_id")),
        environments=_environments(connection, environments),
        artifacts=artifacts,
    )


def chain(
    connection: Connection, artifact_id: str, framework: str | None = None, recipe: str | None = None
) -> list[dict[str, Any]]:
    """How an artifact was made, step by step back to its model.

    Of several makings of one artifact the newest by the wanted framework and recipe counts, else the newest.

    Returns:
        A step each: ``artifact_id``, ``weight_bytes``, ``lineage_id``, framework, recipe, precision, tool, its
        version, ``parameters``, ``environment_id``, ``made_at``, ``made_s``, ``source_artifact_id``, and with the
        last one ``model`` (id, name, source, sha256). A step that cannot be told has ``ends`` with the reason.
    """
    steps: list[dict[str, Any]] = []
    seen: set[str] = set()
    at: str | None = artifact_id
    while at is not None:
        if at in seen:
            steps.append({"artifact_id": at, "ends": "its makings go in a circle"})
            break
        seen.add(at)
        made = _making(connection, at, framework, recipe)
        framework = recipe = None
        if made is None:
            steps.append({"artifact_id": at, "ends": "no making of it is stored"})
            break
        step = {"artifact_id": at, "lineage_id": made.id}
        step |= {name: value for name, value in made._mapping.items() if name not in ("id", "artifact_id")}
        at = made.source_artifact_id
        if at is None:
            step["model"] = _by_id(connection, "model", [made.model_id]).get(made.model_id)
        steps.append(plain(step))
    return steps


def _making(
    connection: Connection, artifact_id: str, framework: str | None, recipe: str | None
) -> Row[Any] | None:
    lineages, artifacts = table("lineage"), table("artifact")
    names = ("id", "artifact_id", "model_id", "framework", "recipe", "precision", "source_artifact_id")
    more = ("environment_id", "tool", "tool_version", "parameters", "made_s", "made_at")
    newest = [lineages.c.made_at.desc(), lineages.c.id]
    if framework is not None:
        newest = [(lineages.c.framework == framework).desc(), (lineages.c.recipe == recipe).desc(), *newest]
    columns = [*(lineages.c[name] for name in (*names, *more)), artifacts.c.weight_bytes]
    query: Select[Any] = (
        select(*columns)
        .join(artifacts, artifacts.c.id == lineages.c.artifact_id)
        .where(lineages.c.artifact_id == artifact_id)
        .order_by(*newest)
    )
    return connection.execute(query.limit(1)).first()


def _runs(connection: Connection, run_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    runs, evaluations = table("run"), table("evaluation")
    columns = (
        "id", "kind", "run_index", "attempt", "status", "reason", "validity", "flags", "session_id", "cell_id",
        "artifact_id", "environment_id", "framework_version", "device", "hints", "threads", "started_at",
    )  # fmt: skip
    query = (
        select(
            *(runs.c[name] for name in columns),
            evaluations.c.environment_id.label("evaluation_environment_id"),
        )
        .outerjoin(evaluations, evaluations.c.run_key == runs.c.key)
        .where(runs.c.id.in_(sorted(set(run_ids))))
    )
    found = {row.id: plain(dict(row._mapping)) for row in connection.execute(query)}
    return {run_id: found[run_id] for run_id in dict.fromkeys(run_ids) if run_id in found}


def _sessions(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for session_id, session in _by_id(connection, "session", ids).items():
        text = session.pop("suite_text")
        # None of an imported session, which has no suite.
        session["suite_text_matches"] = (
            None if text is None else hashlib.sha256(text.encode()).hexdigest() == session["suite_sha256"]
        )
        found[session_id] = session
    return found


def _environments(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = _by_id(connection, "environment", ids)
    packages = table("environment_package")
    query = (
        select(packages)
        .where(packages.c.environment_id.in_(sorted(found)))
        .order_by(packages.c.environment_id, packages.c.name)
    )
    for row in connection.execute(query):
        found[row.environment_id].setdefault("packages", []).append(
            {"name": row.name, "version": row.version, "hash": row.hash}
        )
    return found


def _artifact(
    connection: Connection, artifact_id: str, made_for: tuple[str | None, str | None]
) -> dict[str, Any]:
    stored = _by_id(connection, "artifact", [artifact_id]).get(artifact_id, {"id": artifact_id})
    return {**stored, "chain": chain(connection, artifact_id, *made_for)}


def _made_for(
    connection: Connection, runs: Mapping[str, Mapping[str, Any]], artifact_id: str
) -> tuple[str | None, str | None]:
    """Framework and recipe of the cell that uses an artifact."""
    cells = table("cell")
    cell_id = next(run["cell_id"] for run in runs.values() if run["artifact_id"] == artifact_id)
    row = connection.execute(select(cells.c.framework, cells.c.recipe).where(cells.c.id == cell_id)).first()
    return (None, None) if row is None else (row.framework, row.recipe)


def _by_id(connection: Connection, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = table(name)
    found = {
        row.id: plain(dict(row._mapping))
        for row in connection.execute(select(rows).where(rows.c.id.in_(sorted(set(ids)))))
    }
    return {one: found[one] for one in dict.fromkeys(ids) if one in found}


def _named(rows: Mapping[str, Mapping[str, Any]], *keys: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows.values() for key in keys if row[key] is not None))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """With times as ISO text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
