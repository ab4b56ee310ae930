"""The plots of the series of a machine that have alerts: their values, levels and change points.

Owns which series are drawn and what stands beside them. Imports the history and its plot. Contract: a series is drawn
from the runs that count, all of its sessions; what was found in it stands in words too.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.history.analysis import Change
from harness.history.stored import CellSeries, accuracy_series, cell_series, coincidences
from harness.history.words import axis_title, figure_title, moved, sureness, value_text
from harness.plot.drawn import Drawn, Figures
from harness.store import Store
from harness.store.alerts import AlertRecord, AlertState
from harness.table.view import some_of

#: Of the alerts that a site is about.
UNRESOLVED: tuple[AlertState, ...] = ("open", "acknowledged")
#: Series on a machine's pages of changes; the newest alerts first.
MOST_SERIES = 24


def series_name(cell_id: str, metric: str) -> str:
    """The name of a series' plot."""
    return f"{cell_id}-{metric}"


def point_name(session_id: str, cell_id: str) -> str:
    """What a line of a plot's table calls a session of its series."""
    return f"{session_id} {cell_id}"


def drawn_changes(store: Store, alerts: Sequence[AlertRecord], machine: str) -> list[tuple[Drawn, str]]:
    """A plot of each series with an alert, and the command that draws it.

    Args:
        store: the database.
        alerts: of one machine.
        machine: its name.
    """
    newest = sorted(alerts, key=lambda one: (one.session_after_id, one.id), reverse=True)
    chosen = list(dict.fromkeys((one.cell_id, one.metric, one.machine_id) for one in newest))[:MOST_SERIES]
    cells = store.cells({cell_id for cell_id, *_ in chosen})
    made = []
    for cell_id, metric, machine_id in chosen:
        exact = accuracy_series(store, cell_id, machine_id)
        series = exact.get(metric) or cell_series(store, cell_id, machine_id, [metric])[metric]
        cell = cells[cell_id]
        name = f"{cell.framework} {cell.precision} ({cell.recipe}) {cell.model} {cell.device} {cell.workload}"
        if series.points:
            drawn = _drawn(store, series, f"{name}: {figure_title(metric)}", machine)
            made.append((drawn, f"edgebench history {cell_id} --metric {metric!r} --out"))
    return made


def _bounds(change: Change) -> str:
    if change.ratio_low is None or change.ratio_high is None:
        return ""
    return f", by {change.ratio_low:.3f}× to {change.ratio_high:.3f}×"


def _drawn(store: Store, series: CellSeries, title: str, machine: str) -> Drawn:
    from harness.plot.history import history_chart

    analysis = series.analysis()
    first, last = series.points[0].session_id, series.points[-1].session_id
    chart = history_chart(
        title,
        series.series.index,
        series.series.values,
        analysis,
        value_title=axis_title(series.metric),
        index_title="session of the series",
        subtitle=[f"{machine}; sessions {first} to {last}"],
        told=series.told(),
    )
    lines, sides = [], []
    for change, causes in zip(analysis.changes, coincidences(store, series, analysis.changes), strict=True):
        before, after = series.sides(change)
        sides.append([point_name(one.session_id, series.cell_id) for one in (after, before)])
        lines.append(
            (
                after.session_id,
                before.session_id,
                moved(series.metric, change.before, change.after, change.ratio) + _bounds(change),
                sureness(change.confidence),
                some_of([str(one.what) for one in causes]) if causes else "nothing that is stored",
            )
        )
    values = series.series.values
    summary = (
        f"{title}: {len(values)} runs of {len(series.points)} sessions, from "
        f"{value_text(series.metric, float(values.min()))} to {value_text(series.metric, float(values.max()))}; "
        f"{len(lines)} change{'' if len(lines) == 1 else 's'} of level."
    )
    heads = ("First session behind", "Last session before", "From -> to", "Sure", "Changed with it")
    of, second_of = (tuple(each[place] for each in sides) for place in (0, 1))
    figures = Figures(heads, tuple(lines), summary, of, second_of)
    return Drawn(series_name(series.cell_id, series.metric), title, chart, figures=figures)
