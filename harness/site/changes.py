"""The plots of the series of a machine that have alerts: their values, levels and change points.

Owns which series are drawn and what stands beside them. Imports the history and its plot. Contract: a series is drawn
from the runs that count, all of its sessions; what was found in it stands in words too.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.history.stored import CellSeries, accuracy_series, cell_series, coincidences
from harness.history.words import moved, sureness, value_text
from harness.plot.drawn import Drawn, Figures
from harness.store import Store
from harness.store.alerts import AlertRecord
from harness.table.metrics import METRICS
from harness.table.view import some_of

#: Series on a machine's pages of changes; the newest alerts first.
MOST_SERIES = 24


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
            drawn = _drawn(store, series, f"{name}: {_title(metric)}", machine)
            made.append((drawn, f"edgebench history {cell_id} --metric {metric!r} --out"))
    return made


def _title(metric: str) -> str:
    known = METRICS.get(metric)
    return metric if known is None else known.title


def _drawn(store: Store, series: CellSeries, title: str, machine: str) -> Drawn:
    from harness.plot.history import history_chart

    analysis = series.analysis()
    known = METRICS.get(series.metric)
    unit = f" ({known.unit})" if known is not None and known.unit else ""
    first, last = series.points[0].session_id, series.points[-1].session_id
    chart = history_chart(
        title,
        series.series.index,
        series.series.values,
        analysis,
        value_title=f"{_title(series.metric)}{unit}",
        index_title="session of the series",
        subtitle=[f"{machine}; sessions {first} to {last}"],
        told=series.told(),
    )
    lines = []
    for change, causes in zip(analysis.changes, coincidences(store, series, analysis.changes), strict=True):
        before, after = series.sides(change)
        lines.append(
            (
                f"{before.session_id} to {after.session_id}",
                moved(series.metric, change.before, change.after, change.ratio),
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
    heads = ("Between sessions", "From -> to", "Sure", "Changed with it")
    name = f"{series.cell_id}-{series.metric}"
    return Drawn(name, title, chart, figures=Figures(heads, tuple(lines), summary))
