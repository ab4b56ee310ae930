"""Energy per generated token, where a meter was read.

Owns the plot's data and its chart. Imports the table's rows; altair inside `energy_chart`. Contract: measured joules
alone, gross, each with its meter; without a meter there is a reason and no plot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.plot.axes import Axis
from harness.plot.drawn import Figures, Subject, flat, nothing, session_line, summed
from harness.plot.subjects import scope, subjects, why_no_figure
from harness.table.facts import SessionFacts
from harness.table.metrics import as_joules
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt

_KEY = "energy_joules_per_decode_token"


@dataclass(frozen=True, slots=True)
class EnergyMark:
    """One cell.

    Attributes:
        subject: what it is of.
        joules, low, high: per generated token, gross, with its 95 % interval; None without one.
        meter: where it comes from: ``gross, by powercap ...``.
    """

    subject: Subject
    joules: float
    low: float | None
    high: float | None
    meter: str


@dataclass(frozen=True, slots=True)
class Energy:
    """Everything that the plot shows; the thriftiest first."""

    title: str
    subtitle: str
    marks: tuple[EnergyMark, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every mark."""
        lines = tuple(
            (mark.subject.cell, _text(mark), mark.meter, str(mark.subject.runs), mark.subject.standing)
            for mark in self.marks
        )
        best = self.marks[0]
        summary = (
            f"{summed('Energy per generated token', [mark.subject for mark in self.marks])} "
            f"The least: {as_joules(best.joules)} ({best.subject.cell})."
        )
        heads = ("Configuration", "Energy per token", "Meter", "Runs", "Standing")
        return Figures(heads, lines, summary, tuple(mark.subject.cell for mark in self.marks))


def _text(mark: EnergyMark) -> str:
    text = as_joules(mark.joules)
    return (
        text
        if mark.low is None or mark.high is None
        else f"{text} ({as_joules(mark.low)} to {as_joules(mark.high)})"
    )


def energy_data(facts: SessionFacts, rows: Sequence[Row]) -> Energy:
    """The plot of one session.

    Raises:
        UsageError: no cell has its energy measured; the reasons are those of the cells.
    """
    marks: list[EnergyMark] = []
    missing: dict[str, str] = {}
    for row, subject in zip(rows, subjects(rows), strict=True):
        if row[_KEY] is None or row["artifact_verdict"] == "broken":
            missing[subject.cell] = why_no_figure(row, _KEY)
            continue
        low, high = (row["intervals"] or {}).get(_KEY) or (None, None)
        marks.append(EnergyMark(subject, float(row[_KEY]), low, high, row.notes.get(_KEY, "")))
    if not marks:
        raise nothing("its energy measured", missing)
    return Energy(
        title=f"Energy per generated token: {scope(rows)}",
        subtitle=session_line(facts),
        marks=tuple(sorted(marks, key=lambda mark: (mark.joules, mark.subject.cell))),
        missing=missing,
    )


def energy_chart(data: Energy) -> alt.LayerChart:
    """The chart: a mark with its error bar for each cell, on an axis from zero."""
    import altair as alt

    from harness.plot import parts

    cells = [mark.subject.cell for mark in data.marks]
    ends = [end for mark in data.marks for end in (mark.joules, mark.high) if end is not None]
    axis = Axis(0.0, 1.05 * max(ends), logarithmic=False)
    records = [
        flat(mark, joules=mark.joules, low=mark.low, high=mark.high, meter=mark.meter, text=_text(mark))
        for mark in data.marks
    ]
    x = alt.X("joules:Q", title="Energy per generated token (J/token, gross)", scale=axis.scale())
    y = alt.Y("cell:N", title=None, sort=cells)
    colour = parts.by_framework(mark.subject.framework for mark in data.marks)
    standings = [mark.subject.standing for mark in data.marks]
    tooltip = parts.about(alt.Tooltip("text:N", title="J/token"), alt.Tooltip("meter:N"))
    bars = (
        alt.Chart(parts.values(one for one in records if one["low"] is not None))
        .mark_rule(strokeWidth=1.5)
        .encode(
            x=alt.X("low:Q", scale=axis.scale()), x2="high:Q", y=y, color=colour, opacity=parts.faded(0.5)
        )
    )
    layers: list[Any] = [bars, *parts.marks(records, x, y, colour, standings, tooltip)]
    size = (parts.SIZE[0], parts.LINE * len(cells))
    return parts.framed(layers, data, size, *parts.hint_of(standings))
