"""Evaluating tasks one after another, so that what fails in one is that one's.

Owns which tasks are asked, in which order, and what becomes of a group that has lost one. Runs in lm-eval's
environment. Contract: every task, every name that is unknown and every group with figures of its own is either among
the results or a hole with its reason, and never both; every task starts from the same seeds, whatever ran before it.

Puts lm-eval's own figures of single tasks together with its own arithmetic of groups; the version is pinned exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.evaluation.exchange import DataSource, EvaluateSpec, TaskHole, TaskResult
from harness.evaluation.loading import Missing, RefusedError, TaskError, check_labels, line_of

#: Resamplings for the standard errors of metrics that have no formula.
BOOTSTRAP = 1000

#: How a file of the hub is named where it was downloaded from: ``hf://datasets/owner/name@0123.../file``.
_COMMIT = re.compile(r"@([0-9a-f]{40})/")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What became of all that was asked for.

    Attributes:
        found: as ``simple_evaluate`` gives it, of every task and group that has figures.
        holes: the others.
        data: task -> where its items came from.
    """

    found: dict[str, Any]
    holes: list[TaskHole]
    data: dict[str, DataSource]


def evaluate(loaded: Iterable[Any], manager: Any, model: Any, spec: EvaluateSpec) -> Evaluated:
    """Evaluate tasks and groups.

    Args:
        loaded: from `harness.evaluation.loading.load`.
        manager: lm-eval's task manager.
        model: lm-eval's model that asks the lab.
        spec: the settings.
    """
    from lm_eval.evaluator_utils import EvalAcc, aggregate_groups

    parts = _Parts.of(loaded)
    holes = {
        name: TaskHole(name, "failed", one.reason)
        for name, one in parts.missing.items()
        if name not in parts.tasks
    }
    whole = EvalAcc()
    data: dict[str, DataSource] = {}
    for name, task in parts.tasks.items():
        try:
            check_labels(task, spec.limit)
            found = _one(task, manager, model, spec)
        except RefusedError as error:
            holes[name] = TaskHole(name, "skipped" if error.unsupported else "failed", str(error))
        except TaskError as error:
            holes[name] = TaskHole(name, "failed", str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001  tasks of others raise anything
            holes[name] = TaskHole(name, "failed", line_of(error))
        else:
            data[name] = source_of(task)
            whole.metrics |= found["results"]
            whole.versions |= found["versions"]
            whole.num_fewshot |= found["n-shot"]
            whole.higher_is_better |= found["higher_is_better"]
            whole.n_samples |= found["n-samples"]
            whole.samples |= found["samples"]
    for name, group in parts.groups.items():
        lost = [holes[each] for each in parts.of_group[name] if each in holes]
        if not lost:
            whole.groups[name] = group
        elif group.has_aggregation:
            failed = any(each.status == "failed" for each in lost)
            holes[name] = TaskHole(name, "failed" if failed else "skipped", _without(lost))
        # Else it has no figures of its own, and its tasks' reasons say all.
    aggregate_groups(whole)
    return Evaluated(whole._to_eval_results(samples=whole.samples), list(holes.values()), data)


def with_figures(results: Iterable[TaskResult]) -> tuple[list[TaskResult], list[TaskHole]]:
    """The results that have a figure, or are a group that wants none; and holes in the place of the others."""
    kept, holes = [], []
    for one in results:
        if one.items and not one.metrics:
            holes.append(TaskHole(one.task, "failed", "none of its metrics is a finite number"))
        else:
            kept.append(one)
    return kept, holes


def _one(task: Any, manager: Any, model: Any, spec: EvaluateSpec) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate

    found: dict[str, Any] = simple_evaluate(
        model=model,
        tasks=[task],
        task_manager=manager,
        num_fewshot=spec.num_fewshot,
        limit=spec.limit,
        apply_chat_template=spec.chat_template,
        fewshot_as_multiturn=spec.chat_template,
        log_samples=True,
        bootstrap_iters=0 if spec.survey else BOOTSTRAP,
    )
    return found


def _without(lost: list[TaskHole]) -> str:
    first = lost[0]
    others = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    return f"its task {first.task} has no figures{others}: {first.reason}"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What was loaded, by name: each task once, however many groups it is in.

    Attributes:
        tasks: in order.
        groups: inner ones before those around them.
        missing: what could not be loaded.
        of_group: names of all tasks below a group, the missing ones too.
    """

    tasks: dict[str, Any]
    groups: dict[str, Any]
    missing: dict[str, Missing]
    of_group: dict[str, list[str]]

    @classmethod
    def of(cls, loaded: Iterable[Any]) -> _Parts:
        parts = cls({}, {}, {}, {})
        for one in loaded:
            parts._add(one)
        return parts

    def _add(self, one: Any) -> list[str]:
        from lm_eval.api.group import Group

        if isinstance(one, Missing):
            self.missing.setdefault(one.task_name, one)
        elif isinstance(one, Group):
            below = [name for child in one for name in self._add(child)]
            self.groups.setdefault(one.name, one)
            self.of_group.setdefault(one.name, below)
            return below
        else:
            self.tasks.setdefault(one.task_name, one)
        return [one.task_name]


def source_of(task: Any) -> DataSource:
    """Where a task's items came from; parts that `datasets` does not tell are None."""
    split = _split(task)
    info = getattr(split, "info", None)
    files = getattr(info, "download_checksums", None) or {}
    commits = {found[1] for file in files if (found := _COMMIT.search(str(file)))}
    return DataSource(
        path=str(getattr(task.config, "dataset_path", None) or ""),
        name=getattr(task.config, "dataset_name", None),
        revision=", ".join(sorted(commits)) or None,
        fingerprint=getattr(split, "_fingerprint", None),
    )


def _split(task: Any) -> Any:
    """The split that is asked; None where the task's items are no data set's."""
    dataset: Any = getattr(task, "dataset", None)
    config = task.config
    name = getattr(config, "test_split", None) or getattr(config, "validation_split", None)
    return dataset.get(name) if hasattr(dataset, "get") and name is not None else None
