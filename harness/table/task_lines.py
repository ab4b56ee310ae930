"""Task accuracies as lines below a table: one per task and metric, every artifact in it.

Owns these words. Imports its own room. Contract: no figure without its number of items, its error and the settings that
it holds for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.table.rows import NO_TASKS, Row


def task_lines(rows: Sequence[Row], label: Callable[[Row], str]) -> list[str]:
    """Lines such as ``grammar acc (version 1, 300 items, 0-shot): reference 0.81; llamacpp int4 0.80 ±0.02, ...``."""
    lines: dict[str, list[str]] = {}
    holes: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for task in row["tasks"] or ():
            if task["value"] is None:
                holes.setdefault((task["reason"], label(row)), []).append(task["task"])
            else:
                lines.setdefault(_head(task), []).append(f"{label(row)} {_figure(task)}")
    made = [f"{head}: {'; '.join(dict.fromkeys(figures))}" for head, figures in lines.items()]
    figures_there = bool(made)
    made += [
        f"no figures of {tasks}: {'; '.join(names)}: {why}"
        for (why, tasks), names in _by_tasks(holes).items()
    ]
    without: dict[str, list[str]] = {}
    for row in rows:
        why = row.notes.get("tasks")
        if not row["tasks"] and why is not None and why != NO_TASKS and row["status"] == "ok":
            without.setdefault(why, []).append(label(row))
    if made:
        made += [f"no tasks: {'; '.join(dict.fromkeys(names))}: {why}" for why, names in without.items()]
    if figures_there:
        made.append(
            "± is the standard error over items. Flips are items whose correctness differs from the quality "
            "reference's; p is that of McNemar's exact test on them, and the drop, in points of accuracy, what "
            "that test would have shown in four of five repetitions."
        )
    return made


def _by_tasks(holes: Mapping[tuple[str, str], Sequence[str]]) -> dict[tuple[str, str], list[str]]:
    """From (reason, row) -> tasks to (reason, tasks) -> rows: one line where many rows lack the same."""
    made: dict[tuple[str, str], list[str]] = {}
    for (why, name), tasks in holes.items():
        made.setdefault((why, ", ".join(dict.fromkeys(tasks))), []).append(name)
    return made


def _head(task: Mapping[str, Any]) -> str:
    settings = [f"version {task['version']}"] if task["version"] else []
    settings.append(f"{task['n']} items")
    if task["num_fewshot"] is not None:
        settings.append(f"{task['num_fewshot']}-shot")
    if task["chat_template"]:
        settings.append("chat template")
    reference = task["reference_value"]
    against = "" if reference is None else f"; quality reference {reference:.4g}"
    return f"{task['task']} {task['metric']} ({', '.join(settings)}{against})"


def _figure(task: Mapping[str, Any]) -> str:
    text = f"{task['value']:.4g}"
    if task["stderr"] is not None:
        text += f" ±{task['stderr']:.2g}"
    if task["flips"] is not None:
        drop = task["detectable_drop"]
        shown = (
            "too few items to show any drop"
            if drop is None
            else f"would have shown a drop of {100 * drop:.1f}"
        )
        text += f", flips {100 * task['flips']:.1f} % (p {task['mcnemar_p']:.2g}, {shown})"
    return text
