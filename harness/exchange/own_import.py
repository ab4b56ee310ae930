"""Importing what `edgebench export` wrote: JSON lines, SQLite files, and tables as CSV or Parquet.

Owns recognising them. Imports the store and the merge. Contract: a file is read into a database of its own first,
of the schema that it was written with, and merged from there: so old exports are upgraded like old databases, a wrong
line anywhere means that nothing is taken in, and twice is once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import closing
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, MetaData

from harness.exchange import merging
from harness.exchange.header import MARK
from harness.exchange.json_lines import LinesReader
from harness.exchange.reading import ROWS_AT_ONCE, Reader
from harness.exchange.shape import Shape, TableShape
from harness.exchange.source import SHAPE, opened
from harness.exchange.tabular_reading import TablesReader, is_tabular
from harness.exchange.values import Row
from harness.exchange.writing import Writer
from harness.files import Progress, silent
from harness.store import Store, engine, schema
from harness.store.batches import batches

_SQLITE = b"SQLite format 3\x00"


def is_own_export(path: Path) -> bool:
    """Whether a file or folder is what `import_own` reads, as far as its first bytes or its names say.

    Raises:
        OSError: it cannot be read.
    """
    if is_tabular(path):
        return True
    if path.is_dir():
        return False
    with path.open("rb") as file:
        begin = file.read(64)
    return begin.startswith(_SQLITE) or begin.lstrip().startswith(f'{{"{MARK}"'.encode())


def import_own(store: Store, path: Path, *, progress: Progress = silent) -> merging.Outcome:
    """Takes in an export; what is there already stays.

    Args:
        store: open for writing.
        path: a file or folder for which `is_own_export` holds.
        progress: told now and then.

    Raises:
        EdgebenchError: the file is damaged, of a newer program or contradicts what is stored; nothing was taken in.
    """
    if is_tabular(path):
        with closing(TablesReader(path)) as tables:
            return _import_rows(store, path, tables, progress)
    with path.open("rb") as file:
        is_database = file.read(len(_SQLITE)) == _SQLITE
    if is_database:
        with opened(path) as source:
            return merging.merge(source, store, progress=progress)
    return _import_rows(store, path, LinesReader(path), progress)


def _import_rows(
    store: Store, path: Path, rows: LinesReader | TablesReader, progress: Progress
) -> merging.Outcome:
    """Takes in rows through a database of their own."""
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        place = engine.locate(Path(folder) / f"{path.stem}.db")
        _fill(place, rows, str(path))
        assert place.path is not None
        with Store.open(place.path):
            pass  # brings it to the newest schema
        with opened(place.path) as source:
            return merging.merge(source.called(str(path)), store, progress=progress)


def _fill(place: engine.Place, lines: LinesReader | TablesReader, name: str) -> None:
    """Makes a database of the rows' schema and writes them into it, in one transaction."""
    temporary = engine.connect(place, read_only=False)
    try:
        schema.make_at(temporary, place, lines.schema)
        with engine.writing(temporary, place) as connection:
            shape = SHAPE if lines.schema == schema.newest() else _found(connection)
            for _, some in groupby(lines.rows(shape), key=lambda one: one[0].name):
                _insert(connection, place, shape, some, name)
    finally:
        temporary.dispose()


def _found(connection: Connection) -> Shape:
    """The shape of an older schema, of which this program has no models."""
    metadata = MetaData()
    metadata.reflect(connection)
    return Shape(metadata)


def _insert(
    connection: Connection,
    place: engine.Place,
    shape: Shape,
    rows: Iterable[tuple[TableShape, Row]],
    name: str,
) -> None:
    """Writes rows of one table; what they refer to was written before."""
    reader = Reader(connection, place, shape, name=name)
    keys = {one: reader.local_keys(one) for one in shape.local if one != "run"}
    writer = Writer(connection, shape, keys, name)
    for some in batches(rows, ROWS_AT_ONCE):
        table, made = some[0][0], [row for _, row in some]
        runs: dict[str, int] = {}
        for ids in batches(sorted(merging.runs_named(table, made)), ROWS_AT_ONCE):
            runs |= dict(reader.keys(ids))
        writer.insert(table, made, runs)
