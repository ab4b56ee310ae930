"""What is behind the figures of an imported session: the stored samples, and the place in the file that they are of.

Owns these explanations. Imports the store's facts and the imported rows. Contract: a figure is the one that the table
shows; its samples are those that are stored; file, tool and machine stand as they were told, and nothing is computed
but the median that the table says it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.explain import measured
from harness.store import facts as stored
from harness.store.imports import SourceRecord
from harness.table import facts as shown
from harness.table.imported import imported_rows, pick, where_test
from harness.table.rows import Row


def chosen_rows(
    facts: shown.SessionFacts, where: str | None, columns: str | Sequence[str] | None
) -> tuple[list[tuple[Row, int]], list[str]]:
    """Rows for which the conditions hold, each with its place among all, and the figures that are asked for.

    Raises:
        UsageError: an unknown column, or a malformed condition.
    """
    rows = imported_rows(facts)
    places = {id(row): place for place, row in enumerate(rows)}
    kept = where_test(rows, where)
    metrics = pick(kept, row_keys=None, columns=None)[1]
    asked = metrics if columns is None else pick(kept, row_keys=None, columns=columns)[1]
    figures = [name for name in asked if name in metrics or name == "tasks"]
    if columns is None and any(row["tasks"] for row in kept):
        figures.append("tasks")
    return [(row, places[id(row)]) for row in kept], figures


def stored_runs(
    facts: stored.SessionFacts, made: shown.SessionFacts
) -> list[tuple[stored.CellFacts, stored.RunFacts | None]]:
    """The cell and run of each row, in the order of `imported_rows`; a row of tasks alone is of the evaluating run."""
    runs = {run.id: run for cell in facts.cells for run in cell.runs}
    both = list(zip(facts.cells, made.cells, strict=True))
    found: list[tuple[stored.CellFacts, stored.RunFacts | None]] = [
        (cell, runs[run.id]) for cell, plan in both for run in plan.runs
    ]
    for cell, plan in both:
        if not plan.runs:
            found.append((cell, next(iter(cell.evaluations()[-1:]), None)))
    return found


def figure_of(
    name: str, row: Row, cell: stored.CellFacts, run: stored.RunFacts | None, source: SourceRecord
) -> dict[str, Any]:
    """One figure, ready for JSON: see `harness.explain.explanation`."""
    if name == "tasks":
        figure = {"title": "Tasks", "value": row["tasks"], "unit": None, **measured.definition_of("tasks")}
        figure |= {"interval": None, **measured.of_tasks(cell), "file": _place(run, None)}
        if not row["tasks"]:
            figure["why_missing"] = row.notes["tasks"]
        return figure
    found = row["imported"].get(name)
    figure = {
        "title": name,
        "value": None if found is None else found["value"],
        "unit": None,
        "formula": source.definitions.get(name, "the file does not say"),
        "source": "`sample`, `trace`",
        "interval": None,
        "run_ids": [] if run is None else [run.id],
        "left_out": {},
    }
    if found is None or run is None:
        return {**figure, "why_missing": "this record of the file has none"}
    figure["statistic"] = {key: found[key] for key in ("statistic", "n", "stddev")}
    figure["file"] = _place(run, name)
    samples = [
        {"repetition": one.repetition, "warmup": one.warmup, "value": one.values[name]}
        for one in run.samples
        if name in one.values
    ]
    numbers = [number for trace in run.traces(name) for number in trace]
    if not samples and not numbers:
        figure["source"] = "`statistic`"
        figure["statistics"] = [asdict(one) for one in run.statistics if one.metric == name]
        figure["arithmetic"] = (
            f"the {found['statistic']} that the tool wrote: {measured.number(found['value'])}"
        )
        return figure
    figure["samples"] = samples
    if numbers:
        figure["numbers"] = len(numbers)
        what = f"median of {len(numbers)} numbers"
    else:
        timed = [one["value"] for one in samples if not one["warmup"]]
        what = f"median({', '.join(map(measured.number, timed))})"
    figure["arithmetic"] = f"{what} = {measured.number(found['value'])}"
    return figure


def _place(run: stored.RunFacts | None, metric: str | None) -> dict[str, Any]:
    """``place`` of the record in the file, and ``field`` of it; None where it was imported before these were kept."""
    details: Mapping[str, Any] = {} if run is None else run.details
    return {
        "place": details.get("place"),
        "field": None if metric is None else details.get("fields", {}).get(metric),
    }
