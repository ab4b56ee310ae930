"""What the lab and the lm-eval process say to each other, on the protocol of the workers.

Owns the bodies. Imports the standard library only, so that either half can use it. Contract: the lab asks ``evaluate``
once; the answer is either a question about the model, which the lab has answered elsewhere and hands back with
``answer``, or the result. So the lm-eval process never knows which framework computes.

    lab: evaluate {EvaluateSpec}     process: {"question": Question, "result": null}
    lab: answer   {"body": {...}}    process: {"question": null, "result": Evaluation}

=============  ==================================  =====================================================
question       its body                            the answer's body
=============  ==================================  =====================================================
encode         texts, special                      tokens: ids of each, without BOS
likelihood     pairs: [context, continuation]      scores: [logprob, greedy] of each
generate       prompts: tokens, text, count, stops texts: greedy, of each; cut before an end token, maybe beyond a stop
=============  ==================================  =====================================================

The ``text`` of a prompt is what its tokens were made of, None where their beginning was cut off. An answer may also
be ``{"refused": why, "unsupported": bool}``: then the task that asked is a hole, and the next one begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What tasks must know of a model's tokenizer.

    Attributes:
        bos: id that the model wants before every text, None: none.
        prefix: id that a text without context is conditioned on: BOS, else EOS.
        bos_text: BOS written out, empty where there is none.
        eos_text: EOS written out, empty where there is none.
        chat_template: the model's own Jinja template, None where it has none.
    """

    bos: int | None
    prefix: int
    bos_text: str
    eos_text: str
    chat_template: str | None


@dataclass(frozen=True, slots=True)
class EvaluateSpec:
    """What to evaluate.

    Attributes:
        names: tasks, groups or tags.
        data_paths: folders of task files that are data: nothing in them is executed.
        code_paths: folders of task files that may name Python functions beside them.
        limit: items of each task at most, None: all.
        num_fewshot: examples before each question, None: as each task says.
        chat_template: whether the model's chat template is put around the questions.
        max_length: tokens that fit; what is longer loses its beginning.
        tokenizer: of the model.
        survey: ask the model nothing, and tell what would be asked: its results have the items' hashes, and figures
            that mean nothing.
    """

    names: list[str]
    data_paths: list[str]
    code_paths: list[str]
    limit: int | None
    num_fewshot: int | None
    chat_template: bool
    max_length: int
    tokenizer: TokenizerFacts
    survey: bool = False


@dataclass(frozen=True, slots=True)
class AnswerSpec:
    """The answer to the last question."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What lm-eval wants of the model; ``done`` of ``total`` such questions of this kind were answered before."""

    name: Literal["encode", "likelihood", "generate"]
    body: dict[str, Any]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One item.

    Attributes:
        sha256: first 16 digits over the item and the whole question as it was asked.
        values: metric -> its value for this item, where that is one number.
        loglikelihoods: nats, of its choices in their order; empty where none was asked.
        text: what was generated, None where nothing was.
    """

    sha256: str
    values: dict[str, float]
    loglikelihoods: list[float]
    text: str | None


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """One metric of a task.

    Attributes:
        metric: its name, and after a comma the answer's filter where the task has one.
        value: over all items.
        stderr: standard error, None where lm-eval has none.
        higher_is_better: None where lm-eval does not say.
    """

    metric: str
    value: float
    stderr: float | None
    higher_is_better: bool | None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task, or a group of tasks (which has no items of its own).

    Attributes:
        task: its name.
        version: the task's version, empty where it has none.
        n: items.
        num_fewshot: examples before each question.
        sha256: over all items and their questions in order, None for a group.
        metrics: in the task's order.
        items: in order.
    """

    task: str
    version: str
    n: int
    num_fewshot: int | None
    sha256: str | None
    metrics: list[TaskMetric]
    items: list[TaskItem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TaskHole:
    """A task, group or name that has no figures.

    Attributes:
        task: its name.
        status: ``failed``, or ``skipped`` where the framework cannot answer such questions at all.
        reason: why, for people.
    """

    task: str
    status: Literal["failed", "skipped"]
    reason: str


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a task's items came from, as `datasets` tells.

    Attributes:
        path: of the data set, or the builder that read files.
        name: its configuration, None where it has one only.
        revision: commit on the hub, None where the data are not the hub's.
        fingerprint: `datasets`' own of the split that was asked, None where it has none.
    """

    path: str
    name: str | None
    revision: str | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of all tasks.

    Attributes:
        tasks: those with figures, groups last.
        versions: of lm-eval and of what reads the data.
        truncated: questions that lost their beginning, because they were longer than ``max_length``.
        requests: kind of question -> how many.
        holes: what was asked for and has no figures.
        data: task -> where its items came from.
    """

    tasks: list[TaskResult]
    versions: Mapping[str, str]
    truncated: int
    requests: Mapping[str, int]
    holes: list[TaskHole] = field(default_factory=list)
    data: Mapping[str, DataSource] = field(default_factory=dict)
