"""Rows and table of an imported session: another tool's figures, under that tool's names.

Owns how they are shown apart from ours. Contract: a row is one record of the file, nothing is pooled over records; no
figure of edgebench's own definition is computed from another tool's, no speed-up, no interval; every metric that is
shown has its definition below the table.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.errors import UsageError
from harness.precision import class_of
from harness.table.facts import About, CellFacts, RunFacts, SessionFacts
from harness.table.metrics import METRICS, ROW_KEYS, as_bytes, as_joules, as_number, as_seconds
from harness.table.rows import Row
from harness.table.where import parse_where

#: Columns at the left of the table unless others are asked for.
_LEFT = ("framework", "precision", "recipe", "model", "device", "workload", "options")
_MISSING = "–"
_OPTION = re.compile(r" (?=[^ =]+=)")


def imported_rows(facts: SessionFacts) -> list[Row]:
    """A row for each record of the file, in the order of its cells."""
    return [_row(facts, cell, run) for cell in facts.cells for run in cell.runs] + [
        _row(facts, cell, None) for cell in facts.cells if not cell.runs
    ]


def figures_of(run: RunFacts) -> dict[str, dict[str, Any]]:
    """``value``, ``statistic``, ``n``, ``stddev`` by metric: the median of its repetitions, or the tool's figure."""
    raw: dict[str, list[float]] = {}
    for sample in run.samples:
        for name, value in sample.values.items():
            raw.setdefault(name, []).append(value)
    for name, values in run.arrays.items():
        raw.setdefault(name, []).extend(values)
    figures: dict[str, dict[str, Any]] = {
        name: {
            "value": statistics.median(values),
            "statistic": "median",
            "n": len(values),
            "stddev": statistics.stdev(values) if len(values) > 1 else None,
        }
        for name, values in raw.items()
    }
    for one in run.statistics:
        figures.setdefault(
            one.metric, {"value": one.value, "statistic": one.statistic, "n": one.n, "stddev": one.stddev}
        )
    return figures


def _row(facts: SessionFacts, cell: CellFacts, run: RunFacts | None) -> Row:
    assert facts.source is not None
    why = f"imported: {facts.source.tool} measured by its own definitions, see `imported`"
    values: dict[str, Any] = dict.fromkeys(ROW_KEYS)
    for key in ("framework", "model", "precision", "recipe", "device", "workload"):
        values[key] = getattr(cell, key)
    values.update(
        options=" ".join(f"{name}={value}" for name, value in sorted(cell.options.items())) or "defaults",
        status="ok" if run is None else run.status,
        reason=None if run is None else run.reason,
        runs=0 if run is None else 1,
        framework_version=None if run is None else run.framework_version,
        flags=[] if run is None else list(run.flags),
        validity=None if run is None else run.validity,
        session=facts.id,
        machine=facts.machine_id,
        precision_class=class_of(cell.precision),
        emulated=False,
        synthetic=False,
        tasks=[asdict(task) for task in cell.tasks],
        intervals={},
        source=facts.source.tool,
        imported={} if run is None else figures_of(run),
    )
    notes = {key: why for key in ROW_KEYS if values[key] is None}
    if values["validity"] is None:
        notes["validity"] = "imported: nobody watched what could have spoiled it"
    if not cell.tasks:
        notes["tasks"] = "the file holds none"
    return Row(values, notes, {} if run is None else run.hints)


# -- for people -------------------------------------------------------------------------------------------------------


def pick(
    rows: Sequence[Row], *, row_keys: Sequence[str] | None, columns: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Keys at the left, and metrics to show: the file's own, or those asked for.

    Raises:
        UsageError: a column that neither the table nor the file has.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row["imported"]))
    left = list(row_keys) if row_keys else [key for key in _LEFT if key != "options" or _varying(rows)]
    if columns is None:
        return left, metrics
    asked = [
        name.strip() for name in (columns.split(",") if isinstance(columns, str) else columns) if name.strip()
    ]
    for name in asked:
        if name not in metrics and name not in METRICS:
            raise UsageError(
                f"the imported session has no figure {name!r}",
                next_step=f"choose of {', '.join(metrics) or 'none: it has tasks only'}, "
                "or of `edgebench list metrics`",
            )
    return left, [name for name in asked if name not in left]


def _varying(rows: Sequence[Row]) -> set[str]:
    """Options whose values differ between rows: the others say nothing in a table."""
    each = [dict(word.partition("=")[::2] for word in _words(row)) for row in rows]
    names = {name for one in each for name in one}
    return {name for name in names if len({one.get(name) for one in each}) > 1}


def _words(row: Row) -> list[str]:
    """The options one by one; a value may have spaces in it."""
    return _OPTION.split(str(row["options"]))


def options_text(row: Row, rows: Sequence[Row]) -> str:
    """The options in which the rows differ."""
    wanted = _varying(rows)
    words = [word for word in _words(row) if word.partition("=")[0] in wanted]
    return " ".join(words) or _MISSING


def figure_text(name: str, figure: Mapping[str, Any] | None) -> str:
    """A figure in the unit that its name ends in, with what it is where it is no median of repetitions."""
    if figure is None:
        return _MISSING
    value = figure["value"]
    text = _formatted(name, value)
    spread = figure["stddev"]
    if spread is not None and value and figure["n"] != 1:
        percent = 100 * spread / abs(value)
        text += f" ±{percent:.2g}%" if percent < 10 else f" ±{percent:.0f}%"
    return text if figure["statistic"] == "median" else f"{text} ({figure['statistic']})"


def _formatted(name: str, value: float) -> str:
    base = name.rpartition(":")[2]
    if base.endswith("_bytes"):
        return as_bytes(value)
    if base.endswith(("_s", "_s_per_token", "_s_per_iteration")) and not base.endswith("_per_s"):
        return as_seconds(value)
    if base.endswith("_joules"):
        return as_joules(value)
    return as_number(value)


def where_test(rows: Sequence[Row], where: str | None) -> list[Row]:
    """The rows for which the conditions hold; they may name the table's columns only."""
    if not where:
        return list(rows)
    test = parse_where(where)
    return [row for row in rows if test(row.values)]


def about_lines(about: Sequence[About]) -> list[str]:
    """What measured, from which file, and that it is compared with nothing."""
    lines = []
    for each in about:
        if each.source is None:
            continue
        version = each.source.version or "of a version that the file does not tell"
        lines.append(
            f"{each.source.tool} {version} measured this, not edgebench: the figures follow its definitions, which are"
            " below, and stand in no comparison with edgebench's own."
        )
        lines.append(f"File: {each.source.file}, SHA-256 {each.source.sha256}.")
    return lines


def definition_lines(about: Sequence[About], shown: Sequence[str]) -> list[str]:
    """What each shown metric means."""
    told: dict[str, str] = {}
    for each in about:
        if each.source is not None:
            told.update(each.source.definitions)
    return [f"{name}: {told.get(name, 'the file does not say')}." for name in shown if name not in METRICS]


def reading_lines(rows: Sequence[Row], shown: Sequence[str]) -> list[str]:
    """How the figures are to be read."""
    figures = [row["imported"][name] for row in rows for name in shown if name in row["imported"]]
    lines = []
    if any(one["statistic"] == "median" for one in figures):
        lines.append("A figure without a word is the median of the repetitions in the file.")
    if any(one["statistic"] != "median" for one in figures):
        lines.append(
            "A figure with a word, such as (mean), is the tool's own over its repetitions: the file has no more."
        )
    if any(one["stddev"] is not None for one in figures):
        lines.append("± is one standard deviation over the repetitions, no interval: they share a process.")
    return lines
