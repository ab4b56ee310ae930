"""Framework by precision, as a heat map: decode speed, memory and divergence of what was measured.

Owns the plot's data and its chart. Imports the table's rows; altair inside `heatmap_chart`. Contract: a field shows one
row, never a mean over several: the fastest one measured of its framework, device and precision, the same in all three
panels; one model and one workload, that of most rows; a field without a figure says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.plot.drawn import STANDINGS, Figures, Subject, flat, nothing, session_line, summed
from harness.plot.palette import NEUTRAL
from harness.plot.quality import LEAST_KLD
from harness.plot.subjects import subjects, usual, why_no_figure
from harness.precision import precision_rank
from harness.table.facts import SessionFacts
from harness.table.metrics import METRICS
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt

#: Columns, one panel each, and the direction of its colours.
PANELS = ("decode_tps", "peak_rss_bytes", "kld_mean")
_TITLES = {
    "decode_tps": "Decode speed (tokens/s)",
    "peak_rss_bytes": "Peak memory (MB)",
    "kld_mean": "Mean KLD (nats)",
}
#: What stands for a standing beside a figure.
_SIGNS = {"measured": "", "suspect": "†", "emulated": "ᵉ", "not comparable": "¶"}
_HOLE = "–"
#: Fields of its tooltip.
_OF_HOLE = ("cell", "why_not")


@dataclass(frozen=True, slots=True)
class Field:
    """One framework, device and precision.

    Attributes:
        subject: the row that is shown, or the first one without a figure.
        line: framework and device.
        column: the precision.
        recipe: the framework's own name of it.
        of: how many rows it was taken from.
        figures: by `PANELS`, in the columns' units; None where there is none.
        reasons: why not, by column.
    """

    subject: Subject
    line: str
    column: str
    recipe: str
    of: int
    figures: dict[str, float | None]
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Everything that the plot shows.

    Attributes:
        title, subtitle: what and of which session.
        lines: frameworks with their devices.
        columns: precisions, from wide to narrow.
        fields: line by line; a pair that no cell of the session is has none.
        missing: why a cell is in no field, by its name.
    """

    title: str
    subtitle: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every field's three figures."""
        lines = tuple(
            (
                field.line,
                f"{field.column} ({field.recipe})",
                *(_text(field, key) for key in PANELS),
                f"fastest of {field.of}" if field.of > 1 else "the only one",
                field.subject.standing,
            )
            for field in self.fields
        )
        heads = ("Framework, device", "Precision", *_TITLES.values(), "Row", "Standing")
        shown = [field.subject for field in self.fields if any(v is not None for v in field.figures.values())]
        summary = summed("Framework by precision, the fastest row of each", shown)
        return Figures(heads, lines, summary, tuple(field.subject.cell for field in self.fields))


def heatmap_data(facts: SessionFacts, rows: Sequence[Row]) -> Heatmap:
    """The plot of one session.

    Raises:
        UsageError: no cell has a figure.
    """
    most = usual(rows)
    missing: dict[str, str] = {}
    grouped: dict[tuple[str, str], list[tuple[Row, Subject]]] = {}
    for row, subject in zip(rows, subjects(rows), strict=True):
        if most is not None and (str(row["model"]), str(row["workload"])) != most:
            missing[subject.cell] = (
                f"of another model or workload than most: {row['model']} {row['workload']}"
            )
            continue
        line = f"{row['framework']} {row['device']}" + (" (emulated)" if row["emulated"] else "")
        grouped.setdefault((line, str(row["precision"])), []).append((row, subject))
    known = {line for (line, _), group in grouped.items() if any(_shown(row) for row, _ in group)}
    for (line, _), group in grouped.items():
        if line not in known:
            missing.update({subject.cell: why_no_figure(row, "decode_tps") for row, subject in group})
    if not known:
        raise nothing("a figure", missing)
    fields = [_field(place, group) for place, group in grouped.items() if place[0] in known]
    columns = sorted({field.column for field in fields}, key=_width)
    fields.sort(key=lambda field: (field.line, columns.index(field.column)))
    return Heatmap(
        title=f"Speed, memory and KLD, framework by precision: {' '.join(most) if most else 'nothing ran'}",
        subtitle=session_line(facts),
        lines=tuple(sorted(known)),
        columns=tuple(columns),
        fields=tuple(fields),
        missing=missing,
    )


def _width(precision: str) -> tuple[int, str]:
    rank = precision_rank(precision)
    return (len(precision) + 1000 if rank is None else rank, precision)


def _shown(row: Row) -> bool:
    return row["artifact_verdict"] != "broken" and any(row[key] is not None for key in PANELS)


def _field(place: tuple[str, str], group: Sequence[tuple[Row, Subject]]) -> Field:
    def worth(one: tuple[Row, Subject]) -> tuple[bool, int, float]:
        row, subject = one
        return (_shown(row), -STANDINGS.index(subject.standing), row["decode_tps"] or 0.0)

    row, subject = max(group, key=worth)
    broken = row["artifact_verdict"] == "broken"
    figures = {key: None if broken else row[key] for key in PANELS}
    return Field(
        subject=subject,
        line=place[0],
        column=place[1],
        recipe=str(row["recipe"]),
        of=len(group),
        figures=figures,
        reasons={key: why_no_figure(row, key) for key in PANELS if figures[key] is None},
    )


def _text(field: Field, key: str) -> str:
    value = field.figures[key]
    if value is None:
        return _HOLE
    if key == "peak_rss_bytes":
        return f"{value / 1e6:.0f}{_SIGNS[field.subject.standing]}"
    shown = f"{value:.3g}" if key == "decode_tps" or value >= 1e-3 else f"{value:.0e}"
    return shown + _SIGNS[field.subject.standing]


def heatmap_chart(data: Heatmap) -> alt.VConcatChart:
    """The chart: three panels; a figure that is not ranked has a frame and no colour."""
    import altair as alt

    from harness.plot import parts

    standings = {field.subject.standing for field in data.fields}
    signs = [
        f"{_SIGNS[one]} {one}, without a colour: unranked" for one in STANDINGS[1:] if one in standings
    ] + ([f"{_HOLE} no figure; the pointer shows why"] if any(f.reasons for f in data.fields) else [])
    chart: alt.VConcatChart = alt.vconcat(
        *(_panel(data, key) for key in PANELS),
        title=parts.title_of(
            data, "each field: the fastest row of its framework, device and precision", *signs
        ),
    ).resolve_scale(color="independent")
    # One choice for all panels: altair would join one of each by itself, with a warning.
    views = [name for panel in chart.vconcat if (name := panel.layer[0].name) is not alt.Undefined]
    chosen: list[Any] = [parts.chosen_framework(legend=False).param, parts.pointed_framework().param]
    chart.params = [alt.TopLevelSelectionParameter(**one.to_dict(), views=views) for one in chosen]
    framed: alt.VConcatChart = chart.configure_view(stroke=None).configure_axis(grid=False, labelLimit=300)
    return framed


def _panel(data: Heatmap, key: str) -> alt.LayerChart:
    import altair as alt

    from harness.plot import parts

    unit = 1e6 if key == "peak_rss_bytes" else 1.0
    records = [
        flat(
            field,
            line=field.line,
            column=field.column,
            recipe=field.recipe,
            of=field.of,
            value=None if value is None else value / unit,
            text=_text(field, key),
            full=_HOLE if value is None else METRICS[key].format(value),
            why_not=field.reasons.get(key),
        )
        for field in data.fields
        for value in (field.figures[key],)
    ]
    ranked = [one for one in records if one["standing"] == "measured" and one["value"] is not None]
    apart = [one for one in records if one["standing"] != "measured" and one["value"] is not None]
    # Light is better in every panel: the map's dark end is where the trouble is.
    least = LEAST_KLD if key == "kld_mean" else 0.0
    spread = [max(one["value"], least) for one in ranked]
    wide = bool(spread) and min(spread) > 0 and max(spread) / min(spread) > 20
    x = alt.X("column:N", title=None, sort=list(data.columns)).axis(orient="top", labelAngle=-40)
    y = alt.Y("line:N", title=None, sort=list(data.lines))
    tooltip = parts.about(
        alt.Tooltip("recipe:N"),
        alt.Tooltip("full:N", title=_TITLES[key]),
        alt.Tooltip("of:Q", title="rows of this field"),
    )
    of_hole = [alt.Tooltip("cell:N"), alt.Tooltip("why_not:N", title="no figure because")]
    best = METRICS[key].better == "higher"
    scale = alt.Scale(
        scheme="viridis",
        reverse=not best,
        type="log" if wide else "linear",
        domain=[min(spread), max(spread)] if spread else alt.Undefined,
        clamp=True,
    )
    layers: list[alt.Chart] = []
    if ranked:
        colour = alt.Color("value:Q", title=None, scale=scale).legend(gradientLength=90, format=".3~g")
        layers.append(
            alt.Chart(parts.values(ranked))
            .mark_rect(stroke="white")
            .encode(x=x, y=y, color=colour, tooltip=tooltip, opacity=parts.faded(1.0))
        )
    if apart:
        layers.append(
            alt.Chart(parts.values(apart))
            .mark_rect(fillOpacity=0, stroke=NEUTRAL, strokeDash=[2, 2], strokeWidth=0.6)
            .encode(x=x, y=y, tooltip=tooltip, opacity=parts.faded(1.0))
        )
    if layers:
        layers[0] = layers[0].properties(name=f"fields_{key}")
    middle = _middle(spread, logarithmic=wide)
    dark = [one for one in ranked if (one["value"] < middle) is best]
    letters = (
        ("#f7f7f7", dark),
        ("#111111", [one for one in ranked if one not in dark]),
        (NEUTRAL, apart),
        (NEUTRAL, [one for one in records if one["value"] is None]),
    )
    for ink, drawn in letters:
        hole = bool(drawn) and drawn[0]["value"] is None
        if drawn:
            layers.append(
                alt.Chart(
                    parts.values(drawn, "framework", "line", "column", "text", *(_OF_HOLE if hole else ()))
                )
                .mark_text(fontSize=9, color=ink)
                .encode(
                    x=x,
                    y=y,
                    text="text:N",
                    tooltip=of_hole if hole else alt.Undefined,
                    opacity=parts.faded(1.0),
                )
            )
    return alt.LayerChart(
        layer=layers, width=46 * len(data.columns), height=22 * len(data.lines), title=_TITLES[key]
    )


def _middle(values: Sequence[float], *, logarithmic: bool) -> float:
    """The figure of the colour at half of the scale: letters below it are light, above it dark."""
    if not values:
        return 0.0
    low, high = min(values), max(values)
    return float((low * high) ** 0.5) if logarithmic else (low + high) / 2
