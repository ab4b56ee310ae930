"""From records to rows. Every function works inside its caller's transaction and adds nothing that is there already.

Owns the inserts. Imports SQLAlchemy Core, the tables and the records. Contract: facts are only ever added; the
columns that change are a session's status (with its end), how often it was resumed, and a model's configuration from
NULL to what its file says.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects import sqlite

from harness.store import evaluations, ids, records, traces
from harness.store.evaluation_records import EvaluationRecord
from harness.store.tables import table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Rows = Sequence[Mapping[str, Any]]


def insert_missing(connection: Connection, name: str, rows: Rows) -> None:
    """Inserts rows into a table; those whose key is there already are left out."""
    if rows:
        connection.execute(insert_or_leave(connection, name), list(rows))


def insert_or_leave(connection: Connection, name: str) -> Any:
    """The statement that inserts into a table and leaves rows alone whose key is there already."""
    return _insert(connection.dialect.name, name)


@functools.cache
def _insert(dialect: str, name: str) -> Any:
    # Made once: a run needs a dozen.
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # a tenth of a second that SQLite need not pay

        return postgresql.insert(table(name)).on_conflict_do_nothing()
    return sqlite.insert(table(name)).on_conflict_do_nothing()


def machine(connection: Connection, record: records.MachineRecord) -> None:
    """Adds a machine."""
    row = {**asdict(record), "accelerators": list(record.accelerators)}
    insert_missing(connection, "machine", [row])


def machine_bench(connection: Connection, record: records.MachineBenchRecord) -> None:
    """Adds what was measured of a machine."""
    insert_missing(connection, "machine_bench", [{**asdict(record), "flags": list(record.flags)}])


def environment(connection: Connection, record: records.EnvironmentRecord) -> None:
    """Adds an environment with its packages."""
    row = {
        "id": record.id,
        "framework": record.framework,
        "role": record.role,
        "variant": record.variant,
        "python": record.python,
    }
    insert_missing(connection, "environment", [row])
    packages = [
        {"environment_id": record.id, "name": one.name, "version": one.version, "hash": one.hash}
        for one in record.packages
    ]
    insert_missing(connection, "environment_package", packages)


def model(connection: Connection, record: records.ModelRecord) -> None:
    """Adds a model; one that was stored without its configuration gets it."""
    insert_missing(connection, "model", [asdict(record)])
    if record.configuration is not None:
        models = table("model")
        connection.execute(
            update(models)
            .where(models.c.id == record.id, models.c.configuration.is_(None))
            .values(configuration=dict(record.configuration))
        )


def artifact(connection: Connection, record: records.ArtifactRecord) -> None:
    """Adds an artifact, and this way of making it."""
    row: dict[str, Any] = {
        "id": record.id,
        "weight_bytes": record.weight_bytes,
        "parameters": record.parameters,
        "bits_per_weight": record.bits_per_weight,
        "files": [dict(one) for one in record.files],
    }
    insert_missing(connection, "artifact", [row])
    made: dict[str, Any] = {
        "artifact_id": record.id,
        "model_id": record.model_id,
        "framework": record.framework,
        "recipe": record.recipe,
        "precision": record.precision,
        "source_artifact_id": record.source_artifact_id,
        "environment_id": record.environment_id,
        "tool": record.tool,
        "tool_version": record.tool_version,
        "parameters": dict(record.made_with),
        "notes": dict(record.notes),
        "made_s": record.made_s,
    }
    key = ids.content_id("lineage", {**made, "made_at": record.made_at.isoformat()})
    # The peak is left out of the id: an artifact that an older version recorded stays one way of making it.
    made_row = {
        **made,
        "id": key,
        "made_at": record.made_at,
        "made_peak_bytes": record.made_peak_bytes,
    }
    insert_missing(connection, "lineage", [made_row])


def preparation(connection: Connection, record: records.PreparationRecord) -> None:
    """Adds an attempt to make an artifact."""
    insert_missing(connection, "preparation", [asdict(record)])


def cells(connection: Connection, cell_records: Iterable[records.CellRecord]) -> None:
    """Adds cells."""
    insert_missing(connection, "cell", [asdict(one) for one in cell_records])


def session(connection: Connection, record: records.SessionRecord) -> str:
    """Adds a session and gives its id. A session is always a new one, however alike another began."""
    row = {**asdict(record), "command_line": list(record.command_line)}
    content = {name: value for name, value in row.items() if name != "started_at"}
    again = 0
    while True:
        made = ids.session_id(record.started_at, {**content, "again": again} if again else content)
        new = {**row, "id": made, "ended_at": None, "status": "running", "resumed": 0}
        # Asking first whether there is one would not see what another process on a server is just adding.
        adding = insert_or_leave(connection, "session").returning(table("session").c.id)
        if connection.execute(adding, new).first() is not None:
            return made
        again += 1


def session_cells(
    connection: Connection, session_id: str, planned: Sequence[records.PlannedCellRecord]
) -> None:
    """Adds the cells of a session's plan, skipped ones with their reasons."""
    cells(connection, (one.cell for one in planned))
    rows = [
        {
            "session_id": session_id,
            "cell_id": one.cell.id,
            "position": one.position,
            "reason": one.reason,
            "expected_s": one.expected_s,
            "settings": dict(one.settings),
        }
        for one in planned
    ]
    insert_missing(connection, "session_cell", rows)


def plan(connection: Connection, session_id: str, planned: Sequence[records.PlannedRunRecord]) -> None:
    """Adds the order of a session's runs."""
    rows = [
        {
            "session_id": session_id,
            "position": one.position,
            "cell_id": one.cell_id,
            "kind": one.kind,
            "run_index": one.index,
            "seed": one.seed,
        }
        for one in planned
    ]
    insert_missing(connection, "planned_run", rows)


def extend_plan(
    connection: Connection, session_id: str, runs: Iterable[records.PlannedRunRecord]
) -> list[records.PlannedRunRecord]:
    """Adds runs behind the last planned one, in their order; gives them with their positions."""
    planned = table("planned_run")
    query = select(func.max(planned.c.position)).where(planned.c.session_id == session_id)
    last = connection.execute(query).scalar()
    begin = 0 if last is None else last + 1
    added = [replace(one, position=begin + place) for place, one in enumerate(runs)]
    plan(connection, session_id, added)
    return added


def cell_stop(connection: Connection, session_id: str, record: records.CellStopRecord) -> None:
    """Adds what ended a cell's runs; what is stored already stays."""
    row = asdict(record)
    insert_missing(
        connection, "cell_stop", [{"session_id": session_id, **row, "widths": dict(record.widths)}]
    )


def change_session(connection: Connection, session_id: str, changes: Mapping[str, Any]) -> None:
    """Changes a session's status.

    Raises:
        LookupError: no such session.
    """
    sessions = table("session")
    statement = update(sessions).where(sessions.c.id == bindparam("of_session"))
    found = connection.execute(
        statement.values({name: bindparam(f"new_{name}") for name in changes}),
        {"of_session": session_id, **{f"new_{name}": value for name, value in changes.items()}},
    )
    if found.rowcount != 1:
        raise LookupError(f"no session {session_id}")


def resume_session(connection: Connection, session_id: str) -> None:
    """Marks a session as taken up again.

    Raises:
        LookupError: no such session.
    """
    sessions = table("session")
    found = connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(resumed=sessions.c.resumed + 1, status="running", ended_at=None)
    )
    if found.rowcount != 1:
        raise LookupError(f"no session {session_id}")


def metric_keys(connection: Connection, names: set[str]) -> dict[str, int]:
    """The keys of metrics by name; names not met before are added.

    Looked up first: a server counts its keys up for refused inserts too, and there are only 32,767.
    """
    metrics = table("metric")
    known = select(metrics.c.name, metrics.c.key).where(metrics.c.name.in_(sorted(names)))
    found: dict[str, int] = dict(connection.execute(known).all())
    missing = sorted(names - found.keys())
    if missing:
        insert_missing(connection, "metric", [{"name": name} for name in missing])
        found = dict(connection.execute(known).all())
    return found


def run(connection: Connection, record: records.RunRecord, metrics: dict[str, int]) -> bool:
    """Adds a run with all that belongs to it; False where it was stored before.

    Args:
        connection: in a transaction.
        record: the run.
        metrics: keys of metrics known from earlier transactions; new ones are not added to it, because this
            transaction may yet fail.

    Raises:
        LookupError: its score names a reference that is not stored.
    """
    runs = table("run")
    key = connection.execute(
        insert_or_leave(connection, "run").returning(runs.c.key), [_run_row(record)]
    ).scalar()
    if key is None:
        return False
    _samples(connection, key, record.samples, metrics)
    below_it: tuple[tuple[str, Sequence[DataclassInstance]], ...] = (
        ("memory_reading", record.memory),
        ("energy_reading", record.energy),
        ("statistic", record.statistics),
    )
    for name, below in below_it:
        rows = [{"run_key": key, "position": position, **_columns(one)} for position, one in enumerate(below)]
        insert_missing(connection, name, rows)
    if record.timeline is not None:
        _timeline(connection, key, record.timeline)
    if record.score is not None:
        _score(connection, key, record.score)
        link_score(connection, record.session_id, record.score.cells, key)
    if record.evaluation is not None:
        _evaluation(connection, key, record.evaluation)
        link_evaluation(connection, record.session_id, record.evaluation.cells, key)
    return True


def _columns(record: DataclassInstance) -> dict[str, Any]:
    """A record of plain values by column: `asdict` copies each of them, which takes longer than storing them."""
    kind = type(record)
    if kind not in _COLUMNS:
        _COLUMNS[kind] = tuple(one.name for one in fields(record))
    return {name: getattr(record, name) for name in _COLUMNS[kind]}


_COLUMNS: dict[type[DataclassInstance], tuple[str, ...]] = {}


def _run_row(record: records.RunRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "session_id": record.session_id,
        "cell_id": record.cell_id,
        "kind": record.kind,
        "run_index": record.index,
        "attempt": record.attempt,
        "status": record.status,
        "reason": record.reason,
        "phase": record.phase,
        "error": record.error,
        "log_tail": record.log_tail,
        "artifact_id": record.artifact_id,
        "environment_id": record.environment_id,
        "framework_version": record.framework_version,
        "versions": dict(record.versions),
        "device": None if record.device is None else dict(record.device),
        "hints": dict(record.hints),
        "threads": record.threads,
        "seed": record.seed,
        "started_at": record.started_at,
        "duration_s": record.duration_s,
        "phases_s": dict(record.phases_s),
        "harness_s": record.harness_s,
        "vocab_size": record.vocab_size,
        "kv_cache_bytes": record.kv_cache_bytes,
        "validity": record.validity,
        "flags": list(record.flags),
        "machine_state": dict(record.machine_state),
        "details": dict(record.details),
    }


def _samples(
    connection: Connection, key: int, samples: Sequence[records.SampleRecord], metrics: dict[str, int]
) -> None:
    names = {name for one in samples for name in one.values}
    keys = metrics if names <= metrics.keys() else metric_keys(connection, names)
    rows = [
        {
            "run_key": key,
            "metric_key": keys[name],
            "repetition": one.repetition,
            "warmup": one.warmup,
            "value": float(value),
        }
        for one in samples
        for name, value in one.values.items()
    ]
    # In the order of the table's key, so that the file grows at its end.
    rows.sort(key=lambda row: (row["metric_key"], row["repetition"]))
    insert_missing(connection, "sample", rows)
    packed = []
    for one in samples:
        for name, numbers in one.traces.items():
            dtype, data = traces.pack(numbers)
            place = {"run_key": key, "name": name, "repetition": one.repetition, "warmup": one.warmup}
            packed.append({**place, "dtype": dtype, "data": data})
    insert_missing(connection, "trace", packed)


def _timeline(connection: Connection, key: int, timeline: records.TimelineRecord) -> None:
    row = {
        "run_key": key,
        "scope": timeline.scope,
        "method": timeline.method,
        "interval_s": timeline.interval_s,
        "readings": timeline.readings,
        "seconds": timeline.seconds,
        "watcher_cpu_s": timeline.watcher_cpu_s,
        "marks": [list(mark) for mark in timeline.marks],
        "names": list(timeline.series),
        "data": b"".join(traces.pack(numbers)[1] for numbers in timeline.series.values()),
        "reason": timeline.reason,
    }
    insert_missing(connection, "memory_timeline", [row])


def _score(connection: Connection, key: int, score: records.ScoreRecord) -> None:
    reference = None
    if score.reference_run_id is not None:
        reference = run_key(connection, score.reference_run_id)
    kld = score.kld or {}
    row = {
        "run_key": key,
        "scoring_key": score.scoring_key,
        "artifact_id": score.artifact_id,
        "corpus": score.corpus,
        "corpus_sha256": score.corpus_sha256,
        "window_tokens": score.window_tokens,
        "stride_tokens": score.stride_tokens,
        "score_from": score.score_from,
        "bos": score.bos,
        "positions": score.positions,
        "reference_run_key": reference,
        "quality_reference": score.quality_reference,
        "kld_median": kld.get("median"),
        "kld_p99": kld.get("p99"),
        "kld_p999": kld.get("p999"),
        "kld_max": kld.get("max"),
        "finite": score.finite,
        "vocab_size": score.vocab_size,
        "details": dict(score.details),
        "method": score.method,
        "errors": dict(score.errors),
        "delta_p": None if score.delta_p is None else dict(score.delta_p),
    }
    insert_missing(connection, "score", [row])
    windows, positions = [], []
    for one in score.windows:
        sums = asdict(one)
        place = {"run_key": key, "window_index": sums.pop("window")}
        if (data := sums.pop("data")) is not None:
            positions.append({**place, "data": data})
        windows.append({**place, **sums})
    insert_missing(connection, "score_window", windows)
    insert_missing(connection, "score_positions", positions)
    if score.verdict is not None:
        verdict(connection, key, score.artifact_id, score.verdict)


def _evaluation(connection: Connection, key: int, evaluation: EvaluationRecord) -> None:
    reference = None
    if evaluation.reference_run_id is not None:
        reference = run_key(connection, evaluation.reference_run_id)
    for name, rows in evaluations.rows(key, evaluation, reference):
        insert_missing(connection, name, rows)


def link_evaluation(connection: Connection, session_id: str, cell_ids: Sequence[str], key: int) -> None:
    """Says that the evaluation of the run with this key stands for these cells in this session."""
    rows = [{"session_id": session_id, "cell_id": cell_id, "run_key": key} for cell_id in cell_ids]
    insert_missing(connection, "session_evaluation", rows)


def verdict(connection: Connection, key: int, artifact_id: str, judged: records.VerdictRecord) -> None:
    """Adds the verdict on an artifact that rests on the score of the run with this key."""
    row = {"run_key": key, "artifact_id": artifact_id, "verdict": judged.verdict, "reason": judged.reason}
    insert_missing(connection, "verdict", [row])


def link_score(connection: Connection, session_id: str, cell_ids: Sequence[str], key: int) -> None:
    """Says that the score of the run with this key stands for these cells in this session."""
    rows = [{"session_id": session_id, "cell_id": cell_id, "run_key": key} for cell_id in cell_ids]
    insert_missing(connection, "session_score", rows)


def run_key(connection: Connection, run_id: str) -> int:
    """The key of a run.

    Raises:
        LookupError: no such run.
    """
    runs = table("run")
    key = connection.execute(select(runs.c.key).where(runs.c.id == run_id)).scalar()
    if key is None:
        raise LookupError(f"no run {run_id}")
    return int(key)
