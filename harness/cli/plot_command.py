"""``edgebench plot``: plots of stored figures."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import db_option, json_option, print_json, tell

EPILOG = """\b
Examples:
  edgebench plot roofline                          the newest session, as roofline.svg
  edgebench plot roofline --session 20261123T06 --out lab.png
  edgebench plot roofline --json                   the plot's data
"""


@click.group("plot", epilog=EPILOG)
def command() -> None:
    """Draw stored figures: SVG, PNG, HTML or Vega-Lite JSON."""


@command.command("roofline", epilog=EPILOG)
@click.option(
    "--session", metavar="ID", help="A session's id or the beginning of one. Default: the newest one."
)
@click.option("--suite", metavar="NAME", help="The newest session of this suite.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="roofline.svg",
    show_default=True,
    help="File to write; its name ends in .svg, .png, .html or .json (Vega-Lite).",
)
@db_option
@json_option
def roofline(session: str | None, suite: str | None, out: Path, db: str, as_json: bool) -> None:
    """Draw decode and prefill of a session's cells below the roofs of its machine.

    The machine must have been benched: edgebench doctor --bench.
    """
    from dataclasses import asdict

    from harness.cli.lookup import session_id_of
    from harness.plot.roofline import roofline_chart, roofline_data
    from harness.plot.save import check_format, save_chart
    from harness.report import shown_facts
    from harness.store import Store

    if not as_json:
        check_format(out)
    with Store.open(db, read_only=True) as store, store.computing():
        data = roofline_data(shown_facts(store, session_id_of(store, session, suite)))
    if as_json:
        print_json(asdict(data))
        return
    save_chart(roofline_chart(data), out)
    for name, reason in data.missing.items():
        tell(f"not in the plot: {name}: {reason}")
    click.echo(str(out))
