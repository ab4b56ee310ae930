"""``edgebench plot``: plots of stored figures."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import db_option, json_option, print_json, tell
from harness.errors import UsageError

EPILOG = """\b
Examples:
  edgebench plot                                   the names of all plots
  edgebench plot quality-speed                     the newest session, as quality-speed.svg
  edgebench plot roofline --session 20261123T06 --out lab.png
  edgebench plot memory --json                     the plot's data
"""


@click.command("plot", epilog=EPILOG)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--session", metavar="ID", help="A session's id or the beginning of one. Default: the newest one."
)
@click.option("--suite", metavar="NAME", help="The newest session of this suite.")
@click.option("--with-suspect", is_flag=True, help="Figures over suspect runs too, where a cell has others.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its name ends in .svg, .png, .html or .json (Vega-Lite). Default: NAME.svg.",
)
@db_option
@json_option
def command(
    name: str | None,
    session: str | None,
    suite: str | None,
    with_suspect: bool,
    out: Path | None,
    db: str,
    as_json: bool,
) -> None:
    """Draw stored figures: SVG, PNG, HTML or Vega-Lite JSON.

    Without NAME the names of all plots are listed. Cells that have no mark are named with their reason.
    """
    from dataclasses import asdict

    from harness.cli.lookup import session_id_of
    from harness.plot.registry import PLOTS, plot_data
    from harness.plot.save import check_format, save_chart
    from harness.report import session_rows, shown_facts
    from harness.store import Store

    if name is None:
        if session is not None or suite is not None or out is not None:
            raise UsageError("no plot is named", next_step=f"name one of {', '.join(PLOTS)}")
        _list(as_json)
        return
    if name not in PLOTS:
        raise UsageError(f"no plot is called {name!r}", next_step=f"choose from {', '.join(PLOTS)}")
    file = Path(f"{name}.svg") if out is None else out
    if not as_json:
        check_format(file)
    with Store.open(db, read_only=True) as store, store.computing():
        session_id = session_id_of(store, session, suite)
        facts = shown_facts(store, session_id)
        rows, _ = session_rows(store, session_id, with_suspect=with_suspect)
    data = plot_data(name, facts, rows)
    if as_json:
        print_json(asdict(data))  # type: ignore[call-overload]  # every plot's data is a dataclass
        return
    save_chart(PLOTS[name].chart(data), file)
    for cell, reason in data.missing.items():
        tell(f"not in the plot: {cell}: {reason}")
    click.echo(str(file))


def _list(as_json: bool) -> None:
    from harness.plot.registry import PLOTS

    if as_json:
        print_json({"plots": [{"name": plot.name, "title": plot.title} for plot in PLOTS.values()]})
        return
    width = max(map(len, PLOTS))
    for plot in PLOTS.values():
        click.echo(f"{plot.name:{width}}  {plot.title}")
    click.echo(f"{'history':{width}}  A series with its change points: edgebench history CELL --out FILE")
