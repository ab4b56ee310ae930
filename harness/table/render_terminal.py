"""The table in a terminal, as wide as it is."""

from __future__ import annotations

import io

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.table.view import Column, View


def render_terminal(view: View, *, width: int, color: bool = False) -> str:
    """The table as text of ``width`` columns.

    Columns that a narrow terminal cannot hold are left out, the least telling first, and named below the table.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    hidden: list[Column] = []
    table = _table(view, hidden)
    while Measurement.get(console, console.options.update(max_width=10_000), table).minimum > width:
        rest = [column for column in view.columns if column.dispensable and column not in hidden]
        if not rest:
            break
        hidden.append(min(rest, key=lambda column: column.dispensable))
        table = _table(view, hidden)
    console.print(table)
    if hidden:
        names = ", ".join(column.title for column in hidden)
        console.print(Text(f"Not shown for want of width: {names}. Any other --format has them."))
    for section in view.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
    output = console.file
    assert isinstance(output, io.StringIO)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"


def _table(view: View, hidden: list[Column]) -> Table:
    table = Table(
        title=Text(view.title, style="bold"), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left"
    )
    shown = [index for index, column in enumerate(view.columns) if column not in hidden]
    for index in shown:
        column = view.columns[index]
        # Rich would rather cut words than wrap cells; no figure may be cut.
        words = f"{column.title} {' '.join(row[index] for row in view.body)}".split()
        table.add_column(
            Text(column.title),
            justify="right" if column.figures else "left",
            overflow="fold",
            min_width=max(cell_len(word) for word in words),
        )
    for row in view.body:
        table.add_row(*(Text(row[index]) for index in shown))
    return table
