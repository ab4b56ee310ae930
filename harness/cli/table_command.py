"""``edgebench table``: the comparison table."""

from __future__ import annotations

import sys

import click

from harness.cli.common import db_option, terminal_width
from harness.errors import EdgebenchError

EPILOG = """\b
Examples:
  edgebench table                                        the newest session
  edgebench table --format markdown > table.md           also csv, json, html, latex
  edgebench table --session 20261123T06                  an older one, by the beginning of its id
  edgebench table --where "framework=openvino,precision=int4"
  edgebench table --rows model,precision --columns decode_tps,kld_mean

\b
`edgebench list metrics` has the names of all columns.
"""


@click.command("table", epilog=EPILOG)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "markdown", "csv", "json", "html", "latex"]),
    default="table",
    show_default=True,
    help="For people: table, markdown, html, latex. For programs: json, csv.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
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
@click.option("-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write to this file.")
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
    output: str | None,
    db: str,
) -> None:
    """Print the comparison table of the newest session, or of another one."""
    from pathlib import Path

    from harness.cli.lookup import session_id_of
    from harness.report import session_rows
    from harness.store import Store
    from harness.table import render

    with Store.open(db, read_only=True) as store:
        rows, about = session_rows(store, session_id_of(store, session, suite), with_suspect=with_suspect)
    text = render(
        rows,
        [about],
        "json" if as_json else format_,
        row_keys=row_keys,
        columns=columns,
        where=where,
        width=terminal_width(),
        color=output is None and sys.stdout is not None and sys.stdout.isatty(),
    )
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise EdgebenchError(
                f"{output} cannot be written: {error.strerror}", next_step="name another file with --output"
            ) from error
