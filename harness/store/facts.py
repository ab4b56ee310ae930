"""What the comparison table, verdicts and reports are made of: one session with its runs and samples, as plain data.

Owns the shapes and the few bulk queries that fill them. Contract: raw numbers only, in the order in which they were
measured, warm-ups apart; every average is somebody else's. Frozen; nothing of SQLAlchemy leaves this module.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, and_, select

from harness.store import imports, records, traces
from harness.store.evaluations import EvaluationFacts, evaluation_facts
from harness.store.tables import table

Reading = TypeVar("Reading", records.MemoryRecord, records.EnergyRecord, records.StatisticRecord)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One stored run. Fields as in `records.RunRecord`.

    ``samples`` holds every repetition in order, warm-ups first and marked.
    """

    id: str
    session_id: str
    cell_id: str
    kind: str
    index: int
    attempt: int
    status: str
    reason: str | None
    phase: str | None
    artifact_id: str | None
    environment_id: str | None
    framework_version: str | None
    device: Mapping[str, Any] | None
    hints: Mapping[str, str]
    threads: int | None
    started_at: datetime | None
    duration_s: float | None
    phases_s: Mapping[str, float]
    harness_s: float | None
    vocab_size: int | None
    kv_cache_bytes: int | None
    validity: str | None
    flags: tuple[Any, ...]
    details: Mapping[str, Any]
    samples: tuple[records.SampleRecord, ...]
    memory: tuple[records.MemoryRecord, ...]
    energy: tuple[records.EnergyRecord, ...]
    statistics: tuple[records.StatisticRecord, ...] = ()

    def values(self, metric: str) -> tuple[float, ...]:
        """One value a repetition, without warm-ups and repetitions that lack it."""
        return tuple(one.values[metric] for one in self.samples if not one.warmup and metric in one.values)

    def traces(self, name: str) -> tuple[records.Numbers, ...]:
        """One trace a repetition, without warm-ups and repetitions that lack it."""
        return tuple(one.traces[name] for one in self.samples if not one.warmup and name in one.traces)


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """One stored score, its windows in order, and the score of its reference (None: it is one, or had none)."""

    run_id: str
    scoring_key: str
    artifact_id: str
    hints: Mapping[str, str]
    corpus: str
    corpus_sha256: str
    window_tokens: int
    stride_tokens: int
    score_from: int
    bos: int | None
    positions: int
    quality_reference: str | None
    kld_median: float | None
    kld_p99: float | None
    kld_p999: float | None
    kld_max: float | None
    finite: bool
    vocab_size: int
    windows: tuple[records.WindowRecord, ...]
    verdict: records.VerdictRecord | None
    details: Mapping[str, Any]
    reference: ScoreFacts | None = None
    delta_p: Mapping[str, float] | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    method: str = "exact"


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """The size of a stored artifact, and how its cell's recipe made it here.

    ``made_s`` and ``made_peak_bytes`` are None where it was not made here or nobody stored them; ``notes`` are the
    tool's own. ``unread_weight_bytes`` are those that no token reads whole (`records.UNREAD`), None where nobody noted
    them.
    """

    id: str
    weight_bytes: int | None
    parameters: int | None
    bits_per_weight: float | None
    made_s: float | None = None
    made_peak_bytes: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    unread_weight_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class CellFacts:
    """One cell of a session's plan, and what came of it.

    ``reason`` says why it was planned as skipped. ``runs`` holds every attempt of every kind, in order of kind,
    index and attempt. ``synthetic``: the model's weights are seeded random numbers. ``configuration``: the model's
    shape (`harness.model.configuration`), None where it is not known. ``stop``: what ended the repeating of its runs,
    None where their number was fixed or it was not ended.
    """

    cell: records.CellRecord
    position: int
    reason: str | None
    expected_s: float | None
    settings: Mapping[str, Any]
    runs: tuple[RunFacts, ...]
    artifact: ArtifactFacts | None
    score: ScoreFacts | None
    synthetic: bool = False
    evaluation: EvaluationFacts | None = None
    configuration: Mapping[str, Any] | None = None
    stop: records.CellStopRecord | None = None

    def scorings(self) -> tuple[RunFacts, ...]:
        """The scoring runs, every attempt, the last one last."""
        return tuple(run for run in self.runs if run.kind == "score")

    def evaluations(self) -> tuple[RunFacts, ...]:
        """The runs that evaluated tasks, every attempt, the last one last."""
        return tuple(run for run in self.runs if run.kind == "tasks")

    def timed(self) -> tuple[RunFacts, ...]:
        """The timed runs, of each the last attempt."""
        last = {run.index: run for run in self.runs if run.kind == "timed"}
        return tuple(last.values())


def first_look(settings: Mapping[str, Any]) -> str | None:
    """Id of the session that a gate's second look looks at again, from its settings; None of any other session."""
    gate = settings.get("gate")
    again = gate.get("again") if isinstance(gate, dict) else None
    return again if isinstance(again, str) else None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session.

    ``others`` are runs of cells outside its plan, such as the quality reference's. ``bench`` is what counts of the
    machine's benches, whenever it was made: see `machine_bench`. ``source`` is the file of an imported session, None
    of a measured one.
    """

    id: str
    suite: str
    suite_sha256: str
    status: str
    trigger: str
    commit_sha: str | None
    edgebench_version: str
    command_line: tuple[str, ...]
    settings: Mapping[str, Any]
    system: Mapping[str, Any]
    seed: int | None
    started_at: datetime | None
    ended_at: datetime | None
    resumed: int
    machine: records.MachineRecord
    cells: tuple[CellFacts, ...]
    others: tuple[RunFacts, ...] = field(default=())
    bench: records.MachineBenchRecord | None = None
    source: imports.SourceRecord | None = None


def session_facts(connection: Connection, session_id: str) -> SessionFacts:
    """All of one session.

    Raises:
        LookupError: no such session.
    """
    sessions, machines = table("session"), table("machine")
    row = connection.execute(select(sessions).where(sessions.c.id == session_id)).first()
    if row is None:
        raise LookupError(f"no session {session_id}")
    machine = connection.execute(select(machines).where(machines.c.id == row.machine_id)).one()
    runs = _runs(connection, session_id)
    cells = _cells(connection, session_id, runs)
    planned = {one.cell.id for one in cells}
    return SessionFacts(
        id=row.id,
        suite=row.suite,
        suite_sha256=row.suite_sha256,
        status=row.status,
        trigger=row.trigger,
        commit_sha=row.commit_sha,
        edgebench_version=row.edgebench_version,
        command_line=tuple(row.command_line),
        settings=row.settings,
        system=row.system,
        seed=row.seed,
        started_at=row.started_at,
        ended_at=row.ended_at,
        resumed=row.resumed,
        machine=records.MachineRecord(**machine._mapping),
        cells=cells,
        others=tuple(run for cell_id, of_cell in runs.items() if cell_id not in planned for run in of_cell),
        bench=machine_bench(connection, machine.id),
        source=imports.source_of(connection, session_id),
    )


def machine_bench(connection: Connection, machine_id: str) -> records.MachineBenchRecord | None:
    """The newest bench of a machine that nothing spoiled, else the newest; None where it was never benched."""
    benches = table("machine_bench")
    query = (
        select(benches)
        .where(benches.c.machine_id == machine_id)
        .order_by(benches.c.validity == "suspect", benches.c.measured_at.desc(), benches.c.id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else records.MachineBenchRecord(**row._mapping)


def run_in_cell(connection: Connection, run_id: str) -> CellFacts | None:
    """A run with its cell, artifact and model's shape; None where its session did not plan the cell (a reference).

    Raises:
        LookupError: no such run.
    """
    runs = table("run")
    row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
    if row is None:
        raise LookupError(f"no run {run_id}")
    run = _run(row, load_children(connection, select(runs.c.key).where(runs.c.id == run_id)))
    cells = _cells(connection, row.session_id, {row.cell_id: [run]}, only=row.cell_id)
    return cells[0] if cells else None


def score_facts(connection: Connection, run_keys: Iterable[int]) -> dict[int, ScoreFacts]:
    """Scores by the key of their run, each with its reference."""
    wanted = set(run_keys)
    rows = _score_rows(connection, wanted)
    references = {row.reference_run_key for row in rows.values() if row.reference_run_key is not None}
    rows |= _score_rows(connection, references - rows.keys())
    windows = _windows(connection, rows.keys())
    plain = {key: _score(row, windows[key], None) for key, row in rows.items()}
    return {
        key: _score(rows[key], windows[key], plain.get(rows[key].reference_run_key))
        for key in wanted & rows.keys()
    }


def cell_record(row: Row[Any]) -> records.CellRecord:
    """A cell from a row that has the columns of `cell`.

    Raises:
        ValueError: a number is none. SQLite keeps whatever it is given, and a text times a number is a longer text.
    """
    cells = table("cell")
    values = {column.name: row._mapping[column] for column in cells.c}
    for name in ("prompt_tokens", "decode_tokens", "depth", "batch"):
        if not isinstance(values[name], int):
            raise ValueError(f"cell.{name} is no number")
    return records.CellRecord(**values)


def _cells(
    connection: Connection,
    session_id: str,
    runs: Mapping[str, Sequence[RunFacts]],
    only: str | None = None,
) -> tuple[CellFacts, ...]:
    cells, planned, links = table("cell"), table("session_cell"), table("session_score")
    tasks = table("session_evaluation")
    query = (
        select(
            cells,
            planned,
            links.c.run_key.label("score_key"),
            tasks.c.run_key.label("tasks_key"),
        )
        .join(planned, planned.c.cell_id == cells.c.id)
        .outerjoin(
            links, and_(links.c.session_id == planned.c.session_id, links.c.cell_id == planned.c.cell_id)
        )
        .outerjoin(
            tasks, and_(tasks.c.session_id == planned.c.session_id, tasks.c.cell_id == planned.c.cell_id)
        )
        .where(planned.c.session_id == session_id)
        .order_by(planned.c.position)
    )
    if only is not None:
        query = query.where(cells.c.id == only)
    rows = connection.execute(query).all()
    scores = score_facts(connection, {row.score_key for row in rows if row.score_key is not None})
    evaluated = evaluation_facts(connection, {row.tasks_key for row in rows if row.tasks_key is not None})
    used = {run.artifact_id for of_cell in runs.values() for run in of_cell if run.artifact_id is not None}
    used |= {score.artifact_id for score in scores.values()}
    artifacts = _artifacts(connection, used)
    lineages = _lineages(connection, used)
    synthetic = _synthetic(connection)
    configurations = _configurations(connection)
    stops = _stops(connection, session_id)
    made = []
    for row in rows:
        of_cell = runs.get(row._mapping[cells.c.id], ())
        score = scores.get(row.score_key)
        # The newest run that had one; a cell whose runs all failed early may still have been scored.
        named = [run.artifact_id for run in of_cell if run.artifact_id is not None and run.kind == "timed"]
        artifact_id = named[-1] if named else score.artifact_id if score else None
        made_by = lineages.get((str(artifact_id), row.framework, row.recipe))
        artifact = artifacts[artifact_id] if artifact_id else None
        if artifact is not None and made_by is not None:
            artifact = replace(
                artifact, made_s=made_by.made_s, made_peak_bytes=made_by.made_peak_bytes, notes=made_by.notes
            )
        made.append(
            CellFacts(
                cell=cell_record(row),
                position=row.position,
                reason=row.reason,
                expected_s=row.expected_s,
                settings=row.settings,
                runs=tuple(of_cell),
                artifact=artifact,
                score=score,
                synthetic=row.model in synthetic,
                evaluation=evaluated.get(row.tasks_key),
                configuration=None if made_by is None else configurations.get(made_by.model_id),
                stop=stops.get(row._mapping[cells.c.id]),
            )
        )
    return tuple(made)


def _stops(connection: Connection, session_id: str) -> dict[str, records.CellStopRecord]:
    stops = table("cell_stop")
    found = {}
    for row in connection.execute(select(stops).where(stops.c.session_id == session_id)):
        columns = {name: value for name, value in row._mapping.items() if name != "session_id"}
        found[row.cell_id] = records.CellStopRecord(**columns)
    return found


def _artifacts(connection: Connection, wanted: set[str]) -> dict[str, ArtifactFacts]:
    artifacts = table("artifact")
    query = select(artifacts).where(artifacts.c.id.in_(sorted(wanted)))
    unread = _unread(connection, wanted)
    return {
        row.id: ArtifactFacts(
            row.id,
            row.weight_bytes,
            row.parameters,
            row.bits_per_weight,
            unread_weight_bytes=unread.get(row.id),
        )
        for row in connection.execute(query)
    }


def _unread(connection: Connection, wanted: set[str]) -> dict[str, int]:
    """What was noted of artifacts' weights that no token reads: of their content, however they were made.

    Versions that noted nothing may have stored the same way of making it before.
    """
    lineages = table("lineage")
    query = (
        select(lineages.c.artifact_id, lineages.c.notes)
        .where(lineages.c.artifact_id.in_(sorted(wanted)))
        .order_by(lineages.c.made_at, lineages.c.id)
    )
    found = {}
    for artifact_id, notes in connection.execute(query):
        told = notes.get(records.UNREAD) if isinstance(notes, dict) else None
        if isinstance(told, int) and told >= 0:
            found[artifact_id] = told
    return found


def _lineages(connection: Connection, wanted: set[str]) -> dict[tuple[str, str, str], Row[Any]]:
    """The newest way in which each artifact was made, by artifact, framework and recipe."""
    lineages = table("lineage")
    query = (
        select(lineages)
        .where(lineages.c.artifact_id.in_(sorted(wanted)))
        .order_by(lineages.c.made_at, lineages.c.id)
    )
    return {(row.artifact_id, row.framework, row.recipe): row for row in connection.execute(query)}


def _configurations(connection: Connection) -> dict[str, dict[str, Any]]:
    """The shapes of the models whose files describe one, by the model's id."""
    models = table("model")
    query = select(models.c.id, models.c.configuration).where(models.c.configuration.is_not(None))
    return dict(connection.execute(query).all())


def _synthetic(connection: Connection) -> set[str]:
    """Names of the models whose weights are seeded random numbers: their stored source says so."""
    models = table("model")
    found = set()
    for row in connection.execute(select(models.c.name, models.c.source)):
        try:
            source = json.loads(row.source)
        except ValueError:
            continue  # a source in words: of a file
        if isinstance(source, dict) and source.get("synthetic"):
            found.add(row.name)
    return found


def _runs(connection: Connection, session_id: str) -> dict[str, list[RunFacts]]:
    """Runs by cell, in order of kind, index and attempt."""
    runs = table("run")
    query = (
        select(runs)
        .where(runs.c.session_id == session_id)
        .order_by(runs.c.cell_id, runs.c.kind, runs.c.run_index, runs.c.attempt)
    )
    rows = connection.execute(query).all()
    mine = select(runs.c.key).where(runs.c.session_id == session_id)
    found = load_children(connection, mine)
    made: dict[str, list[RunFacts]] = defaultdict(list)
    for row in rows:
        made[row.cell_id].append(_run(row, found))
    return made


@dataclass(frozen=True, slots=True)
class Children:
    """What belongs to runs, by their keys."""

    samples: Mapping[int, Sequence[records.SampleRecord]]
    memory: Mapping[int, Sequence[records.MemoryRecord]]
    energy: Mapping[int, Sequence[records.EnergyRecord]]
    statistics: Mapping[int, Sequence[records.StatisticRecord]]


def load_children(connection: Connection, run_keys: Select[tuple[int]]) -> Children:
    """Samples, traces and readings of the runs that a query of keys gives."""
    return Children(
        samples=_repetitions(connection, run_keys),
        memory=_readings(connection, "memory_reading", records.MemoryRecord, run_keys),
        energy=_readings(connection, "energy_reading", records.EnergyRecord, run_keys),
        statistics=_readings(connection, "statistic", records.StatisticRecord, run_keys),
    )


def _repetitions(
    connection: Connection, run_keys: Select[tuple[int]]
) -> dict[int, list[records.SampleRecord]]:
    samples, metrics, numbers = table("sample"), table("metric"), table("trace")
    names = dict(connection.execute(select(metrics.c.key, metrics.c.name)).all())
    warmups: dict[tuple[int, int], bool] = {}
    values: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    packed: dict[tuple[int, int], dict[str, records.Numbers]] = defaultdict(dict)
    query = select(
        samples.c.run_key, samples.c.repetition, samples.c.warmup, samples.c.metric_key, samples.c.value
    ).where(samples.c.run_key.in_(run_keys))
    for key, repetition, warmup, metric, value in connection.execute(query):
        warmups[key, repetition] = warmup
        values[key, repetition][names[metric]] = value
    query_traces = select(
        numbers.c.run_key,
        numbers.c.repetition,
        numbers.c.warmup,
        numbers.c.name,
        numbers.c.dtype,
        numbers.c.data,
    ).where(numbers.c.run_key.in_(run_keys))
    for key, repetition, warmup, name, dtype, data in connection.execute(query_traces):
        warmups[key, repetition] = warmup
        packed[key, repetition][name] = traces.unpack(dtype, data)
    made: dict[int, list[records.SampleRecord]] = defaultdict(list)
    for place in sorted(warmups):
        key, repetition = place
        made[key].append(
            records.SampleRecord(repetition, warmups[place], values.get(place, {}), packed.get(place, {}))
        )
    return made


def _readings(
    connection: Connection, name: str, record_type: type[Reading], run_keys: Select[tuple[int]]
) -> dict[int, list[Reading]]:
    rows = table(name)
    query = select(rows).where(rows.c.run_key.in_(run_keys)).order_by(rows.c.run_key, rows.c.position)
    made: dict[int, list[Reading]] = defaultdict(list)
    for row in connection.execute(query):
        values = dict(row._mapping)
        key = values.pop("run_key")
        del values["position"]
        made[key].append(record_type(**values))
    return made


def _run(row: Row[Any], found: Children) -> RunFacts:
    return RunFacts(
        id=row.id,
        session_id=row.session_id,
        cell_id=row.cell_id,
        kind=row.kind,
        index=row.run_index,
        attempt=row.attempt,
        status=row.status,
        reason=row.reason,
        phase=row.phase,
        artifact_id=row.artifact_id,
        environment_id=row.environment_id,
        framework_version=row.framework_version,
        device=row.device,
        hints=row.hints,
        threads=row.threads,
        started_at=row.started_at,
        duration_s=row.duration_s,
        phases_s=row.phases_s,
        harness_s=row.harness_s,
        vocab_size=row.vocab_size,
        kv_cache_bytes=row.kv_cache_bytes,
        validity=row.validity,
        flags=tuple(row.flags),
        details=row.details,
        samples=tuple(found.samples.get(row.key, ())),
        memory=tuple(found.memory.get(row.key, ())),
        energy=tuple(found.energy.get(row.key, ())),
        statistics=tuple(found.statistics.get(row.key, ())),
    )


def _score_rows(connection: Connection, run_keys: set[int]) -> dict[int, Row[Any]]:
    scores, runs, verdicts = table("score"), table("run"), table("verdict")
    query = (
        select(
            scores,
            runs.c.id.label("run_id"),
            runs.c.hints,
            verdicts.c.verdict,
            verdicts.c.reason.label("verdict_reason"),
        )
        .join(runs, runs.c.key == scores.c.run_key)
        .outerjoin(verdicts, verdicts.c.run_key == scores.c.run_key)
        .where(scores.c.run_key.in_(sorted(run_keys)))
    )
    return {row.run_key: row for row in connection.execute(query)}


def _windows(connection: Connection, run_keys: Iterable[int]) -> dict[int, tuple[records.WindowRecord, ...]]:
    windows = table("score_window")
    query = (
        select(windows)
        .where(windows.c.run_key.in_(sorted(run_keys)))
        .order_by(windows.c.run_key, windows.c.window_index)
    )
    made: dict[int, list[records.WindowRecord]] = defaultdict(list)
    for row in connection.execute(query):
        made[row.run_key].append(
            records.WindowRecord(
                row.window_index,
                row.positions,
                row.nll_sum,
                row.kld_sum,
                row.same_top,
                row.delta_p_sq_sum,
                row.bytes,
            )
        )
    return {key: tuple(made[key]) for key in run_keys}


def _score(
    row: Row[Any], windows: tuple[records.WindowRecord, ...], reference: ScoreFacts | None
) -> ScoreFacts:
    return ScoreFacts(
        run_id=row.run_id,
        scoring_key=row.scoring_key,
        artifact_id=row.artifact_id,
        hints=row.hints,
        corpus=row.corpus,
        corpus_sha256=row.corpus_sha256,
        window_tokens=row.window_tokens,
        stride_tokens=row.stride_tokens,
        score_from=row.score_from,
        bos=row.bos,
        positions=row.positions,
        quality_reference=row.quality_reference,
        kld_median=row.kld_median,
        kld_p99=row.kld_p99,
        kld_p999=row.kld_p999,
        kld_max=row.kld_max,
        finite=row.finite,
        vocab_size=row.vocab_size,
        windows=windows,
        verdict=records.VerdictRecord(row.verdict, row.verdict_reason) if row.verdict else None,
        details=row.details,
        reference=reference,
        delta_p=row.delta_p,
        errors=row.errors or {},
        method=row.method or "exact",
    )
