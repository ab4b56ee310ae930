"""The explanation of rows: each figure with its definition, its arithmetic in numbers, and the runs that it rests on.

Owns `Explanation`. Imports the store's facts, the table's rows and definitions. Contract: ready for JSON; a figure that
is missing is explained too, by the reason that the table gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.explain import imported, measured
from harness.frameworks import frameworks
from harness.store import Store
from harness.store import facts as stored
from harness.store.imports import SourceRecord
from harness.store.origins import Origins
from harness.table import comparison_rows
from harness.table import facts as shown
from harness.table.metrics import METRICS, ROW_KEYS
from harness.table.rows import Row
from harness.table.stored import session_facts
from harness.table.view import DEFAULT_COLUMNS, label, select
from harness.table.where import columns as column_names


@dataclass(frozen=True, slots=True)
class Explained:
    """One row.

    Attributes:
        row: as the table has it.
        label: its name for a person.
        cell_id: the cell.
        figures: by column: see `harness.explain.measured`.
        run_ids: every run that stands in the explanation, in order of appearance.
    """

    row: Row
    label: str
    cell_id: str
    figures: Mapping[str, Mapping[str, Any]]
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Rows of one session, explained, and where all their runs come from; ``source``: the file of an imported one."""

    session_id: str
    rows: tuple[Explained, ...]
    origins: Origins
    source: SourceRecord | None = None


def explain(
    store: Store,
    session_id: str,
    *,
    row_keys: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    where: str | None = None,
    with_suspect: bool = False,
    everything: bool = False,
) -> Explanation:
    """Explain the figures of a session's rows.

    Args:
        store: where they are.
        session_id: a session that exists.
        row_keys: by which the rows are sorted, as in the table.
        columns: the figures; None: those that the table shows unasked.
        where: which rows, as in the table.
        with_suspect: as in `comparison_rows`.
        everything: where no columns are named, all that there are.

    Raises:
        UsageError: an unknown column, or a malformed condition.
    """
    facts = store.session_facts(session_id)
    made = session_facts(facts, frameworks(include_hidden=True))
    if facts.source is not None:
        return _of_file(store, facts, made, facts.source, columns, where)
    rows = comparison_rows(made, with_suspect=with_suspect)
    kept = select(rows, row_keys=row_keys, where=where)
    keys = explained_columns(columns or (ROW_KEYS if everything else None))
    explained = explained_rows(facts, made, rows, keys, kept)
    wanted = list(dict.fromkeys(run_id for one in explained for run_id in one.run_ids))
    return Explanation(session_id, tuple(explained), store.origins(wanted))


def _of_file(
    store: Store,
    facts: stored.SessionFacts,
    made: shown.SessionFacts,
    source: SourceRecord,
    columns: str | Sequence[str] | None,
    where: str | None,
) -> Explanation:
    """The rows of an imported session."""
    chosen, names = imported.chosen_rows(made, where, columns)
    runs = imported.stored_runs(facts, made)
    explained = []
    for row, place in chosen:
        cell, run = runs[place]
        figures = {name: imported.figure_of(name, row, cell, run, source) for name in names}
        explained.append(Explained(row, label(row), cell.cell.id, figures, tuple(_run_ids(figures.values()))))
    wanted = list(dict.fromkeys(run_id for one in explained for run_id in one.run_ids))
    return Explanation(facts.id, tuple(explained), store.origins(wanted), source)


def explained_rows(
    facts: stored.SessionFacts,
    made: shown.SessionFacts,
    rows: Sequence[Row],
    keys: Sequence[str],
    kept: Sequence[Row],
) -> list[Explained]:
    """Rows of a session with their figures explained.

    Args:
        facts: as stored.
        made: the same as the table takes it.
        rows: what `comparison_rows` makes of it.
        keys: the figures, from `explained_columns`.
        kept: those of the rows that are wanted, in their order.
    """
    places = {id(row): place for place, row in enumerate(rows)}
    cells = [_Cell(row, cell, plan) for row, cell, plan in zip(rows, facts.cells, made.cells, strict=True)]
    explained = []
    for cell in (cells[places[id(row)]] for row in kept):
        baseline = None if cell.row.baseline is None else cells[cell.row.baseline]
        figures = {key: _figure(key, cell, baseline, facts, made) for key in keys}
        run_ids = tuple(_run_ids(figures.values()))
        explained.append(Explained(cell.row, label(cell.row), cell.stored.cell.id, figures, run_ids))
    return explained


def explained_columns(columns: str | Sequence[str] | None) -> list[str]:
    """The figures among the columns; a column that is none has nothing behind it but its row."""
    named = column_names(columns) if columns else ["bits_per_weight", *DEFAULT_COLUMNS, "tasks"]
    return [key for key in dict.fromkeys(named) if METRICS[key].kind == "metric" and key != "intervals"]


@dataclass(frozen=True, slots=True)
class _Cell:
    row: Row
    stored: stored.CellFacts
    shown: shown.CellFacts


def _figure(
    key: str,
    cell: _Cell,
    baseline: _Cell | None,
    facts: stored.SessionFacts,
    made: shown.SessionFacts,
) -> dict[str, Any]:
    row, value = cell.row, cell.row[key]
    figure: dict[str, Any] = {
        "title": METRICS[key].title,
        "value": value,
        "unit": METRICS[key].unit,
        **measured.definition_of(key),
        "interval": (row["intervals"] or {}).get(key),
    }
    if key in row.errors:
        figure["standard_error"] = row.errors[key]
    if value in (None, []):
        figure["why_missing"] = row.notes.get(key, row["reason"] or "no reason was stored")
    elif key in row.notes:
        figure["note"] = row.notes[key]
    if key == "tasks":
        figure |= measured.of_tasks(cell.stored)
    elif key in measured.OF_ARTIFACT:
        figure |= measured.of_artifact(key, row, cell.stored)
    elif key in measured.OF_SCORE:
        figure |= measured.of_score(key, row, cell.stored)
    else:
        figure |= measured.of_runs(key, row, cell.stored, cell.shown, made.bench)
        if key in measured.COMPARED and baseline is not None:
            figure |= measured.of_baseline(key, row, baseline.row, baseline.stored)
        if key in ("mbu_decode", "mfu_prefill") and facts.bench is not None:
            figure["bench_id"] = facts.bench.id
    return figure


def _run_ids(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for figure in figures:
        for name in ("run_ids", "baseline_run_ids", "reference_run_ids", "left_out"):
            found.update(dict.fromkeys(figure.get(name, ())))
    return list(found)
