"""The plot of a series: its values, its levels and its change points.

Owns the chart. Imports altair when it is called. Contract: every row is one dot; a change is a line behind the last row
before it, within the band of its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.history.analysis import Analysis
from harness.plot.palette import NEUTRAL, SERIES_CHANGES, SERIES_LEVELS, SERIES_VALUES

if TYPE_CHECKING:
    import altair as alt


def history_chart(
    title: str,
    index: Sequence[int | float],
    values: NDArray[np.float64],
    analysis: Analysis,
    *,
    value_title: str = "value",
    index_title: str = "index",
    subtitle: Sequence[str] = (),
    told: Sequence[Mapping[str, str]] = (),
) -> alt.LayerChart:
    """Draw a series.

    Args:
        title: what is drawn.
        index: the label of each row, never falling.
        values: float64[rows].
        analysis: of these values.
        value_title: the upright axis' title, with its unit.
        index_title: the other axis'.
        subtitle: lines below the title.
        told: what else the pointer shows of each row, by its name; the same names for all.
    """
    import altair as alt

    rows: list[dict[str, Any]] = [
        {"index": at, "value": float(value), **(told[place] if told else {})}
        for place, (at, value) in enumerate(zip(index, values, strict=True))
    ]
    names = [f"{name}:N" for name in (told[0] if told else ())]
    levels = [
        {"index": index[level.first_row], "end": index[level.last_row], "value": level.value}
        for level in analysis.levels
    ]
    changes = [
        {
            "index": index[change.row],
            "first": index[change.first_row],
            "last": index[change.last_row],
            "before": change.before,
            "after": change.after,
            "ratio": change.ratio,
            "confidence": change.confidence,
        }
        for change in analysis.changes
    ]
    x = alt.X("index:Q", title=index_title, scale=alt.Scale(zero=False))
    y = alt.Y("value:Q", title=value_title, scale=alt.Scale(zero=False))
    tooltip = ["index:Q", "first:Q", "last:Q", "before:Q", "after:Q", "ratio:Q", "confidence:Q"]
    band = alt.Chart(alt.InlineData(values=changes)).mark_rect(color=SERIES_CHANGES, opacity=0.15)
    dots = alt.Chart(alt.InlineData(values=rows)).mark_circle(size=18, color=SERIES_VALUES, opacity=0.7)
    lines = alt.Chart(alt.InlineData(values=levels)).mark_rule(size=2, color=SERIES_LEVELS)
    rules = alt.Chart(alt.InlineData(values=changes)).mark_rule(color=SERIES_CHANGES, strokeDash=[4, 3])
    layers = [
        band.encode(x=alt.X("first:Q"), x2="last:Q"),
        dots.encode(x=x, y=y, tooltip=["index:Q", "value:Q", *names]),
        lines.encode(x=x, x2="end:Q", y=y),
        rules.encode(x=x, tooltip=tooltip),
    ]
    heading = alt.TitleParams(title, anchor="start", color=NEUTRAL)
    if subtitle:
        heading.subtitle = list(subtitle)
    chart: alt.LayerChart = (
        alt.LayerChart(layer=layers)
        .properties(title=heading, width=760, height=320)
        .configure_axis(gridColor="#eeeeee")
    )
    return chart
