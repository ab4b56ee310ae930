"""Questions that are smaller than a whole session: what is missing, what is newest, what does an id name.

Owns these queries. Imports SQLAlchemy Core and the tables. Contract: plain values out, ready for JSON where a program
may read them; every function works inside its caller's transaction.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, false, func, not_, or_, select

from harness.store import evaluations, facts, imports, records, traces
from harness.store.batches import batches
from harness.store.history import TRIED
from harness.store.origins import chain, plain
from harness.store.tables import table

#: Kinds of things that an id can name, in the order in which `find` gives them: the table of each.
KINDS = (
    "session", "cell", "run", "artifact", "environment", "model", "machine", "preparation", "lineage", "machine_bench",
    "alert", "gate",
)  # fmt: skip

_FOUND_AT_MOST = 50
#: Rows of one list that `describe` gives, the newest ones: a cell's history grows for years.
_SHOWN_AT_MOST = 1000
_NEWEST_RUNS = 5


def _missing(session_id: ColumnElement[str] | str) -> Any:
    planned, runs = table("planned_run"), table("run")
    links = {"score": table("session_score"), "tasks": table("session_evaluation")}
    stored = exists().where(
        runs.c.session_id == planned.c.session_id,
        runs.c.cell_id == planned.c.cell_id,
        runs.c.kind == planned.c.kind,
        runs.c.run_index == planned.c.run_index,
        or_(runs.c.phase.is_(None), runs.c.phase != records.SETUP_PHASE),
    )
    # What an earlier session measured under the same key stands in for the planned run.
    reused = or_(
        *(
            and_(
                planned.c.kind == kind,
                exists().where(
                    link.c.session_id == planned.c.session_id, link.c.cell_id == planned.c.cell_id
                ),
            )
            for kind, link in links.items()
        )
    )
    return select(planned).where(planned.c.session_id == session_id, not_(stored), not_(reused))


def _unstopped(session_id: ColumnElement[str] | str) -> Any:
    cells, stops = table("session_cell"), table("cell_stop")
    stopped = exists().where(stops.c.session_id == cells.c.session_id, stops.c.cell_id == cells.c.cell_id)
    return select(cells.c.cell_id).where(
        cells.c.session_id == session_id,
        cells.c.reason.is_(None),
        cells.c.settings["runs_width"].as_float().is_not(None),
        not_(stopped),
    )


def missing_runs(connection: Connection, session_id: str) -> list[records.PlannedRunRecord]:
    """Planned less stored, in the planned order; what only failed in its set-up is missing still."""
    planned = table("planned_run")
    rows = connection.execute(_missing(session_id).order_by(planned.c.position))
    return [
        records.PlannedRunRecord(row.cell_id, row.kind, row.run_index, row.position, row.seed) for row in rows
    ]


def attempts(connection: Connection, session_id: str, cell_id: str, kind: str, index: int) -> int:
    """How many attempts of one run are stored."""
    runs = table("run")
    query = select(func.count()).where(
        runs.c.session_id == session_id,
        runs.c.cell_id == cell_id,
        runs.c.kind == kind,
        runs.c.run_index == index,
    )
    return int(connection.execute(query).scalar_one())


def newest_session(
    connection: Connection,
    *,
    suite: str | None,
    machine: str | None,
    unfinished: bool,
    trigger: str | None = None,
) -> str | None:
    """Id of the measured session that began last; ``unfinished``: among those that lack runs or never ended.

    A cell whose runs are to be repeated until a rule ends them lacks runs until it has a stop. What was imported is
    never the newest: nobody means another tool's figures without naming them. Nor is a gate's second look, which is a
    part of the gate and has some of its cells.
    """
    sessions = table("session")
    query = (
        select(sessions.c.id)
        .where(sessions.c.origin == "measured", sessions.c.settings[("gate", "again")].as_string().is_(None))
        .order_by(sessions.c.started_at.desc(), sessions.c.id.desc())
        .limit(1)
    )
    if suite is not None:
        query = query.where(sessions.c.suite == suite)
    if machine is not None:
        query = query.where(sessions.c.machine_id == machine)
    if trigger is not None:
        query = query.where(sessions.c.trigger == trigger)
    if unfinished:
        lacking = or_(_missing(sessions.c.id).exists(), _unstopped(sessions.c.id).exists())
        query = query.where(or_(sessions.c.ended_at.is_(None), lacking))
    return connection.execute(query).scalar()


def session_state(connection: Connection, session_id: str) -> dict[str, Any]:
    """``status``, ``started_at`` and ``settings`` of a session.

    Raises:
        LookupError: no such session.
    """
    rows = table("session")
    columns = [rows.c[name] for name in ("status", "started_at", "settings")]
    found = connection.execute(select(*columns).where(rows.c.id == session_id)).first()
    if found is None:
        raise LookupError(f"no session {session_id}")
    return dict(found._mapping)


def began_at(connection: Connection, session_id: str) -> datetime | None:
    """When a session began; None where an imported one does not tell, or there is no such session."""
    sessions = table("session")
    return connection.execute(select(sessions.c.started_at).where(sessions.c.id == session_id)).scalar()


def timed_cells(connection: Connection, machine_id: str | None) -> list[tuple[records.CellRecord, str]]:
    """``(cell, machine id)`` of every series, in the order of the cells' ids; None: on any machine."""
    runs, sessions = table("run"), table("session")
    query = (
        select(runs.c.cell_id, sessions.c.machine_id)
        .join(sessions, sessions.c.id == runs.c.session_id)
        .where(runs.c.kind == "timed")
        .distinct()
        .order_by(runs.c.cell_id, sessions.c.machine_id)
    )
    if machine_id is not None:
        query = query.where(sessions.c.machine_id == machine_id)
    pairs = [(cell, machine) for cell, machine in connection.execute(query)]
    found = cells(connection, {cell for cell, _ in pairs})
    return [(found[cell], machine) for cell, machine in pairs]


def last_measured(connection: Connection, machine_id: str) -> dict[str, str]:
    """Cell id -> the newest session of a machine that tried to measure it; no skipped run, no gate."""
    runs, sessions = table("run"), table("session")
    query = (
        select(runs.c.cell_id, runs.c.session_id, sessions.c.started_at)
        .join(sessions, sessions.c.id == runs.c.session_id)
        .where(
            sessions.c.machine_id == machine_id,
            sessions.c.origin == "measured",
            sessions.c.trigger != TRIED,
            runs.c.kind == "timed",
            runs.c.status != "skipped",
        )
        .distinct()
        .order_by(sessions.c.started_at, runs.c.session_id)
    )
    return {cell: session for cell, session, _ in connection.execute(query)}


def cells(connection: Connection, ids: Collection[str]) -> dict[str, records.CellRecord]:
    """Stored cells by their ids."""
    rows = table("cell")
    found = {}
    for some in batches(sorted(ids)):
        for row in connection.execute(select(rows).where(rows.c.id.in_(some))):
            found[row.id] = facts.cell_record(row)
    return found


def find_score(connection: Connection, scoring_key: str) -> facts.ScoreFacts | None:
    """The newest score under a key from a run that is ok."""
    key = evaluations.newest_ok(connection, table("score").c.scoring_key, scoring_key)
    return None if key is None else facts.score_facts(connection, [key])[key]


def durations(
    connection: Connection, machine_id: str, cell_ids: Collection[str]
) -> dict[tuple[str, str], float]:
    """Seconds that a run took here before, by cell and kind: the median of the newest five that were ok."""
    runs, sessions = table("run"), table("session")
    of_machine = sessions.c.machine_id == machine_id
    first = connection.execute(select(func.min(sessions.c.id)).where(of_machine)).scalar()
    if first is None:
        return {}
    # The ids of sessions sort by time: each question reads the end of its part of `ix_run_of_cell`, and nothing that is
    # older than the machine.
    query = (
        select(runs.c.duration_s)
        .where(
            runs.c.cell_id == bindparam("cell"),
            runs.c.kind == bindparam("of_kind"),
            runs.c.session_id >= first,
            exists().where(sessions.c.id == runs.c.session_id, of_machine),
            runs.c.status == "ok",
            runs.c.duration_s.is_not(None),
        )
        .order_by(runs.c.session_id.desc(), runs.c.run_index.desc(), runs.c.attempt.desc())
        .limit(_NEWEST_RUNS)
    )
    found = {}
    for cell_id, kind in itertools.product(sorted(cell_ids), get_args(records.RunKind)):
        taken = connection.execute(query, {"cell": cell_id, "of_kind": kind}).scalars().all()
        if taken:
            found[cell_id, kind] = statistics.median(taken)
    return found


def preparation_peaks(connection: Connection) -> dict[tuple[str, str, str], int]:
    """The most memory that making took, by (model, framework, recipe)."""
    rows = table("preparation")
    columns = (rows.c.model, rows.c.framework, rows.c.recipe)
    query = (
        select(*columns, func.max(rows.c.peak_bytes)).where(rows.c.peak_bytes.is_not(None)).group_by(*columns)
    )
    return {(model, framework, recipe): peak for model, framework, recipe, peak in connection.execute(query)}


def sessions(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest sessions first, each with how many of its cells and runs ended how; those without a time come last."""
    rows, runs, cells = table("session"), table("run"), table("session_cell")
    query = select(rows).order_by(rows.c.started_at.desc().nulls_last(), rows.c.id.desc()).limit(limit)
    listed = [plain(dict(row._mapping)) for row in connection.execute(query)]
    wanted = [one["id"] for one in listed]
    statuses: dict[str, dict[str, int]] = defaultdict(dict)
    counted = (
        select(runs.c.session_id, runs.c.status, func.count())
        .where(runs.c.session_id.in_(wanted))
        .group_by(runs.c.session_id, runs.c.status)
    )
    for session_id, status, count in connection.execute(counted):
        statuses[session_id][status] = count
    planned = (
        select(cells.c.session_id, func.count(), func.count(cells.c.reason))
        .where(cells.c.session_id.in_(wanted))
        .group_by(cells.c.session_id)
    )
    numbers = {session_id: (count, skipped) for session_id, count, skipped in connection.execute(planned)}
    for one in listed:
        del one["suite_text"]
        one["runs"] = statuses[one["id"]]
        one["cells"], one["cells_skipped"] = numbers.get(one["id"], (0, 0))
    return listed


def find(connection: Connection, prefix: str) -> list[tuple[str, str]]:
    """What an id or the beginning of one names: ``(kind, id)``, at most 50 of each kind; nothing for no prefix."""
    if not prefix:
        return []
    found = []
    for kind in KINDS:
        column = table(kind).c.id
        query = (
            select(column).where(_begins(connection, column, prefix)).order_by(column).limit(_FOUND_AT_MOST)
        )
        found += [(kind, row_id) for row_id in connection.execute(query).scalars()]
    return found


def _begins(connection: Connection, column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    if not prefix.isascii():
        return false()  # no id has such a character
    if connection.dialect.name == "sqlite":
        # A range uses the index, LIKE does not. It is right only where text sorts by its bytes, as here.
        return and_(column >= prefix, column < prefix[:-1] + chr(ord(prefix[-1]) + 1))
    return column.startswith(prefix, autoescape=True)


def describe(connection: Connection, kind: str, row_id: str) -> dict[str, Any]:
    """All that is known of one thing, ready for JSON: ``what`` it is, its columns, and what belongs to it.

    Raises:
        LookupError: no such thing.
    """
    if kind not in KINDS:
        raise LookupError(f"no kind {kind}")
    rows = table(kind)
    row = connection.execute(select(rows).where(rows.c.id == row_id)).first()
    if row is None:
        raise LookupError(f"no {kind} {row_id}")
    found = plain(dict(row._mapping))
    key = found.pop("key", None)
    return {"what": kind, **found, **_BELOW[kind](connection, key if kind == "run" else row_id)}


def suite_text(connection: Connection, session_id: str) -> str | None:
    """The suite file of a session as it was; None of an imported one.

    Raises:
        LookupError: no such session.
    """
    rows = table("session")
    found = connection.execute(select(rows.c.suite_text).where(rows.c.id == session_id)).first()
    if found is None:
        raise LookupError(f"no session {session_id}")
    return None if found.suite_text is None else str(found.suite_text)


def _rows(
    connection: Connection, name: str, column: str, value: Any, *order: str, newest: bool = False
) -> list[dict[str, Any]]:
    """Rows of a table where a column has a value, without the keys that are local to the file.

    ``newest``: of those that come with every session only the last ones.
    """
    rows = table(name)
    query = select(rows).where(rows.c[column] == value)
    if newest:
        query = query.order_by(*(rows.c[one].desc() for one in order)).limit(_SHOWN_AT_MOST)
    else:
        query = query.order_by(*(rows.c[one] for one in order))
    found = connection.execute(query).all()
    lines = []
    for row in reversed(found) if newest else found:
        kept = {field: one for field, one in row._mapping.items() if field not in ("key", "run_key", column)}
        lines.append(plain(kept))
    return lines


def _run_lines(connection: Connection, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    runs = table("run")
    columns = ("id", "session_id", "cell_id", "kind", "run_index", "attempt", "status", "reason", "validity")
    query = select(*(runs.c[name] for name in (*columns, "framework_version", "started_at", "duration_s")))
    ordered = (
        query.where(*where).order_by(runs.c.started_at.desc().nulls_last(), runs.c.id).limit(_SHOWN_AT_MOST)
    )
    return [plain(dict(row._mapping)) for row in connection.execute(ordered)]


def _of_session(connection: Connection, row_id: str) -> dict[str, Any]:
    planned, cells = table("session_cell"), table("cell")
    query = (
        select(planned, cells)
        .join(cells, cells.c.id == planned.c.cell_id)
        .where(planned.c.session_id == row_id)
        .order_by(planned.c.position)
    )
    stops = {one["cell_id"]: one for one in _rows(connection, "cell_stop", "session_id", row_id, "cell_id")}
    lines = []
    for row in connection.execute(query):
        line = {column.name: row._mapping[column] for column in cells.c}
        line |= {
            name: row._mapping[planned.c[name]] for name in ("position", "reason", "expected_s", "settings")
        }
        stop = stops.get(line["id"])
        line["stop"] = None if stop is None else {key: one for key, one in stop.items() if key != "cell_id"}
        lines.append(plain(line))
    source = imports.source_of(connection, row_id)
    return {
        "import": None if source is None else asdict(source),
        "cells": lines,
        "gates": _gates(connection, row_id),
        "gate_verdicts": _rows(connection, "gate_verdict", "session_id", row_id, "gate_id", "position"),
        "runs": _run_lines(connection, table("run").c.session_id == row_id),
        "missing": len(missing_runs(connection, row_id)),
        "not_stopped": list(connection.execute(_unstopped(row_id)).scalars()),
    }


def _first_look(connection: Connection, session_id: str) -> str:
    """The session that a gate's second look looked at again; of any other session itself."""
    return facts.first_look(session_state(connection, session_id)["settings"]) or session_id


def _gates(connection: Connection, session_id: str) -> list[dict[str, Any]]:
    """The gates that a session was a side of, or a side's second look, without what fills pages."""
    rows = table("gate")
    side = _first_look(connection, session_id)
    query = (
        select(rows)
        .where(or_(rows.c.session_id == side, rows.c.base_session_id == side))
        .order_by(rows.c.judged_at, rows.c.id)
    )
    left_out = ("settings", "details")
    return [
        {name: value for name, value in plain(dict(row._mapping)).items() if name not in left_out}
        for row in connection.execute(query)
    ]


def _of_gate(connection: Connection, row_id: str) -> dict[str, Any]:
    return {"verdicts": _rows(connection, "gate_verdict", "gate_id", row_id, "position")}


def _of_cell(connection: Connection, row_id: str) -> dict[str, Any]:
    return {
        "sessions": _rows(connection, "session_cell", "cell_id", row_id, "session_id", newest=True),
        "stops": _rows(connection, "cell_stop", "cell_id", row_id, "session_id", newest=True),
        "runs": _run_lines(connection, table("run").c.cell_id == row_id),
    }


def _of_run(connection: Connection, key: int) -> dict[str, Any]:
    metrics, samples, numbers = table("metric"), table("sample"), table("trace")
    query = (
        select(metrics.c.name, samples.c.repetition, samples.c.warmup, samples.c.value)
        .join(metrics, metrics.c.key == samples.c.metric_key)
        .where(samples.c.run_key == key)
        .order_by(samples.c.repetition, metrics.c.name)
    )
    packed = select(numbers).where(numbers.c.run_key == key).order_by(numbers.c.repetition, numbers.c.name)
    scores = facts.score_facts(connection, [key])
    return {
        "samples": [
            {"metric": name, "repetition": repetition, "warmup": warmup, "value": value}
            for name, repetition, warmup, value in connection.execute(query)
        ],
        "traces": [
            {
                "name": row.name,
                "repetition": row.repetition,
                "warmup": row.warmup,
                "values": list(traces.unpack(row.dtype, row.data)),
            }
            for row in connection.execute(packed)
        ],
        "statistics": _rows(connection, "statistic", "run_key", key, "position"),
        "memory": _rows(connection, "memory_reading", "run_key", key, "position"),
        "energy": _rows(connection, "energy_reading", "run_key", key, "position"),
        "memory_timeline": _timeline(connection, key),
        "score": _score(connection, key, scores.get(key)),
        "evaluation": evaluations.described(connection, key),
    }


def _timeline(connection: Connection, key: int) -> dict[str, Any] | None:
    found = _rows(connection, "memory_timeline", "run_key", key)
    if not found:
        return None
    row = found[0]
    names, numbers = row.pop("names"), traces.unpack("int64", row.pop("data"))
    length = len(numbers) // len(names)
    series = {name: list(numbers[at * length : (at + 1) * length]) for at, name in enumerate(names)}
    return {**row, "series": series}


def _score(connection: Connection, key: int, score: facts.ScoreFacts | None) -> dict[str, Any] | None:
    if score is None:
        return None
    row = _rows(connection, "score", "run_key", key)[0]
    del row["reference_run_key"]
    return {
        **row,
        "reference_run_id": score.reference.run_id if score.reference else None,
        "verdict": {"verdict": score.verdict.verdict, "reason": score.verdict.reason}
        if score.verdict
        else None,
        "windows": _rows(connection, "score_window", "run_key", key, "window_index"),
    }


def _passages(connection: Connection, artifact_id: str) -> list[dict[str, Any]]:
    """Where the artifact diverges most, by its newest score that tells; each with its run."""
    scores, runs = table("score"), table("run")
    query = (
        select(scores.c.details, scores.c.corpus, runs.c.id)
        .join(runs, runs.c.key == scores.c.run_key)
        .where(scores.c.artifact_id == artifact_id)
        .order_by(runs.c.started_at.desc())
    )
    for row in connection.execute(query):
        if found := row.details.get("passages"):
            return [{"run_id": row.id, "corpus": row.corpus, **one} for one in found]
    return []


def _of_artifact(connection: Connection, row_id: str) -> dict[str, Any]:
    verdicts, runs = table("verdict"), table("run")
    query = (
        select(verdicts.c.verdict, verdicts.c.reason, runs.c.id.label("run_id"), runs.c.started_at)
        .join(runs, runs.c.key == verdicts.c.run_key)
        .where(verdicts.c.artifact_id == row_id)
        .order_by(runs.c.started_at.desc())
        .limit(_SHOWN_AT_MOST)
    )
    return {
        "chain": chain(connection, row_id),
        "lineage": _rows(connection, "lineage", "artifact_id", row_id, "made_at", "id", newest=True),
        "preparations": _rows(
            connection, "preparation", "artifact_id", row_id, "started_at", "id", newest=True
        ),
        "verdicts": [plain(dict(row._mapping)) for row in connection.execute(query)],
        "passages": _passages(connection, row_id),
        "runs": _run_lines(connection, runs.c.artifact_id == row_id),
    }


def _of_environment(connection: Connection, row_id: str) -> dict[str, Any]:
    return {
        "packages": _rows(connection, "environment_package", "environment_id", row_id, "name"),
        "made": _rows(connection, "lineage", "environment_id", row_id, "made_at", "id"),
        "runs": _run_lines(connection, table("run").c.environment_id == row_id),
    }


def _of_model(connection: Connection, row_id: str) -> dict[str, Any]:
    return {"artifacts": _rows(connection, "lineage", "model_id", row_id, "made_at", "id", newest=True)}


def _of_itself(connection: Connection, row_id: str) -> dict[str, Any]:
    del connection, row_id
    return {}  # its columns say all


def _of_lineage(connection: Connection, row_id: str) -> dict[str, Any]:
    rows = table("lineage")
    source = connection.execute(select(rows.c.source_artifact_id).where(rows.c.id == row_id)).scalar()
    return {"chain": [] if source is None else chain(connection, source)}


def _of_machine(connection: Connection, row_id: str) -> dict[str, Any]:
    rows = table("session")
    query = (
        select(rows.c.id)
        .where(rows.c.machine_id == row_id)
        .order_by(rows.c.started_at.desc().nulls_last())
        .limit(_SHOWN_AT_MOST)
    )
    return {
        "sessions": list(connection.execute(query).scalars()),
        "benches": _rows(connection, "machine_bench", "machine_id", row_id, "measured_at", "id", newest=True),
    }


_BELOW: dict[str, Any] = {
    "session": _of_session,
    "cell": _of_cell,
    "run": _of_run,
    "artifact": _of_artifact,
    "environment": _of_environment,
    "model": _of_model,
    "machine": _of_machine,
    "preparation": _of_itself,
    "lineage": _of_lineage,
    "machine_bench": _of_itself,
    "alert": _of_itself,
    "gate": _of_gate,
}


def counts(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Number of rows by table."""
    return {
        name: int(connection.execute(select(func.count()).select_from(table(name))).scalar_one())
        for name in names
    }


def metrics(connection: Connection) -> dict[str, int]:
    """Keys of all metrics by name."""
    rows = table("metric")
    return dict(connection.execute(select(rows.c.name, rows.c.key)).all())
