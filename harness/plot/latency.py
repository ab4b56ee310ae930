"""How long a user waits: between two tokens, and for the first one by the length of the prompt.

Owns both plots' data and charts. Imports the table's samples and quantiles; altair inside the charts. Contract: a
percentile is of one run's gaps or requests, and the median over runs is drawn, as in the table; what has too few has no
mark but a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.plot.axes import fitting
from harness.plot.drawn import Figures, Subject, flat, nothing, session_line, summed
from harness.plot.series import Series, series_chart, series_data
from harness.plot.subjects import scope, subjects, why_no_figure
from harness.table import estimates
from harness.table.facts import CellFacts, SessionFacts
from harness.table.metrics import as_seconds
from harness.table.rows import Row, token_gaps_s

if TYPE_CHECKING:
    import altair as alt

#: Of the gaps between tokens.
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class GapMark:
    """One cell's gaps between two tokens.

    Attributes:
        subject: what it is of.
        seconds: by `PERCENTILES`, the median over runs of each.
        gaps: how many of all runs are behind them.
    """

    subject: Subject
    seconds: tuple[float, ...]
    gaps: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """Everything that the plot of gaps shows; the shortest median first."""

    title: str
    subtitle: str
    marks: tuple[GapMark, ...]
    missing: dict[str, str]

    def figures(self) -> Figures:
        """Every mark's percentiles."""
        lines = tuple(
            (
                mark.subject.cell,
                *map(as_seconds, mark.seconds),
                str(mark.gaps),
                str(mark.subject.runs),
                mark.subject.standing,
            )
            for mark in self.marks
        )
        heads = ("Configuration", *(f"ITL p{each}" for each in PERCENTILES), "Gaps", "Runs", "Standing")
        best = self.marks[0]
        summary = (
            f"{summed('Gaps between two tokens', [mark.subject for mark in self.marks])} "
            f"The shortest median: {as_seconds(best.seconds[0])} ({best.subject.cell})."
        )
        return Figures(heads, lines, summary, tuple(mark.subject.cell for mark in self.marks))


def gaps_data(facts: SessionFacts, rows: Sequence[Row]) -> Gaps:
    """The plot of one session.

    Raises:
        UsageError: no cell has timed tokens.
    """
    marks: list[GapMark] = []
    missing: dict[str, str] = {}
    for cell, row, subject in zip(facts.cells, rows, subjects(rows), strict=True):
        found = _gaps(cell, row)
        if row["artifact_verdict"] == "broken" or found is None:
            missing[subject.cell] = why_no_figure(row, "itl_s_p99")
            continue
        marks.append(GapMark(subject, *found))
    if not marks:
        raise nothing("timed tokens", missing)
    return Gaps(
        title=f"Time between two tokens (ITL): {scope(rows)}",
        subtitle=session_line(facts),
        marks=tuple(sorted(marks, key=lambda mark: (mark.seconds[0], mark.subject.cell))),
        missing=missing,
    )


def _gaps(cell: CellFacts, row: Row) -> tuple[tuple[float, ...], int] | None:
    """Percentiles over the runs that the table's own figure rests on, and the number of gaps."""
    behind = row.basis.get("itl_s_p99", {})
    of_run = [token_gaps_s(run.samples) for run in cell.runs if run.id in behind]
    found = []
    for percent in PERCENTILES:
        known = [value for gaps in of_run if (value := estimates.quantile(gaps, percent)) is not None]
        middle = estimates.median(known)
        if middle is None:
            return None
        found.append(middle)
    return tuple(found), sum(len(gaps) for gaps in of_run)


def gaps_chart(data: Gaps) -> alt.LayerChart:
    """The chart: for each cell a line from the median to the 99th percentile, a mark at each percentile."""
    import altair as alt

    from harness.plot import parts

    cells = [mark.subject.cell for mark in data.marks]
    axis = fitting([1e3 * value for mark in data.marks for value in mark.seconds])
    records = [
        flat(
            mark,
            gaps=mark.gaps,
            ms=1e3 * mark.seconds[0],
            end_ms=1e3 * mark.seconds[-1],
            texts=", ".join(
                f"p{p} {as_seconds(value)}" for p, value in zip(PERCENTILES, mark.seconds, strict=True)
            ),
        )
        for mark in data.marks
    ]
    ticks = [
        {"framework": mark.subject.framework, "cell": mark.subject.cell, "ms": 1e3 * seconds}
        for mark in data.marks
        for seconds in mark.seconds[1:]
    ]
    x = alt.X("ms:Q", title="Time between two tokens (ms)", scale=axis.scale())
    y = alt.Y("cell:N", title=None, sort=cells)
    colour = parts.by_framework(mark.subject.framework for mark in data.marks)
    standings = [mark.subject.standing for mark in data.marks]
    tooltip = parts.about(
        alt.Tooltip("texts:N", title="percentiles"), alt.Tooltip("gaps:Q", title="gaps of all runs")
    )
    lines = (
        alt.Chart(parts.values(records, "framework", "cell", "ms", "end_ms"))
        .mark_rule(strokeWidth=1.5)
        .encode(x=x, x2="end_ms:Q", y=y, color=colour, opacity=parts.faded(0.6))
    )
    ends = (
        alt.Chart(parts.values(ticks))
        .mark_tick(thickness=2, size=10)
        .encode(x=x, y=y, color=colour, opacity=parts.faded())
    )
    layers: list[Any] = [lines, ends, *parts.marks(records, x, y, colour, standings, tooltip)]
    hints = ["mark: median of a run's gaps; ticks: 90th and 99th percentile; each the median over runs"]
    size = (parts.SIZE[0], parts.LINE * len(cells))
    return parts.framed(layers, data, size, *hints, *parts.hint_of(standings))


def ttft_data(facts: SessionFacts, rows: Sequence[Row]) -> Series:
    """TTFT by the length of the prompt.

    Raises:
        UsageError: no cell has one, or all prompts are of one length.
    """
    return series_data(
        facts,
        rows,
        key="ttft_s",
        title="Time to first token by length of the prompt",
        x_title="Prompt (tokens)",
        y_title="TTFT (s)",
        place=lambda workload: workload.prompt_tokens,
        varying="prompt_tokens",
    )


def ttft_chart(data: Series) -> alt.LayerChart:
    """The chart: a line for each configuration."""
    return series_chart(data)
