"""The program of the lm-eval process: evaluates tasks, and asks the lab whatever is to be computed.

Owns the two requests of `exchange`. Started by the workers' bootstrap in lm-eval's environment. Contract: lm-eval runs
in a thread of its own that waits while the lab has a question answered; what goes wrong in one task is that task's, and
what goes wrong beside them is the answer to the request that was waiting.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.evaluation.exchange import AnswerSpec, EvaluateSpec, Evaluation, Question
from harness.worker.bodies import to_body
from harness.worker.protocol import VERSION, Message, ProtocolError
from harness.worker.serving import Handler, Server, serve_lines


@dataclass(frozen=True, slots=True)
class _Nothing:
    """The body of a request without arguments."""


def serve(read_fd: int, write_fd: int, backend: str) -> None:
    """Serve requests from ``read_fd`` until ``exit`` or its end; never returns. There is no backend here."""
    del backend
    serve_lines(read_fd, write_fd, Program)


class Program(Server):
    """One evaluation.

    Args:
        send: writes a message.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__(send)
        self._said: queue.SimpleQueue[Question | Evaluation | BaseException] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._waiting = False
        self._handlers: dict[str, Handler] = {
            "hello": (_Nothing, lambda _: {"protocol": VERSION, "python": sys.version.split()[0]}),
            "evaluate": (EvaluateSpec, self._evaluate),
            "answer": (AnswerSpec, self._answer),
            "exit": (_Nothing, lambda _: {}),
        }

    def _evaluate(self, spec: EvaluateSpec) -> dict[str, Any]:
        if self._waiting:
            raise ProtocolError("an evaluation is under way: it waits for an answer")
        threading.Thread(target=self._run, args=(spec,), name="lm-eval", daemon=True).start()
        return self._next()

    def _answer(self, spec: AnswerSpec) -> dict[str, Any]:
        if not self._waiting:
            raise ProtocolError("nothing was asked")
        self._answers.put(spec.body)
        return self._next()

    def _next(self) -> dict[str, Any]:
        said = self._said.get()
        self._waiting = isinstance(said, Question)
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, Question):
            return {"question": to_body(said), "result": None}
        return {"question": None, "result": to_body(said)}

    def _ask(
        self,
        name: Literal["encode", "likelihood", "generate"],
        body: dict[str, Any],
        done: int,
        total: int,
    ) -> dict[str, Any]:
        from harness.evaluation.loading import RefusedError

        self._said.put(Question(name, body, done, total))
        answer = self._answers.get()
        if "refused" in answer:
            raise RefusedError(str(answer["refused"]), bool(answer["unsupported"]))
        return answer

    def _run(self, spec: EvaluateSpec) -> None:
        try:
            self._said.put(self._evaluation(spec))
        except (Exception, SystemExit) as error:  # noqa: BLE001  passed on to whoever waits
            self._said.put(error)

    def _evaluation(self, spec: EvaluateSpec) -> Evaluation:
        from importlib.metadata import version

        from harness.evaluation import loading, running
        from harness.evaluation.model import proxy, silence
        from harness.evaluation.results import task_results

        loading.guard(spec.code_paths)
        manager, tasks = loading.load(spec.names, [*spec.data_paths, *spec.code_paths])
        model = proxy(self._ask, spec)
        if spec.survey:
            silence(model)
        evaluated = running.evaluate(tasks, manager, model, spec)
        results = task_results(evaluated.found)
        if not spec.survey:
            results, empty = running.with_figures(results)
            evaluated.holes.extend(empty)
        return Evaluation(
            tasks=results,
            versions={name: version(name) for name in ("lm-eval", "datasets")},
            truncated=model.questions.truncated,
            requests=model.questions.requests,
            holes=evaluated.holes,
            data=evaluated.data,
        )
