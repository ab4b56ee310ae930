"""One door to every format of the table.

Owns the names of the formats. Each format is imported when it is asked for. Contract: for people (table, markdown,
html, latex) formatted texts with marks, claims and notes, the last three with the same content; for programs (json,
csv) raw values of the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UsageError
from harness.table.facts import About
from harness.table.metrics import ROW_KEYS
from harness.table.rows import Row
from harness.table.view import View, build_view, select, shown_keys

FORMATS: tuple[str, ...] = ("table", "markdown", "csv", "json", "html", "latex")


def render(
    rows: Sequence[Row],
    about: Sequence[About],
    format: str = "table",  # noqa: A002 (the name of the command line's option)
    *,
    row_keys: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    where: str | None = None,
    width: int = 120,
    color: bool = False,
) -> str:
    """The rows in a format, ending in a newline.

    Args:
        rows: from `comparison_rows`, of one or several sessions.
        about: the sessions they come from.
        format: one of `FORMATS`.
        row_keys: ``--rows``: columns at the left, by which rows are sorted.
        columns: ``--columns``: figures to show; JSON and CSV give all keys unless told.
        where: ``--where``: conditions, see `harness.table.where`.
        width: of the terminal.
        color: the terminal shows styles.

    Raises:
        UsageError: an unknown format or column, or a malformed condition.
    """
    if format in ("json", "csv"):
        from harness.table.render_data import render_csv, render_json

        kept = select(rows, row_keys=row_keys, where=where)
        keys: Sequence[str] = ROW_KEYS
        if row_keys or columns:
            left, figures = shown_keys(kept, row_keys, columns)
            keys = [*left, *figures]
        return render_json(kept, keys) if format == "json" else render_csv(kept, keys)
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}", next_step=f"choose one of {', '.join(FORMATS)}")
    counted = format != "table"
    view = build_view(rows, about, row_keys=row_keys, columns=columns, where=where, counted=counted)
    return render_view(view, format, width, color)


def render_view(view: View, name: str, width: int = 120, color: bool = False) -> str:
    """A view in a format for people: table, markdown, html or latex."""
    if name == "markdown":
        from harness.table.render_markdown import render_markdown

        return render_markdown(view)
    if name == "html":
        from harness.table.render_html import render_html

        return render_html(view)
    if name == "latex":
        from harness.table.render_latex import render_latex

        return render_latex(view)
    from harness.table.render_terminal import render_terminal

    return render_terminal(view, width=width, color=color)
