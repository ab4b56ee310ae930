"""A program in lm-eval's place: asks one question of each kind, and judges as its tasks' names say.

Not a test module. ``even`` has four items whose first choice is right; ``unknown...`` is refused like an unknown task.
"""

from __future__ import annotations

import hashlib
from typing import Any

from harness.evaluation.exchange import (
    AnswerSpec,
    EvaluateSpec,
    Evaluation,
    Question,
    TaskItem,
    TaskMetric,
    TaskResult,
)
from harness.worker.bodies import to_body
from harness.worker.serving import Server, serve_lines

ITEMS = ["the sea is", "a tree has", "in the end", "once upon"]
CHOICES = [" ", "q"]
PROMPT = "tell me"


class Program(Server):
    """See above."""

    def __init__(self, send: Any) -> None:
        super().__init__(send)
        self._spec: EvaluateSpec | None = None
        self._ids: list[list[int]] = []
        self._scores: list[dict[str, Any]] = []
        self._handlers = {
            "evaluate": (EvaluateSpec, self._evaluate),
            "answer": (AnswerSpec, self._answer),
            "exit": (AnswerSpec, lambda _: {}),
        }

    def _evaluate(self, spec: EvaluateSpec) -> dict[str, Any]:
        if spec.names[0].startswith("unknown"):
            raise LookupError(f"unknown task {spec.names[0]!r}")
        self._spec = spec
        texts = [*ITEMS, *CHOICES, PROMPT]
        return _ask(Question("encode", {"texts": texts, "special": False}, 0, 1))

    def _answer(self, spec: AnswerSpec) -> dict[str, Any]:
        if "tokens" in spec.body:
            *self._ids, prompt = spec.body["tokens"]
            items, choices = self._ids[: len(ITEMS)], self._ids[len(ITEMS) :]
            self._ids = [prompt]
            pairs = [{"context": item, "continuation": choice} for item in items for choice in choices]
            return _ask(Question("likelihood", {"pairs": pairs}, 0, len(pairs)))
        if "scores" in spec.body:
            self._scores = spec.body["scores"]
            return _ask(Question("generate", {"tokens": self._ids[0], "count": 40, "stops": ["zz"]}, 0, 1))
        return {"question": None, "result": to_body(self._result(spec.body["text"]))}

    def _result(self, text: str) -> Evaluation:
        assert self._spec is not None
        values = [one["logprob"] for one in self._scores]
        pairs = [values[index : index + 2] for index in range(0, len(values), 2)][: self._spec.limit]
        items = [
            TaskItem(hashlib.sha256(item.encode()).hexdigest()[:16], {"acc": float(a > b)}, [a, b], text)
            for item, (a, b) in zip(ITEMS, pairs, strict=False)
        ]
        accuracy = sum(item.values["acc"] for item in items) / len(items)
        result = TaskResult(
            task=self._spec.names[0],
            version="1",
            n=len(items),
            num_fewshot=self._spec.num_fewshot,
            sha256=hashlib.sha256("".join(item.sha256 for item in items).encode()).hexdigest(),
            metrics=[TaskMetric("acc", accuracy, 0.25, True)],
            items=items,
        )
        return Evaluation([result], {"lm-eval": "0.0", "python": "3"}, 0, {"likelihood": len(values)})


def _ask(question: Question) -> dict[str, Any]:
    return {"question": to_body(question), "result": None}


def serve(read_fd: int, write_fd: int, backend: str) -> None:
    """As every program of the protocol."""
    del backend
    serve_lines(read_fd, write_fd, Program)
