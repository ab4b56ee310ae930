"""All plots of a session, by name.

Owns the list. Imports each plot's data; altair when a chart is made. Contract: a name's plot is made of the stored
session and its rows alone; where there is nothing to plot the reason stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.plot.depth import depth_data
from harness.plot.drawn import Drawn, PlotData
from harness.plot.energy import energy_chart, energy_data
from harness.plot.heatmap import heatmap_chart, heatmap_data
from harness.plot.latency import gaps_chart, gaps_data, ttft_data
from harness.plot.memory import memory_chart, memory_data
from harness.plot.quality import quality_chart, quality_data
from harness.plot.roofline import roofline_chart, roofline_data
from harness.plot.series import series_chart
from harness.table.facts import SessionFacts
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        name: as in ``edgebench plot NAME``.
        title: what it shows, for a list.
        data: of a session and its rows; raises UsageError where there is nothing to plot.
        chart: of that data.
    """

    name: str
    title: str
    data: Callable[[SessionFacts, Sequence[Row]], Any]
    chart: Callable[[Any], alt.TopLevelMixin]


def _all() -> tuple[Plot, ...]:
    return (
        Plot(
            "quality-speed",
            "Quality (KLD) against decode speed, with the Pareto frontier",
            lambda facts, rows: quality_data(facts, rows, "decode_tps"),
            quality_chart,
        ),
        Plot(
            "quality-memory",
            "Quality (KLD) against memory, with the Pareto frontier",
            lambda facts, rows: quality_data(facts, rows, "peak_rss_bytes"),
            quality_chart,
        ),
        Plot("heatmap", "Framework by precision: speed, memory and KLD", heatmap_data, heatmap_chart),
        Plot(
            "roofline",
            "Decode and prefill below the machine's roofs, with MBU",
            roofline_data,
            roofline_chart,
        ),
        Plot("memory", "Where the memory goes: weights, KV cache, the rest", memory_data, memory_chart),
        Plot("itl", "Time between two tokens: median, 90th and 99th percentile", gaps_data, gaps_chart),
        Plot("ttft", "Time to first token by length of the prompt", ttft_data, series_chart),
        Plot("depth", "Decode speed by depth", depth_data, series_chart),
        Plot("energy", "Energy per generated token", energy_data, energy_chart),
    )


#: Every plot of one session, by its name, in the order in which a report shows them.
PLOTS: Mapping[str, Plot] = {plot.name: plot for plot in _all()}


def session_plots(facts: SessionFacts, rows: Sequence[Row]) -> list[Drawn]:
    """Every plot of a session, in order; those with nothing to plot say why.

    Args:
        facts: of a session that edgebench measured, or of an imported one.
        rows: its table, in the order of the cells.
    """
    return [_drawn(plot, facts, rows) for plot in PLOTS.values()]


def plot_data(name: str, facts: SessionFacts, rows: Sequence[Row]) -> PlotData:
    """The data of one plot.

    Raises:
        UsageError: there is nothing to plot, or the session was imported.
    """
    if facts.source is not None:
        raise UsageError(
            f"{facts.source.tool} measured this session by its own definitions, which are not the plot's",
            next_step="name a session that edgebench measured, see edgebench db sessions",
        )
    found: PlotData = PLOTS[name].data(facts, rows)
    return found


def _drawn(plot: Plot, facts: SessionFacts, rows: Sequence[Row]) -> Drawn:
    try:
        data = plot_data(plot.name, facts, rows)
    except UsageError as error:
        return Drawn(plot.name, plot.title, None, why_not=str(error.what))
    return Drawn(
        plot.name, data.title, plot.chart(data), missing=data.missing, data=data, figures=data.figures()
    )
