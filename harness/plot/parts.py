"""Parts that charts share: colours, shapes of standings, tooltips, choosing by legend and pointer, the frame.

Owns them. Imports altair when called. Contract: names of parameters and views are fixed, so that the same data give the
same bytes; nothing here knows a plot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.plot.drawn import STANDINGS, PlotData
from harness.plot.lettering import FONT_SIZE, Spot, placed
from harness.plot.palette import GRID, NEUTRAL, STANDING_SHAPES, framework_colours

if TYPE_CHECKING:
    import altair as alt

#: Pixels of a plot with two axes of figures.
SIZE = (640, 420)
#: Pixels of a line where the upright axis has a line for each cell.
LINE = 17


#: Of a figure in a chart's data: more than anybody sees, fewer than a page has to carry.
_DIGITS = 6


def values(records: Iterable[dict[str, Any]], *keys: str) -> alt.InlineData:
    """A layer's data: these fields of its records, all of them where none are named; without those that are None."""
    import altair as alt

    return alt.InlineData(
        values=[
            {
                key: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
                for key, value in record.items()
                if value is not None and (not keys or key in keys)
            }
            for record in records
        ]
    )


def by_framework(frameworks: Iterable[str]) -> alt.Color:
    """Colour by framework, the same in all plots."""
    import altair as alt

    colours = framework_colours(frameworks)
    legend = alt.Legend(title="framework", symbolOpacity=1, symbolType="circle", symbolStrokeWidth=2)
    return alt.Color("framework:N", legend=legend).scale(domain=list(colours), range=list(colours.values()))


def by_standing(shown: Iterable[str]) -> alt.Shape:
    """Shape by standing; the legend names those that the plot has."""
    import altair as alt

    there = set(shown)
    domain = [one for one in STANDINGS if one in there]
    legend = alt.Legend(title="standing", symbolFillColor="transparent", symbolStrokeColor=NEUTRAL)
    return alt.Shape("standing:N", legend=legend).scale(
        domain=domain, range=[STANDING_SHAPES[one] for one in domain]
    )


def chosen_framework(*, legend: bool = True) -> alt.Parameter:
    """The frameworks that somebody clicked, on a mark or in the legend; with the shift key several.

    Args:
        legend: the plot has one of frameworks.
    """
    import altair as alt

    bind: Any = "legend" if legend else alt.Undefined
    return alt.selection_point(name="framework_choice", fields=["framework"], bind=bind, on="click")


def pointed_framework() -> alt.Parameter:
    """The framework of the mark that the pointer is on; without one all are."""
    import altair as alt

    return alt.selection_point(
        name="framework_pointed", fields=["framework"], on="pointerover", clear="pointerout"
    )


def below_pointer() -> alt.Parameter:
    """The cell that the pointer is on."""
    import altair as alt

    return alt.selection_point(
        name="pointer", fields=["cell"], on="pointerover", clear="pointerout", empty=False
    )


def faded(full: float = 0.9) -> Any:
    """Opaque where the framework is chosen or nothing is; less so where the pointer is on another one's mark."""
    import altair as alt

    return (
        alt.when(~chosen_framework())
        .then(alt.value(0.07))
        .when(~pointed_framework())
        .then(alt.value(0.25))
        .otherwise(alt.value(full))
    )


def grown(size: int) -> Any:
    """A mark's area in square pixels, larger below the pointer."""
    import altair as alt

    return alt.when(below_pointer()).then(alt.value(size * 3)).otherwise(alt.value(size))


def about(*own: alt.Tooltip) -> list[alt.Tooltip]:
    """A tooltip: the cell, its figures, and what stands behind them."""
    import altair as alt

    return [
        alt.Tooltip("cell:N"),
        *own,
        alt.Tooltip("runs:Q"),
        alt.Tooltip("version:N"),
        alt.Tooltip("believed:N", title="standing"),
    ]


def framed(layers: Sequence[Any], data: PlotData, size: tuple[int, int], *hints: str) -> alt.LayerChart:
    """The layers below one title, whose second line says where the figures are from."""
    import altair as alt

    chart: alt.LayerChart = (
        alt.layer(*layers)
        .properties(width=size[0], height=size[1], title=title_of(data, *hints))
        .configure_axis(gridColor=GRID, labelLimit=420)
    )
    return chart


def title_of(data: PlotData, *hints: str) -> alt.TitleParams:
    """Title and subtitle, with hints for the reader on lines of their own."""
    import altair as alt

    return alt.TitleParams(data.title, subtitle=[data.subtitle, *hints], anchor="start")


def hint_of(standings: Iterable[str]) -> list[str]:
    """What hollow marks are, where there are any."""
    apart = [one for one in STANDINGS[1:] if one in set(standings)]
    return [f"hollow, unranked: {', '.join(apart)}"] if apart else []


def marks(
    records: Sequence[dict[str, Any]],
    x: Any,
    y: Any,
    colour: alt.Color,
    standings: Iterable[str],
    tooltip: list[alt.Tooltip],
    area: int = 60,
) -> list[alt.Chart]:
    """The marks themselves, filled where measured and hollow elsewhere, with what legend and pointer choose."""
    import altair as alt

    shape = by_standing(standings)
    layers = []
    for filled in (True, False):
        drawn = [one for one in records if (one["standing"] == "measured") is filled]
        if drawn:
            layers.append(
                alt.Chart(values(drawn))
                .mark_point(filled=filled, size=area)
                .encode(
                    x=x, y=y, color=colour, shape=shape, tooltip=tooltip, opacity=faded(), size=grown(area)
                )
            )
    layers[0] = choosing(layers[0])
    return layers


def choosing(layer: alt.Chart) -> alt.Chart:
    """The layer in which legend and pointer choose; all layers may refer to the choices, which belong to one."""
    found: alt.Chart = layer.add_params(chosen_framework(), pointed_framework(), below_pointer()).properties(
        name="marks"
    )
    return found


def lettered(
    records: Sequence[dict[str, Any]], key: str, places: Sequence[tuple[float, float]], x: Any, y: Any
) -> list[alt.Chart]:
    """The names of as many marks as there is room for, the first ones first; a layer for each way of standing.

    Args:
        records: of the marks.
        key: the field that holds the name.
        places: of the marks in a plot of `SIZE`, in pixels from its upper left corner.
        x: the encoding of the marks.
        y: the encoding of the marks.
    """
    import altair as alt

    x_field, y_field = (str(one.shorthand).partition(":")[0] for one in (x, y))
    by_spot: dict[Spot, list[dict[str, Any]]] = {}
    for record, spot in zip(records, placed(places, [one[key] for one in records], SIZE), strict=True):
        if spot is not None:
            by_spot.setdefault(spot, []).append(record)
    return [
        alt.Chart(values(named, key, x_field, y_field, "framework"))
        .mark_text(align=spot.align, dx=spot.dx, dy=spot.dy, fontSize=FONT_SIZE - 1, color=NEUTRAL)
        .encode(x=x, y=y, text=f"{key}:N", opacity=faded(1.0))
        for spot, named in sorted(by_spot.items())
    ]
