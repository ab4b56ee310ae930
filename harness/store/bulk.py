"""Many runs at once: rows of the schema's tables, by columns, in one large transaction instead of one a run.

Owns how a batch becomes rows here, for programs that write whole databases, such as `benchmarks/make_database.py`; no
command does: `edgebench import` and `db merge` have ways of their own. Imports SQLAlchemy Core, the tables and the
inserts. Contract: the same checks as for single records, on every database alike: types, ranges, finite figures,
references, all constraints; a batch is stored whole or not at all, and storing it again adds nothing. A run that is
stored already keeps what it has: nothing is mixed into it.

Keys are local to a file, so in a batch they are the sender's own numbers: `run.key` and `metric.key` say which number
stands for which run and metric, and every column that refers to them is translated. They hold within one batch; one
that refers to a run of an earlier batch contains that run again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    TypeDecorator,
    select,
)
from sqlalchemy.exc import IntegrityError, StatementError

from harness.store import writing
from harness.store.batches import batches
from harness.store.tables import metadata

#: Table -> column -> values, all of one length; a column that may be NULL can be left out.
Batch = Mapping[str, Mapping[str, Sequence[Any]]]

#: What may be added to a run after it was stored; all other rows below a run came with it.
_LATER = frozenset({"verdict"})

#: Memory for pages while a batch is stored; what the batch itself takes comes on top.
_CACHE_KIB = 64 * 1024

#: SQLite's journal is folded into the file when it has so many pages (128 MiB). A batch is on disk either way; but at
#: SQLite's own thousand pages those of the indexes, which every batch touches all over, are written twice each time.
_CHECKPOINT_PAGES = 32 * 1024

_BITS = ((SmallInteger, 15), (BigInteger, 63), (Integer, 31))


def import_rows(connection: Connection, batch: Batch) -> int:
    """Adds a batch inside the caller's transaction; gives the number of runs that were not stored before.

    Raises:
        ValueError: a table, column or value that the schema does not take; nothing of the batch may be kept.
        LookupError: a row refers to a run or metric that is not in the batch.
    """
    if connection.dialect.name == "sqlite":
        # Ids come in no order: with SQLite's own 2 MB the pages of their indexes are read and written again and again.
        connection.exec_driver_sql(f"PRAGMA cache_size={-_CACHE_KIB}")
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}").close()
    unknown = batch.keys() - metadata.tables.keys()
    if unknown:
        raise ValueError(f"no table {', '.join(sorted(unknown))}")
    runs: dict[int, int] = {}
    added: set[int] = set()
    metrics: dict[int, int] = {}
    for made in metadata.sorted_tables:
        columns = batch.get(made.name)
        if columns is None:
            continue
        _check(made, columns)
        if made.name == "metric":
            found = writing.metric_keys(connection, set(columns["name"]))
            metrics = {
                number: found[name] for number, name in zip(columns["key"], columns["name"], strict=True)
            }
        elif made.name == "run":
            runs, added = _runs(connection, made, columns)
        else:
            _insert(connection, made, _translated(made, columns, runs, added, metrics))
    return len(added)


def _runs(
    connection: Connection, made: Table, columns: Mapping[str, Sequence[Any]]
) -> tuple[dict[int, int], set[int]]:
    """Stored keys by the sender's numbers, and the numbers of the runs that are new."""
    numbers, run_ids = columns["key"], columns["id"]
    before = _keys(connection, made, run_ids)
    _insert(connection, made, {name: values for name, values in columns.items() if name != "key"})
    after = before if len(before) == len(set(run_ids)) else _keys(connection, made, run_ids)
    lost = set(run_ids) - after.keys()
    if lost:
        raise ValueError(f"run {min(lost)} is stored under another id")
    keys = {number: after[run_id] for number, run_id in zip(numbers, run_ids, strict=True)}
    new = {number for number, run_id in zip(numbers, run_ids, strict=True) if run_id not in before}
    return keys, new


def _keys(connection: Connection, made: Table, run_ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    query = select(made.c.id, made.c.key)
    for some in batches(run_ids):
        found.update(connection.execute(query.where(made.c.id.in_(some))).all())
    return found


def _translated(
    made: Table,
    columns: Mapping[str, Sequence[Any]],
    runs: Mapping[int, int],
    added: set[int],
    metrics: Mapping[int, int],
) -> dict[str, Sequence[Any]]:
    """With keys of this file, and without the rows of runs that were stored before."""
    kept: dict[str, Sequence[Any]] = dict(columns)
    owner = made.c.get("run_key")
    if owner is not None and owner.primary_key and made.name not in _LATER and len(added) < len(runs):
        mine = [number in added or number not in runs for number in columns["run_key"]]
        kept = {
            name: [value for value, keep in zip(values, mine, strict=True) if keep]
            for name, values in kept.items()
        }
    for name in kept:
        target = _refers_to(made.c[name])
        if target in ("run", "metric"):
            keys = runs if target == "run" else metrics
            try:
                kept[name] = [None if number is None else keys[number] for number in kept[name]]
            except KeyError as error:
                raise LookupError(f"{made.name}: {name} {error} is no {target} of this batch") from None
    return kept


def _refers_to(column: Column[Any]) -> str | None:
    """The table whose local key a column holds, followed through tables whose own key is that of a run."""
    for reference in column.foreign_keys:
        target = reference.column
        if target.name == "key":
            return str(target.table.name)
        return _refers_to(target)
    return None


def _insert(connection: Connection, made: Table, columns: Mapping[str, Sequence[Any]]) -> None:
    if not columns or not len(next(iter(columns.values()))):
        return
    statement = writing.insert_or_leave(connection, made.name)
    try:
        if connection.dialect.name != "sqlite":
            names = list(columns)
            rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            connection.execute(statement, rows)
            return
        # Past SQLAlchemy's work on every single row, which takes longer than the insert.
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
        ready = [_for_driver(connection, made.c[name], columns[name]) for name in compiled.positiontup]
        connection.exec_driver_sql(str(compiled), list(zip(*ready, strict=True)))
    except IntegrityError as error:
        raise ValueError(f"{made.name}: a row breaks the schema: {error.orig}") from error
    except (TypeError, ValueError, StatementError) as error:
        cause = error.orig if isinstance(error, StatementError) else error
        if isinstance(cause, TypeError | ValueError):
            raise ValueError(f"{made.name}: a value is no JSON: {cause}") from error
        raise


def _for_driver(connection: Connection, column: Column[Any], values: Sequence[Any]) -> Iterable[Any]:
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    if process is None:
        return values
    if not isinstance(column.type, JSON):
        return [process(value) for value in values]
    # Thousands of runs share one mapping of versions or hints: its text is made once.
    texts: dict[int, Any] = {}
    for value in values:
        if id(value) not in texts:
            texts[id(value)] = process(value)
    return [texts[id(value)] for value in values]


def _check(made: Table, columns: Mapping[str, Sequence[Any]]) -> None:
    if not columns:
        raise ValueError(f"{made.name}: no columns")
    unknown = columns.keys() - made.c.keys()
    if unknown:
        raise ValueError(f"{made.name} has no column {', '.join(sorted(unknown))}")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{made.name}: columns of {' and '.join(map(str, sorted(lengths)))} values")
    lacking = [
        column.name
        for column in made.c
        if column.name not in columns and not column.nullable and column.server_default is None
    ]
    if lacking:
        raise ValueError(f"{made.name}: without {', '.join(lacking)}")
    for name, values in columns.items():
        wrong = _first_wrong(made.c[name], values)
        if wrong is not None:
            raise ValueError(f"{made.name}: {name} cannot be {wrong!r}")


def _first_wrong(column: Column[Any], values: Sequence[Any]) -> Any:
    """The first value that the column does not take on every database; None where all are good."""
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, JSON):
        return None  # the serializer refuses what is no JSON
    if None in values:
        values = [value for value in values if value is not None]
    if isinstance(kind, Float):
        return next((one for one in values if type(one) not in (float, int) or not math.isfinite(one)), None)
    if isinstance(kind, Integer):
        limit = 1 << next(bits for integer, bits in _BITS if isinstance(kind, integer))
        return next((one for one in values if type(one) is not int or not -limit <= one < limit), None)
    wanted = (
        bool if isinstance(kind, Boolean) else bytes if isinstance(kind, LargeBinary) else kind.python_type
    )
    if wanted is str:
        # PostgreSQL's text holds no NUL.
        return next((one for one in values if type(one) is not str or "\0" in one), None)
    if wanted is datetime:
        return next((one for one in values if type(one) is not datetime or one.tzinfo is None), None)
    return next((one for one in values if type(one) is not wanted), None)
