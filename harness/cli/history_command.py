"""``edgebench history``: change points of a series."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import json_option, print_json, terminal_width

if TYPE_CHECKING:
    from harness.history.analysis import Analysis
    from harness.history.csv_file import Series

EPILOG = """\b
Examples:
  edgebench history --csv nightly.csv                  a picture and a table of the changes
  edgebench history --csv nightly.csv --json           the changes for a program
  edgebench history --csv nightly.csv --out plot.svg   and a plot as a file
"""
#: A picture needs no more columns than this, however wide the terminal.
_WIDEST = 110


@click.command("history", epilog=EPILOG)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="A series: columns index and value, and where there are any build (rows of one are repeats) and time.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the series into a file too; its name ends in .svg, .png, .html or .json (Vega-Lite).",
)
@json_option
def command(csv_file: Path, out: Path | None, as_json: bool) -> None:
    """Find where a series moved from one level to another, how far, and how sure that is."""
    from harness.history import change_points
    from harness.history.csv_file import read_series
    from harness.plot.save import check_format

    if out is not None:
        check_format(out)
    series = read_series(csv_file)
    analysis = change_points(series.values, series.repeats)
    if as_json:
        print_json(_answer(analysis, series))
    else:
        _print_text(analysis, series)
    if series.left_out:
        click.echo(f"{series.left_out} of {csv_file}'s rows have no value and are left out", err=True)
    if as_json and analysis.note:
        click.echo(analysis.note, err=True)
    if out is not None:
        from harness.plot.history import history_chart
        from harness.plot.save import save_chart

        save_chart(history_chart(csv_file.name, series.index, series.values, analysis), out)
        click.echo(str(out), err=True)


def _answer(analysis: Analysis, series: Series) -> list[dict[str, object]]:
    index = series.index
    return [
        {
            "index": index[change.row],
            "before": change.before,
            "after": change.after,
            "ratio": change.ratio,
            "confidence": change.confidence,
            "direction": change.direction,
            "interval": [index[change.first_row], index[change.last_row]],
            "ratio_interval": None if change.ratio is None else [change.ratio_low, change.ratio_high],
        }
        for change in analysis.changes
    ]


def _print_text(analysis: Analysis, series: Series) -> None:
    from harness.history.drawing import changes_table, picture

    width = min(terminal_width(), _WIDEST)
    unicode = (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")
    for line in picture(series.values, analysis, series.index, width=width, unicode=unicode):
        click.echo(line)
    click.echo()
    for line in changes_table(analysis, series.index, series.times):
        click.echo(line)
