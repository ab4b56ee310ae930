"""A part of a database, with all that it refers to.

Owns what `edgebench export --session` and its like mean, and following references until nothing is missing. Imports
SQLAlchemy Core, the reader and the little language of ``--where``. Contract: a selection is closed: every row that a
chosen row refers to is chosen; of sessions that were not asked for, only the runs that something refers to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from harness.errors import UsageError
from harness.exchange import rules
from harness.exchange.reading import (
    EVERYTHING,
    ROWS_AT_ONCE,
    RUNS_AT_ONCE,
    SESSIONS_AT_ONCE,
    Reader,
    RunKey,
    Selection,
)
from harness.exchange.shape import TableShape
from harness.exchange.values import Row
from harness.labels import device_label
from harness.store.batches import batches
from harness.table.where import parse_where

#: What ``--where`` may name: columns of a cell.
CELL_COLUMNS = (
    "framework",
    "model",
    "precision",
    "recipe",
    "device",
    "workload",
    "prompt_tokens",
    "decode_tokens",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; nothing: everything.

    Attributes:
        sessions: ids.
        suite: sessions of this suite.
        since: sessions that began then or later; aware.
        where: conditions on cells.
    """

    sessions: Sequence[str] = ()
    suite: str | None = None
    since: datetime | None = None
    where: str | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing was asked for."""
        return not self.sessions and self.suite is None and self.since is None and self.where is None


ALL = Wish()


def choose(reader: Reader, wish: Wish) -> Selection:
    """The selection of a whole database's reader that a wish means.

    Raises:
        UsageError: nothing is like that, or the conditions name what a cell has not.
    """
    if wish.everything:
        return EVERYTHING
    cells = None if wish.where is None else _cells(reader, wish.where)
    sessions = _sessions(reader, wish, cells)
    if not sessions:
        raise UsageError(
            f"{reader.name} holds no session like that",
            next_step=f"`edgebench db sessions` lists them; `--where` knows {', '.join(CELL_COLUMNS)}",
        )
    return _Closure(reader, frozenset(sessions), cells).selection()


class _CellValues(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise UsageError(
            f"{name} is no column of a cell, and a part of a database is chosen by its cells",
            next_step=f"use {', '.join(CELL_COLUMNS)}; `edgebench table --where` knows all columns",
        )


def _cells(reader: Reader, where: str) -> frozenset[str]:
    test = parse_where(where)
    test_names = _CellValues(dict.fromkeys(CELL_COLUMNS))
    test(test_names)  # wrong names are said, though there may be no cell
    table = reader.shape["cell"].table
    columns = [table.c[name] for name in CELL_COLUMNS]
    found = set()
    for row in reader.connection.execute(select(table.c.id, table.c.api, *columns)):
        values = _CellValues({name: getattr(row, name) for name in CELL_COLUMNS})
        values["device"] = device_label(row.device, row.api)  # as the table names it
        if test(values):
            found.add(row.id)
    return frozenset(found)


def _sessions(reader: Reader, wish: Wish, cells: frozenset[str] | None) -> set[str]:
    table = reader.shape["session"].table
    query = select(table.c.id)
    if wish.suite is not None:
        query = query.where(table.c.suite == wish.suite)
    if wish.since is not None:
        query = query.where(table.c.started_at >= wish.since)
    if wish.sessions:
        query = query.where(table.c.id.in_(list(wish.sessions)))
    found = set(reader.connection.execute(query).scalars())
    if cells is not None:
        with_cells: set[str] = set()
        for name in ("session_cell", "run"):
            columns = reader.shape[name].table.c
            for some in batches(sorted(cells), ROWS_AT_ONCE):
                has = select(columns.session_id).where(columns.cell_id.in_(some)).distinct()
                with_cells.update(reader.connection.execute(has).scalars())
        found &= with_cells
    return found | _second_looks(reader, found)


def _second_looks(reader: Reader, sessions: set[str]) -> set[str]:
    """The sessions in which a gate looked at these again: its verdicts rest on them."""
    table = reader.shape["session"].table
    first = table.c.settings[("gate", "again")].as_string()
    found: set[str] = set()
    for some in batches(sorted(sessions), ROWS_AT_ONCE):
        found.update(reader.connection.execute(select(table.c.id).where(first.in_(some))).scalars())
    return found


@dataclass
class _Closure:
    """Follows references. Holds the ids of what is chosen but for the runs of whole sessions."""

    reader: Reader
    sessions: frozenset[str]
    cells: frozenset[str] | None
    runs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    bare: set[str] = field(default_factory=set)
    shared: dict[str, set[Row]] = field(default_factory=lambda: defaultdict(set))
    # Ids that were met and not followed yet.
    met_runs: set[str] = field(default_factory=set)
    met: dict[str, set[Row]] = field(default_factory=lambda: defaultdict(set))

    def selection(self) -> Selection:
        asked = Selection(sessions=self.sessions, cells=self.cells)
        whole = Reader(
            self.reader.connection, self.reader.place, self.reader.shape, asked, name=self.reader.name
        )
        for some in batches(whole.sessions(), SESSIONS_AT_ONCE):
            for shape in self.reader.shape.of_level("session"):
                self._note(shape, whole.of_sessions(shape, some))
        self._follow_runs(whole.runs(whole.sessions()))
        while self.met_runs:
            self._follow_runs(self._new_runs())
        self._bring_along("session", [(one,) for one in self.sessions])
        while any(self.met.values()):
            self._follow_shared()
        return Selection(
            sessions=self.sessions,
            cells=self.cells,
            runs={session: frozenset(runs) for session, runs in self.runs.items()},
            bare=frozenset(self.bare),
            shared={
                shape.name: frozenset(self.shared[shape.name])
                for shape in self.reader.shape.of_level("shared", "loose")
                if shape.name not in self.reader.shape.local
            },
        )

    def _note(self, shape: TableShape, rows: Sequence[Row]) -> None:
        """Notes what these rows refer to."""
        for place, one in enumerate(shape.fields):
            if one.refers_to is None and one.stands_for != "run":
                continue
            ids = {row[place] for row in rows} - {None}
            if one.stands_for == "run":
                self.met_runs |= ids
            elif one.refers_to == "session":
                self._note_sessions(ids)
            else:
                self._meet(str(one.refers_to), {(value,) for value in ids})

    def _meet(self, table: str, keys: set[Row]) -> None:
        self.met[table] |= keys - self.shared[table]

    def _note_sessions(self, ids: set[str]) -> None:
        new = ids - self.sessions - self.bare
        self.bare |= new
        shape = self.reader.shape["session"]
        for some in batches(sorted(new), ROWS_AT_ONCE):
            self._note(shape, list(self.reader.with_keys(shape, [(one,) for one in some]).values()))

    def _follow_runs(self, runs: Iterable[RunKey]) -> None:
        referring = [
            shape
            for shape in self.reader.shape.of_level("run")
            if any(
                one.refers_to is not None or (one.stands_for == "run" and place != shape.owner)
                for place, one in enumerate(shape.fields)
            )
        ]
        for some in batches(runs, RUNS_AT_ONCE):
            for shape in referring:
                self._note(shape, self.reader.of_runs(shape, some))
            self.met_runs -= {run_id for run_id, _ in some}

    def _new_runs(self) -> list[RunKey]:
        """The runs that were met and are not chosen yet; from now on they are."""
        table = self.reader.shape["run"].table
        new = []
        for some in batches(sorted(self.met_runs), ROWS_AT_ONCE):
            query = select(table.c.id, table.c.key, table.c.session_id, table.c.cell_id).where(
                table.c.id.in_(some)
            )
            for row in self.reader.connection.execute(query).all():
                asked = row.session_id in self.sessions and (self.cells is None or row.cell_id in self.cells)
                if not asked and row.id not in self.runs[row.session_id]:
                    self.runs[row.session_id].add(row.id)
                    self._note_sessions({row.session_id})
                    new.append((row.id, row.key))
        self.met_runs.clear()
        return new

    def _follow_shared(self) -> None:
        met, self.met = self.met, defaultdict(set)
        for table, keys in met.items():
            new = sorted(keys - self.shared[table])
            self.shared[table] |= keys
            shape = self.reader.shape[table]
            for some in batches(new, ROWS_AT_ONCE):
                self._note(shape, list(self.reader.with_keys(shape, some).values()))
            self._bring_along(table, new)

    def _bring_along(self, table: str, keys: Sequence[Row]) -> None:
        """Notes the rows that come with these: the packages of an environment, the ways an artifact was made."""
        for child, columns in rules.COMES_WITH.items():
            shape = self.reader.shape[child]
            named = [shape.fields[place].column for place in shape.key]
            of_session = [one.column for one in shape.fields if one.refers_to == "session"]
            for one in (shape.fields[shape.at(name)] for name in columns):
                if one.refers_to != table:
                    continue
                for some in batches(keys, ROWS_AT_ONCE):
                    query = select(*named).where(one.column.in_([key[0] for key in some]))
                    if table != "session":
                        # What belongs to a session comes with that session alone.
                        query = query.where(*(column.is_(None) for column in of_session))
                    self._meet(child, {tuple(row) for row in self.reader.connection.execute(query)})
