"""From lm-eval's results to the protocol's: metrics with their errors, and every item's.

Owns this one translation. Runs in lm-eval's environment. Contract: lm-eval's figures as they are, no other
arithmetic; no NaN leaves this module: a figure that is none is left out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.evaluation.exchange import TaskItem, TaskMetric, TaskResult

_NO_FILTER = "none"


def task_results(found: Mapping[str, Any]) -> list[TaskResult]:
    """The results of every task and group, from what ``simple_evaluate`` gives."""
    made = []
    for name, figures in found["results"].items():
        samples = found["samples"].get(name, [])
        items = _items(samples)
        made.append(
            TaskResult(
                task=name,
                version=_text(found["versions"].get(name)),
                n=len(items) or int(figures.get("sample_count", {}).get("effective", 0) or _n(found, name)),
                num_fewshot=_whole(found["n-shot"].get(name)),
                sha256=_sha256(f"{one['doc_hash']} {_asked(one)}" for one in _first_of_each(samples))
                if items
                else None,
                metrics=_metrics(figures, found.get("higher_is_better", {}).get(name) or {}),
                items=items,
            )
        )
    return made


def _n(found: Mapping[str, Any], group: str) -> int:
    """Items of a group: those of its tasks."""
    total = 0
    for child in found.get("group_subtasks", {}).get(group, []):
        own = found["n-samples"].get(child)
        total += int(own["effective"]) if own else _n(found, child)
    return total


def _metrics(figures: Mapping[str, Any], better: Mapping[str, Any]) -> list[TaskMetric]:
    """``{"acc,none": 0.5, "acc_stderr,none": 0.1}`` as metrics."""
    made = []
    for key, value in figures.items():
        metric, separator, filter_ = key.partition(",")
        if not separator or metric.endswith("_stderr") or not _finite(value):
            continue
        error: Any = figures.get(f"{metric}_stderr,{filter_}")
        made.append(
            TaskMetric(
                metric=_name(metric, filter_),
                value=float(value),
                stderr=float(error) if _finite(error) else None,
                higher_is_better=better.get(metric),
            )
        )
    return made


def _items(samples: Sequence[Mapping[str, Any]]) -> list[TaskItem]:
    """Items in order; lm-eval lists each once for every filter."""
    of_item: dict[int, list[Mapping[str, Any]]] = {}
    for sample in samples:
        of_item.setdefault(sample["doc_id"], []).append(sample)
    return [_item(of_item[index]) for index in sorted(of_item)]


def _item(filtered: Sequence[Mapping[str, Any]]) -> TaskItem:
    values = {
        _name(metric, one["filter"]): float(one[metric])
        for one in filtered
        for metric in one["metrics"]
        if _finite(one.get(metric))
    }
    # The first response to each request, before any filter.
    responses = [response[0] for response in filtered[0]["resps"]]
    scored = [one[0] if isinstance(one, list | tuple) else one for one in responses]
    texts = [one for one in scored if isinstance(one, str)]
    return TaskItem(
        sha256=_sha256([f"{filtered[0]['doc_hash']} {_asked(filtered[0])}"])[:16],
        values=values,
        loglikelihoods=[float(one) for one in scored if not isinstance(one, str)],
        text=texts[0] if texts else None,
    )


def _first_of_each(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first: dict[int, Mapping[str, Any]] = {}
    for sample in samples:
        first.setdefault(sample["doc_id"], sample)
    return [first[index] for index in sorted(first)]


def _asked(sample: Mapping[str, Any]) -> str:
    """Everything that was asked about an item, as text."""
    return repr([[str(argument) for argument in arguments] for arguments in sample["arguments"]])


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _name(metric: str, filter_: str) -> str:
    return metric if filter_ == _NO_FILTER else f"{metric},{filter_}"


def _finite(value: Any) -> bool:
    """Whether a value is one number: bools are, numpy's scalars too, tuples and texts are not."""
    if isinstance(value, str) or value is None or not hasattr(value, "__float__"):
        return False
    return math.isfinite(float(value))


def _text(version: Any) -> str:
    return "" if version is None else str(version)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None
