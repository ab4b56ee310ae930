"""Merging: everything that one database holds and another lacks, without asking which was first.

Owns the comparison and the order of writing. Imports the store and this room's other modules. Contract: a source is
compared as a whole before anything of it is written, and one that contradicts the target adds nothing; whole sessions
are written, several in one transaction, so whatever interrupts a merge leaves the target whole, and the same merge
completes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from harness.errors import EdgebenchError, UsageError
from harness.exchange import links, rules
from harness.exchange.reading import (
    ROWS_AT_ONCE,
    SESSIONS_AT_ONCE,
    Reader,
    RunKey,
    runs_at_once,
)
from harness.exchange.shape import TableShape
from harness.exchange.source import SHAPE, Source
from harness.exchange.values import Row
from harness.exchange.writing import Writer
from harness.files import Progress, silent
from harness.store import Store, schema
from harness.store.batches import batches
from harness.store.writing import metric_keys

#: Runs of the sessions that one transaction holds, at least: others wait for about a second, and a commit is worth it.
RUNS_PER_TRANSACTION = 4000
#: Contradictions that are told one by one.
TOLD = 20
_SECONDS_BETWEEN_LINES = 5.0
# Merges into one server wait for each other; any number that nothing else uses.
_ADVISORY_LOCK = 0x65646765


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One row that two databases hold differently, and that no rule joins.

    Attributes:
        table: whose row.
        key: what names it.
        columns: that differ.
    """

    table: str
    key: Row
    columns: tuple[str, ...]

    def __str__(self) -> str:
        """For people."""
        return f"{self.table} {'/'.join(map(str, self.key))} ({', '.join(self.columns)})"


@dataclass
class Outcome:
    """What a merge did.

    Attributes:
        source: where from.
        added: table -> rows that were added.
        changed: sessions whose state, and things whose description, was replaced by the greater one.
        redescribed: those of them, and those left as they were, of which both databases tell something else.
        sessions: sessions that were added or completed.
        imported_twice: files of other tools that are now in the target as several sessions, because they were
            imported for different machines or models or with different files beside them.
    """

    source: str
    added: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    redescribed: list[str] = field(default_factory=list)
    sessions: int = 0
    imported_twice: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "source": self.source,
            "added": {name: count for name, count in sorted(self.added.items()) if count},
            "changed": self.changed,
            "sessions": self.sessions,
            "redescribed": self.redescribed,
            "imported_twice": self.imported_twice,
        }


def told(outcome: Outcome) -> list[str]:
    """What a merge did, a line each, for people."""
    if not any(outcome.added.values()) and not outcome.changed:
        lines = [f"{outcome.source}: nothing that is not there already"]
    else:
        added = outcome.added
        what = f"{added['session']:,} sessions, {added['run']:,} runs, {added['sample']:,} samples"
        lines = [f"{outcome.source}: added {what}; {sum(added.values()):,} rows in all"]
    if outcome.redescribed:
        listed = ", ".join(outcome.redescribed[:5]) + (" ..." if len(outcome.redescribed) > 5 else "")
        lines.append(f"  described otherwise there and here; of each column what sorts last stands: {listed}")
    for file in outcome.imported_twice[:5]:
        lines.append(f"  one file was imported as several sessions: {file}")
    return lines


@dataclass
class _Difference:
    missing: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    redescribed: list[str] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.missing or self.changed or self.contradictions)


def merge(source: Source, target: Store, *, progress: Progress = silent) -> Outcome:
    """Adds what a source holds to a target.

    Raises:
        UsageError: both are the same database.
        EdgebenchError: the source contradicts the target, or either cannot be used.
    """
    if _same(source.store, target):
        raise UsageError(
            f"{source.name} cannot be merged into itself", next_step="name another target with --into"
        )
    with source.store.reading() as connection:
        reader = Reader(connection, source.store.place, SHAPE, name=source.name)
        return _Merge(reader, target, progress).carry_out()


def _same(one: Store, other: Store) -> bool:
    first, second = one.place, other.place
    if first.path is None or second.path is None:
        return first.url == second.url and not first.is_sqlite
    return first.path.samefile(second.path)


class MergeRefused(EdgebenchError):
    """A source contradicts the target; nothing of it was added.

    Attributes:
        contradictions: the first of them.
        count: how many there are.
    """

    def __init__(
        self, what: str, *, next_step: str, contradictions: Sequence[Contradiction], count: int
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.contradictions = tuple(contradictions)
        self.count = count


class _Merge:
    def __init__(self, source: Reader, target: Store, progress: Progress) -> None:
        self._source = source
        self._name = source.name
        self._target = target
        self._progress = progress
        self._outcome = Outcome(source.name)
        self._told_at = time.monotonic()

    def carry_out(self) -> Outcome:
        sessions = self._source.sessions()
        known, complete, contradictions, count = self._compare(sessions)
        if count:
            self._refuse(contradictions, count)
        for shape in SHAPE.of_level("shared"):
            self._add_shared(shape)
        open_sessions = [one for one in sessions if one not in complete]
        done = 0
        for group in self._groups(open_sessions):
            self._add_sessions(group, known)
            done += len(group)
            self._tell(f"{done:,} of {len(open_sessions):,} sessions")
        for shape in SHAPE.of_level("loose"):
            self._add_shared(shape)
        if self._outcome.added["session_import"]:
            self._outcome.imported_twice = self._target.files_imported_twice()
        return self._outcome

    def _tell(self, line: str) -> None:
        now = time.monotonic()
        if now - self._told_at >= _SECONDS_BETWEEN_LINES:
            self._told_at = now
            self._progress(f"{self._name}: {line}")

    # -- comparing ----------------------------------------------------------------------------------------------

    def _compare(self, sessions: Sequence[str]) -> tuple[set[str], set[str], list[Contradiction], int]:
        """Sessions that the target has, those of them that lack nothing there, and contradictions with their number."""
        told: list[Contradiction] = []
        count = 0
        known: set[str] = set()
        incomplete: set[str] = set()
        with self._target.reading() as connection:
            target = Reader(connection, self._target.place, SHAPE)
            for shape in SHAPE.of_level("shared", "loose"):
                for rows in self._source.shared(shape):
                    found = self._difference(
                        shape, rows, target.with_keys(shape, [shape.key_of(row) for row in rows])
                    )
                    self._outcome.redescribed += found.redescribed
                    count += len(found.contradictions)
                    told += found.contradictions[: TOLD - len(told)]
            for some in batches(sessions, ROWS_AT_ONCE):
                known |= {str(key[0]) for key in target.with_keys(SHAPE["session"], [(one,) for one in some])}
            compared = 0
            for some in batches(sorted(known), SESSIONS_AT_ONCE):
                for found in self._differences(some, target):
                    count += len(found.contradictions)
                    told += found.contradictions[: TOLD - len(told)]
                    if not found.nothing:
                        incomplete.update(some)
                compared += len(some)
                self._tell(f"compared {compared:,} of {len(known):,} sessions that are in both")
        return known, known - incomplete, told, count

    def _differences(self, sessions: Sequence[str], target: Reader) -> Iterator[_Difference]:
        for shape in SHAPE.of_level("session"):
            for rows in batches(self._source.of_sessions(shape, sessions), ROWS_AT_ONCE):
                there = target.with_keys(shape, [shape.key_of(row) for row in rows])
                yield self._difference(shape, rows, there)
        for shape in SHAPE.of_level("run"):
            for runs in batches(self._source.runs(sessions), runs_at_once(shape)):
                ours = target.of_runs(shape, target.keys([run_id for run_id, _ in runs]))
                rows = self._source.of_runs(shape, runs)
                yield self._difference(shape, rows, {shape.key_of(row): row for row in ours})

    def _difference(self, shape: TableShape, rows: Iterable[Row], there: dict[Row, Row]) -> _Difference:
        found = _Difference()
        for row in rows:
            key = shape.key_of(row)
            ours = there.get(key)
            if ours is None:
                found.missing.append(row)
                continue
            if ours == row:
                continue
            joined = rules.joined(shape, ours, row)
            if joined is None:
                columns = tuple(rules.differing(shape, ours, row))
                found.contradictions.append(Contradiction(shape.name, key, columns))
                continue
            if joined != ours:
                found.changed.append(joined)
            if rules.redescribed(shape, ours, row):
                found.redescribed.append(f"{shape.name} {key[0]}")
        return found

    def _refuse(self, told: Sequence[Contradiction], count: int) -> None:
        listed = "; ".join(map(str, told[:5]))
        more = f" and {count - 5:,} more" if count > 5 else ""
        raise MergeRefused(
            f"{self._name} contradicts {self._target.place}, and nothing of it was merged: {listed}{more}",
            next_step="find out which is right (`edgebench show ID --db ...` on both); what does not contradict can "
            "be merged by itself: edgebench export PART.db --format sqlite --session ID",
            contradictions=told,
            count=count,
        )

    # -- writing ------------------------------------------------------------------------------------------------

    def _add_shared(self, shape: TableShape) -> None:
        for rows in self._source.shared(shape):
            if shape.name in SHAPE.local:
                self._add_names(shape, rows)
                continue
            with self._target.reading() as connection:
                there = Reader(connection, self._target.place, SHAPE).with_keys(
                    shape, [shape.key_of(row) for row in rows]
                )
            if self._difference(shape, rows, there).nothing:
                continue
            with self._writing() as (connection, target):
                there = target.with_keys(shape, [shape.key_of(row) for row in rows])
                self._store(connection, target, shape, self._difference(shape, rows, there), {})

    def _add_names(self, shape: TableShape, rows: Sequence[Row]) -> None:
        assert shape.name == "metric", f"nothing here adds names to {shape.name}"
        names = {str(row[0]) for row in rows}
        with self._target.reading() as connection:
            missing = names - Reader(connection, self._target.place, SHAPE).local_keys(shape.name).keys()
        if missing:
            with self._target.writing() as connection:
                metric_keys(connection, missing)
            self._outcome.added[shape.name] += len(missing)

    def _groups(self, sessions: Sequence[str]) -> Iterator[list[str]]:
        """Sessions that are written in one transaction, each behind all that its rows refer to."""
        counts = self._source.run_counts()
        needs = links.between_sessions(self._source)
        remaining = set(sessions)
        group: list[str] = []
        runs = 0
        for session in sessions:
            # Where clocks were set back, or sessions name each other, several go together.
            for one in sorted(links.reached([session], needs, remaining)):
                remaining.remove(one)
                group.append(one)
                runs += counts.get(one, 0)
            if runs >= RUNS_PER_TRANSACTION:
                yield group
                group, runs = [], 0
        if group:
            yield group

    def _add_sessions(self, sessions: Sequence[str], known: set[str]) -> None:
        old = [one for one in sessions if one in known]
        new = [one for one in sessions if one not in known]
        old_runs, new_runs = list(self._source.runs(old)), list(self._source.runs(new))
        with self._writing() as (connection, target):
            for shape in SHAPE:
                if shape.level == "session":
                    self._add_of_sessions(connection, target, shape, old, new)
                elif shape.level == "run":
                    self._add_of_runs(connection, target, shape, old_runs, new_runs)
        self._outcome.sessions += len(sessions)

    def _add_of_sessions(
        self, connection: Connection, target: Reader, shape: TableShape, old: list[str], new: list[str]
    ) -> None:
        for rows in batches(self._source.of_sessions(shape, new), ROWS_AT_ONCE):
            self._store(connection, target, shape, _Difference(missing=rows), {})
        for rows in batches(self._source.of_sessions(shape, old), ROWS_AT_ONCE):
            there = target.with_keys(shape, [shape.key_of(row) for row in rows])
            self._store(connection, target, shape, self._difference(shape, rows, there), {})

    def _add_of_runs(
        self,
        connection: Connection,
        target: Reader,
        shape: TableShape,
        old: Sequence[RunKey],
        new: Sequence[RunKey],
    ) -> None:
        for runs in batches(new, runs_at_once(shape)):
            rows = self._source.of_runs(shape, runs)
            keys = self._keys(target, runs, rows)
            self._store(connection, target, shape, _Difference(missing=rows), keys)
        for runs in batches(old, runs_at_once(shape)):
            rows = self._source.of_runs(shape, runs)
            keys = self._keys(target, runs, rows)
            there = target.of_runs(shape, [(run_id, keys[run_id]) for run_id, _ in runs if run_id in keys])
            found = self._difference(shape, rows, {shape.key_of(row): row for row in there})
            self._store(connection, target, shape, found, keys)

    @staticmethod
    def _keys(target: Reader, runs: Sequence[RunKey], rows: Sequence[Row]) -> dict[str, int]:
        """Keys in the target of the runs that these rows belong to; for a new run there are none yet."""
        return dict(target.keys([run_id for run_id, _ in runs])) if rows else {}

    def _store(
        self,
        connection: Connection,
        target: Reader,
        shape: TableShape,
        found: _Difference,
        runs: dict[str, int],
    ) -> None:
        if found.nothing:
            return
        if found.contradictions:
            raise EdgebenchError(
                f"{self._target.place} was changed while {self._name} was being merged: {found.contradictions[0]}",
                next_step="run the same merge again; what was merged before is stored",
            )
        writer = Writer(
            connection,
            SHAPE,
            {name: target.local_keys(name) for name in SHAPE.local if name != "run"},
            self._name,
        )
        named = runs_named(shape, found.missing) - runs.keys()
        for some in batches(sorted(named), ROWS_AT_ONCE):
            runs |= dict(target.keys(some))
        writer.insert(shape, found.missing, runs)
        free = rules.free_columns(shape.name)
        writer.replace(shape, found.changed, free)
        self._outcome.added[shape.name] += len(found.missing)
        self._outcome.changed += len(found.changed)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Reader]]:
        with self._target.writing() as connection:
            if connection.dialect.name == "postgresql":
                # SQLite has one writer; here two merges would come upon each other's rows.
                connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection, Reader(connection, self._target.place, SHAPE)


def runs_named(shape: TableShape, rows: Sequence[Row]) -> set[str]:
    """Ids of the runs that rows refer to."""
    places = [place for place, one in enumerate(shape.fields) if one.stands_for == "run"]
    return {str(row[place]) for row in rows for place in places if row[place] is not None}


def write_file(reader: Reader, target: Path, progress: Progress) -> dict[str, int]:
    """Writes an SQLite file that holds what a reader reads and nothing else; gives the rows by table.

    The same facts give the same bytes: rows are written in one order, and the pages are put in order afterwards.
    """
    half = target.with_name(f"{target.name}.merged")
    try:
        with Store.open(half) as store:
            outcome = _Merge(reader, store, progress).carry_out()
            _copy_revisions(reader.connection, store)
            schema.copy_compact(store.place, target)
    finally:
        for left in (half, *(half.with_name(half.name + end) for end in ("-wal", "-shm"))):
            left.unlink(missing_ok=True)
    return {shape.name: outcome.added[shape.name] for shape in SHAPE}


def _copy_revisions(source: Connection, target: Store) -> None:
    """When a database came to its schema is part of its history: a copy has not another one."""
    revisions = SHAPE.metadata.tables["schema_revision"]
    rows = [dict(row._mapping) for row in source.execute(select(revisions).order_by(revisions.c.revision))]
    with target.writing() as connection:
        connection.execute(revisions.delete())
        connection.execute(revisions.insert(), rows)
