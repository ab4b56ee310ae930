"""Long tables over several pages, so that none is too large.

Owns how much one page holds. Contract: every row once, in order; the first page has the plain name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.site.grid import Grid, GridRow
from harness.site.samples import Text

#: Bytes of one page's table, roughly: what else a page holds needs room too.
_ROOM = 1_000_000
#: Tags and attributes of a cell, and of a row.
_CELL, _ROW = 45, 90

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """One of several pages of the same thing: its file's name, its number from 1, and all of them."""

    name: str
    number: int
    names: tuple[str, ...]


def page_names(stem: str, count: int) -> list[Page]:
    """``coverage.html``, ``coverage-2.html`` ..."""
    names = tuple(f"{stem}.html" if at == 0 else f"{stem}-{at + 1}.html" for at in range(max(count, 1)))
    return [Page(name, at + 1, names) for at, name in enumerate(names)]


def text_pages(rows: Iterable[Sequence[Text]]) -> list[list[Sequence[Text]]]:
    """Rows of texts, as many in a list as a page holds; one empty list where there are none."""
    weighed = [
        (row, _ROW + sum(_CELL + _weight(one.text) + _weight(one.href or "") for one in row)) for row in rows
    ]
    return chunks(weighed, _ROOM)


def grid_pages(grid: Grid) -> list[Grid]:
    """A table in as many parts as it takes; mostly one."""
    every = [(heading, ranked, row) for heading, ranked, rows in grid.blocks for row in rows]
    weighed = [(one, _weight_of_row(one[2])) for one in every]
    made = []
    for part in chunks(weighed, _ROOM):
        blocks: list[tuple[str, bool, tuple[GridRow, ...]]] = []
        for heading, ranked, row in part:
            if blocks and blocks[-1][0] == heading:
                blocks[-1] = (heading, ranked, (*blocks[-1][2], row))
            else:
                blocks.append((heading, ranked, (row,)))
        made.append(replace(grid, blocks=tuple(blocks)))
    return made


def _weight_of_row(row: GridRow) -> int:
    cells = sum(
        (_CELL + 25 if one.value is not None else 16) + _weight(one.text) + _weight(one.href or "")
        for one in row.cells
    )
    return _ROW + 2 * _weight(row.name) + cells


def _weight(text: str) -> int:
    """Bytes of a text in HTML, at most: a quotation mark takes five."""
    plain = len(text.encode("utf-8", "surrogatepass"))
    return plain + 5 * sum(text.count(one) for one in "&<>\"'")


def chunks(weighed: Sequence[tuple[T, int]], room: int) -> list[list[T]]:
    """Things with their weights in lists that weigh no more than the room, in order; one too heavy stands alone."""
    made: list[list[T]] = [[]]
    left = room
    for one, weight in weighed:
        if made[-1] and weight > left:
            made.append([])
            left = room
        made[-1].append(one)
        left -= weight
    return made
