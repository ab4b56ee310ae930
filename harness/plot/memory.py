"""Where the memory goes: each cell's peak as the framework's own size, weights, KV cache, and the rest.

Owns the plot's data and its chart. Imports the table's rows; altair inside `memory_chart`. Contract: the parts are
the table's columns (``docs/method.md``, "Where the memory goes") and add up to the peak, device memory included; a cell
that lacks a part has no bar but a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.plot.drawn import Figures, Subject, flat, nothing, session_line, summed
from harness.plot.palette import MEMORY_PARTS, NEUTRAL
from harness.plot.subjects import scope, subjects, why_no_figure
from harness.table.facts import SessionFacts
from harness.table.metrics import as_bytes
from harness.table.rows import Row

if TYPE_CHECKING:
    import altair as alt

#: The column of each part, in the order of `MEMORY_PARTS`.
_COLUMNS = ("import_bytes", "touched_weight_bytes", "analytic_kv_bytes", "residual_bytes")


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """One cell's peak.

    Attributes:
        subject: what it is of.
        parts_bytes: in the order of `MEMORY_PARTS`; the last one may lie below zero.
        total_bytes: peak resident set, and the device's memory where it has its own.
    """

    subject: Subject
    parts_bytes: tuple[int, ...]
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that the plot shows; the smallest peak first."""

    title: str
    subtitle: str
    marks: tuple[MemoryBar, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every bar's parts."""
        lines = tuple(
            (
                bar.subject.cell,
                as_bytes(bar.total_bytes),
                *map(as_bytes, bar.parts_bytes),
                str(bar.subject.runs),
                bar.subject.standing,
            )
            for bar in self.marks
        )
        heads = ("Configuration", "Peak", *(name.capitalize() for name in MEMORY_PARTS), "Runs", "Standing")
        least, most = self.marks[0], self.marks[-1]
        summary = (
            f"{summed('Peak memory by its parts', [bar.subject for bar in self.marks])} "
            f"From {as_bytes(least.total_bytes)} ({least.subject.cell}) to {as_bytes(most.total_bytes)} "
            f"({most.subject.cell})."
        )
        return Figures(heads, lines, summary, tuple(bar.subject.cell for bar in self.marks))


def memory_data(facts: SessionFacts, rows: Sequence[Row]) -> Memory:
    """The plot of one session.

    Raises:
        UsageError: no cell has all parts.
    """
    bars: list[MemoryBar] = []
    missing: dict[str, str] = {}
    for row, subject in zip(rows, subjects(rows), strict=True):
        lacking = [key for key in _COLUMNS if row[key] is None]
        if lacking or row["artifact_verdict"] == "broken":
            missing[subject.cell] = why_no_figure(row, lacking[-1] if lacking else _COLUMNS[0])
            continue
        # Medians over runs, each by itself, need not add up: the rest is what the others leave of the peak.
        known = [int(row[key]) for key in _COLUMNS[:-1]]
        total = int(row["peak_rss_bytes"]) + int(row["device_bytes"] or 0)
        bars.append(MemoryBar(subject, (*known, total - sum(known)), total))
    if not bars:
        raise nothing("a peak of which all parts are known", missing)
    return Memory(
        title=f"Where the memory goes: {scope(rows)}",
        subtitle=session_line(facts),
        marks=tuple(sorted(bars, key=lambda bar: (bar.total_bytes, bar.subject.cell))),
        missing=missing,
    )


def memory_chart(data: Memory) -> alt.LayerChart:
    """The chart: a stacked bar for each cell; pale and framed where it is not ranked."""
    import altair as alt

    from harness.plot import parts

    cells = [bar.subject.cell for bar in data.marks]
    records = [
        flat(bar, part=name, mb=size / 1e6, size=as_bytes(size), total=as_bytes(bar.total_bytes), place=place)
        for bar in data.marks
        for place, (name, size) in enumerate(zip(MEMORY_PARTS, bar.parts_bytes, strict=True))
    ]
    y = alt.Y("cell:N", title=None, sort=cells)
    part = alt.selection_point(name="part_choice", fields=["part"], bind="legend")
    colour = alt.Color("part:N", title="part").scale(
        domain=list(MEMORY_PARTS), range=list(MEMORY_PARTS.values())
    )
    pale = alt.FillOpacity("standing:O", legend=None).scale(
        domain=["measured", "suspect", "emulated", "not comparable"], range=[1.0, 0.45, 0.25, 0.45]
    )
    bars = (
        alt.Chart(parts.values(records))
        .mark_bar(height={"band": 0.75})
        .encode(
            x=alt.X("mb:Q", title="Peak memory (MB)", stack="zero"),
            y=y,
            color=colour,
            fillOpacity=pale,
            order="place:O",
            opacity=alt.when(~part)
            .then(alt.value(0.12))
            .when(~parts.chosen_framework(legend=False))
            .then(alt.value(0.07))
            .when(~parts.pointed_framework())
            .then(alt.value(0.4))
            .otherwise(alt.value(1.0)),
            tooltip=parts.about(
                alt.Tooltip("part:N"),
                alt.Tooltip("size:N", title="of it"),
                alt.Tooltip("total:N", title="peak"),
            ),
        )
        .add_params(part, parts.chosen_framework(legend=False), parts.pointed_framework())
        .properties(name="marks")
    )
    peaks = (
        alt.Chart(parts.values({"cell": bar.subject.cell, "mb": bar.total_bytes / 1e6} for bar in data.marks))
        .mark_tick(color=NEUTRAL, thickness=2)
        .encode(x="mb:Q", y=y)
    )
    standings = {bar.subject.standing for bar in data.marks} - {"measured"}
    hints = ["tick: the peak; a rest below zero is weights that never were in memory"]
    if standings:
        hints.append(f"pale, unranked: {', '.join(sorted(standings))}")
    return parts.framed([bars, peaks], data, (parts.SIZE[0], parts.LINE * len(cells)), *hints)
