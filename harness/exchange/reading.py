"""Portable rows out of a database, in an order that no local key decides, some at a time.

Owns these queries, and what of a database is chosen. Imports SQLAlchemy Core and the shape. Contract: works inside
its caller's transaction; holds the ids of sessions, of one session's runs, and some hundred rows; databases with
equal facts give equal rows in equal order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import JSON, Connection, Text, cast, func, select, tuple_, type_coerce
from sqlalchemy.sql import Select

from harness.errors import EdgebenchError
from harness.exchange import values
from harness.exchange.shape import Shape, TableShape
from harness.exchange.values import Row
from harness.store.batches import batches
from harness.store.engine import Place, explained

#: Sessions, and runs, whose rows are read at once; runs of tables that hold packed numbers, some of them large.
SESSIONS_AT_ONCE = 50
RUNS_AT_ONCE = 256
LARGE_AT_ONCE = 64
#: Rows that are compared or written at once.
ROWS_AT_ONCE = 500

#: A run's id with its key in this database.
RunKey = tuple[str, int]


@dataclass(frozen=True)
class Selection:
    """What of a database is meant.

    Attributes:
        sessions: whole ones; None: all.
        cells: of these sessions, only these cells; None: all.
        runs: session -> ids of runs of sessions that are not whole, or of cells that are not chosen.
        bare: sessions of which nothing but their own row is meant, and runs of `runs`.
        shared: table -> keys of the rows that are meant; a table that is not there: all.
    """

    sessions: frozenset[str] | None = None
    cells: frozenset[str] | None = None
    runs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()
    shared: Mapping[str, frozenset[Any]] = field(default_factory=dict)


EVERYTHING = Selection()


class Reader:
    """Reads one database inside a transaction.

    Methods raise `EdgebenchError` where it is damaged or holds a value that cannot be.

    Attributes:
        connection: in a transaction.
        place: where it is.
        name: what a person calls it.
        shape: of its tables.
        selection: what of it is given.
    """

    def __init__(
        self,
        connection: Connection,
        place: Place,
        shape: Shape,
        selection: Selection = EVERYTHING,
        *,
        name: str | None = None,
    ) -> None:
        self.connection = connection
        self.place = place
        self.name = name or str(place)
        self.shape = shape
        self.selection = selection
        self._names = {name: self._local_names(name) for name in shape.local if name != "run"}

    # -- what there is ------------------------------------------------------------------------------------------

    def sessions(self) -> list[str]:
        """Ids, in order."""
        column = self.shape["session"].table.c.id
        found: Iterable[str] = self.connection.execute(select(column)).scalars()
        chosen = self.selection.sessions
        if chosen is not None:
            wanted = chosen | self.selection.bare
            found = (one for one in found if one in wanted)
        return sorted(found)

    def run_counts(self) -> dict[str, int]:
        """Session -> number of all its runs; sessions without any are left out."""
        column = self.shape["run"].table.c.session_id
        return dict(self.connection.execute(select(column, func.count()).group_by(column)).all())

    def runs(self, sessions: Iterable[str]) -> Iterator[RunKey]:
        """The chosen runs of sessions, in the order of the sessions and then of their ids."""
        runs = self.shape["run"].table
        whole, chosen = self.selection.sessions, self.selection.cells
        for session in sessions:
            query = select(runs.c.id, runs.c.key, runs.c.cell_id).where(runs.c.session_id == session)
            extra = self.selection.runs.get(session, frozenset())
            everything = whole is None or session in whole
            found = [
                (row.id, row.key)
                for row in self.connection.execute(query)
                if row.id in extra or (everything and (chosen is None or row.cell_id in chosen))
            ]
            yield from sorted(found)

    def keys(self, ids: Sequence[str]) -> list[RunKey]:
        """Those of some runs that are here, with their keys."""
        runs = self.shape["run"].table
        query = select(runs.c.id, runs.c.key).where(runs.c.id.in_(ids))
        return [(row.id, row.key) for row in self.connection.execute(query)]

    def local_keys(self, table: str) -> dict[str, int]:
        """Name -> key of a small table such as `metric`."""
        return {name: key for key, name in self._names[table].items()}

    # -- rows ---------------------------------------------------------------------------------------------------

    def rows(self, shape: TableShape) -> Iterator[list[Row]]:
        """All chosen rows of a table in their order, some at a time."""
        if shape.level in ("shared", "loose"):
            yield from self.shared(shape)
        elif shape.level == "session":
            for some in batches(self.sessions(), SESSIONS_AT_ONCE):
                yield from batches(self.of_sessions(shape, some), ROWS_AT_ONCE)
        else:
            for runs in batches(self.runs(self.sessions()), runs_at_once(shape)):
                if rows := self.of_runs(shape, runs):
                    yield rows

    def shared(self, shape: TableShape) -> Iterator[list[Row]]:
        """The rows of a table that belong to no session, or may belong to none, in the order of their keys."""
        query = self._select(shape)
        wanted = self.selection.shared.get(shape.name)
        columns = [shape.fields[place].column for place in shape.key]
        if wanted is None:
            ordered = query.order_by(*(self._bytewise(one) for one in columns))
            with self._understood():
                result = self.connection.execute(ordered, execution_options={"yield_per": ROWS_AT_ONCE})
                parts = result.partitions(ROWS_AT_ONCE)
            while part := self._next(parts):
                with self._understood():
                    rows = self._portable(shape, part)
                yield rows
            return
        for some in batches(sorted(wanted), ROWS_AT_ONCE):
            found = self.with_keys(shape, some)
            yield [found[key] for key in sorted(found)]

    def with_keys(self, shape: TableShape, keys: Sequence[Row]) -> dict[Row, Row]:
        """Those of some rows that are here, by their keys."""
        if shape.level == "run" and shape.name != "run":
            raise TypeError(f"{shape.name} is read by its runs")
        columns = [shape.fields[place].column for place in shape.key]
        chosen = (
            columns[0].in_([key[0] for key in keys])
            if len(columns) == 1
            else tuple_(*columns).in_(list(keys))
        )
        rows = self._fetched(shape, self._select(shape).where(chosen))
        return {shape.key_of(row): row for row in rows}

    def of_sessions(self, shape: TableShape, sessions: Sequence[str]) -> list[Row]:
        """The chosen rows of a table that belong to these sessions, in order."""
        assert shape.level == "session"
        assert shape.owner is not None
        whole = self.selection.sessions
        wanted = [one for one in sessions if shape.name == "session" or whole is None or one in whole]
        query = self._select(shape).where(shape.fields[shape.owner].column.in_(wanted))
        rows = self._fetched(shape, query)
        if self.selection.cells is not None and "cell_id" in shape.names:
            place, cells = shape.at("cell_id"), self.selection.cells
            rows = [row for row in rows if row[place] in cells]
        return sorted(rows, key=shape.key_of)

    def of_runs(self, shape: TableShape, runs: Sequence[RunKey]) -> list[Row]:
        """The rows of a table that belong to these runs, in the order of the runs."""
        assert shape.level == "run"
        assert shape.owner is not None
        places = {run_id: place for place, (run_id, _) in enumerate(runs)}
        table = self.shape["run"].table
        owner = table.c.key if shape.name == "run" else shape.fields[shape.owner].column
        query = self._select(shape).where(owner.in_([key for _, key in runs]))
        ids = {key: run_id for run_id, key in runs}
        rows = self._fetched(shape, query, ids)
        at = shape.owner
        return sorted(rows, key=lambda row: (places[row[at]], shape.key_of(row)))

    # -- how ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Blames this database, and not the one whose transaction this may happen in."""
        try:
            with explained(self.place):
                yield
        except ValueError as error:
            raise EdgebenchError(
                f"{self.name} holds a value that cannot be read: {error}",
                next_step="use a copy from before it was changed by hand or by another program",
            ) from error

    def _fetched(
        self, shape: TableShape, query: Select[Any], runs: Mapping[int, str] | None = None
    ) -> list[Row]:
        with self._understood():
            return self._portable(shape, self.connection.execute(query).all(), runs)

    def _next(self, parts: Iterator[Sequence[Any]]) -> Sequence[Any]:
        with self._understood():
            return next(parts, ())

    def _local_names(self, name: str) -> dict[int, str]:
        table = self.shape[name].table
        key = next(iter(table.primary_key.columns))
        return dict(self.connection.execute(select(key, self.shape.local[name])).all())

    def _bytewise(self, column: Any) -> Any:
        # The order of text is the server's choice, unless it is told.
        is_text = isinstance(column.type, Text) or column.type.python_type is str
        return column.collate("C") if is_text and self.connection.dialect.name == "postgresql" else column

    def _select(self, shape: TableShape) -> Select[Any]:
        """The fields; then the keys that the joined ids stand for, to see what refers to nothing."""
        # Readers are made for a few tables and a few rows: making it takes longer than using it there.
        which = (shape.name, self.connection.dialect.name)
        if which not in self.shape.selects:
            self.shape.selects[which] = self._made_select(shape)
        return self.shape.selects[which]

    def _made_select(self, shape: TableShape) -> Select[Any]:
        runs = self.shape["run"].table
        source: Any = shape.table
        columns: list[Any] = []
        beside: list[Any] = []
        for place, one in enumerate(shape.fields):
            if one.stands_for == "run" and not (shape.level == "run" and place == shape.owner):
                meant = runs.alias(f"{one.column.name}_run")
                source = source.outerjoin(meant, meant.c.key == one.column)
                columns.append(meant.c.id.label(one.name))
                beside.append(one.column)
            elif one.kind == "json" and one.stands_for is None:
                columns.append(self._json_text(one.column).label(one.name))
            else:
                columns.append(one.column.label(one.name))
        return select(*columns, *beside).select_from(source)

    def _json_text(self, column: Any) -> Any:
        # As it is stored: taking it apart and putting it together again would cost more than all the rest.
        if self.connection.dialect.name == "sqlite":
            return type_coerce(column, Text())
        return cast(type_coerce(column, JSON()), Text())

    def _portable(
        self, shape: TableShape, found: Sequence[Any], runs: Mapping[int, str] | None = None
    ) -> list[Row]:
        rows: list[Sequence[Any]] = list(found)
        if not rows:
            return []
        width = len(shape.fields)
        joined = [
            place
            for place, one in enumerate(shape.fields)
            if one.stands_for == "run" and not (shape.level == "run" and place == shape.owner)
        ]
        for beside, place in enumerate(joined, start=width):
            if any(row[place] is None and row[beside] is not None for row in rows):
                raise ValueError(
                    f"{shape.name}.{shape.fields[place].column.name} refers to a run that is not there"
                )
        changes = self._changes(shape, runs)
        if joined or changes:
            rows = [self._changed(row, width, changes) for row in rows]
        return values.sound(shape, [tuple(row) for row in rows])

    def _changes(self, shape: TableShape, runs: Mapping[int, str] | None) -> list[tuple[int, Any]]:
        made: list[tuple[int, Any]] = []
        for place, one in enumerate(shape.fields):
            if shape.level == "run" and place == shape.owner and shape.name != "run":
                assert runs is not None
                made.append((place, runs.get))
            elif one.stands_for not in (None, "run"):
                made.append((place, self._names[str(one.stands_for)].get))
            elif one.kind == "time":
                made.append((place, values.utc))
        return made

    @staticmethod
    def _changed(row: Sequence[Any], width: int, changes: list[tuple[int, Any]]) -> list[Any]:
        made = list(row[:width])
        for place, change in changes:
            made[place] = change(made[place])
        return made


def runs_at_once(shape: TableShape) -> int:
    """How many runs' rows of a table are read at once."""
    return LARGE_AT_ONCE if shape.has_bytes else RUNS_AT_ONCE
