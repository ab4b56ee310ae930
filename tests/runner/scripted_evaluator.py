"""A program in lm-eval's place: asks a few questions of each kind, and judges as its tasks' names say.

Not a test module. Tasks whose names begin with ``unknown`` end the program like a fault in lm-eval; ``missing`` ones
cannot be loaded; ``written`` ones ask for text alone, all others for the likelihoods of choices and then for text, of
four items whose first choice is right. ``ragged`` ones want texts that end one after the other.
``EDGEBENCH_TEST_ITEMS`` is the revision of the items.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from typing import Any

from harness.evaluation.exchange import (
    AnswerSpec,
    DataSource,
    EvaluateSpec,
    Evaluation,
    Question,
    TaskHole,
    TaskItem,
    TaskMetric,
    TaskResult,
)
from harness.worker.bodies import to_body
from harness.worker.serving import Server, serve_lines

ITEMS = ["the sea is", "a tree has", "in the end", "once upon"]
CHOICES = [" ", "q"]
PROMPT = "tell me"
#: Number of new tokens at most and stop of each text of a ``ragged`` task; a space comes soon.
RAGGED = [(17, "zz"), (40, " "), (1, "zz"), (33, "zz")]

Asking = Generator[Question, dict[str, Any], Any]


class RefusedError(Exception):
    """The lab has no answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["refused"])
        self.unsupported = bool(answer["unsupported"])


class Program(Server):
    """See above."""

    def __init__(self, send: Any) -> None:
        super().__init__(send)
        self._asking: Asking | None = None
        self._handlers = {
            "evaluate": (EvaluateSpec, self._evaluate),
            "answer": (AnswerSpec, lambda spec: self._next(spec.body)),
            "exit": (AnswerSpec, lambda _: {}),
        }

    def _evaluate(self, spec: EvaluateSpec) -> dict[str, Any]:
        for name in spec.names:
            if name.startswith("unknown"):
                raise LookupError(f"unknown task {name!r}")
        self._asking = _evaluation(spec)
        return self._next(None)

    def _next(self, body: dict[str, Any] | None) -> dict[str, Any]:
        assert self._asking is not None
        try:
            return {"question": to_body(self._asking.send(body)), "result": None}  # type: ignore[arg-type]
        except StopIteration as end:
            return {"question": None, "result": to_body(end.value)}


def _evaluation(spec: EvaluateSpec) -> Asking:
    results, holes = [], []
    for name in spec.names:
        if name.startswith("missing"):
            holes.append(TaskHole(name, "failed", f"the data of task {name!r} cannot be had"))
            continue
        try:
            results.append((yield from _task(name, spec)))
        except RefusedError as error:
            holes.append(TaskHole(name, "skipped" if error.unsupported else "failed", str(error)))
    data = {result.task: DataSource("json", None, None, _revision()) for result in results}
    versions = {"lm-eval": "0.0", "python": "3"}
    return Evaluation(results, versions, 0, {"likelihood": 8}, holes, data)


def _task(name: str, spec: EvaluateSpec) -> Asking:
    pairs: list[tuple[float, float]] = [(0.0, 0.0)] * len(ITEMS)
    texts: list[str | None] = [None] * len(ITEMS)
    if not spec.survey:
        answer = yield from _ask(
            Question("encode", {"texts": [*ITEMS, *CHOICES, PROMPT], "special": False}, 0, 1)
        )
        *ids, asking = answer["tokens"]
        items, choices = ids[: len(ITEMS)], ids[len(ITEMS) :]
        if not name.startswith("written"):
            asked = [{"context": item, "continuation": choice} for item in items for choice in choices]
            answer = yield from _ask(Question("likelihood", {"pairs": asked}, 0, len(asked)))
            values = [one["logprob"] for one in answer["scores"]]
            pairs = list(zip(values[::2], values[1::2], strict=True))
        prompts = [
            _prompt([*item, *asking][at:], (text + PROMPT)[at:], spec.max_length)
            for at, (item, text) in enumerate(zip(items, ITEMS, strict=True))
        ]
        if name.startswith("ragged"):
            for prompt, (count, stop) in zip(prompts, RAGGED, strict=True):
                prompt |= {"count": count, "stops": [stop]}
        texts = (yield from _ask(Question("generate", {"prompts": prompts}, 0, len(prompts))))["texts"]
    return _result(name, spec, pairs[: spec.limit], texts)


def _prompt(tokens: list[int], text: str, max_length: int) -> dict[str, Any]:
    """A question for 40 tokens; what does not fit loses its beginning."""
    kept = tokens[-(max_length - 40) :]
    return {"tokens": kept, "text": text if kept == tokens else None, "count": 40, "stops": ["zz"]}


def _ask(question: Question) -> Asking:
    answer = yield question
    if "refused" in answer:
        raise RefusedError(answer)
    return answer


def _revision() -> str:
    return os.environ.get("EDGEBENCH_TEST_ITEMS", "first")


def _result(
    name: str, spec: EvaluateSpec, pairs: list[tuple[float, float]], texts: list[str | None]
) -> TaskResult:
    items = [
        TaskItem(
            hashlib.sha256(f"{item} {_revision()}".encode()).hexdigest()[:16],
            {"acc": float(a > b)},
            [a, b],
            text,
        )
        for item, text, (a, b) in zip(ITEMS, texts, pairs, strict=False)
    ]
    return TaskResult(
        task=name,
        version="1",
        n=len(items),
        num_fewshot=spec.num_fewshot,
        sha256=hashlib.sha256("".join(item.sha256 for item in items).encode()).hexdigest(),
        metrics=[TaskMetric("acc", sum(item.values["acc"] for item in items) / len(items), 0.25, True)],
        items=items,
    )


def serve(read_fd: int, write_fd: int, backend: str) -> None:
    """As every program of the protocol."""
    del backend
    serve_lines(read_fd, write_fd, Program)
