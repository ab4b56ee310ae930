"""One series over the years: a cell on one machine, a point a session.

Owns the points and the queries that fill them. Imports SQLAlchemy Core and the tables. Contract: a point rests on the
timed runs of its session that are ok and not suspect, of each run its last attempt, warm-ups excluded; its figure is
the median over the repetitions of a run, then over runs. Two things are unlike the comparison table of that session:
where every run is suspect the table shows these runs, marked, and a point has no value; where versions changed within
a session there is a point for each, and nothing is pooled. Of the runs only an index is read, and rows come as the
driver gives them, so that ten years take milliseconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress, pairwise
from operator import eq, ne
from operator import not_ as is_false
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, not_, select

from harness.store.tables import table

#: Figures of the comparison table that follow from one sample and the cell: the sample's metric, and what it divides.
_SPEEDS = {"prefill_tps": ("prefill_s", "prompt_tokens"), "decode_tps": ("decode_s", "decode_tokens")}
_ENERGY = {"energy_joules_per_prefill_token": "prefill", "energy_joules_per_decode_token": "decode"}
_PEAK = "peak_rss_bytes"

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

#: A run with one value of a sample: session, index, version, whether it counts, key, value, the sample's metric. Plain
#: tuples as the driver makes them: ten years are ten thousand and more, and an object for each takes longer than
#: finding it.
_Line = tuple[str, int, str | None, int, int, float | None, int | None]

#: Keys of runs: those that count, and those that are left out.
_Keys = tuple[list[int], list[int]]


class _Figure(NamedTuple):
    """Where the values of a metric come from.

    Attributes:
        metric: its name.
        sample: key of the sample's metric; None where it is of none, or there is none of that name.
        tokens: what the sample's seconds divide; None: its value is the figure.
        known: of another table than the samples'.
    """

    metric: str
    sample: int | None
    tokens: int | None
    known: _Values


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

    Sessions that tell no time come first; `since` and `until` leave them out.

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
    began = _began(connection, wanted)
    mine = _of_series(cell_id, wanted)
    names = _sample_names(connection, metrics)
    figures = []
    for metric in metrics:
        sample, column = _SPEEDS.get(metric, (metric, None))
        tokens = None if column is None else cell.batch * cell._mapping[column]
        known: _Values = {}
        if metric == _PEAK:
            known = _peaks(connection, mine)
        elif metric in _ENERGY:
            known = _energy(connection, mine, _ENERGY[metric])
        figures.append(_Figure(metric, names.get(sample), tokens, known))
    return _points(_lines(connection, mine, names.values()), began, figures)


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


def _lines(
    connection: Connection, mine: tuple[ColumnElement[bool], ...], metrics: Collection[int]
) -> list[_Line]:
    """Every attempt of every run, by session, index and attempt: once for each of its values, once without any."""
    runs, samples = table("run"), table("sample")
    figure = and_(
        samples.c.run_key == runs.c.key, samples.c.metric_key.in_(sorted(metrics)), not_(samples.c.warmup)
    )
    query = (
        select(
            runs.c.session_id,
            runs.c.run_index,
            runs.c.framework_version,
            case((and_(runs.c.status == "ok", runs.c.validity == "ok"), 1), else_=0),
            runs.c.key,
            samples.c.value,
            samples.c.metric_key,
        )
        .select_from(runs.outerjoin(samples, figure))
        .where(*mine)
        .order_by(runs.c.session_id, runs.c.run_index, runs.c.attempt)
    )
    return cast("list[_Line]", _rows(connection, query))


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


def _points(
    lines: Sequence[_Line], began: Mapping[str, datetime | None], figures: Sequence[_Figure]
) -> list[HistoryPoint]:
    """The points of all sessions, in the order of time.

    What nearly every session is like, is taken from columns of all lines at once; the others line by line.
    """
    if not lines:
        return []
    columns = list(zip(*lines, strict=True))
    spans, end = {}, 0
    for session_id, count in Counter(columns[0]).items():
        spans[session_id] = end, end + count
        end += count
    unlike = _unlike(columns, figures)
    versions = columns[2]
    whole = [(one.metric, _column(one, columns[5])) for one in figures] if unlike is not None else []
    points: list[HistoryPoint] = []
    make = tuple.__new__  # a named tuple's own takes twice as long
    for session_id, started_at in began.items():
        if session_id not in spans:
            continue
        begin, end = spans[session_id]
        if unlike is None or session_id in unlike:
            points += _line_by_line(session_id, started_at, lines[begin:end], figures)
            continue
        of_runs: dict[str, tuple[float, ...]] = {}
        middles: dict[str, float | None] = {}
        for metric, column in whole:
            some = of_runs[metric] = column[begin:end]
            middles[metric] = _median(some)
        point = (session_id, started_at, versions[begin], end - begin, 0, middles, of_runs)
        points.append(make(HistoryPoint, point))
    return points


def _unlike(columns: Sequence[Sequence[Any]], figures: Sequence[_Figure]) -> set[str] | None:
    """Sessions unlike most: those are of one version, and each of their runs counts, has one attempt and one value.

    None: all of them, since the figures are not all made from one sample.
    """
    if len({one.sample for one in figures}) != 1 or figures[0].sample is None:
        return None
    sessions, indexes, versions, counts, _, numbers, _ = columns
    unlike = set(compress(sessions, map(is_false, counts)))
    unlike.update(
        [one for one, number in zip(sessions, numbers, strict=True) if number is None or number <= 0]
    )
    for same, column in ((True, indexes), (False, versions)):
        compared = map(eq if same else ne, column, column[1:])
        for one, other in compress(pairwise(sessions), compared):
            if one == other:
                unlike.add(one)
    return unlike


def _column(figure: _Figure, numbers: Sequence[float | None]) -> tuple[float, ...]:
    """A figure of every line; what stands where a session is unlike most is not looked at."""
    if figure.tokens is None:
        return cast("tuple[float, ...]", tuple(numbers))
    tokens = figure.tokens
    return tuple([tokens / number if number else 0.0 for number in numbers])


def _line_by_line(
    session_id: str, started_at: datetime | None, lines: Sequence[_Line], figures: Sequence[_Figure]
) -> list[HistoryPoint]:
    """A point for each version of a session, in the order of their runs."""
    of_version, found = _in_order(lines)
    points = []
    for version, (own, left_out) in of_version.items():
        if not own and not left_out:  # attempts that others came after
            continue
        of_runs = {one.metric: _of_runs(one, own, found) for one in figures}
        middles = {metric: _median(some) if some else None for metric, some in of_runs.items()}
        points.append(
            HistoryPoint(session_id, started_at, version, len(own), len(left_out), middles, of_runs)
        )
    return points


#: By sample and run: the numbers of its repetitions.
_Numbers = dict[tuple[int, int], list[float]]


def _in_order(lines: Sequence[_Line]) -> tuple[dict[str | None, _Keys], _Numbers]:
    """The last attempts of a session's runs by version, in their order; and the numbers of all runs."""
    of_version: dict[str | None, _Keys] = {}
    found: _Numbers = defaultdict(list)
    newest = newest_index = None
    keys: list[int] = []
    for _, index, version, counts, key, number, sample in lines:
        if key != newest:
            if index == newest_index:  # another attempt of the same run: only the last one counts
                keys.pop()
            newest, newest_index = key, index
            keys = of_version.setdefault(version, ([], []))[0 if counts else 1]
            keys.append(key)
        if sample is not None and number is not None:
            found[sample, key].append(number)
    return of_version, found


def _of_runs(figure: _Figure, keys: Sequence[int], found: _Numbers) -> tuple[float, ...]:
    """A figure's value of each run that has it: the median over repetitions."""
    if figure.sample is None:
        return tuple([figure.known[key] for key in keys if key in figure.known])
    values = []
    for key in keys:
        numbers: Sequence[float] = found.get((figure.sample, key), ())
        if figure.tokens is not None:
            numbers = [figure.tokens / number for number in numbers if number > 0]
        if numbers:
            values.append(_median(numbers))
    return tuple(values)


def _median(values: Sequence[float]) -> float:
    """As `statistics.median`, which takes longer for its checks than for three values."""
    count = len(values)
    if count == 1:
        return values[0]
    ordered = sorted(values)
    middle = count // 2
    return ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
