"""The exact form of an export: one JSON object a line, which `edgebench import` reads back without any loss.

Owns this format. Its first line says which program and schema wrote it; then come the rows, parents before children,
each with its table and its columns' names; the last line counts them, so that a file that was cut off is noticed.
Contract: databases with the same facts give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import EdgebenchError
from harness.exchange import values
from harness.exchange.header import MARK, header, schema_of
from harness.exchange.reading import Reader
from harness.exchange.shape import Shape, TableShape
from harness.exchange.values import Row
from harness.files import Progress, sync_file

#: Of this format, as the first line says it.
VERSION = 1
#: A line that is longer is nothing that this program wrote.
LONGEST_LINE_BYTES = 256 * 2**20
_ROWS_BETWEEN_LINES = 1_000_000


def write_lines(reader: Reader, target: Path, progress: Progress) -> dict[str, int]:
    """Writes a file; gives the rows by table."""
    counts: dict[str, int] = {}
    written = 0
    with target.open("w", encoding="utf-8", newline="\n") as file:

        def line(value: dict[str, Any]) -> None:
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
            file.write("\n")

        line(header(VERSION))
        for shape in reader.shape:
            counts[shape.name] = 0
            for rows in reader.rows(shape):
                for row in rows:
                    line({"table": shape.name, "row": values.to_json(shape, row)})
                counts[shape.name] += len(rows)
                written += len(rows)
                if written % _ROWS_BETWEEN_LINES < len(rows):
                    progress(f"{written:,} rows written ({shape.name})")
        line({"rows": counts})
    sync_file(target)
    return counts


class LinesReader:
    """A file of JSON lines from anywhere.

    Attributes:
        schema: revision that its rows have.
    """

    def __init__(self, path: Path) -> None:
        """Reads the first line.

        Raises:
            EdgebenchError: not an export, or one of a newer program.
        """
        self._path = path
        self._number = 0
        self._lines = self._read()
        told = next(self._lines, None)
        if not isinstance(told, dict) or MARK not in told:
            raise self._wrong("it is no export of edgebench")
        if not isinstance(told.get("schema"), str):
            raise self._wrong("it names no schema")
        self.schema = schema_of(told, VERSION, path)

    def rows(self, shape: Shape) -> Iterator[tuple[TableShape, Row]]:
        """Every row with its table.

        Raises:
            EdgebenchError: a line is no row, or the file was cut off.
        """
        counts = dict.fromkeys(shape.tables, 0)
        for line in self._lines:
            if not isinstance(line, dict):
                raise self._wrong("it is no row")
            if line.keys() == {"rows"}:
                self._check_end(line["rows"], counts)
                return
            table = line.get("table")
            if not isinstance(table, str) or table not in shape.tables:
                raise self._wrong("it is a row of no table of its schema")
            try:
                row = values.from_json(shape[table], line.get("row"))
            except ValueError as error:
                raise self._wrong(str(error)) from None
            counts[table] += 1
            yield shape[table], row
        raise EdgebenchError(
            f"{self._path} has no end: it was cut off after line {self._number:,}",
            next_step="export again, or copy the whole file; nothing of it was taken in",
        )

    def _check_end(self, counts: Any, found: dict[str, int]) -> None:
        if counts != found:
            raise self._wrong("the rows before it are not those that were written")
        if next(self._lines, None) is not None:
            raise self._wrong("something stands behind the end")

    def _read(self) -> Iterator[Any]:
        with self._path.open("rb") as file:
            while line := file.readline(LONGEST_LINE_BYTES):
                self._number += 1
                if len(line) == LONGEST_LINE_BYTES:
                    raise self._wrong("it is too long for a row")
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise self._wrong(f"it is no JSON: {error}") from None

    def _wrong(self, why: str) -> EdgebenchError:
        return EdgebenchError(
            f"{self._path}, line {self._number:,}: {why}",
            next_step="use a file as `edgebench export --format jsonl` wrote it; nothing of it was taken in",
        )
