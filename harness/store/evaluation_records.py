"""Records of evaluations of tasks: what the runner hands in.

Owns these shapes, apart from those of other facts. Imports the standard library only. Contract: as that of `records`:
frozen, plain, and what could never be stored is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class TaskItemRecord:
    """One item: what it was, each metric's value where that is one number, and what the model said.

    ``loglikelihoods`` are those of its choices in nats; ``text`` is what was generated.
    """

    sha256: str
    values: Mapping[str, float]
    loglikelihoods: Sequence[float] = ()
    text: str | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.values.values(), *self.loglikelihoods)):
            raise ValueError(f"item {self.sha256}: a value that is none is left out")


@dataclass(frozen=True, slots=True)
class TaskMetricRecord:
    """One metric over all items of a task; ``stderr`` None where there is no such error."""

    metric: str
    value: float
    stderr: float | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or not (self.stderr is None or math.isfinite(self.stderr)):
            raise ValueError(f"metric {self.metric} is not finite; a figure that is none is left out")


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task, or a group of tasks, which has no items of its own and no ``corpus_sha256``."""

    task: str
    version: str
    n: int
    num_fewshot: int | None
    corpus_sha256: str | None
    metrics: Sequence[TaskMetricRecord]
    items: Sequence[TaskItemRecord] = ()


@dataclass(frozen=True, slots=True)
class TaskHoleRecord:
    """What was asked for and has no figures; ``skipped``: the framework answers no questions of its kind."""

    task: str
    status: Literal["failed", "skipped"]
    reason: str

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError(f"task {self.task} has no figures and no reason")


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What evaluating tasks on one artifact gave.

    Attributes:
        evaluation_key: equal where evaluating the same items again would give the same.
        artifact_id: what was evaluated; None of an imported one, as environment and truncated.
        settings: what was asked for: names, limit, num_fewshot, chat_template, max_length.
        chat_template: whether the model's template was used.
        items_limit: items of each task at most, None: all.
        max_length: tokens that fit into a question.
        environment_id: stored environment of lm-eval.
        lm_eval_version: its version.
        truncated: questions that lost their beginning.
        tasks: in order.
        reference_run_id: run that evaluated the quality reference, None when this is it.
        quality_reference: that reference in words.
        cells: cells of the run's session that this evaluation stands for.
        details: anything else worth keeping.
        holes: what was asked for and has no figures.
    """

    evaluation_key: str
    artifact_id: str | None
    settings: Mapping[str, Any]
    chat_template: bool
    items_limit: int | None
    max_length: int | None
    environment_id: str | None
    lm_eval_version: str | None
    truncated: int | None
    tasks: Sequence[TaskRecord]
    reference_run_id: str | None = None
    quality_reference: str | None = None
    cells: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    holes: Sequence[TaskHoleRecord] = ()
