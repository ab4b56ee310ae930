"""Evaluations of tasks: how they are stored, and what the table gets out.

Owns the rows and the facts of this one subject, apart from those of scores. Imports SQLAlchemy Core, the tables and the
packing of numbers. Contract: as its neighbours': frozen, plain, raw; every average is lm-eval's or
somebody else's, and the items that it was made of stand beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Column, Connection, Row, select

from harness.store import traces
from harness.store.evaluation_records import EvaluationRecord, TaskHoleRecord
from harness.store.tables import table


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One metric of one stored task; ``items`` holds its value for each item, empty where that is no number."""

    task: str
    metric: str
    version: str
    n: int
    value: float
    stderr: float | None
    num_fewshot: int | None
    higher_is_better: bool | None
    corpus_sha256: str | None
    items: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    """One stored evaluation, and that of its reference (None: it is one, or had none)."""

    run_id: str
    evaluation_key: str
    artifact_id: str | None
    chat_template: bool
    items_limit: int | None
    max_length: int | None
    lm_eval_version: str | None
    truncated: int | None
    quality_reference: str | None
    details: Mapping[str, Any]
    tasks: tuple[TaskFacts, ...]
    reference: EvaluationFacts | None = None
    holes: tuple[TaskHoleRecord, ...] = ()
    environment_id: str | None = None


# -- writing ----------------------------------------------------------------------------------------------------------


def rows(
    key: int, record: EvaluationRecord, reference_key: int | None
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rows of an evaluation by table, in the order in which they can be inserted.

    Args:
        key: key of its run.
        record: the evaluation.
        reference_key: key of the run that evaluated the reference.
    """
    evaluation = {
        "run_key": key,
        "evaluation_key": record.evaluation_key,
        "artifact_id": record.artifact_id,
        "settings": dict(record.settings),
        "chat_template": record.chat_template,
        "items_limit": record.items_limit,
        "max_length": record.max_length,
        "environment_id": record.environment_id,
        "lm_eval_version": record.lm_eval_version,
        "truncated": record.truncated,
        "reference_run_key": reference_key,
        "quality_reference": record.quality_reference,
        "details": dict(record.details),
    }
    results: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for task in record.tasks:
        for metric in task.metrics:
            position = len(results)
            results.append(
                {
                    "run_key": key,
                    "position": position,
                    "task": task.task,
                    "version": task.version,
                    "n": task.n,
                    "num_fewshot": task.num_fewshot,
                    "corpus_sha256": task.corpus_sha256,
                    **asdict(metric),
                }
            )
            items += [
                {"run_key": key, "position": position, "item": index, "value": item.values[metric.metric]}
                for index, item in enumerate(task.items)
                if metric.metric in item.values
            ]
        answers += [
            {
                "run_key": key,
                "task": task.task,
                "item": index,
                "item_sha256": item.sha256,
                "loglikelihoods": traces.pack([float(one) for one in item.loglikelihoods])[1]
                if item.loglikelihoods
                else None,
                "text": item.text,
            }
            for index, item in enumerate(task.items)
        ]
    return [
        ("evaluation", [evaluation]),
        ("task_result", results),
        ("task_item", items),
        ("task_answer", answers),
        (
            "task_hole",
            [
                {"run_key": key, "position": position, **asdict(hole)}
                for position, hole in enumerate(record.holes)
            ],
        ),
    ]


# -- reading ----------------------------------------------------------------------------------------------------------


def evaluation_facts(connection: Connection, run_keys: Iterable[int]) -> dict[int, EvaluationFacts]:
    """Evaluations by the key of their run, each with its reference."""
    wanted = set(run_keys)
    found = _evaluations(connection, wanted)
    references = {row.reference_run_key for row in found.values() if row.reference_run_key is not None}
    found |= _evaluations(connection, references - found.keys())
    tasks, holes = _tasks(connection, found.keys()), _holes(connection, found.keys())
    plain = {key: _facts(row, tasks[key], holes[key]) for key, row in found.items()}
    return {
        key: replace(plain[key], reference=plain.get(found[key].reference_run_key))
        for key in wanted & found.keys()
    }


def find_evaluation(connection: Connection, evaluation_key: str) -> EvaluationFacts | None:
    """The newest evaluation under a key from a run that is ok."""
    key = newest_ok(connection, table("evaluation").c.evaluation_key, evaluation_key)
    return None if key is None else evaluation_facts(connection, [key])[key]


def newest_ok(connection: Connection, column: Column[Any], value: str) -> int | None:
    """The key of the newest run that is ok and has a row with a value in this column; None where there is none."""
    runs = table("run")
    key: int | None = connection.execute(
        select(runs.c.key)
        .join(column.table, column.table.c.run_key == runs.c.key)
        .where(column == value, runs.c.status == "ok")
        .order_by(runs.c.started_at.desc(), runs.c.id)
        .limit(1)
    ).scalar()
    return key


def described(connection: Connection, key: int) -> dict[str, Any] | None:
    """The evaluation of a run with every item, ready for JSON; None where it has none."""
    facts = evaluation_facts(connection, [key]).get(key)
    if facts is None:
        return None
    plain = asdict(facts)
    reference = plain.pop("reference")
    plain["reference_run_id"] = reference["run_id"] if reference else None
    answers = table("task_answer")
    query = select(answers).where(answers.c.run_key == key).order_by(answers.c.task, answers.c.item)
    plain["answers"] = [
        {
            "task": row.task,
            "item": row.item,
            "item_sha256": row.item_sha256,
            "loglikelihoods": list(traces.unpack("float64", row.loglikelihoods or b"")),
            "text": row.text,
        }
        for row in connection.execute(query)
    ]
    return plain


def _evaluations(connection: Connection, run_keys: set[int]) -> dict[int, Row[Any]]:
    evaluations, runs = table("evaluation"), table("run")
    query = (
        select(evaluations, runs.c.id.label("run_id"))
        .join(runs, runs.c.key == evaluations.c.run_key)
        .where(evaluations.c.run_key.in_(sorted(run_keys)))
    )
    return {row.run_key: row for row in connection.execute(query)}


def _tasks(connection: Connection, run_keys: Iterable[int]) -> dict[int, list[TaskFacts]]:
    results, items = table("task_result"), table("task_item")
    keys = sorted(run_keys)
    values: dict[tuple[int, int], list[float]] = defaultdict(list)
    query = (
        select(items)
        .where(items.c.run_key.in_(keys))
        .order_by(items.c.run_key, items.c.position, items.c.item)
    )
    for row in connection.execute(query):
        values[row.run_key, row.position].append(row.value)
    made: dict[int, list[TaskFacts]] = defaultdict(list)
    query = select(results).where(results.c.run_key.in_(keys)).order_by(results.c.run_key, results.c.position)
    for row in connection.execute(query):
        made[row.run_key].append(
            TaskFacts(
                task=row.task,
                metric=row.metric,
                version=row.version,
                n=row.n,
                value=row.value,
                stderr=row.stderr,
                num_fewshot=row.num_fewshot,
                higher_is_better=row.higher_is_better,
                corpus_sha256=row.corpus_sha256,
                items=tuple(values[row.run_key, row.position]),
            )
        )
    return made


def _holes(connection: Connection, run_keys: Iterable[int]) -> dict[int, list[TaskHoleRecord]]:
    holes = table("task_hole")
    made: dict[int, list[TaskHoleRecord]] = defaultdict(list)
    query = (
        select(holes).where(holes.c.run_key.in_(sorted(run_keys))).order_by(holes.c.run_key, holes.c.position)
    )
    for row in connection.execute(query):
        made[row.run_key].append(TaskHoleRecord(row.task, row.status, row.reason))
    return made


def _facts(row: Row[Any], tasks: Sequence[TaskFacts], holes: Sequence[TaskHoleRecord]) -> EvaluationFacts:
    return EvaluationFacts(
        run_id=row.run_id,
        evaluation_key=row.evaluation_key,
        artifact_id=row.artifact_id,
        chat_template=row.chat_template,
        items_limit=row.items_limit,
        max_length=row.max_length,
        lm_eval_version=row.lm_eval_version,
        truncated=row.truncated,
        quality_reference=row.quality_reference,
        details=row.details,
        tasks=tuple(tasks),
        holes=tuple(holes),
        environment_id=row.environment_id,
    )
