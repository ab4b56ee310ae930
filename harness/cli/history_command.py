"""``edgebench history``: change points of a cell's stored series, or of any series in a file."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import db_option, json_option, print_json, tell, terminal_width
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.history.analysis import Analysis
    from harness.history.csv_file import Series
    from harness.history.stored import CellSeries, Coincidence
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench history "openvino and int8"                a cell's sessions, and what changed when
  edgebench history 4f2a9c01 --metric peak_rss_bytes --out memory.svg
  edgebench history 4f2a9c01 --metric kld_mean         its divergence; 'grammar acc' is a task's figure
  edgebench history --csv nightly.csv                  a picture and a table of the changes of any series
  edgebench history --csv nightly.csv --json           the changes for a program
"""
#: A picture needs no more columns than this, however wide the terminal.
_WIDEST = 110
#: Of one change on a terminal; --json has all.
_TOLD_VERSIONS = 12
#: Of one change below a plot's title, and the letters that fit beside each other there.
_PLOTTED_VERSIONS, _PLOTTED_WIDTH = 4, 120


@click.command("history", epilog=EPILOG)
@click.argument("cell", metavar="[CELL]", required=False)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A series instead of a cell's: columns index and value, and where there are any build (rows of one are "
    "repeats) and time.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="What to follow of a cell. Default: decode_tps, or prefill_tps without decode.",
)
@click.option(
    "--machine",
    metavar="NAME",
    help="Name or id of the machine. Default: the only one with the cell, or this one.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the series into a file too; its name ends in .svg, .png, .html or .json (Vega-Lite).",
)
@db_option
@json_option
def command(
    cell: str | None,
    csv_file: Path | None,
    metric: str | None,
    machine: str | None,
    out: Path | None,
    db: str,
    as_json: bool,
) -> None:
    """Find where a series moved from one level to another, how far, and how sure that is.

    CELL is a cell's id or the beginning of it, its name, or words that mean one cell alone, as for -k.
    """
    from harness.plot.save import check_format

    if (cell is None) == (csv_file is None):
        raise UsageError(
            "a series is that of a cell or of a file"
            if cell is None
            else "both a cell and a file were given",
            next_step="give one of them: edgebench history CELL, or edgebench history --csv FILE",
        )
    if csv_file is not None and (metric is not None or machine is not None):
        raise UsageError("--metric and --machine are of a cell", next_step="leave them out beside --csv")
    if out is not None:
        check_format(out)
    if csv_file is not None:
        _of_file(csv_file, out, as_json)
    elif cell is not None:
        _of_cell(cell, metric, machine, out, db, as_json)


def _of_file(csv_file: Path, out: Path | None, as_json: bool) -> None:
    from harness.history import change_points
    from harness.history.csv_file import read_series

    series = read_series(csv_file)
    analysis = change_points(series.values, series.repeats)
    if as_json:
        print_json(_answer(analysis, series))
    else:
        _print_text(analysis, series)
    if series.left_out:
        tell(f"{series.left_out} of {csv_file}'s rows have no value and are left out")
    if as_json and analysis.note:
        tell(analysis.note)
    if out is not None:
        from harness.plot.history import history_chart
        from harness.plot.save import save_chart

        save_chart(history_chart(csv_file.name, series.index, series.values, analysis), out)
        tell(str(out))


def _of_cell(
    words: str, metric: str | None, machine: str | None, out: Path | None, db: str, as_json: bool
) -> None:
    from harness.cli.series import cell_named, chosen_cell, machine_of, named_machine
    from harness.history.stored import accuracy_series, cell_series, coincidences
    from harness.store import Store

    with Store.open(db, read_only=True) as store, store.computing():
        machine_id = None if machine is None else named_machine(store, machine)
        cell = chosen_cell(store, words, machine_id)
        machine_id = machine_id or machine_of(store, cell.id)
        wanted = metric or ("decode_tps" if cell.decode_tokens else "prefill_tps")
        exact = accuracy_series(store, cell.id, machine_id)
        found = exact.get(wanted) or cell_series(store, cell.id, machine_id, [wanted])[wanted]
        if not found.points:
            raise _without_values(store, cell.id, machine_id, wanted, found.holes)
        analysis = found.analysis()
        causes = coincidences(store, found, analysis.changes)
        machine_name = store.describe("machine", machine_id)["name"]
    title = f"{cell_named(cell)}: {wanted} on {machine_name}"
    if as_json:
        about = {
            "cell": {"id": cell.id, "name": cell_named(cell)},
            "machine": {"id": machine_id, "name": machine_name},
        }
        print_json({**about, "metric": wanted, **_cell_answer(found, analysis, causes)})
    else:
        click.echo(title)
        click.echo()
        _print_text(analysis, found.series)
        for line in _change_lines(found, analysis, causes):
            click.echo(line)
    if found.holes:
        tell(f"{found.holes} sessions have no value of {wanted} that counts")
    if out is not None:
        from harness.plot.history import history_chart
        from harness.plot.save import save_chart

        series = found.series
        save_chart(
            history_chart(
                title,
                series.index,
                series.values,
                analysis,
                value_title=wanted,
                index_title="session",
                told=found.told(),
                subtitle=_plot_lines(found, analysis, causes),
            ),
            out,
        )
        tell(str(out))


def _without_values(store: Store, cell_id: str, machine_id: str, metric: str, holes: int) -> UsageError:
    """Says whether the name is wrong, or nothing that was measured counts."""
    from harness.store.history import DERIVED

    known = [name for name, found in _values_of(store, cell_id, machine_id, DERIVED).items() if found]
    known += store.accuracy_history(cell_id, machine_id)
    if holes and metric in DERIVED:
        what = f"none of the {holes} sessions of this cell there has a value of {metric} that counts"
    else:
        what = f"this cell has no value of {metric}"
    return UsageError(
        what,
        next_step=f"it has values of {', '.join(known)}, and of its samples' metrics (`edgebench list metrics`)"
        if known
        else "`edgebench show` of the cell has its runs, with why they do not count; those of a gate never do",
    )


def _values_of(store: Store, cell_id: str, machine_id: str, metrics: tuple[str, ...]) -> dict[str, bool]:
    from harness.history.stored import cell_series

    found = cell_series(store, cell_id, machine_id, metrics)
    return {metric: bool(series.points) for metric, series in found.items()}


def _cell_answer(found: CellSeries, analysis: Analysis, causes: list[list[Coincidence]]) -> dict[str, Any]:
    changes = []
    for change, told, of_change in zip(
        analysis.changes, _answer(analysis, found.series), causes, strict=True
    ):
        before, after = found.sides(change)
        first, last = found.bounds(change)
        changes.append(
            {
                **told,
                "session_before": before.session_id,
                "session_after": after.session_id,
                "time_before": None if before.started_at is None else before.started_at.isoformat(),
                "time_after": None if after.started_at is None else after.started_at.isoformat(),
                "session_interval": [first.session_id, last.session_id],
                "changed": [one.as_json() for one in of_change],
            }
        )
    points = [
        {
            "index": at,
            "session_id": point.session_id,
            "started_at": None if point.started_at is None else point.started_at.isoformat(),
            "framework_version": point.framework_version,
            "value": point.values[found.metric],
            "runs": list(point.of_runs[found.metric]),
            "left_out": point.left_out,
        }
        for at, point in enumerate(found.points)
    ]
    return {"points": points, "changes": changes, "note": analysis.note}


def _change_lines(found: CellSeries, analysis: Analysis, causes: list[list[Coincidence]]) -> list[str]:
    """For each change its two sessions, and what else changed with it."""
    lines = []
    for change, of_change in zip(analysis.changes, causes, strict=True):
        before, after = found.sides(change)
        lines += ["", f"{change.direction} between session {before.session_id} and {after.session_id}:"]
        if not of_change:
            lines.append(
                "  no package, driver, artifact or setting of the machine that is stored changed with it"
            )
        for one in of_change[:_TOLD_VERSIONS]:
            where = "" if one.at_place else f"  (perhaps: with session {one.session_id}, within the interval)"
            lines.append(f"  {one.what}{where}")
        if len(of_change) > _TOLD_VERSIONS:
            lines.append(f"  and {len(of_change) - _TOLD_VERSIONS} more; --json has all")
    return lines


def _plot_lines(found: CellSeries, analysis: Analysis, causes: list[list[Coincidence]]) -> list[str]:
    """The same for the file: a line for each change, with the first few of what changed with it."""
    lines = []
    for change, of_change in zip(analysis.changes, causes, strict=True):
        _, after = found.sides(change)
        told = [
            f"{one.what}" + ("" if one.at_place else f" (perhaps: with session {one.session_id})")
            for one in of_change[:_PLOTTED_VERSIONS]
        ]
        more = len(of_change) - _PLOTTED_VERSIONS
        told += [f"and {more} more"] if more > 0 else []
        what = "; ".join(told) or "nothing that is stored changed with it"
        lines += textwrap.wrap(f"{change.direction} with session {after.session_id}: {what}", _PLOTTED_WIDTH)
    return lines


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
