"""One series over the years: a cell on one machine, a point a session.

Owns the points and the queries that fill them. Imports SQLAlchemy Core and the tables. Contract: a point rests on the
timed runs of its session that are ok and not suspect, of each run its last attempt, warm-ups excluded; its figure is
the median over the repetitions of a run, then over runs. Two things are unlike the comparison table of that session:
where every run is suspect the table shows these runs, marked, and a point has no value; where versions changed within
a session there is a point for each, and nothing is pooled. Of the runs only an index is read, and rows come as the
driver gives them, so that ten years take milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, not_, select

from harness.store.tables import table

#: Figures of the comparison table that follow from one sample and the cell: the sample's metric, and what it divides.
_SPEEDS = {"prefill_tps": ("prefill_s", "prompt_tokens"), "decode_tps": ("decode_s", "decode_tokens")}
_ENERGY = {"energy_joules_per_prefill_token": "prefill", "energy_joules_per_decode_token": "decode"}
_PEAK = "peak_rss_bytes"
#: What began a session that only tries something, such as a wheel that may be wrong.
TRIED = "gate"

#: Names that are no sample's; every other name is taken for that of a sample's metric, such as `ttft_s`.
DERIVED = (*_SPEEDS, *_ENERGY, _PEAK)


class HistoryPoint(NamedTuple):
    """What one session says of a series, with one version of its framework.

    Attributes:
        session_id: the session.
        started_at: when it began; None of an imported one that tells no time.
        framework_version: as the framework told; None where it never started.
        runs: timed runs behind the figures.
        left_out: timed runs that are suspect or not ok.
        values: the median over runs by metric; None where no run has it.
        of_runs: one value a run by metric, of those that have it.
    """

    session_id: str
    started_at: datetime | None
    framework_version: str | None
    runs: int
    left_out: int
    values: Mapping[str, float | None]
    of_runs: Mapping[str, tuple[float, ...]]


#: One value a run, by the run's key.
_Values = dict[int, float]


#: Keys of runs: those that count, and those that are left out.
_Keys = tuple[list[int], list[int]]


class _Runs:
    """The last attempts of the runs by session and framework version, in the order of their indexes.

    And by metric of the samples the value of each run's repetition, and all of them where there are several. Ten years
    are ten thousand runs and more: an object for each would take longer than finding them.
    """

    def __init__(self, metrics: Iterable[int]) -> None:
        self.of_session: dict[str, dict[str | None, _Keys]] = {}
        self.values: dict[int, _Values] = {metric: {} for metric in metrics}
        self.several: dict[int, dict[int, list[float]]] = {metric: {} for metric in metrics}


def history(
    connection: Connection,
    cell_id: str,
    machine_id: str,
    metrics: Sequence[str] = tuple(_SPEEDS),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    tried: bool = True,
) -> list[HistoryPoint]:
    """The points of a series in the order of time; sessions without a timed run of the cell have none.

    Sessions that tell no time come first; `since` and `until` leave them out.

    Args:
        connection: in a transaction.
        cell_id: the cell.
        machine_id: the machine.
        metrics: names in `DERIVED` or of samples.
        since: sessions that began then or later.
        until: sessions that began before.
        tried: sessions of gates too, which try what may be wrong.

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
    if not tried:
        wanted = wanted.where(sessions.c.trigger != TRIED)
    began = _began(connection, wanted)
    mine = _of_series(cell_id, wanted)
    names = _sample_names(connection, metrics)
    runs = _runs(connection, mine, names.values())
    values = {}
    for metric in metrics:
        if metric == _PEAK:
            values[metric] = _peaks(connection, mine)
        elif metric in _ENERGY:
            values[metric] = _energy(connection, mine, _ENERGY[metric])
        else:
            values[metric] = _of_samples(runs, names, metric, cell)
    return _points(runs, began, values)


def _rows(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """The rows as the driver gives them; columns of a type of ours are in the driver's.

    SQLAlchemy's own rows take longer to make than SQLite takes to find them.
    """
    cursor = connection.execute(query).cursor
    assert cursor is not None  # it is a SELECT
    return cast("list[tuple[Any, ...]]", cursor.fetchall())


def _began(connection: Connection, wanted: Select[tuple[str]]) -> dict[str, datetime | None]:
    """When the sessions began, in the order of time."""
    sessions = table("session")
    query = wanted.add_columns(sessions.c.started_at).order_by(
        sessions.c.started_at.asc().nulls_first(), sessions.c.id
    )
    rows = _rows(connection, query)
    if connection.dialect.name == "sqlite":  # a text without its zone, which is UTC
        read = datetime.fromisoformat
        return {session_id: None if at is None else read(f"{at}+00:00") for session_id, at in rows}
    return {session_id: None if at is None else at.astimezone(UTC) for session_id, at in rows}


def _sample_names(connection: Connection, metrics: Sequence[str]) -> dict[str, int]:
    """The keys in this file of the samples' metrics that are needed."""
    wanted = {_SPEEDS.get(metric, (metric, ""))[0] for metric in metrics if metric not in (_PEAK, *_ENERGY)}
    rows = table("metric")
    query = select(rows.c.name, rows.c.key).where(rows.c.name.in_(sorted(wanted)))
    return dict(connection.execute(query).all())


def _of_series(cell_id: str, sessions: Select[tuple[str]]) -> tuple[ColumnElement[bool], ...]:
    """The timed runs of a cell in some sessions; in the words of the index `ix_run_of_cell`."""
    runs = table("run")
    return runs.c.cell_id == cell_id, runs.c.kind == "timed", runs.c.session_id.in_(sessions)


def _runs(connection: Connection, mine: tuple[ColumnElement[bool], ...], metrics: Collection[int]) -> _Runs:
    runs, samples = table("run"), table("sample")
    figure = and_(
        samples.c.run_key == runs.c.key, samples.c.metric_key.in_(sorted(metrics)), not_(samples.c.warmup)
    )
    query = (
        select(
            runs.c.key,
            runs.c.session_id,
            runs.c.run_index,
            case((and_(runs.c.status == "ok", runs.c.validity == "ok"), 1), else_=0),
            runs.c.framework_version,
            samples.c.metric_key,
            samples.c.value,
        )
        .select_from(runs.outerjoin(samples, figure))
        .where(*mine)
        .order_by(runs.c.session_id, runs.c.run_index, runs.c.attempt)
    )
    found = _Runs(metrics)
    newest = newest_index = newest_session = None
    versions: dict[str | None, _Keys] = {}
    keys: list[int] = []
    for key, session_id, index, counts, version, metric, value in _rows(connection, query):
        if key != newest:
            if session_id != newest_session:
                versions = found.of_session[session_id] = {}
            elif index == newest_index:  # another attempt of the same run: only the last one counts
                keys.pop()
            newest, newest_index, newest_session = key, index, session_id
            of_version = versions.get(version)
            if of_version is None:
                of_version = versions[version] = ([], [])
            keys = of_version[0 if counts else 1]
            keys.append(key)
        if metric is None:
            continue
        known = found.values[metric]
        if key in known:
            found.several[metric].setdefault(key, [known[key]]).append(value)
        else:
            known[key] = value
    return found


def _peaks(connection: Connection, mine: tuple[ColumnElement[bool], ...]) -> _Values:
    runs, readings = table("run"), table("memory_reading")
    query = (
        select(runs.c.key, func.max(readings.c.peak_rss_bytes))
        .join(readings, readings.c.run_key == runs.c.key)
        .where(*mine, readings.c.peak_rss_bytes.is_not(None))
        .group_by(runs.c.key)
    )
    return dict(connection.execute(query).all())


def _energy(connection: Connection, mine: tuple[ColumnElement[bool], ...], phase: str) -> _Values:
    runs, readings = table("run"), table("energy_reading")
    query = (
        select(runs.c.key, readings.c.gross_joules / readings.c.tokens)
        .join(readings, readings.c.run_key == runs.c.key)
        .where(*mine, readings.c.phase == phase, readings.c.gross_joules.is_not(None))
    )
    several: dict[int, list[float]] = defaultdict(list)
    for key, joules in connection.execute(query):
        several[key].append(joules)
    return {key: _median(values) for key, values in several.items()}


def _of_samples(runs: _Runs, names: Mapping[str, int], metric: str, cell: Row[Any]) -> _Values:
    sample, column = _SPEEDS.get(metric, (metric, None))
    number = names.get(sample)
    if number is None:
        return {}
    single, several = runs.values[number], runs.several[number]
    if column is None:
        return single | {key: _median(values) for key, values in several.items()}
    tokens = cell.batch * cell._mapping[column]
    found = {key: tokens / value for key, value in single.items() if value > 0}
    for key, values in several.items():
        speeds = [tokens / value for value in values if value > 0]
        if speeds:
            found[key] = _median(speeds)
    return found


def _points(
    runs: _Runs, began: Mapping[str, datetime | None], values: Mapping[str, _Values]
) -> list[HistoryPoint]:
    """One point for each session and version, in the order of time; versions in the order of their runs."""
    points = []
    of_session, make = runs.of_session.get, tuple.__new__  # a named tuple's own takes twice as long
    for session_id, started_at in began.items():
        for version, (keys, left_out) in of_session(session_id, _NO_VERSIONS).items():
            if not keys and not left_out:  # attempts that others came after
                continue
            of_runs: dict[str, tuple[float, ...]] = {}
            middles: dict[str, float | None] = {}
            for metric, known in values.items():
                some = of_runs[metric] = tuple([known[key] for key in keys if key in known])
                middles[metric] = _median(some) if some else None
            point = (session_id, started_at, version, len(keys), len(left_out), middles, of_runs)
            points.append(make(HistoryPoint, point))
    return points


_NO_VERSIONS: Mapping[str | None, _Keys] = {}


def _median(values: Sequence[float]) -> float:
    """As `statistics.median`, which takes longer for its checks than for three values."""
    count = len(values)
    if count == 1:
        return values[0]
    ordered = sorted(values)
    middle = count // 2
    return ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
