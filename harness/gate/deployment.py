"""Whether configurations are fit for deployment: the rules of a preset, judged cell by cell.

Owns which cells are judged, against which references, and the verdict on each rule. Imports the table, so that a
figure here is the table's. Contract: a rule passes or fails only where the whole interval of its figure does;
everything else is inconclusive and says why. The references are never judged against themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.frameworks import frameworks
from harness.gate.alone import alone
from harness.gate.figures import FIGURES, Figure, figures_of
from harness.gate.presets import Preset, Rule
from harness.runner.front import Plan, Request, begin_session, carry_out, cell_of, make_plan
from harness.runner.progress import SessionProgress
from harness.runner.stored_cells import matching
from harness.store import Store
from harness.store.facts import CellFacts
from harness.suite import PlannedCell, select
from harness.table import Row, comparison_rows
from harness.table.stored import session_facts


def measure(
    request: Request, preset: Preset, store: Store, cache_dir: Path, progress: SessionProgress
) -> tuple[str, set[str]]:
    """Measure the chosen cells and the speed baselines that the rules need; the session, and the ids of the chosen.

    Raises:
        UsageError: something in the request is wrong.
        EdgebenchError: nothing can be measured at all, or the database fails.
        KeyboardInterrupt: passed on; what was measured is stored.
    """
    plan = make_plan(replace(request, expression="", trigger="gate"))
    chosen = select(plan.cells, request.expression)
    wanted = {one.cell.id for one in chosen}
    needed = wanted | ({one.cell.id for one in _baselines(plan, chosen)} if preset.relative else set())
    plan = replace(plan, cells=tuple(one for one in plan.cells if one.cell.id in needed))
    session_id = begin_session(plan, store, about={"gate": {"side": "head", "words": []}})
    progress.note(f"session {session_id} in {store.place}")
    carry_out(session_id, store, cache_dir, progress)
    return session_id, wanted


def _baselines(plan: Plan, chosen: Sequence[PlannedCell]) -> list[PlannedCell]:
    """What the table may take for the speed baseline of these cells: `harness.table.rows` decides among them."""

    def kin(planned: PlannedCell, precision: str) -> tuple[str, ...]:
        cell = planned.cell
        options = (f"{name}={value}" for name, value in sorted(cell.options.items()))
        return (cell.framework, cell.model, cell.device_label, str(cell.workload), precision, *options)

    needed = {
        kin(one, plan.entries[one.cell.framework].backend.baseline_precision or "fp32")
        for one in chosen
        if one.cell.framework in plan.entries
    }
    return [one for one in plan.cells if kin(one, one.cell.precision) in needed]


def chosen_cells(store: Store, session_id: str, expression: str) -> set[str]:
    """Ids of a stored session's cells that ``-k`` chooses.

    Raises:
        UsageError: the expression is wrong, or chooses none.
    """
    stored = [one.cell for one in store.session_facts(session_id).cells]
    return {one.id for one in matching(stored, expression)}


def judge_session(
    store: Store,
    session_id: str,
    chosen: Collection[str],
    name: str,
    preset: Preset,
    *,
    with_suspect: bool = False,
) -> dict[str, Any]:
    """The document of a preset over a stored session.

    Args:
        store: where it is.
        session_id: which.
        chosen: ids of the cells that are judged, but for speed baselines.
        name: the preset's.
        preset: its rules.
        with_suspect: figures over suspect runs count too.

    Raises:
        UsageError: there is no cell to judge, or the session is another tool's.
    """
    stored = store.session_facts(session_id)
    if stored.source is not None:
        raise UsageError(
            f"session {session_id} was imported from {stored.source.tool}: its figures have other definitions",
            next_step="name a session that edgebench measured; `edgebench db sessions` lists them",
        )
    facts = session_facts(stored, frameworks(include_hidden=True))
    table = comparison_rows(facts, with_suspect=with_suspect)
    rows: list[dict[str, Any]] = []
    notes = []
    for place, (row, cell) in enumerate(zip(table, stored.cells, strict=True)):
        if cell.cell.id not in chosen:
            continue
        if row.baseline == place and preset.relative:
            notes.append(f"{cell_of(cell.cell).name} is its own speed reference: not judged")
            continue
        baseline = None if row.baseline is None else table[row.baseline]
        rows += _of_cell(preset, row, baseline, cell, with_suspect=with_suspect)
        notes += _references(row, cell)
    if not rows:
        raise UsageError(
            f"session {session_id} has no cell to judge: every chosen one is the reference of the others",
            next_step="choose a quantised cell with -k, or name a suite that has some",
        )
    machine = facts.machine_name
    return alone(
        "deployment",
        rows,
        suite=stored.suite,
        machine=machine,
        sides={"head": {"words": [], "text": f"preset {name}: {preset.title}", "session": session_id}},
        notes=list(dict.fromkeys(notes)),
        preset=name,
    )


def _references(row: Row, cell: CellFacts) -> list[str]:
    name = cell_of(cell.cell).name
    found = (
        [f"{name}: speed and memory are relative to {row['speed_baseline']}"] if row["speed_baseline"] else []
    )
    quality = cell.evaluation.quality_reference if cell.evaluation is not None else row["quality_reference"]
    return [*found, f"{name}: accuracy is relative to {quality}"] if quality else found


def _of_cell(
    preset: Preset, row: Row, baseline: Row | None, cell: CellFacts, *, with_suspect: bool
) -> Iterable[dict[str, Any]]:
    name = cell_of(cell.cell).name
    verdict = cell.score.verdict if cell.score is not None else None
    if verdict is not None and verdict.verdict == "broken":
        reason = f"the artifact is broken: {verdict.reason}"
        yield _row(name, cell, "artifact", "Artifact", "", Figure(reason=reason), "broken", reason)
        return
    for rule in preset.rules:
        for figure in figures_of(rule.figure, row, baseline, cell, with_suspect=with_suspect):
            word, reason = judge_rule(rule, figure)
            title = FIGURES[rule.figure].title + (f" ({figure.about})" if figure.about else "")
            metric = f"{rule.figure} {figure.about}".strip()
            yield _row(name, cell, metric, title, rule.text, figure, word, reason, rule)


def judge_rule(rule: Rule, figure: Figure) -> tuple[str, str]:
    """``pass``, ``fail`` or ``inconclusive``, and why."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "inconclusive", f"not measured: {figure.reason}" if figure.value is None else figure.reason
    ends = {rule.holds(figure.low), rule.holds(figure.high)}
    if len(ends) == 2:
        return "inconclusive", "the interval holds the limit: more runs, windows or items would tell"
    return ("pass", "") if ends == {True} else ("fail", f"has to be {rule.text}")


def _row(
    name: str,
    cell: CellFacts,
    metric: str,
    title: str,
    limit: str,
    figure: Figure,
    verdict: str,
    reason: str,
    rule: Rule | None = None,
) -> dict[str, Any]:
    write = FIGURES[rule.figure].format if rule is not None else str
    text = None
    if figure.value is not None:
        text = write(figure.value)
        if figure.low is not None and figure.high is not None and figure.low != figure.high:
            text += f" [{write(figure.low)}, {write(figure.high)}]"
    return {
        "cell": name,
        "cell_id": cell.cell.id,
        "metric": metric,
        "title": title,
        "verdict": verdict,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "limit": None if rule is None else rule.limit,
        "rule": limit,
        "text": text,
        "reason": reason,
    }
