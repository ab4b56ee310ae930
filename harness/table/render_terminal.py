"""The table in a terminal, as wide as it is."""

from __future__ import annotations

import io

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.table.view import View


def render_terminal(view: View, *, width: int, color: bool = False) -> str:
    """The table as text of ``width`` columns.

    Columns that a narrow terminal cannot hold are left out, the least telling first, and named below the table. No
    figure is ever cut: a terminal narrower than the columns that must stay gets longer lines.
    """
    shown = _fitting(view, width)
    console = Console(
        file=io.StringIO(),
        width=max(width, _needed(view, shown)),
        force_terminal=color,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    console.print(_table(view, shown, console.width))
    console.width = width
    hidden = [column.title for index, column in enumerate(view.columns) if index not in shown]
    if hidden:
        console.print(
            Text(
                f"Not shown for want of width: {', '.join(hidden)}. A wider terminal or another --format has them."
            )
        )
    for section in view.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
    output = console.file
    assert isinstance(output, io.StringIO)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def _fitting(view: View, width: int) -> list[int]:
    shown = list(range(len(view.columns)))
    while _needed(view, shown) > width:
        rest = [index for index in shown if view.columns[index].dispensable]
        if not rest:
            break
        shown.remove(min(rest, key=lambda index: view.columns[index].dispensable))
    return shown


def _longest_word(view: View, index: int) -> int:
    words = f"{view.columns[index].title} {' '.join(row[index] for row in view.body)}".split()
    return max((cell_len(word) for word in words), default=0)


def _needed(view: View, shown: list[int]) -> int:
    # Each column has a space of padding and a space that divides it from the next; the frame has one more.
    return sum(_longest_word(view, index) + 2 for index in shown) + 1


def _widths(view: View, shown: list[int], width: int) -> dict[int, int]:
    """Width of every shown column: its longest word at least, its longest cell where there is room.

    Rich's own way shrinks the widest columns first, below their longest words.
    """
    widths = {index: _longest_word(view, index) for index in shown}
    spare = width - _needed(view, shown)

    def lacking(index: int) -> int:
        texts = [view.columns[index].title, *(row[index] for row in view.body)]
        return max(cell_len(text) for text in texts) - widths[index]

    for index in sorted(shown, key=lacking):
        given = min(max(0, spare), lacking(index))
        widths[index] += given
        spare -= given
    return widths


def _table(view: View, shown: list[int], width: int) -> Table:
    widths = _widths(view, shown, width)
    table = Table(
        title=Text(view.title, style="bold"), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left"
    )
    for index in shown:
        column = view.columns[index]
        table.add_column(
            Text(column.title),
            justify="right" if column.figures else "left",
            overflow="fold",
            width=widths[index],
        )
    for block in view.blocks():
        for row in block:
            table.add_row(*(Text(row[index]) for index in shown))
        table.add_section()
    return table
