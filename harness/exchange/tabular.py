"""CSV and Parquet: one file per table, in a folder or a zip file.

Owns these two formats. Imports pyarrow only while writing Parquet. Contract: streams, some ten thousand rows at a time.

In CSV a missing value is an empty cell, JSON is its text, packed numbers are base64, times are ISO text in UTC. A
text that a spreadsheet might take for a formula begins with an apostrophe; so does one that began with an apostrophe,
and an empty one is an apostrophe: whoever takes away one apostrophe at the beginning has the text again. Numbers are
never changed. `tabular_reading` reads both formats back.
"""

from __future__ import annotations

import base64
import csv
import importlib.util
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import EdgebenchError
from harness.exchange.flat import Part
from harness.exchange.header import header
from harness.exchange.shape import Kind
from harness.exchange.values import Row
from harness.files import Progress, sync_file, sync_folder
from harness.safe_text import guarded
from harness.store import schema

#: What the folder says of itself.
ABOUT = "export.json"
#: Of this form, as it says. In the first, CSV did not tell an empty text from a missing one.
VERSION = 2
# Parquet's row groups: large enough to compress, small enough for any machine.
_ROWS_AT_ONCE = 50_000
_BYTES_AT_ONCE = 64 * 2**20
# The earliest time that a zip file can name: the same content gives the same bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def check_parquet() -> None:
    """Whether Parquet can be written.

    Raises:
        EdgebenchError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise EdgebenchError(
            "Parquet is written by pyarrow, which is not installed",
            next_step="pip install 'edgebench[parquet]', or take --format csv, jsonl or sqlite",
        )


def write(
    tables: Iterable[Part], target: Path, format_: str, *, zipped: bool, progress: Progress
) -> dict[str, int]:
    """Writes a folder or a zip file; gives the rows by table."""
    folder = target.with_name(f"{target.name}.files") if zipped else target
    counts: dict[str, int] = {}
    try:
        folder.mkdir()
        names = []
        for table in tables:
            path = folder / f"{table.name}.{format_}"
            counts[table.name] = _write_csv(table, path) if format_ == "csv" else _write_parquet(table, path)
            sync_file(path)
            names.append(path.name)
            progress(f"{table.name}: {counts[table.name]:,} rows")
        about = {**header(VERSION), "rows": counts}
        (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8", newline="\n")
        sync_folder(folder)
        if zipped:
            _zip(folder, [*names, ABOUT], target, format_)
    finally:
        if zipped:
            shutil.rmtree(folder, ignore_errors=True)
    return counts


def _zip(folder: Path, names: Sequence[str], target: Path, format_: str) -> None:
    # Parquet is compressed already.
    method = zipfile.ZIP_DEFLATED if format_ == "csv" else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = method
            entry.external_attr = 0o644 << 16
            entry.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as file, archive.open(entry, "w") as inside:
                shutil.copyfileobj(file, inside, 2**20)
            (folder / name).unlink()
    sync_file(target)


# -- CSV ------------------------------------------------------------------------------------------------------------


def told(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and nobody for a missing one."""
    return guarded(text) if text else "'"


_CSV: dict[Kind, Callable[[Any], Any]] = {
    "text": told,
    "json": told,
    "bytes": lambda value: told(base64.b64encode(value).decode("ascii")),
    "time": lambda value: value.isoformat(),
    "bool": lambda value: "true" if value else "false",
    "float": repr,
    "int": str,
}


def _write_csv(table: Part, path: Path) -> int:
    convert = [_CSV[kind] for _, kind in table.columns]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _ in table.columns])
        for rows in table.rows:
            writer.writerows(
                ["" if value is None else one(value) for value, one in zip(row, convert, strict=True)]
                for row in rows
            )
            count += len(rows)
    return count


# -- Parquet --------------------------------------------------------------------------------------------------------


def _write_parquet(table: Part, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[Kind, Any] = {
        "text": pa.string(),
        "json": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "bytes": pa.binary(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    fields = [
        pa.field(name, types[kind], metadata={"kind": "json"} if kind == "json" else None)
        for name, kind in table.columns
    ]
    about = {"edgebench_version": __version__, "edgebench_schema": schema.newest()}
    made = pa.schema(fields, metadata=about)
    count = 0
    with pq.ParquetWriter(path, made, compression="zstd") as writer:
        for rows in _large(table.rows):
            columns = list(zip(*rows, strict=True))
            arrays = [pa.array(values, type=one.type) for values, one in zip(columns, made, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=made))
            count += len(rows)
    return count


def _large(batches: Iterable[Sequence[Row]]) -> Iterator[list[Row]]:
    """Rows together until they are worth a row group."""
    rows: list[Row] = []
    size = 0
    for some in batches:
        rows += some
        size += sum(len(value) for row in some for value in row if isinstance(value, str | bytes))
        if len(rows) >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
