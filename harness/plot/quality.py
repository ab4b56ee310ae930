"""Quality against decode speed, and against memory, with the Pareto frontier.

Owns both plots' data and their chart. Imports the recommendation's frontier; altair inside `quality_chart`. Contract: a
mark for each cell with both figures, with its 95 % intervals; the frontier is the recommendation's, over measured marks
alone: what is suspect, emulated or not comparable is drawn apart and never on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.plot.axes import Axis, fitting, with_bars
from harness.plot.drawn import Figures, Subject, flat, nothing, session_line, summed
from harness.plot.palette import NEUTRAL
from harness.plot.subjects import scope, subjects, why_no_figure
from harness.recommend.choice import frontier, not_shippable
from harness.table.facts import SessionFacts
from harness.table.metrics import METRICS
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt

Against = Literal["decode_tps", "peak_rss_bytes"]

#: Nats below which a divergence is drawn at the axis' end: rounding of half precision, not loss.
LEAST_KLD = 1e-5

#: Fields that an error bar needs.
_BARS = ("framework", "x", "x_low", "x_high", "y", "y_low", "y_high")
_WORDS = {
    "decode_tps": ("decode speed", "Decode speed (tokens/s)", 1.0),
    "peak_rss_bytes": ("memory", "Peak memory (MB)", 1e6),
}


@dataclass(frozen=True, slots=True)
class QualityMark:
    """One cell.

    Attributes:
        subject: what it is of.
        value, low, high: tokens/s or bytes, with the 95 % interval; None without one.
        kld, kld_low, kld_high: nats, likewise.
        positions: scored ones, on which the divergence rests; None where that was not stored.
        frontier: no other measured mark is better in one and as good in the other.
    """

    subject: Subject
    value: float
    low: float | None
    high: float | None
    kld: float
    kld_low: float | None
    kld_high: float | None
    positions: int | None
    frontier: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """Everything that the plot shows; marks on the frontier first, the most accurate of them first."""

    title: str
    subtitle: str
    against: Against
    marks: tuple[QualityMark, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every mark's two figures."""
        words, format_ = _WORDS[self.against][0], METRICS[self.against].format
        lines = tuple(
            (
                mark.subject.cell,
                _with_interval(format_, mark.value, mark.low, mark.high),
                _with_interval(METRICS["kld_mean"].format, mark.kld, mark.kld_low, mark.kld_high),
                "yes" if mark.frontier else "",
                str(mark.subject.runs),
                mark.subject.standing,
            )
            for mark in self.marks
        )
        best = [mark.subject.cell for mark in self.marks if mark.frontier]
        summary = summed(f"KLD against {words}", [mark.subject for mark in self.marks])
        tail = (
            f" On the Pareto frontier, the most accurate first: {'; '.join(best)}."
            if best
            else " No mark may be ranked, so there is no frontier."
        )
        heads = (
            "Configuration",
            METRICS[self.against].title,
            "KLD (nats)",
            "On the frontier",
            "Runs",
            "Standing",
        )
        return Figures(heads, lines, summary + tail, tuple(mark.subject.cell for mark in self.marks))


def _with_interval(format_: Any, value: float, low: float | None, high: float | None) -> str:
    text = str(format_(value))
    return text if low is None or high is None else f"{text} ({format_(low)} to {format_(high)})"


def quality_data(facts: SessionFacts, rows: Sequence[Row], against: Against) -> Quality:
    """The plot of one session.

    Raises:
        UsageError: no cell has both figures.
    """
    marks: list[QualityMark] = []
    missing: dict[str, str] = {}
    made = subjects(rows, compared=True, quality=True)
    ranked = [
        row
        for row, subject in zip(rows, made, strict=True)
        if subject.standing == "measured"
        and not_shippable(row, with_suspect=False) is None
        and row[against] is not None
        and row["kld_mean"] is not None
    ]
    best = {id(row) for row in frontier(ranked, (against, "kld_mean"))}
    for row, subject in zip(rows, made, strict=True):
        lacking = [key for key in (against, "kld_mean") if row[key] is None]
        if row["artifact_verdict"] == "broken" or lacking:
            missing[subject.cell] = why_no_figure(row, lacking[0] if lacking else against)
            continue
        low, high = _bounds(row, against)
        kld_low, kld_high = _bounds(row, "kld_mean")
        marks.append(
            QualityMark(
                subject, row[against], low, high, row["kld_mean"], kld_low, kld_high, row["scored_positions"],
                id(row) in best,
            )
        )  # fmt: skip
    if not marks:
        raise nothing(f"both a divergence and {_WORDS[against][0]}", missing)
    marks.sort(key=lambda mark: (not mark.frontier, mark.kld))
    return Quality(
        title=f"Quality (KLD) against {_WORDS[against][0]}: {scope(rows)}",
        subtitle=session_line(facts),
        against=against,
        marks=tuple(marks),
        missing=missing,
    )


def _bounds(row: Row, key: str) -> tuple[float | None, float | None]:
    found = (row["intervals"] or {}).get(key)
    return (None, None) if found is None else (float(found[0]), float(found[1]))


def quality_chart(data: Quality) -> alt.LayerChart:
    """The chart: colours by framework, shapes by standing, error bars, the frontier as the steps it is."""
    import altair as alt

    from harness.plot import parts

    words, title, unit = _WORDS[data.against]
    across, up = _axes(data, unit)
    x = alt.X("x:Q", title=title, scale=across.scale(), axis=alt.Axis(format=",.4~r"))
    y = alt.Y("y:Q", title="Mean KLD from the quality reference (nats)", scale=up.scale()).axis(
        format=".2~r", tickCount=6
    )
    colour = parts.by_framework(mark.subject.framework for mark in data.marks)
    standings = [mark.subject.standing for mark in data.marks]
    records = [_record(mark, across, up, unit) for mark in data.marks]
    tooltip = parts.about(
        alt.Tooltip("value_text:N", title=words),
        alt.Tooltip("kld_text:N", title="KLD (nats)"),
        alt.Tooltip("positions:Q", title="scored positions", format=","),
        alt.Tooltip("frontier:N", title="on the frontier"),
    )
    bars = [
        alt.Chart(parts.values((one for one in records if one[f"{end}_low"] is not None), *_BARS))
        .mark_rule(strokeWidth=1)
        .encode(
            **{
                "x": x if end == "y" else alt.X("x_low:Q", title=title, scale=across.scale()),
                "y": y if end == "x" else alt.Y("y_low:Q", scale=up.scale()),
                f"{end}2": f"{end}_high:Q",
            },
            color=colour,
            opacity=parts.faded(0.4),
        )
        for end in ("x", "y")
    ]
    points = parts.marks(records, x, y, colour, standings, tooltip, 70)
    hints = parts.hint_of(standings)
    width, height = parts.SIZE
    places = [(width * across.share(one["x"]), height * (1 - up.share(one["y"]))) for one in records]
    layers: list[Any] = [*bars, *points, *parts.lettered(records, "precision", places, x, y)]
    if any(mark.frontier for mark in data.marks):
        layers.insert(0, _steps(data, records, x, y))
        hints.insert(0, "line: the Pareto frontier, which nothing measured beats in both")
    if min(mark.kld for mark in data.marks) < LEAST_KLD:
        hints.append(f"at the lower edge: KLD below {LEAST_KLD:g}")
    return parts.framed(layers, data, parts.SIZE, *hints)


def _axes(data: Quality, unit: float) -> tuple[Axis, Axis]:
    values, highs = [mark.value for mark in data.marks], [mark.high for mark in data.marks]
    across = fitting(value / unit for value in with_bars(values, highs))
    up = fitting(
        with_bars([mark.kld for mark in data.marks], [mark.kld_high for mark in data.marks]), floor=LEAST_KLD
    )
    return across, up


def _record(mark: QualityMark, across: Axis, up: Axis, unit: float) -> dict[str, Any]:
    def at(axis: Axis, value: float | None, unit: float = 1.0) -> float | None:
        return None if value is None else axis.shown(value / unit)

    format_ = METRICS["decode_tps" if unit == 1 else "peak_rss_bytes"].format
    return flat(
        mark,
        frontier=mark.frontier,
        positions=mark.positions,
        x=at(across, mark.value, unit),
        x_low=at(across, mark.low, unit),
        x_high=at(across, mark.high, unit),
        y=at(up, mark.kld),
        y_low=at(up, mark.kld_low),
        y_high=at(up, mark.kld_high),
        value_text=_with_interval(format_, mark.value, mark.low, mark.high),
        kld_text=_with_interval(METRICS["kld_mean"].format, mark.kld, mark.kld_low, mark.kld_high),
    )


def _steps(data: Quality, records: Sequence[dict[str, Any]], x: Any, y: Any) -> alt.Chart:
    """The border of what some measured mark reaches: steps, since nothing lies between two configurations."""
    import altair as alt

    from harness.plot import parts

    steps: Literal["step-before", "step-after"] = (
        "step-before" if data.against == "decode_tps" else "step-after"
    )
    chart: alt.Chart = (
        alt.Chart(parts.values((one for one in records if one["frontier"]), "x", "y"))
        .mark_line(color=NEUTRAL, strokeWidth=1.2, strokeDash=[5, 3], interpolate=steps)
        .encode(x=x, y=y, order="x:Q")
    )
    return chart
