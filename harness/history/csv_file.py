"""A series in a CSV file: columns ``index``, ``value``, and where there are any ``build`` and ``time``.

Owns the format. Contract: what cannot be read is named with its line; a row without a value (an empty cell, NaN) is
left out and counted, never filled.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError

NEEDED = ("index", "value")
#: Columns that a file may have; others are not read.
OPTIONAL = ("build", "time")
#: A double holds its square.
_GREATEST = 1e150
_NEXT = "columns are index, value and, where there are any, build and time; see docs/history.md"


@dataclass(frozen=True, slots=True)
class Series:
    """A series as its file has it, in order.

    Attributes:
        index: one for each row, never falling.
        values: float64[rows], finite.
        builds: one for each row, or None where the file has no such column.
        times: as they stand in the file, or None.
        left_out: rows without a value.
    """

    index: tuple[int | float, ...]
    values: NDArray[np.float64]
    builds: tuple[str, ...] | None
    times: tuple[str, ...] | None
    left_out: int

    @property
    def repeats(self) -> tuple[str | int | float, ...]:
        """What each row is a repeat of: its build, or without builds its index."""
        return self.index if self.builds is None else self.builds


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    index: int | float
    value: float
    build: str
    time: str


def read_series(path: Path) -> Series:
    """Read a series.

    Raises:
        UsageError: there is no such file, it is no such CSV, or an index or value in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", next_step="name a CSV file") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise UsageError(f"{path} is no UTF-8 text file", next_step="name a CSV file in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        _check_columns(path, columns)
        reader.fieldnames = columns
        rows = [_row(path, reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}", next_step=_NEXT) from None
    _check_order(path, rows, with_builds="build" in columns)
    kept = [row for row in rows if not math.isnan(row.value)]
    if not kept:
        raise UsageError(f"{path} has no row with a value", next_step=_NEXT)
    return Series(
        index=tuple(row.index for row in kept),
        values=np.array([row.value for row in kept], dtype=np.float64),
        builds=tuple(row.build for row in kept) if "build" in columns else None,
        times=tuple(row.time for row in kept) if "time" in columns else None,
        left_out=len(rows) - len(kept),
    )


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        there = ", ".join(columns) or "nothing"
        raise UsageError(
            f"{path} has no column {' and no column '.join(missing)}; it has {there}", next_step=_NEXT
        )
    twice = [name for name in (*NEEDED, *OPTIONAL) if columns.count(name) > 1]
    if twice:
        raise UsageError(f"{path} has the column {twice[0]} twice", next_step="leave one of them out")


def _row(path: Path, line: int, cells: dict[str | None, str | None]) -> _Row:
    where = f"{path}, line {line}"
    if None in cells or None in cells.values():
        raise UsageError(f"{where}: not as many cells as there are columns", next_step="correct that line")
    text = {name: (cell or "").strip() for name, cell in cells.items()}
    value = _number(text["value"], f"{where}: value") if text["value"] else math.nan
    index = _number(text["index"], f"{where}: index")
    if "build" in text and not text["build"]:
        raise UsageError(f"{where}: build is empty", next_step="name the build, or leave the column out")
    for name, number in (("index", index), ("value", value)):
        # NaN is no value, and equal to nothing. Hundreds of digits are an integer, but no double: compared as it is.
        left_out = name == "value" and number != number
        if not left_out and not abs(number) <= _GREATEST:
            raise UsageError(
                f"{where}: {name} {text[name][:40]!r} is not finite, or beyond {_GREATEST:g}",
                next_step="correct or remove that line",
            )
    return _Row(line, index, value, text.get("build", ""), text.get("time", ""))


def _number(text: str, where: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise UsageError(f"{where} {text!r} is no number", next_step="correct or remove that line")


def _check_order(path: Path, rows: list[_Row], *, with_builds: bool) -> None:
    for before, row in pairwise(rows):
        if row.index < before.index:
            raise UsageError(
                f"{path}, line {row.line}: index {row.index} comes after {before.index}",
                next_step="sort the file by index",
            )
        if with_builds and row.index == before.index and row.build != before.build:
            raise UsageError(
                f"{path}, line {row.line}: index {row.index} stands for two builds, {before.build!r} and {row.build!r}",
                next_step="give every build an index of its own",
            )
