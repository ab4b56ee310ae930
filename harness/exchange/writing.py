"""Portable rows into a database, in bulk.

Owns the inserts and what a person reads when a row cannot be kept. Imports SQLAlchemy Core, and psycopg through the
open connection only. Contract: works inside its caller's transaction; every row is new (its caller looked), so one
that the database refuses is an error, never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, bindparam, update
from sqlalchemy.exc import DataError, IntegrityError

from harness.errors import EdgebenchError
from harness.exchange import values
from harness.exchange.shape import Shape, TableShape
from harness.exchange.values import Row

#: SQLSTATE classes of PostgreSQL for values and rows that it refuses.
_REFUSED = ("22", "23")


class Writer:
    """Writes into one database inside a transaction.

    Args:
        connection: in a transaction that writes.
        shape: of its tables.
        keys: small tables such as `metric`: name -> key, of those that are there.
        source: where the rows come from, for messages.
    """

    def __init__(
        self, connection: Connection, shape: Shape, keys: Mapping[str, dict[str, int]], source: str
    ) -> None:
        self._connection = connection
        self._shape = shape
        self._keys = keys
        self._source = source

    def insert(self, shape: TableShape, rows: Sequence[Row], runs: Mapping[str, int]) -> None:
        """Adds rows that are not there.

        Args:
            shape: their table.
            rows: portable ones.
            runs: id -> key in this database of every run that they name.

        Raises:
            EdgebenchError: the database refuses one.
        """
        if not rows:
            return
        changes = self._changes(shape, runs)
        made: Iterable[Sequence[Any]] = (self._local(row, changes) for row in rows) if changes else rows
        with refused(self._source, shape.name):
            if self._connection.dialect.name == "postgresql":
                self._copy(shape, made)
            else:
                columns = ", ".join(f'"{field.column.name}"' for field in shape.fields)
                marks = ", ".join("?" * len(shape.fields))
                statement = f'INSERT INTO "{shape.name}" ({columns}) VALUES ({marks})'
                kinds = [field.kind for field in shape.fields]
                prepared = [tuple(row) for row in values.for_sqlite(kinds, made)]
                self._connection.exec_driver_sql(statement, prepared)

    def replace(self, shape: TableShape, rows: Sequence[Row], names: Sequence[str]) -> None:
        """Changes some columns of rows that are there."""
        if not rows:
            return
        keys = [shape.fields[place] for place in shape.key]
        statement = (
            update(shape.table)
            .where(*(one.column == bindparam(f"of_{one.name}") for one in keys))
            .values({shape.fields[shape.at(name)].column.name: bindparam(f"new_{name}") for name in names})
        )
        changes = []
        for row in rows:
            change = {f"of_{one.name}": row[shape.at(one.name)] for one in keys}
            for name in names:
                value = row[shape.at(name)]
                is_json = shape.fields[shape.at(name)].kind == "json"
                change[f"new_{name}"] = values.parsed(value) if is_json else value
            changes.append(change)
        with refused(self._source, shape.name):
            self._connection.execute(statement, changes)

    def _changes(self, shape: TableShape, runs: Mapping[str, int]) -> list[tuple[int, Callable[[Any], Any]]]:
        made: list[tuple[int, Callable[[Any], Any]]] = []
        for place, field in enumerate(shape.fields):
            if field.stands_for == "run":
                made.append((place, _meaning(runs, f"{shape.name}.{field.name}", self._source)))
            elif field.stands_for is not None:
                known = self._keys[field.stands_for]
                made.append((place, _meaning(known, f"{shape.name}.{field.name}", self._source)))
        return made

    @staticmethod
    def _local(row: Row, changes: list[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
        made = list(row)
        for place, change in changes:
            made[place] = change(made[place])
        return made

    def _copy(self, shape: TableShape, rows: Iterable[Sequence[Any]]) -> None:
        columns = ", ".join(f'"{field.column.name}"' for field in shape.fields)
        driver: Any = self._connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f'COPY "{shape.name}" ({columns}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)


def _meaning(known: Mapping[str, int], where: str, source: str) -> Callable[[Any], Any]:
    def look_up(name: str | None) -> int | None:
        if name is None:
            return None
        try:
            return known[name]
        except KeyError:
            raise EdgebenchError(
                f"{source}: {where} refers to {name!r}, which is not there",
                next_step="take it from a whole copy; nothing of what was being written is stored",
            ) from None

    return look_up


@contextmanager
def refused(source: str, table: str) -> Iterator[None]:
    """Turns a database's refusal of a row into a sentence.

    Raises:
        EdgebenchError: it refused one.
    """
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise _refusal(source, table, error.orig) from error
    except Exception as error:
        # psycopg's own, from the COPY that SQLAlchemy knows nothing of.
        state = getattr(error, "sqlstate", None)
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        if (state or "22").startswith(_REFUSED):
            raise _refusal(source, table, error) from error
        raise


def _refusal(source: str, table: str, error: BaseException | None) -> EdgebenchError:
    text = str(error).strip().splitlines()
    return EdgebenchError(
        f"{source}: a row of {table} cannot be kept: {text[0] if text else 'refused'}",
        next_step="it contradicts the schema or another row; nothing of what was being written is stored. "
        "Where another process was storing the same at the same moment, do it again",
    )
