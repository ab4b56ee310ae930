"""Reading back what `tabular` wrote: CSV or Parquet, a file per table, in a folder or a zip file.

Owns the way from a cell to a portable value. Imports pyarrow only while reading Parquet. Contract: as that of the JSON
lines' reader: every value is checked as one from anywhere, some thousand rows are in memory at a time, and a file that
is missing, cut off or not as it was written is an error that names the file and the row. The two wide tables for people
are not read: they follow from the others.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.errors import EdgebenchError
from harness.exchange import values
from harness.exchange.header import schema_of
from harness.exchange.shape import Kind, Shape, TableShape
from harness.exchange.tabular import ABOUT, VERSION, check_parquet
from harness.exchange.values import Row

#: A cell that is longer is nothing that this program wrote.
LONGEST_CELL = 256 * 2**20
#: Of ``export.json``.
_LONGEST_ABOUT_BYTES = 2**20
_ROWS_AT_ONCE = 5_000
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)


def is_tabular(path: Path) -> bool:
    """Whether a folder or a zip file says that `edgebench export` wrote it.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return (path / ABOUT).is_file()
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return ABOUT in archive.namelist()
    except zipfile.BadZipFile:
        return False


class TablesReader:
    """A folder or a zip file of tables from anywhere.

    Attributes:
        schema: revision that its rows have.
    """

    def __init__(self, path: Path) -> None:
        """Reads what it says of itself.

        Raises:
            EdgebenchError: no such export, or one of a newer program.
        """
        self._path = path
        self._archive = None if path.is_dir() else zipfile.ZipFile(path)
        try:
            with self._open(ABOUT) as file:
                about = json.loads(file.read(_LONGEST_ABOUT_BYTES))
        except (ValueError, RecursionError) as error:
            raise self._wrong(ABOUT, f"it is no JSON: {error}") from None
        if not isinstance(about, dict) or not isinstance(about.get("rows"), dict):
            raise self._wrong(ABOUT, "it does not say which tables there are")
        again = ", or export again with the version that wrote it, to a file that ends in .jsonl or .db"
        self.schema = schema_of(about, VERSION, path, otherwise=again)
        self._counts: Mapping[str, Any] = about["rows"]
        self._format = "csv" if self._has("session.csv") else "parquet"
        if self._format == "parquet":
            check_parquet()

    def close(self) -> None:
        """Closes the zip file."""
        if self._archive is not None:
            self._archive.close()

    def rows(self, shape: Shape) -> Iterator[tuple[TableShape, Row]]:
        """Every row with its table, parents before children.

        Raises:
            EdgebenchError: a file is missing, or a row is none of its table.
        """
        read = self._csv if self._format == "csv" else self._parquet
        for table in shape:
            name, count = f"{table.name}.{self._format}", 0
            for made in read(name, table):
                count += 1
                try:
                    yield table, values.from_json(table, made)
                except ValueError as error:
                    raise self._wrong(name, str(error), count) from None
            if count != self._counts.get(table.name):
                raise self._wrong(name, f"{count:,} rows, where {self._counts.get(table.name)} were written")

    # -- files --------------------------------------------------------------------------------------------------

    def _has(self, name: str) -> bool:
        if self._archive is None:
            return (self._path / name).is_file()
        return name in self._archive.namelist()

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        """One file of it. Damage of a zip file, and of what is read in the block, is an error of that file."""
        if not self._has(name):
            raise self._wrong(name, "it is missing")
        try:
            with (
                (self._path / name).open("rb") if self._archive is None else self._archive.open(name) as file
            ):
                yield file
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise self._wrong(name, f"it cannot be read: {error}") from error

    def _wrong(self, name: str, why: str, row: int | None = None) -> EdgebenchError:
        where = "" if row is None else f", row {row:,}"
        return EdgebenchError(
            f"{self._path}, {name}{where}: {why}",
            next_step="use it as `edgebench export` wrote it; a table that was changed elsewhere is no measurement, "
            "and nothing of it was taken in",
        )

    def _kinds(self, name: str, table: TableShape, found: Sequence[str]) -> list[tuple[str, Kind]]:
        """The columns of a file with their kinds; their order is another one where tables grew by migrations."""
        if sorted(found) != sorted(table.names):
            raise self._wrong(name, "not the columns of this table")
        return [(one, table.fields[table.at(one)].kind) for one in found]

    # -- CSV ----------------------------------------------------------------------------------------------------

    def _csv(self, name: str, table: TableShape) -> Iterator[dict[str, Any]]:
        count = 0
        with self._open(name) as file, _long_cells():
            lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline=""), strict=True)
            try:
                convert = [(one, _CSV[kind]) for one, kind in self._kinds(name, table, next(lines, []))]
                for cells in lines:
                    count += 1
                    if len(cells) != len(convert):
                        raise ValueError("not the columns of this table")
                    yield {
                        column: None if cell == "" else read(cell)
                        for (column, read), cell in zip(convert, cells, strict=True)
                    }
            except (ValueError, csv.Error, RecursionError) as error:
                raise self._wrong(name, str(error), count) from None

    # -- Parquet ------------------------------------------------------------------------------------------------

    def _parquet(self, name: str, table: TableShape) -> Iterator[dict[str, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        count = 0
        with self._open(name) as file:
            try:
                whole = pq.ParquetFile(file)
                kinds = self._kinds(name, table, whole.schema_arrow.names)
                for batch in whole.iter_batches(_ROWS_AT_ONCE):
                    columns = [
                        _parquet_column(column.to_pylist(), kind)
                        for column, (_, kind) in zip(batch.columns, kinds, strict=True)
                    ]
                    for row in zip(*columns, strict=True):
                        count += 1
                        yield {one: value for (one, _), value in zip(kinds, row, strict=True)}
            except (pa.ArrowException, ValueError, TypeError, AttributeError, RecursionError) as error:
                raise self._wrong(name, str(error), count) from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Packed numbers are longer than the library lets a cell be."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# -- a cell as the JSON lines have it -------------------------------------------------------------------------------


def _text(cell: str) -> str:
    return cell.removeprefix("'")


def _whole(cell: str) -> int:
    if _WHOLE.fullmatch(cell) is None:
        raise ValueError(f"{cell[:40]!r} is no whole number")
    return int(cell)


def _fraction(cell: str) -> Any:
    return _finite(float(cell))


def _finite(value: float) -> Any:
    return value if math.isfinite(value) else repr(value)


def _bool(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError(f"{cell[:40]!r} is neither true nor false")
    return cell == "true"


_CSV: dict[Kind, Callable[[str], Any]] = {
    "text": _text,
    "json": lambda cell: json.loads(_text(cell)),
    "bytes": _text,
    "time": str,
    "bool": _bool,
    "float": _fraction,
    "int": _whole,
}

_PARQUET: dict[Kind, Callable[[Any], Any]] = {
    "json": json.loads,
    "bytes": lambda value: base64.b64encode(value).decode("ascii"),
    "time": lambda value: value.isoformat(),
    "float": _finite,
}


def _parquet_column(found: list[Any], kind: Kind) -> list[Any]:
    convert = _PARQUET.get(kind)
    return found if convert is None else [None if value is None else convert(value) for value in found]
