"""The roofline plot: what decodes and prefills reach, below what the machine could do.

Owns its data and its chart. Imports the table's facts; altair inside `roofline_chart`. Contract: performance over
arithmetic intensity (both of the least work that the model demands, see ``docs/method.md``), one mark for each cell and
phase, at the median over its runs; what has no mark is named with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from harness.errors import UsageError
from harness.plot.axes import Axis
from harness.plot.drawn import Figures
from harness.plot.palette import NEUTRAL, PHASE_SHAPES
from harness.plot.subjects import names, scope
from harness.table.facts import BenchFacts, CellFacts, SessionFacts
from harness.table.rows import Row, comparison_rows
from harness.table.utilisation import NEVER_BENCHED, why_not_comparable
from harness.table.view import precision_text

if TYPE_CHECKING:
    import altair as alt

Phase = Literal["decode", "prefill"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One cell's decode or prefill.

    Attributes:
        framework: its id.
        cell: for a person: ``llamacpp int4 (Q4_K_M) cpu``.
        precision: for a person: ``int4 (Q4_K_M)``.
        phase: decode or prefill.
        intensity: FLOP per byte.
        gflops: reached, 10^9 operations per second.
        tokens_per_s: the speed that it comes from.
        utilisation: MBU of a decode, MFU of a prefill.
        suspect: nothing but suspect runs is behind it.
        runs: timed runs that ended as ok.
        version: the framework's.
    """

    framework: str
    cell: str
    precision: str
    phase: Phase
    intensity: float
    gflops: float
    tokens_per_s: float
    utilisation: float
    suspect: bool
    runs: int = 0
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Roof:
    """One roof as a line: ``(FLOP per byte, GFLOP/s)``, and where its name stands."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Roofline:
    """Everything that the plot shows.

    Attributes:
        title: model and workload.
        subtitle: machine, session and bench.
        marks: in the order of the cells.
        roofs: the memory's, and one for each arithmetic.
        missing: why a cell has no mark, by its name.
    """

    title: str
    subtitle: str
    marks: tuple[Mark, ...]
    roofs: tuple[Roof, ...]
    missing: dict[str, str] = field(default_factory=dict)

    def figures(self) -> Figures:
        """Every mark's place."""
        lines = tuple(
            (
                mark.cell,
                mark.phase,
                f"{mark.tokens_per_s:.4g}",
                f"{mark.gflops:.3g}",
                f"{mark.intensity:.3g}",
                f"{100 * mark.utilisation:.1f} % {'MBU' if mark.phase == 'decode' else 'MFU'}",
                str(mark.runs),
                "suspect" if mark.suspect else "measured",
            )
            for mark in self.marks
        )
        heads = (
            "Configuration", "Phase", "Tokens/s", "GFLOP/s", "FLOP/byte", "Of the roof", "Runs", "Standing",
        )  # fmt: skip
        summary = f"{len(self.marks)} marks below these roofs: {', '.join(roof.name for roof in self.roofs)}."
        decodes = [mark for mark in self.marks if mark.phase == "decode"]
        if decodes:
            best = max(decodes, key=lambda mark: mark.utilisation)
            summary += f" The highest MBU: {100 * best.utilisation:.0f} % ({best.cell})."
        return Figures(heads, lines, summary, tuple(mark.cell for mark in self.marks))


def roofline_data(facts: SessionFacts, rows: Sequence[Row] | None = None) -> Roofline:
    """The plot of one session; ``rows`` where its table is made already.

    Raises:
        UsageError: the machine was never benched, or no cell has a mark.
    """
    if facts.source is not None:
        raise UsageError(
            f"{facts.source.tool} measured this session by its own definitions, which are not the plot's",
            next_step="name a session that edgebench measured, see edgebench db sessions",
        )
    if facts.bench is None:
        raise UsageError(
            f"there are no roofs: {NEVER_BENCHED.partition(':')[0]}", next_step="edgebench doctor --bench"
        )
    marks: list[Mark] = []
    missing: dict[str, str] = {}
    rows = comparison_rows(facts) if rows is None else rows
    for cell, row, name in zip(facts.cells, rows, names(rows), strict=True):
        for phase in PHASE_SHAPES:
            mark = _mark(cell, row, name, phase, facts.bench)
            if isinstance(mark, Mark):
                marks.append(mark)
            else:
                missing.setdefault(name, mark)
    if not marks:
        why = "; ".join(dict.fromkeys(missing.values())) or "it has no cell"
        raise UsageError(
            f"no cell of {facts.id} can be placed: {why}",
            next_step="measure again on this machine's CPU: edgebench run",
        )
    day = facts.bench.measured_at + (" (suspect)" if facts.bench.doubt else "")
    return Roofline(
        title=f"Roofline: {scope(rows)}",
        subtitle=f"{facts.machine_name}; session {facts.id}; roofs measured {day}",
        marks=tuple(marks),
        roofs=_roofs(facts.bench, marks),
        missing=missing,
    )


def _mark(cell: CellFacts, row: Row, name: str, phase: str, bench: BenchFacts) -> Mark | str:
    """The mark, or why there is none."""
    why_not = why_not_comparable(cell.device, bench, emulated=cell.emulated)
    if why_not is not None:
        return why_not
    key = f"{phase}_tps"
    speed = row[key]
    if speed is None:
        return row.notes[key]
    use = "mbu_decode" if phase == "decode" else "mfu_prefill"
    work = next((run.work for run in cell.runs if run.work is not None), None)
    if work is None or row[use] is None:
        return row.notes[use]
    if phase == "decode":
        flops, read = work.decode_flops, work.decode_bytes
    else:
        flops, read = work.prefill_flops, work.prefill_bytes
    if read is None:
        return row.notes["mbu_decode"]
    tokens = 1 if phase == "decode" else cell.prompt_tokens
    return Mark(
        framework=cell.framework,
        cell=name,
        precision=precision_text(row),
        phase="decode" if phase == "decode" else "prefill",
        intensity=flops / read,
        gflops=flops * speed / tokens / 1e9,
        tokens_per_s=speed,
        utilisation=row[use],
        suspect=row["validity"] == "suspect",
        runs=int(row["runs"] or 0),
        version=row["framework_version"],
    )


def _roofs(bench: BenchFacts, marks: Sequence[Mark]) -> tuple[Roof, ...]:
    """The memory's slope up to each arithmetic's level, and that level from there on."""
    gbytes = bench.read_bytes_per_s / 1e9
    peaks = {"fp32": bench.fp32_flops / 1e9}
    if bench.int8_ops is not None:
        peaks["int8"] = bench.int8_ops / 1e9
    ridges = [peak / gbytes for peak in peaks.values()]
    intensities = [mark.intensity for mark in marks]
    left = _decade(min(*intensities, *ridges), math.floor)
    right = _decade(max(*intensities, *ridges) * 1.5, math.ceil)
    top = max(peaks.values())
    memory = Roof(f"memory {gbytes:.3g} GB/s", ((left, gbytes * left), (top / gbytes, top)))
    levels = [
        Roof(
            f"{name} {peak:.3g} {'GFLOP/s' if name == 'fp32' else 'GOP/s'}",
            ((peak / gbytes, peak), (right, peak)),
        )
        for name, peak in peaks.items()
    ]
    return (memory, *levels)


def _decade(value: float, to: Callable[[float], int]) -> float:
    return float(10.0 ** to(math.log10(value)))


def roofline_chart(data: Roofline) -> alt.LayerChart:
    """The chart: logarithmic axes, colours by framework, shapes by phase, hollow where suspect."""
    import altair as alt

    from harness.plot import parts

    across, up = _limits(data)
    x = alt.X("intensity:Q", title="Arithmetic intensity (FLOP/byte)").scale(across.scale())
    y = alt.Y("gflops:Q", title="Performance (GFLOP/s)").scale(up.scale())
    hollow = ["hollow: suspect runs only"] if any(mark.suspect for mark in data.marks) else []
    return parts.framed(
        [*_roof_layers(data, x, y), *_mark_layers(data, x, y, across, up)],
        data,
        parts.SIZE,
        "beside a decode: its MBU; beside a prefill: its MFU",
        *hollow,
    )


def _limits(data: Roofline) -> tuple[Axis, Axis]:
    """The roofs' ends across; upwards from the lowest mark to above the highest roof."""
    ends = [point for roof in data.roofs for point in roof.points]
    across = Axis(min(x for x, _ in ends), max(x for x, _ in ends), logarithmic=True)
    heights = [*(y for _, y in ends), *(mark.gflops for mark in data.marks)]
    return across, Axis(min(heights) / 1.3, max(heights) * 1.6, logarithmic=True)


def _roof_layers(data: Roofline, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    import altair as alt

    def line(roof: Roof, place: int) -> dict[str, float | str]:
        across, up = roof.points[place]
        return {"roof": roof.name, "intensity": across, "gflops": up}

    def named(roof: Roof, place: int, align: Literal["left", "right"], dx: float, dy: float) -> alt.Chart:
        values = alt.InlineData(values=[line(roof, place)])
        chart = alt.Chart(values).mark_text(color=NEUTRAL, align=align, dx=dx, dy=dy)
        encoded: alt.Chart = chart.encode(x=x, y=y, text="roof:N")
        return encoded

    memory, *levels = data.roofs
    levels.sort(key=lambda roof: -roof.points[-1][1])
    values = [line(roof, place) for roof in data.roofs for place in range(len(roof.points))]
    return [
        alt.Chart(alt.InlineData(values=values))
        .mark_line(color=NEUTRAL, strokeWidth=1.5)
        .encode(x=x, y=y, detail="roof:N", tooltip=[alt.Tooltip("roof:N", title="roof")]),
        # Left of the ridge and above the slope, where no mark can lie.
        named(memory, -1, "right", -14, -2),
        # The highest one's name above its line, the others' below theirs: they may lie close.
        *(named(roof, -1, "right", 0, 12 if place else -8) for place, roof in enumerate(levels)),
    ]


def _mark_layers(data: Roofline, x: alt.X, y: alt.Y, across: Axis, up: Axis) -> list[alt.Chart]:
    import altair as alt

    from harness.plot import parts

    records = [
        {**asdict(mark), "name": f"{mark.precision} {100 * mark.utilisation:.0f} %"} for mark in data.marks
    ]
    colour = parts.by_framework(mark.framework for mark in data.marks)
    shape = alt.Shape("phase:N", title="phase").scale(
        domain=list(PHASE_SHAPES), range=list(PHASE_SHAPES.values())
    )
    tooltip = [
        alt.Tooltip("cell:N"),
        alt.Tooltip("phase:N"),
        alt.Tooltip("tokens_per_s:Q", title="tokens/s", format=".4~g"),
        alt.Tooltip("gflops:Q", title="GFLOP/s", format=".3~g"),
        alt.Tooltip("intensity:Q", title="FLOP/byte", format=".3~g"),
        alt.Tooltip("utilisation:Q", title="MBU or MFU", format=".1%"),
        alt.Tooltip("runs:Q"),
        alt.Tooltip("version:N"),
        alt.Tooltip("suspect:N"),
    ]
    points = [
        alt.Chart(parts.values(one for one in records if one["suspect"] is suspect))
        .mark_point(filled=not suspect)
        .encode(
            x=x,
            y=y,
            color=colour,
            shape=shape,
            tooltip=tooltip,
            opacity=parts.faded(),
            size=parts.grown(90),
        )
        for suspect in (False, True)
    ]
    points[0] = parts.choosing(points[0])
    width, height = parts.SIZE
    places = [
        (width * across.share(mark.intensity), height * (1 - up.share(mark.gflops))) for mark in data.marks
    ]
    return [*points, *parts.lettered(records, "name", places, x, y)]
