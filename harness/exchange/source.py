"""Opening a database that is only read: as it is where it is of the newest schema, else an upgraded temporary copy.

Owns that a source is never changed, and the look at whether it is what it says. Imports the store. Contract: what is
given is of the newest schema, and its tables are tables with the references that the schema has; what a file from
elsewhere defines beside them (views, triggers) is never run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from harness.errors import EdgebenchError
from harness.exchange.shape import Shape
from harness.store import Store
from harness.store.engine import explained, locate
from harness.store.schema import copy_file, is_older
from harness.store.tables import metadata

#: Of this program's schema.
SHAPE = Shape(metadata)


@dataclass(frozen=True, slots=True)
class Source:
    """A database that is read from.

    Attributes:
        store: open for reading; perhaps of a temporary copy.
        name: what a person calls it; without a password.
    """

    store: Store
    name: str

    def called(self, name: str) -> Source:
        """The same by another name."""
        return Source(self.store, name)


@contextmanager
def opened(target: str | Path) -> Iterator[Source]:
    """A database to read from.

    Raises:
        EdgebenchError: it cannot be used, is damaged, or is not one of edgebench's.
    """
    place = locate(target)
    if place.path is not None and place.path.is_file() and is_older(place):
        with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
            copy = Path(folder) / place.path.name
            with explained(place):
                copy_file(place.path, copy)
            with Store.open(copy) as store:
                source = Source(store, str(place))
                check(source)
                yield source
        return
    with Store.open(target, read_only=True) as store:
        source = Source(store, str(place))
        check(source)
        yield source


def check(source: Source) -> None:
    """Refuses a file whose tables are not this schema's, or that holds rows which refer to nothing.

    A server enforces its own schema; a file may have been made by anybody.

    Raises:
        EdgebenchError: it is.
    """
    if not source.store.place.is_sqlite:
        return
    with source.store.reading() as connection:
        _check_tables(connection, source)
        loose = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if loose is not None:
        raise EdgebenchError(
            f"{source.name} is damaged: a row of {loose[0]} refers to nothing in {loose[2]}",
            next_step="restore a copy; `edgebench db check` lists what is wrong with it",
        )


def _check_tables(connection: Connection, source: Source) -> None:
    kinds: dict[str, str] = dict(connection.execute(text("SELECT name, type FROM sqlite_master")).all())
    for shape in SHAPE:
        found = set(
            connection.exec_driver_sql(f'SELECT name FROM pragma_table_info("{shape.name}")').scalars()
        )
        references = {
            (row[0], row[1])
            for row in connection.exec_driver_sql(
                f'SELECT "from", "table" FROM pragma_foreign_key_list("{shape.name}")'
            )
        }
        columns = {column.name for column in shape.table.columns}
        wanted = {
            (column.name, one.column.table.name)
            for column in shape.table.columns
            for one in column.foreign_keys
        }
        if kinds.get(shape.name) != "table" or not columns <= found or not wanted <= references:
            raise EdgebenchError(
                f"{source.name} says that it is of edgebench's newest schema, but its table {shape.name} is not",
                next_step="use a copy from before it was changed by hand or by another program",
            )
