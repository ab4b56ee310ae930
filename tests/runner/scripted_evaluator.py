"""A program in lm-eval's place: asks a few questions of each kind, and judges as its tasks' names say.

Not a test module. Tasks whose names begin with ``unknown`` end the program like a fault in lm-eval; ``missing`` ones
cannot be loaded; ``written`` ones ask for text alone, all others for the likelihoods of choices and then for text, of
four items whose first choice is right. ``EDGEBENCH_TEST_ITEMS`` is the revision of the items.
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
    text = None
    if not spec.survey:
        answer = yield from _ask(
            Question("encode", {"texts": [*ITEMS, *CHOICES, PROMPT], "special": False}, 0, 1)
        )
        *ids, prompt = answer["tokens"]
        items, choices = ids[: len(ITEMS)], ids[len(ITEMS) :]
        if not name.startswith("written"):
            asked = [{"context": item, "continuation": choice} for item in items for choice in choices]
            answer = yield from _ask(Question("likelihood", {"pairs": asked}, 0, len(asked)))
            values = [one["logprob"] for one in answer["scores"]]
            pairs = list(zip(values[::2], values[1::2], strict=True))
        body = {"tokens": prompt, "text": PROMPT, "count": 40, "stops": ["zz"]}
        text = (yield from _ask(Question("generate", body, 0, 1)))["text"]
    return _result(name, spec, pairs[: spec.limit], text)


def _ask(question: Question) -> Asking:
    answer = yield question
    if "refused" in answer:
        raise RefusedError(answer)
    return answer


def _revision() -> str:
    return os.environ.get("EDGEBENCH_TEST_ITEMS", "first")


def _result(name: str, spec: EvaluateSpec, pairs: list[tuple[float, float]], text: str | None) -> TaskResult:
    items = [
        TaskItem(
            hashlib.sha256(f"{item} {_revision()}".encode()).hexdigest()[:16],
            {"acc": float(a > b)},
            [a, b],
            text,
        )
        for item, (a, b) in zip(ITEMS, pairs, strict=False)
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
