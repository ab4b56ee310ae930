"""A figure over a property of the workload, a line for each configuration: TTFT by prompt, speed by depth.

Owns the data of such plots and their chart. Imports the suite's workload words; altair inside `series_chart`.
Contract: a line joins only cells that differ in nothing but that property; a configuration that was measured at one
place alone is no line, and the reason says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError
from harness.plot.axes import fitting, with_bars
from harness.plot.drawn import Figures, Subject, flat, nothing, session_line, summed
from harness.plot.subjects import scope, subjects, why_no_figure
from harness.suite.cell import Workload
from harness.table.facts import SessionFacts
from harness.table.metrics import METRICS
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt

Varying = Literal["prompt_tokens", "depth"]
_ALONE = {"prompt_tokens": "prompts of one length", "depth": "one depth"}


@dataclass(frozen=True, slots=True)
class SeriesMark:
    """One cell on its configuration's line.

    Attributes:
        subject: what it is of.
        line: the configuration, without the property that the axis shows.
        at_tokens: the property.
        value, low, high: in the column's unit, with its 95 % interval; None without one.
    """

    subject: Subject
    line: str
    at_tokens: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """Everything that the plot shows; line by line, from left to right."""

    title: str
    subtitle: str
    key: str
    x_title: str
    y_title: str
    marks: tuple[SeriesMark, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every mark."""
        metric = METRICS[self.key]
        lines = tuple(
            (
                mark.line,
                str(mark.at_tokens),
                _text(self.key, mark),
                str(mark.subject.runs),
                mark.subject.standing,
            )
            for mark in self.marks
        )
        count = len({mark.line for mark in self.marks})
        summary = f"{summed(self.title, [mark.subject for mark in self.marks])} {count} configurations."
        heads = ("Configuration", self.x_title, metric.title, "Runs", "Standing")
        return Figures(heads, lines, summary, tuple(mark.subject.cell for mark in self.marks))


def _text(key: str, mark: SeriesMark) -> str:
    format_ = METRICS[key].format
    text = str(format_(mark.value))
    return (
        text
        if mark.low is None or mark.high is None
        else f"{text} ({format_(mark.low)} to {format_(mark.high)})"
    )


def series_data(
    facts: SessionFacts,
    rows: Sequence[Row],
    *,
    key: str,
    title: str,
    x_title: str,
    y_title: str,
    place: Callable[[Workload], int],
    varying: Varying,
) -> Series:
    """The plot of one session.

    Args:
        facts: of the session.
        rows: its table.
        key: the column that is drawn.
        title: what is plotted.
        x_title: of the axis of the property, with its unit.
        y_title: of the figures' axis, with its unit.
        place: the property of a workload.
        varying: its name.

    Raises:
        UsageError: no cell has a figure, or the property is the same in all that have.
    """
    marks: list[SeriesMark] = []
    missing: dict[str, str] = {}
    places: dict[str, set[int]] = {}
    for row, subject in zip(rows, subjects(rows), strict=True):
        if row[key] is None or row["artifact_verdict"] == "broken":
            missing[subject.cell] = why_no_figure(row, key)
            continue
        try:
            workload = Workload.parse(str(row["workload"]))
        except ValueError as error:  # a database from elsewhere
            missing[subject.cell] = str(error)
            continue
        low, high = (row["intervals"] or {}).get(key) or (None, None)
        at = place(workload)
        mark = SeriesMark(subject, _line(row, workload, varying), at, float(row[key]), low, high)
        marks.append(mark)
        places.setdefault(mark.line, set()).add(at)
    if not marks:
        raise nothing(METRICS[key].title, missing)
    alone = [mark for mark in marks if len(places[mark.line]) == 1]
    if len(alone) == len(marks):
        raise UsageError(
            f"every configuration was measured with {_ALONE[varying]}: there is no line to draw",
            next_step="measure a suite whose workloads differ in it, such as pp128+tg32 and pp512+tg32@d512",
        )
    missing.update(
        {mark.subject.cell: f"measured with {_ALONE[varying]}, {mark.at_tokens} tokens" for mark in alone}
    )
    marks = [mark for mark in marks if mark not in alone]
    return Series(
        title=f"{title}: {scope(rows)}",
        subtitle=session_line(facts),
        key=key,
        x_title=x_title,
        y_title=y_title,
        marks=tuple(sorted(marks, key=lambda mark: (mark.line, mark.at_tokens, mark.value))),
        missing=missing,
    )


def _line(row: Row, workload: Workload, varying: Varying) -> str:
    if varying == "prompt_tokens":
        rest = str(replace(workload, prompt_tokens=1)).removeprefix("pp1").removeprefix("+")
    else:
        rest = str(replace(workload, depth=0))
    own = [str(row[key]) for key in ("framework", "model", "recipe", "device")]
    options = [] if row["options"] == "defaults" else [str(row["options"])]
    return " ".join([*own, *([rest] if rest else []), *options])


def series_chart(data: Series) -> alt.LayerChart:
    """The chart: a line for each configuration, coloured by framework, with error bars."""
    import altair as alt

    from harness.plot import parts

    at = [float(mark.at_tokens) for mark in data.marks]
    across, up = (
        fitting(at),
        fitting(with_bars([mark.value for mark in data.marks], [mark.high for mark in data.marks])),
    )
    records = [
        flat(
            mark,
            line=mark.line,
            at_tokens=mark.at_tokens,
            value=mark.value,
            text=_text(data.key, mark),
            y_low=None if mark.low is None else up.shown(mark.low),
            y_high=None if mark.high is None else up.shown(mark.high),
        )
        for mark in data.marks
    ]
    ticks = sorted(set(at))
    x = alt.X("at_tokens:Q", title=data.x_title, scale=across.scale()).axis(
        values=ticks if len(ticks) <= 12 else alt.Undefined, format="d"
    )
    y = alt.Y("value:Q", title=data.y_title, scale=up.scale())
    colour = parts.by_framework(mark.subject.framework for mark in data.marks)
    standings = [mark.subject.standing for mark in data.marks]
    tooltip = parts.about(
        alt.Tooltip("at_tokens:Q", title=data.x_title), alt.Tooltip("text:N", title=METRICS[data.key].title)
    )
    lines = (
        alt.Chart(parts.values(records))
        .mark_line(strokeWidth=1.2)
        .encode(x=x, y=y, color=colour, detail="line:N", opacity=parts.faded(0.6))
    )
    bars = (
        alt.Chart(parts.values(one for one in records if one["y_low"] is not None))
        .mark_rule(strokeWidth=1)
        .encode(
            x=x,
            y=alt.Y("y_low:Q", title=data.y_title, scale=up.scale()),
            y2="y_high:Q",
            color=colour,
            opacity=parts.faded(0.4),
        )
    )
    layers: list[Any] = [lines, bars, *parts.marks(records, x, y, colour, standings, tooltip)]
    return parts.framed(layers, data, parts.SIZE, *parts.hint_of(standings))
