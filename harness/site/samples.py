"""A cell's page of samples: every figure with its arithmetic, and every run with its raw numbers.

Owns what of a run is shown and how much of it. Imports the explanations and the store's facts. Contract: the same
numbers as ``edgebench table --explain`` and ``edgebench show`` give; what is cut says how much there is and where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.explain.explanation import Explained
from harness.explain.measured import number
from harness.explain.pages import Line, figure_lines
from harness.labels import device_label
from harness.site.names import slug
from harness.store import facts as stored
from harness.store import records

#: Numbers of one trace that a page shows; fewer where the page would be too large.
TRACE_LENGTHS = (1024, 64, 0)
#: Runs of one page.
RUNS_OF_A_PAGE = 60


@dataclass(frozen=True, slots=True)
class Text:
    """A text in a list or a table; ``value``: what it is sorted by; ``href``: where it leads."""

    text: str
    value: float | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True)
class FigureText:
    """One figure: its anchor, heading, the lines below it, and links to its runs: way and name."""

    anchor: str
    heading: str
    lines: tuple[Line, ...]
    runs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MissingText:
    """Figures that are missing for one reason: anchor and title of each."""

    figures: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TableText:
    """A table of raw numbers: heads and rows of texts."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class RunText:
    """One run: anchor, heading, facts, and its raw numbers."""

    anchor: str
    heading: str
    facts: tuple[tuple[str, Text], ...]
    tables: tuple[TableText, ...]
    traces: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]


def figure_texts(
    one: Explained, runs: Mapping[str, tuple[str, str]]
) -> tuple[list[FigureText], list[MissingText]]:
    """The figures that are there, and those that are missing by reason.

    Args:
        one: the explained row.
        runs: way and name of the runs that have a place on the site, by id.
    """
    there: list[FigureText] = []
    missing: dict[str, list[tuple[str, str]]] = {}
    for key, figure in one.figures.items():
        if figure["value"] in (None, []):
            missing.setdefault(str(figure["why_missing"]), []).append((key, str(figure["title"])))
            continue
        heading, *lines = figure_lines(one, key, figure)
        behind = tuple(runs[each] for each in figure.get("run_ids", ()) if each in runs)
        there.append(FigureText(key, heading.text, tuple(lines), behind))
    return there, [MissingText(tuple(figures), reason) for reason, figures in missing.items()]


def run_anchor(run_id: str) -> str:
    """The anchor of a run in its page."""
    return f"run-{slug(run_id)}"


def run_text(
    run: stored.RunFacts, failure: tuple[str | None, str | None] | None, trace_length: int
) -> RunText:
    """A run with its raw numbers.

    Args:
        run: as stored.
        failure: the worker's error and the end of its output, where it did not end as ok.
        trace_length: numbers of a trace that are shown.
    """
    marks = [run.status, *([run.validity] if run.validity == "suspect" else [])]
    device = run.device or {}
    told: list[tuple[str, Any]] = [
        ("Run", run.id),
        ("Reason", run.reason),
        ("Ended in", run.phase),
        ("Suspect because", "; ".join(map(str, run.flags)) or None),
        ("Started", None if run.started_at is None else run.started_at.isoformat()),
        ("Seconds", None if run.duration_s is None else number(run.duration_s)),
        ("Phases, seconds", _pairs(run.phases_s)),
        ("Framework version", run.framework_version),
        ("Device", _pairs(device)),
        ("Threads", run.threads),
        ("Settings in force", _pairs(run.hints)),
        ("Artifact", run.artifact_id),
        ("Environment", run.environment_id),
        ("KV cache, as the framework tells, bytes", run.kv_cache_bytes),
    ]
    facts = tuple((name, Text(str(value))) for name, value in told if value not in (None, ""))
    error, log_tail = failure or (None, None)
    texts = [("Error", error), ("End of its output", log_tail)]
    return RunText(
        run_anchor(run.id),
        f"{run.kind} run {run.index}, attempt {run.attempt}: {', '.join(map(str, marks))}",
        facts,
        tuple(_tables(run)),
        tuple(_traces(run, trace_length)),
        tuple((name, text) for name, text in texts if text),
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {number(value) if isinstance(value, float) else value}"
        for name, value in values.items()
        if value is not None
    )


def _tables(run: stored.RunFacts) -> list[TableText]:
    found = []
    if run.samples:
        # Stored in an order of the file's own.
        names = sorted({name for one in run.samples for name in one.values})
        heads = [f"#{one.repetition}{' warm-up' if one.warmup else ''}" for one in run.samples]
        rows = [
            (name, *("" if name not in one.values else repr(one.values[name]) for one in run.samples))
            for name in names
        ]
        found.append(TableText("Samples: one column a repetition, raw", ("metric", *heads), tuple(rows)))
    for caption, listed in (("Memory readings", run.memory), ("Energy readings", run.energy)):
        if listed:
            found.append(_records(caption, listed))
    if run.statistics:
        found.append(_records("Statistics of the tool", run.statistics))
    return found


def _records(
    caption: str,
    listed: Sequence[records.MemoryRecord | records.EnergyRecord | records.StatisticRecord],
) -> TableText:
    """Stored readings as they are, without the columns that none of them has."""
    names = [
        one.name for one in fields(listed[0]) if any(getattr(row, one.name) is not None for row in listed)
    ]
    rows = tuple(
        tuple("" if (value := getattr(row, name)) is None else str(value) for name in names) for row in listed
    )
    return TableText(caption, tuple(names), rows)


def _traces(run: stored.RunFacts, length: int) -> list[tuple[str, str]]:
    found = []
    for sample in run.samples:
        for name, numbers in sorted(sample.traces.items()):
            mark = ", warm-up" if sample.warmup else ""
            shown = " ".join(repr(one) for one in numbers[:length])
            more = len(numbers) - length
            rest = "" if more <= 0 else f" … and {more} more: edgebench show {run.id} --json"
            heading = f"{name} of repetition {sample.repetition}{mark}: {len(numbers)} numbers"
            found.append((heading, f"{shown}{rest}".strip()))
    return found


def window_table(cell: stored.CellFacts) -> TableText | None:
    """The windows that the quality rests on; None where nothing was scored."""
    if cell.score is None:
        return None
    reference = cell.score.reference
    of_reference = {} if reference is None else {one.window: one for one in reference.windows}
    rows = []
    for one in cell.score.windows:
        other = of_reference.get(one.window)
        values = (
            one.window, one.positions, one.nll_sum, None if other is None else other.nll_sum, one.kld_sum,
            one.same_top, one.delta_p_sq_sum, one.bytes,
        )  # fmt: skip
        rows.append(tuple("" if value is None else repr(value) for value in values))
    heads = (
        "window", "positions", "nll_sum", "reference nll_sum", "kld_sum", "same_top", "delta_p_sq_sum", "bytes",
    )  # fmt: skip
    return TableText(f"Windows of run {cell.score.run_id}, sums in nats", heads, tuple(rows))


def task_texts(cell: stored.CellFacts, length: int) -> list[tuple[str, str]]:
    """The items of each evaluated task, one number an item."""
    if cell.evaluation is None:
        return []
    found = []
    for one in cell.evaluation.tasks:
        items = one.items or ()
        shown = " ".join(f"{value:g}" for value in items[:length])
        more = len(items) - length
        rest = "" if more <= 0 else f" … and {more} more: edgebench show {cell.evaluation.run_id} --json"
        found.append((f"{one.task} {one.metric}: {number(one.value)} over {one.n} items", f"{shown}{rest}"))
    return found


def cell_facts(cell: stored.CellFacts) -> list[tuple[str, Text]]:
    """What a cell is."""
    record = cell.cell
    told: list[tuple[str, Any]] = [
        ("Cell", record.id),
        ("Framework", record.framework),
        ("Model", record.model),
        ("Precision", record.precision),
        ("Recipe", record.recipe),
        ("Device", device_label(record.device, record.api)),
        ("Workload", record.workload),
        ("Options", _pairs(record.options) or "defaults"),
        ("Plan", _pairs(cell.settings)),
        ("Artifact", None if cell.artifact is None else cell.artifact.id),
        ("Not planned because", cell.reason),
    ]
    return [(name, Text(str(value))) for name, value in told if value not in (None, "")]
