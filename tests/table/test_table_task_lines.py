"""Tasks below a table, and what a row says where there are none."""

from __future__ import annotations

import dataclasses

import pytest
import table_facts as make

from harness.table.facts import CellFacts, SessionFacts, TaskFacts
from harness.table.metrics import METRICS
from harness.table.rows import NO_TASKS, comparison_rows
from harness.table.task_lines import task_lines
from harness.table.view import label

TASK = TaskFacts(
    "grammar",
    "acc",
    0.75,
    0.05,
    300,
    "1",
    flips=0.1,
    mcnemar_p=0.04,
    detectable_drop=0.031,
    num_fewshot=5,
    chat_template=True,
    reference_value=0.8,
)


def session(*tasks: TaskFacts, **changes: object) -> SessionFacts:
    """The shared facts with tasks on the first cell, and changes to it."""
    facts = make.session()
    cells: list[CellFacts] = list(facts.cells)
    cells[0] = dataclasses.replace(cells[0], tasks=tasks, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(facts, cells=tuple(cells))


def test_a_line_has_the_settings_the_error_and_the_comparison() -> None:
    rows = comparison_rows(session(TASK))
    line, *rest = task_lines(rows, label)
    assert line == (
        "grammar acc (version 1, 300 items, 5-shot, chat template; quality reference 0.8): "
        f"{label(rows[0])} 0.75 ±0.05, flips 10.0 % (p 0.04, would have shown a drop of 3.1)"
    )
    assert rest[-1].startswith("± is the standard error over items.")


def test_too_few_items_are_said_to_show_nothing() -> None:
    few = dataclasses.replace(TASK, detectable_drop=None)
    assert "(p 0.04, too few items to show any drop)" in task_lines(comparison_rows(session(few)), label)[0]


def test_a_metric_without_error_and_comparison_shows_neither() -> None:
    plain = TaskFacts("text", "word_perplexity", 21.5, None, 10, "")
    rows = comparison_rows(session(plain))
    assert task_lines(rows, label)[0] == f"text word_perplexity (10 items): {label(rows[0])} 21.5"


def test_a_task_without_figures_is_a_line_with_its_reason_and_its_rows() -> None:
    hole = TaskFacts("arc", None, None, None, None, "", reason="no hub")
    other = dataclasses.replace(hole, task="boolq")
    rows = comparison_rows(session(TASK, hole, other))
    assert rows[0]["tasks"][1]["reason"] == "no hub"
    assert rows[0]["status"] == "ok"
    lines = task_lines(rows, label)
    assert lines[1] == f"no figures of arc, boolq: {label(rows[0])}: no hub"
    alone = comparison_rows(session(hole))
    assert task_lines(alone, label) == [f"no figures of arc: {label(alone[0])}: no hub"]
    assert METRICS["tasks"].format(rows[0]["tasks"]) == "grammar acc 0.75; arc none; boolq none"


def test_rows_keep_every_task_and_say_why_there_is_none() -> None:
    asked, other = comparison_rows(session(TASK))[:2]
    assert asked["tasks"] == [dataclasses.asdict(TASK)]
    assert "tasks" not in asked.notes
    assert other["tasks"] == []
    assert other.notes["tasks"] in (NO_TASKS, other["reason"])
    assert task_lines([other], label) == []


def test_a_cell_whose_tasks_failed_has_failed_and_keeps_its_speed() -> None:
    row = comparison_rows(session(tasks_status="timeout", tasks_reason="it hung"))[0]
    assert (row["status"], row["reason"], row.notes["tasks"]) == ("timeout", "tasks: it hung", "it hung")
    assert row["decode_tps"] is not None


@pytest.mark.parametrize("status", ["ok", "skipped"])
def test_tasks_that_a_framework_cannot_answer_are_a_hole_and_no_failure(status: str) -> None:
    row = comparison_rows(session(tasks_status=status, tasks_reason="gives no logits"))[0]
    assert (row["status"], row.notes["tasks"]) == ("ok", "gives no logits")
