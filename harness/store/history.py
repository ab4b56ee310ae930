"""One series over the years: a cell on one machine, a point a session.

Owns the points and the queries that fill them. Imports SQLAlchemy Core and the tables. Contract: a point is what the
comparison table of its session shows: over the timed runs that are ok and not suspect, of each run its last attempt,
warm-ups excluded; the median over the repetitions of a run, then over runs. Where versions changed within a session
there is a point for each; nothing is pooled. Of the runs only an index is read, so that ten years take milliseconds.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, not_, select

from harness.store.tables import table

#: Figures of the comparison table that follow from one sample and the cell: the sample's metric, and what it divides.
_SPEEDS = {"prefill_tps": ("prefill_s", "prompt_tokens"), "decode_tps": ("decode_s", "decode_tokens")}
_ENERGY = {"energy_joules_per_prefill_token": "prefill", "energy_joules_per_decode_token": "decode"}
_PEAK = "peak_rss_bytes"

#: Names that are no sample's; every other name is taken for that of a sample's metric, such as `ttft_s`.
DERIVED = (*_SPEEDS, *_ENERGY, _PEAK)


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """What one session says of a series, with one version of its framework.

    Attributes:
        session_id: the session.
        started_at: when it began.
        framework_version: as the framework told; None where it never started.
        runs: timed runs behind the figures.
        left_out: timed runs that are suspect or not ok.
        values: the median over runs by metric; None where no run has it.
        of_runs: one value a run by metric, of those that have it.
    """

    session_id: str
    started_at: datetime
    framework_version: str | None
    runs: int
    left_out: int
    values: Mapping[str, float | None]
    of_runs: Mapping[str, tuple[float, ...]]


@dataclass(slots=True)
class _Run:
    session_id: str
    version: str | None
    counts: bool
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, float] = field(default_factory=dict)


def history(
    connection: Connection,
    cell_id: str,
    machine_id: str,
    metrics: Sequence[str] = tuple(_SPEEDS),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[HistoryPoint]:
    """The points of a series in the order of time; sessions without a timed run of the cell have none.

    Args:
        connection: in a transaction.
        cell_id: the cell.
        machine_id: the machine.
        metrics: names in `DERIVED` or of samples.
        since: sessions that began then or later.
        until: sessions that began before.

    Raises:
        LookupError: no such cell.
    """
    sessions, cells = table("session"), table("cell")
    cell = connection.execute(select(cells).where(cells.c.id == cell_id)).first()
    if cell is None:
        raise LookupError(f"no cell {cell_id}")
    wanted = select(sessions.c.id).where(sessions.c.machine_id == machine_id)
    if since is not None:
        wanted = wanted.where(sessions.c.started_at >= since)
    if until is not None:
        wanted = wanted.where(sessions.c.started_at < until)
    query = wanted.add_columns(sessions.c.started_at).order_by(sessions.c.started_at, sessions.c.id)
    began: dict[str, datetime] = dict(connection.execute(query).tuples().all())
    mine = _of_series(cell_id, wanted)
    runs = _runs(connection, mine, _sample_names(connection, metrics))
    for metric in dict.fromkeys(metrics):
        if metric == _PEAK:
            _add_peaks(connection, mine, runs)
        elif metric in _ENERGY:
            _add_energy(connection, mine, runs, metric)
        else:
            _add_samples(runs, metric, cell)
    return _points(runs.values(), began, metrics)


def _sample_names(connection: Connection, metrics: Sequence[str]) -> dict[int, str]:
    """The metrics of samples that are needed, by their keys in this file."""
    wanted = {_SPEEDS.get(metric, (metric, ""))[0] for metric in metrics if metric not in (_PEAK, *_ENERGY)}
    rows = table("metric")
    query = select(rows.c.key, rows.c.name).where(rows.c.name.in_(sorted(wanted)))
    return dict(connection.execute(query).tuples().all())


def _of_series(cell_id: str, sessions: Select[tuple[str]]) -> tuple[ColumnElement[bool], ...]:
    """The timed runs of a cell in some sessions; in the words of the index `ix_run_of_cell`."""
    runs = table("run")
    return runs.c.cell_id == cell_id, runs.c.kind == "timed", runs.c.session_id.in_(sessions)


def _runs(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], names: Mapping[int, str]
) -> dict[int, _Run]:
    """The last attempt of each run by its key, in the order of sessions and indexes, with its samples."""
    runs, samples = table("run"), table("sample")
    figure = and_(
        samples.c.run_key == runs.c.key, samples.c.metric_key.in_(sorted(names)), not_(samples.c.warmup)
    )
    query = (
        select(
            runs.c.key,
            runs.c.session_id,
            runs.c.run_index,
            runs.c.status,
            runs.c.validity,
            runs.c.framework_version,
            samples.c.metric_key,
            samples.c.value,
        )
        .select_from(runs.outerjoin(samples, figure))
        .where(*mine)
        .order_by(runs.c.session_id, runs.c.run_index, runs.c.attempt)
    )
    last: dict[tuple[str, int], tuple[int, _Run]] = {}
    run = _Run("", None, False)
    newest = None
    for key, session_id, index, status, validity, version, metric, value in connection.execute(
        query
    ).tuples():
        if key != newest:
            newest = key
            run = _Run(session_id, version, status == "ok" and validity == "ok")
            last[session_id, index] = key, run
        if metric is not None:
            run.samples[names[metric]].append(value)
    return dict(last.values())


def _add_peaks(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], found: Mapping[int, _Run]
) -> None:
    runs, readings = table("run"), table("memory_reading")
    query = (
        select(runs.c.key, func.max(readings.c.peak_rss_bytes))
        .join(readings, readings.c.run_key == runs.c.key)
        .where(*mine)
        .group_by(runs.c.key)
    )
    for key, peak in connection.execute(query).tuples():
        if peak is not None and key in found:
            found[key].values[_PEAK] = peak


def _add_energy(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], found: Mapping[int, _Run], metric: str
) -> None:
    runs, readings = table("run"), table("energy_reading")
    query = (
        select(runs.c.key, readings.c.gross_joules / readings.c.tokens)
        .join(readings, readings.c.run_key == runs.c.key)
        .where(*mine, readings.c.phase == _ENERGY[metric], readings.c.gross_joules.is_not(None))
    )
    several: dict[int, list[float]] = defaultdict(list)
    for key, joules in connection.execute(query).tuples():
        several[key].append(joules)
    for key, values in several.items():
        if key in found:
            found[key].values[metric] = statistics.median(values)


def _add_samples(found: Mapping[int, _Run], metric: str, cell: Row[Any]) -> None:
    sample, column = _SPEEDS.get(metric, (metric, None))
    tokens = None if column is None else cell.batch * cell._mapping[column]
    for run in found.values():
        values = run.samples.get(sample, [])
        if tokens is not None:
            values = [tokens / value for value in values if value > 0]
        if values:
            run.values[metric] = values[0] if len(values) == 1 else statistics.median(values)


def _points(
    runs: Iterable[_Run], began: Mapping[str, datetime], metrics: Sequence[str]
) -> list[HistoryPoint]:
    """One point for each session and version, in the order of time."""
    grouped: dict[tuple[str, str | None], list[_Run]] = defaultdict(list)
    for run in runs:
        grouped[run.session_id, run.version].append(run)
    points = []
    for (session_id, version), of_point in grouped.items():
        counted = [run for run in of_point if run.counts]
        of_runs = {
            metric: tuple(run.values[metric] for run in counted if metric in run.values) for metric in metrics
        }
        points.append(
            HistoryPoint(
                session_id=session_id,
                started_at=began[session_id],
                framework_version=version,
                runs=len(counted),
                left_out=len(of_point) - len(counted),
                values={
                    metric: statistics.median(values) if values else None
                    for metric, values in of_runs.items()
                },
                of_runs=of_runs,
            )
        )
    # Stable: the versions of one session stay in the order of its runs.
    return sorted(points, key=lambda point: (point.started_at, point.session_id))
