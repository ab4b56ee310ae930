"""``edgebench compare``: two sides over the cells that both have."""

from __future__ import annotations

import sys

import click

from harness.cli.common import db_option, format_option, output_option, terminal_width, write_output

EPILOG = """\b
Examples:
  edgebench compare 20261101T06 20261123T06                       two sessions
  edgebench compare framework=llamacpp framework=openvino         two frameworks, in the newest session that has them
  edgebench compare machine=lab-1 machine=lab-2 --where framework=mlx
  edgebench compare framework_version=0.3.35 framework_version=0.3.36
  edgebench compare 20261123T06,precision=fp16 20261123T06,precision=int4 --columns decode_tps,kld_mean

\b
A side is a session's id (or its beginning), conditions as of `edgebench table --where`, or both joined by a comma.
"""


@click.command("compare", epilog=EPILOG)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@format_option("table", "markdown", "csv", "json", "html", "latex")
@click.option(
    "--columns", metavar="COLUMNS", help="Figures to compare. Default: speed, memory, energy, divergence."
)
@click.option("--where", metavar="CONDITIONS", help="Only rows for which these hold, on both sides.")
@click.option("--with-suspect", is_flag=True, help="Figures over suspect runs too.")
@output_option
@db_option
def command(
    a: str,
    b: str,
    format_: str,
    as_json: bool,
    columns: str | None,
    where: str | None,
    with_suspect: bool,
    output: str | None,
    db: str,
) -> None:
    """Compare B with A over the cells that both have: ratios with intervals, and their geometric mean."""
    from harness.cli.lookup import session_id_of
    from harness.compare import compare, find_side
    from harness.compare.ratios import DEFAULT
    from harness.compare.showing import csv_of, json_of, view_of
    from harness.compare.sides import figures, is_default_recipe, narrowed
    from harness.store import Store
    from harness.table.render import render_view

    name = "json" if as_json else format_
    metrics = figures(columns) if columns else DEFAULT
    with Store.open(db, read_only=True) as store, store.computing():
        sides = [
            narrowed(
                find_side(
                    store, words, lambda prefix: session_id_of(store, prefix), with_suspect=with_suspect
                ),
                where,
            )
            for words in (a, b)
        ]
    found = compare(sides[0], sides[1], is_default_recipe, metrics)
    if name in ("json", "csv"):
        text = json_of(found) + "\n" if name == "json" else csv_of(found)
    else:
        color = output is None and sys.stdout is not None and sys.stdout.isatty()
        text = render_view(view_of(found), name, terminal_width(), color)
    write_output(text, output)
