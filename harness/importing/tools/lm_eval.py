"""lm-eval: its results JSON, with the samples (JSON lines) that lie beside it.

Owns what its fields mean. The figures are lm-eval's own, as they are where edgebench drives it; the model, its
precision and its device are as the file tells. Contract: one file is one evaluation; the items of a task come from
``samples_TASK_TIME.jsonl`` of the same time in the same folder, and only there; what of an item has no column of its
own (document, question, hashes, every response) is kept as it stands, within bounds that it tells where they bind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.importing.document import MAX_LINES_BYTES, Document
from harness.importing.fields import Fields, file_stem, without
from harness.importing.precisions import precision_of_word
from harness.importing.registry import Format
from harness.importing.result import UNKNOWN, Contents, Result, Tasks
from harness.store.evaluation_records import TaskItemRecord, TaskMetricRecord, TaskRecord
from harness.store.ids import canonical_json

#: Of an item's fields that have no column of their own: at most these bytes of JSON of one item, and of all of a file.
MAX_ITEM_BYTES = 2**18
MAX_ITEMS_BYTES = 2**23

_TIME = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.-]+)\.json$")
_TASK_FILE = re.compile(r"[\w .,+@=-]+", re.ASCII)
_MODEL_KEYS = ("pretrained", "model", "path", "name")

#: What belongs to the evaluation itself; the rest is about the run as a whole.
_RECORD = (
    "results",
    "groups",
    "group_subtasks",
    "versions",
    "n-shot",
    "n-samples",
    "higher_is_better",
    "task_hashes",
)


class LmEval(Format):
    """``--output_path``, with ``--log_samples`` or without."""

    tool = "lm-eval"
    files = "JSON, with samples in JSON lines"

    def recognise(self, document: Document) -> bool:
        found = document.json_or_none if document.is_json else None
        return (
            isinstance(found, dict)
            and {"results", "configs", "versions"} <= found.keys()
            and isinstance(found["results"], dict)
        )

    def read(self, document: Document) -> Contents:
        whole = Fields(document, document.json, "")
        results = whole.below("results")
        if not results.values:
            document.refuse("results", "it holds no task")
        config = whole.below("config")
        others: list[Document] = []
        tasks = []
        rest = _Rest()
        for name in results.values:
            beside = _samples_of(document, name)
            others += [beside] if beside is not None else []
            tasks.append(_task(whole, results, name, beside, rest))
        version = whole.name_or_none("lm_eval_version")
        dtype = config.option("model_dtype") or _argument(config, ("dtype",))
        result = Result(
            framework=config.name_or_none("model") or UNKNOWN,
            model=_model(whole, config),
            workload="tasks: " + ", ".join(task.task for task in tasks),
            record={key: whole.values[key] for key in _RECORD if key in whole.values},
            recipe=dtype or UNKNOWN,
            precision=precision_of_word(dtype),
            options=_options(config),
            started_at=whole.epoch_or_none("date"),
            tasks=Tasks(
                tasks,
                {key: config.values.get(key) for key in ("limit", "gen_kwargs", "bootstrap_iters")},
                chat_template=bool(whole.values.get("chat_template")),
                limit=_limit(config),
                max_length=whole.whole_or_none("max_length"),
                items=rest.of_task,
            ),
            place="results",
        )
        return Contents(
            format="json",
            version=version,
            results=[result],
            definitions={
                "tasks": "lm-eval's own metrics and standard errors; edgebench's tasks are"
                " lm-eval's too, on questions as"
                " its tokenizer joins them. Flips are not computed: what was asked cannot be shown to be the same"
            },
            system={"python_environment": env} if (env := whole.values.get("pretty_env_info")) else {},
            document=without(whole.values, _RECORD),
            started_at=result.started_at,
            commit_sha=whole.commit_or_none("git_hash"),
            other_files=[one.facts() for one in others],
        )


def _limit(config: Fields) -> int | None:
    """A number of items; a share of them (below 1) stays in the settings."""
    found = config.positive_or_none("limit")
    return int(found) if found is not None and found == int(found) and found < 2**31 else None


def _options(config: Fields) -> dict[str, str]:
    """What was asked for; the device too, because where there is none such lm-eval computes on the CPU all the same."""
    made = {
        key: value for key in ("device", "limit", "gen_kwargs") if (value := config.option(key)) is not None
    }
    return made | {key: value for key, value in _arguments(config).items() if key not in _MODEL_KEYS}


def _arguments(config: Fields) -> dict[str, str]:
    """The arguments of the model that have a value, from either form in which lm-eval writes them."""
    arguments = config.values.get("model_args")
    if isinstance(arguments, dict):
        inside = Fields(config.document, arguments, f"{config.place}.model_args")
        return {key: value for key in arguments if (value := inside.option(key)) is not None}
    words = (config.option("model_args") or "").split(",")
    return {key: value for key, value in (word.strip().partition("=")[::2] for word in words) if value}


def _argument(config: Fields, names: Sequence[str]) -> str | None:
    """The first of these arguments of the model that has a value."""
    given = _arguments(config)
    return next((given[name] for name in names if given.get(name)), None)


def _model(whole: Fields, config: Fields) -> str | None:
    name = whole.name_or_none("model_name") or _argument(config, _MODEL_KEYS)
    # A path of somebody's disk says no more than its last part; a hub's id is two words.
    return None if name is None else file_stem(name) if name.count("/") > 1 or name.startswith("/") else name


class _Rest:
    """What of the items has no column of its own, as it stands in the file: the document, the question, the hashes.

    An item whose JSON is longer than `MAX_ITEM_BYTES`, and every one after `MAX_ITEMS_BYTES` of a file's, is not kept
    but for its number, and says so.
    """

    def __init__(self) -> None:
        self.of_task: dict[str, list[dict[str, Any]]] = {}
        self._bytes = 0

    def keep(self, task: str, item: int, rows: Sequence[Fields]) -> None:
        """The rows of one item: the first with its fields, the others with those in which they differ from it."""
        first = _unstored(rows[0])
        kept = {**first, "filters": [_other(_unstored(row), first) for row in rows[1:]]}
        if not kept["filters"]:
            del kept["filters"]
        size = len(canonical_json(kept).encode())
        if size > MAX_ITEM_BYTES:
            kept = {"doc_id": item, "not_kept": f"{size} bytes: more than {MAX_ITEM_BYTES} of an item"}
        elif self._bytes + size > MAX_ITEMS_BYTES:
            kept = {
                "doc_id": item,
                "not_kept": f"{size} bytes: {MAX_ITEMS_BYTES} of the file's items are kept",
            }
        else:
            self._bytes += size
        self.of_task.setdefault(task, []).append(kept)


def _unstored(row: Fields) -> dict[str, Any]:
    """A row without the metrics' values that are stored as such."""
    stored = [
        one for one in row.list_of("metrics") if isinstance(one, str) and _is_value(row.values.get(one))
    ]
    return without(row.values, stored)


def _other(row: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in first or first[key] != value}


def _task(whole: Fields, results: Fields, name: str, samples: Document | None, rest: _Rest) -> TaskRecord:
    figures = results.below(name)
    task = results.checked_name(name, name)
    metrics = _metrics(figures, whole.below("higher_is_better").values.get(name))
    kind = whole.below("configs").below(name).option("output_type")
    items = [] if samples is None else _items(samples, kind, task, rest)
    counted = whole.below("n-samples").below(name).whole_or_none("effective")
    told = whole.below("task_hashes").values.get(name)
    return TaskRecord(
        task=task,
        version=whole.below("versions").option(name) or "",
        n=len(items) or counted or figures.whole("sample_len", 0),
        num_fewshot=whole.below("n-shot").whole_or_none(name),
        corpus_sha256=told if isinstance(told, str) and re.fullmatch("[0-9a-f]{64}", told) else None,
        metrics=metrics,
        items=items,
    )


def _metrics(figures: Fields, better: Any) -> list[TaskMetricRecord]:
    """``{"acc,none": 0.5, "acc_stderr,none": 0.1}`` as metrics; what is no number is none."""
    made = []
    for key, value in figures.values.items():
        metric, comma, filter_ = key.partition(",")
        if not comma or metric.endswith("_stderr") or isinstance(value, str | bool | list | dict | None):
            continue
        error = figures.values.get(f"{metric}_stderr,{filter_}")
        name = metric if filter_ == "none" else f"{metric},{filter_}"
        higher = better.get(metric) if isinstance(better, Mapping) else None
        made.append(
            TaskMetricRecord(
                metric=figures.checked_name(key, name),
                value=figures.number(key),
                stderr=figures.number(f"{metric}_stderr,{filter_}")
                if isinstance(error, int | float) and not isinstance(error, bool)
                else None,
                higher_is_better=higher if isinstance(higher, bool) else None,
            )
        )
    return made


def _samples_of(document: Document, task: str) -> Document | None:
    """The samples of a task that were written with these results; None where there are none."""
    time = _TIME.search(document.name)
    if time is None or not _TASK_FILE.fullmatch(task):
        return None
    return document.beside(f"samples_{task}_{time[1]}.jsonl", limit_bytes=MAX_LINES_BYTES)


def _items(samples: Document, kind: str | None, task: str, rest: _Rest) -> list[TaskItemRecord]:
    """Items in the task's order; lm-eval lists each once for every filter."""
    of_item: dict[int, list[Fields]] = {}
    for line, value in samples.json_lines():
        row = Fields(samples, value, f"line {line}")
        of_item.setdefault(row.whole("doc_id"), []).append(row)
    for index in sorted(of_item):
        rest.keep(task, index, of_item[index])
    return [_item(of_item[index], kind) for index in sorted(of_item)]


def _is_value(value: Any) -> bool:
    return isinstance(value, int | float)


def _item(rows: Sequence[Fields], kind: str | None) -> TaskItemRecord:
    first = rows[0]
    values: dict[str, float] = {}
    for row in rows:
        filter_ = row.option("filter") or "none"
        for metric in row.list_of("metrics"):
            if isinstance(metric, str) and _is_value(row.values.get(metric)):
                found = row.values[metric]
                name = metric if filter_ == "none" else f"{metric},{filter_}"
                values[name] = float(found) if isinstance(found, bool) else row.number(metric)
    texts, likelihoods = _responses(first, kind)
    asked = "".join(str(first.values.get(key) or "") for key in ("doc_hash", "prompt_hash", "target_hash"))
    return TaskItemRecord(
        sha256=hashlib.sha256(asked.encode()).hexdigest()[:16],
        values=values,
        loglikelihoods=likelihoods,
        text=texts[0] if texts else None,
    )


def _responses(row: Fields, kind: str | None) -> tuple[list[str], list[float]]:
    """The first response to each request: generated texts, or log-likelihoods, which lm-eval writes as text."""
    texts: list[str] = []
    likelihoods: list[float] = []
    for place, responses in enumerate(row.list_of("resps")):
        one = responses[0] if isinstance(responses, list) and responses else responses
        if kind == "generate_until":
            if not isinstance(one, str):
                row.refuse(f"resps[{place}]", "a text is expected")
            texts.append(one)
        else:
            value = one[0] if isinstance(one, list) and one else one
            likelihoods.append(
                Fields(row.document, {"value": value}, f"{row.place}: resps[{place}]").number("value")
            )
    return texts, likelihoods


FORMAT = LmEval()
