"""``edgebench table``: the comparison table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.common import db_option, format_option, output_option, terminal_width, write_output
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench table                                        the newest session
  edgebench table --format markdown > table.md           also csv, json, html, latex
  edgebench table --session 20261123T06                  an older one, by the beginning of its id
  edgebench table --where "framework=openvino,precision=int4"
  edgebench table --rows model,precision --columns decode_tps,kld_mean
  edgebench table --explain --where recipe=Q4_K_M --columns decode_tps

\b
`edgebench list metrics` has the names of all columns.
"""


@click.command("table", epilog=EPILOG)
@format_option("table", "markdown", "csv", "json", "html", "latex")
@click.option(
    "--session", metavar="ID", help="A session's id or the beginning of one. Default: the newest one."
)
@click.option("--suite", metavar="NAME", help="The newest session of this suite.")
@click.option("--rows", "row_keys", metavar="COLUMNS", help="Columns at the left, by which rows are sorted.")
@click.option("--columns", metavar="COLUMNS", help="Figures to show, in this order.")
@click.option(
    "--where", metavar="CONDITIONS", help="Only rows for which these hold: framework=mlx,decode_tps>10"
)
@click.option(
    "--with-suspect", is_flag=True, help="Figures over suspect runs too, also where a cell has others."
)
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="For each figure: definition, arithmetic, runs and samples, and where they come from. "
    "With --format table, markdown or json.",
)
@output_option
@db_option
def command(
    format_: str,
    as_json: bool,
    session: str | None,
    suite: str | None,
    row_keys: str | None,
    columns: str | None,
    where: str | None,
    with_suspect: bool,
    explained: bool,
    output: str | None,
    db: str,
) -> None:
    """Print the comparison table of the newest session, or of another one."""
    from harness.cli.lookup import session_id_of
    from harness.report import session_rows
    from harness.store import Store
    from harness.table import render

    name = "json" if as_json else format_
    color = output is None and sys.stdout is not None and sys.stdout.isatty()
    with Store.open(db, read_only=True) as store, store.computing():
        session_id = session_id_of(store, session, suite)
        if explained:
            text = _explained(
                store, session_id, name, row_keys, columns, where, with_suspect=with_suspect, color=color
            )
        else:
            rows, about = session_rows(store, session_id, with_suspect=with_suspect)
            text = render(
                rows,
                [about],
                name,
                row_keys=row_keys,
                columns=columns,
                where=where,
                width=terminal_width(),
                color=color,
            )
    write_output(text, output)


def _explained(
    store: Store,
    session_id: str,
    name: str,
    row_keys: str | None,
    columns: str | None,
    where: str | None,
    *,
    with_suspect: bool,
    color: bool,
) -> str:
    """The explanation instead of the table.

    Raises:
        UsageError: a format that has no place for it.
    """
    from harness.explain import explain, explanation_json, explanation_text
    from harness.table import ROW_KEYS
    from harness.table.view import shown_keys

    if name not in ("table", "markdown", "json"):
        raise UsageError(
            f"--explain cannot be written as {name}", next_step="choose --format table, markdown or json"
        )
    found = explain(
        store,
        session_id,
        row_keys=row_keys,
        columns=columns,
        where=where,
        with_suspect=with_suspect,
        # A program gets everything unless it names columns, as from the table itself.
        everything=name == "json",
    )
    if name == "json":
        rows = [one.row for one in found.rows]
        left, figures = shown_keys(rows, row_keys, columns) if row_keys or columns else ([], list(ROW_KEYS))
        return explanation_json(found, [*left, *figures])
    return explanation_text(found, markdown=name == "markdown", width=terminal_width(), color=color)
