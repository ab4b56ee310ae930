"""One evaluation of tasks: three processes that know nothing of each other, and the lab between them.

Owns who answers what lm-eval asks: the tokenizer of the model's quality reference, and the framework under test. Never
touches the database. Contract: as `execute`: whatever one of them does, the call returns, and no process is left; the
framework's worker is started only when the first question for it has come, with its tokens ready. A question that a
worker refuses costs the task that asked it; a worker that ends costs them all.

    lm-eval's process  <->  lab  <->  a worker that tokenises (the reference's framework, vocabulary only)
                                 <->  the framework's worker, with the model loaded
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.errors import EdgebenchError
from harness.evaluation.exchange import EvaluateSpec, Evaluation, TaskHole, TokenizerFacts
from harness.machine import RunWatch
from harness.runner.execute import GOODBYE_S, Deadline, Execution, Limits, explain
from harness.runner.launch import Launch
from harness.runner.process import WorkerError, WorkerProcess, WorkerRefused
from harness.worker.api import LoadSpec
from harness.worker.bodies import from_body, to_body
from harness.worker.protocol import Method

#: Tokens that are generated before the lab looks for the end: a model goes at most this far beyond it.
CHUNK_TOKENS = 16

#: Sequences that are generated together at most.
MOST_TOGETHER = 8

#: Why a framework that answers with text alone has no answer to a choice.
NO_LIKELIHOODS = "the task asks for log-likelihoods, and a server answers with text alone"
#: Names that a message lists before it says how many more there are.
_NAMED = 4

#: Where a GGUF file names the tokens that end an answer, the first being the model's EOS.
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


@dataclass(frozen=True, slots=True)
class Examination:
    """What is evaluated, and with which processes.

    Attributes:
        evaluator: lm-eval's process.
        tokenizer: a worker that can tokenise for the model.
        source: the model's source file, whose tokenizer counts.
        metadata: what that file's header says.
        names: tasks.
        data_paths: folders of task files in which nothing is executed.
        code_paths: folders of task files that may name Python functions.
        limit: items of each task at most.
        num_fewshot: None: as each task says.
        chat_template: whether the model's template is used.
        max_length: tokens that fit.
        answers: what the framework gives: ``logits``, or ``text`` alone, as a server does.
        together: sequences that it generates together at most; 1 where it takes no prompts of different lengths.
    """

    evaluator: Launch
    tokenizer: Launch
    source: Path
    metadata: Mapping[str, Any]
    names: Sequence[str]
    data_paths: Sequence[Path]
    code_paths: Sequence[Path]
    limit: int | None
    num_fewshot: int | None
    chat_template: bool
    max_length: int
    answers: Literal["logits", "text"] = "logits"
    together: int = 1


def room_for(needs: Sequence[int], max_length: int, most: int) -> int:
    """How many sequences are generated together: a power of two.

    As many as share the room of a single one of ``max_length``, so that no more memory is needed than one by one.

    Args:
        needs: tokens of each prompt with its new ones, none more than ``max_length``.
        max_length: tokens that fit.
        most: sequences at most.
    """
    number = 1
    while 2 * number <= most and number < len(needs) and max_length // (2 * number) >= max(needs):
        number *= 2
    return number


def told(holes: Sequence[TaskHole]) -> str:
    """What has no figures and why, for people; equal reasons once."""
    reasons: dict[str, list[str]] = {}
    for hole in holes:
        reasons.setdefault(hole.reason, []).append(hole.task)
    return "; ".join(f"{_named(names)}: {reason}" for reason, names in reasons.items())


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def end_tokens(metadata: Mapping[str, Any]) -> list[int]:
    """Ids that end an answer, as the model's file names them."""
    found = (metadata.get(f"tokenizer.ggml.{key}") for key in _END_KEYS)
    return list(dict.fromkeys(int(one) for one in found if one is not None))


def examine(
    launch: Launch,
    load: LoadSpec,
    examination: Examination,
    limits: Limits,
    *,
    log: Path,
    on_phase: Callable[[str], None],
    watch: RunWatch | None = None,
) -> Execution:
    """Evaluate tasks on one artifact.

    Args:
        launch: the framework's worker.
        load: what it loads, with room for ``max_length`` tokens.
        examination: the tasks.
        limits: the time is for everything, the memory for the framework's worker.
        log: file for what that worker prints; the others' stand beside it.
        on_phase: told what is going on.
        watch: reads the machine's state around the work.

    Returns:
        ``result`` is the body of an `exchange.Evaluation`, with ``tokens`` and ``computed_tokens`` beside it. Where
        some tasks have no figures the run is ok and its reason says which; where none has any, it is as they are.
    """
    with ExitStack() as stack:
        router = _Router(stack, launch, load, examination, limits, log, on_phase, watch)
        try:
            router.run()
            _judge(router.execution)
        except WorkerError as failure:
            explain(router.execution, failure, limits)
            if router.asked != "framework":
                router.execution.reason = f"{router.asked}: {router.execution.reason}"
                router.execution.status = (
                    "failed" if router.execution.status == "skipped" else router.execution.status
                )
        except EdgebenchError as error:
            router.execution.status, router.execution.reason = "failed", error.what
    if router.execution.status == "ok":
        router.execution.enter("end")
    return router.execution


def survey(
    launch: Launch, load: LoadSpec, examination: Examination, *, timeout_s: float, log: Path
) -> Evaluation:
    """What the tasks would ask now: items with their hashes, and holes; no model is loaded, and figures mean nothing.

    Raises:
        EdgebenchError: lm-eval or the tokenizer did not do as asked.
    """
    limits = Limits(timeout_s, None)
    with ExitStack() as stack:
        router = _Router(stack, launch, load, examination, limits, log, lambda _: None, None)
        return router.survey()


def _judge(execution: Execution) -> None:
    """The status of a run whose processes all did as asked, from what the tasks came to."""
    holes = [from_body(TaskHole, hole) for hole in execution.result["holes"]]
    if not holes:
        return
    execution.reason = told(holes)
    if not execution.result["tasks"]:
        execution.status = "failed" if any(hole.status == "failed" for hole in holes) else "skipped"


class _Answer:
    """A text as it comes.

    Args:
        prompt: the ``count`` of tokens at most, and the ``stops``.
    """

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        self._count: int = prompt["count"]
        self._stops = [stop for stop in prompt["stops"] if stop]
        self.chosen: list[int] = []
        self.text = ""
        self.ended = False

    @property
    def left(self) -> int:
        """Tokens that it may still have."""
        return self._count - len(self.chosen)

    def before_end(self, ends: frozenset[int]) -> list[int]:
        """What was chosen before the first end token."""
        return list(itertools.takewhile(lambda token: token not in ends, self.chosen))

    def look(self, text: str, ends: frozenset[int]) -> None:
        """Take over the text of `before_end`, and see whether it has ended."""
        self.text = text
        self.ended = (
            self.left <= 0 or not ends.isdisjoint(self.chosen) or any(stop in text for stop in self._stops)
        )


class _Router:
    """State of one evaluation."""

    def __init__(
        self,
        stack: ExitStack,
        launch: Launch,
        load: LoadSpec,
        examination: Examination,
        limits: Limits,
        log: Path,
        on_phase: Callable[[str], None],
        watch: RunWatch | None,
    ) -> None:
        self.execution = Execution()
        #: Who was asked last, for the reason of a failure.
        self.asked = "lm-eval"
        self._stack = stack
        self._launch = launch
        self._load = load
        self._examination = examination
        self._limits = limits
        self._log = log
        self._on_phase = on_phase
        self._watch = watch
        self._deadline = Deadline(limits.timeout_s)
        self._ends = frozenset(end_tokens(examination.metadata))
        self._worker: WorkerProcess | None = None
        self._loaded_for = 1
        self._done = self._total = 0
        self._tokens = self._computed_tokens = 0
        self._evaluator = self._start(examination.evaluator, "lm-eval")
        self._tokenizer = self._start(examination.tokenizer, "tokenizer")

    def run(self) -> None:
        """From the first question to the result."""
        spec = self._spec()
        self._on_phase("tasks")
        self.execution.enter("tasks")
        answer = self._call(self._evaluator, "evaluate", to_body(spec))
        while answer["result"] is None:
            question = answer["question"]
            if question["name"] != "encode":
                self._done, self._total = question["done"], question["total"]
                self._tell(0)
            body = self._answer(question["name"], question["body"])
            answer = self._call(self._evaluator, "answer", {"body": body})
        self.execution.result = {
            **answer["result"],
            "tokens": self._tokens,
            "computed_tokens": self._computed_tokens,
        }
        if self._worker is not None:
            if self._watch is not None:
                self._watch.sample(self._worker.pid)
            self.execution.peak_seen_bytes = self._worker.peak_seen_bytes
        self._close()

    def survey(self) -> Evaluation:
        """See `survey`."""
        spec = replace(self._spec(), survey=True)
        answer = self._call(self._evaluator, "evaluate", to_body(spec))
        assert answer["result"] is not None, "a survey asks nothing"
        self._close()
        return from_body(Evaluation, answer["result"])

    def _close(self) -> None:
        for process in (self._worker, self._evaluator, self._tokenizer):
            if process is not None:
                process.close(timeout_s=min(GOODBYE_S, self._deadline.left_s()))

    def _start(self, launch: Launch, name: str) -> WorkerProcess:
        log = self._log.with_name(f"{self._log.stem}-{name}.log")
        return self._stack.enter_context(WorkerProcess(launch, log=log))

    def _call(self, process: WorkerProcess, method: Method, body: Mapping[str, Any]) -> dict[str, Any]:
        names = {id(self._evaluator): "lm-eval", id(self._tokenizer): "the tokenizer"}
        self.asked = names.get(id(process), "framework")
        return process.call(method, body, timeout_s=self._deadline.left_s())

    def _spec(self) -> EvaluateSpec:
        wanted = self._examination
        template = wanted.metadata.get("tokenizer.chat_template")
        if wanted.chat_template and not isinstance(template, str):
            raise EdgebenchError(
                "the model has no chat template",
                next_step="write chat_template: false in the suite's `tasks:`",
            )
        bos = self._call(
            self._tokenizer, "encode", {"model": str(wanted.source), "texts": [""], "special": False}
        )["bos"]
        named = wanted.metadata.get("tokenizer.ggml.bos_token_id")
        ends = end_tokens(wanted.metadata)
        prefix = bos if bos is not None else named if named is not None else ends[0] if ends else None
        if prefix is None:
            raise EdgebenchError(
                "the model's file names neither a first nor a last token, so a text without context has no likelihood",
                next_step="use a GGUF file with tokenizer.ggml.bos_token_id or eos_token_id",
            )
        return EvaluateSpec(
            names=list(wanted.names),
            data_paths=[str(path) for path in wanted.data_paths],
            code_paths=[str(path) for path in wanted.code_paths],
            limit=wanted.limit,
            num_fewshot=wanted.num_fewshot,
            chat_template=wanted.chat_template,
            max_length=wanted.max_length,
            tokenizer=TokenizerFacts(
                bos=bos,
                prefix=int(prefix),
                bos_text="" if named is None else self._text([int(named)]),
                eos_text=self._text(ends[:1]),
                chat_template=template if isinstance(template, str) else None,
            ),
        )

    # -- questions ----------------------------------------------------------------------------------------------------

    def _tell(self, more: int) -> None:
        """How many of the questions of this kind have an answer, with so many of the ones under way."""
        self._on_phase(f"tasks {self._done + more}/{self._total}")

    def _answer(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer, or that it was refused: then the worker is alive, and other tasks may have better questions."""
        if name == "likelihood" and self._examination.answers == "text":
            return {"refused": NO_LIKELIHOODS, "unsupported": True}
        if name != "encode" and self._worker is None:
            # An artifact that cannot be loaded answers nothing: that is no single task's.
            self._begin(self._together(body["prompts"]) if name == "generate" else 1)
        try:
            return self._answered(name, body)
        except WorkerRefused as refusal:
            self.execution.error = self.execution.error or refusal.traceback
            who = "" if self.asked == "framework" else f"{self.asked}: "
            return {"refused": who + refusal.message, "unsupported": refusal.type == "Unsupported"}

    def _answered(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if name == "encode":
            given = {"model": str(self._examination.source), **body}
            return {"tokens": self._call(self._tokenizer, "encode", given)["tokens"]}
        if name == "likelihood":
            self._load_for(1)
            answer = self._ask_framework("likelihood", body)
            self._tokens += answer["tokens"]
            self._computed_tokens += answer["computed_tokens"]
            return {"scores": answer["scores"]}
        return {"texts": self._generate(body["prompts"])}

    def _generate(self, prompts: Sequence[Mapping[str, Any]]) -> list[str]:
        """Greedy texts, each cut before its first end token; they may go beyond the first stop."""
        texts: list[str] = []
        number = self._together(prompts)
        self._load_for(number)
        for start in range(0, len(prompts), number):
            group = prompts[start : start + number]
            if self._examination.answers == "text":
                texts += [self._complete(one) for one in group]
            elif number == 1:
                texts += [self._one_by_one(one) for one in group]
            else:
                texts += self._at_once(group)
            self._tell(len(texts))
        return texts

    def _together(self, prompts: Sequence[Mapping[str, Any]]) -> int:
        needs = [len(one["tokens"]) + one["count"] for one in prompts]
        return room_for(needs, self._examination.max_length, self._examination.together)

    def _complete(self, prompt: Mapping[str, Any]) -> str:
        text = self._text(prompt["tokens"]) if prompt["text"] is None else prompt["text"]
        return str(self._ask_framework("complete", {**prompt, "text": text})["text"])

    def _one_by_one(self, prompt: Mapping[str, Any]) -> str:
        answer = _Answer(prompt)
        while not answer.ended:
            wanted = min(CHUNK_TOKENS, answer.left)
            if answer.chosen:
                chosen = self._ask_framework("more", {"count": wanted})["tokens"]
            else:
                given = {"tokens": prompt["tokens"], "count": wanted}
                chosen = self._ask_framework("generate", given)["tokens"]
            answer.chosen += chosen
            answer.look(self._text(answer.before_end(self._ends)), self._ends)
        return answer.text

    def _at_once(self, prompts: Sequence[Mapping[str, Any]]) -> list[str]:
        """The same of several prompts together; one that has ended leaves the others."""
        answers = [_Answer(one) for one in prompts]
        going = list(range(len(answers)))
        while going:
            wanted = min(CHUNK_TOKENS, *(answers[each].left for each in going))
            if answers[going[0]].chosen:
                given = {"sequences": going, "count": wanted}
                chosen = self._ask_framework("more_ragged", given)["tokens"]
            else:
                given = {"tokens": [one["tokens"] for one in prompts], "count": wanted}
                chosen = self._ask_framework("generate_ragged", given)["tokens"]
            for each, tokens in zip(going, chosen, strict=True):
                answers[each].chosen += tokens
            texts = self._texts([answers[each].before_end(self._ends) for each in going])
            for each, text in zip(going, texts, strict=True):
                answers[each].look(text, self._ends)
            going = [each for each in going if not answers[each].ended]
        return [answer.text for answer in answers]

    def _text(self, tokens: Sequence[int]) -> str:
        return self._texts([tokens])[0]

    def _texts(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        if not any(tokens):
            return [""] * len(tokens)
        body = {"model": str(self._examination.source), "tokens": [list(each) for each in tokens]}
        return [str(text) for text in self._call(self._tokenizer, "detokenize", body)["texts"]]

    def _ask_framework(self, method: Method, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self._worker is not None, "it was begun before the question was looked at"
        return self._call(self._worker, method, body)

    def _begin(self, number: int) -> None:
        """The framework's worker with the model loaded for so many sequences."""
        self.asked = "framework"
        self._worker = worker = self._stack.enter_context(
            WorkerProcess(self._launch, log=self._log, memory_limit_bytes=self._limits.memory_bytes)
        )
        execution = self.execution
        execution.enter("load")
        execution.hello = self._call(worker, "hello", {})
        execution.loaded = self._call(worker, "load", to_body(self._load_spec(number)))
        self._loaded_for = number
        if self._watch is not None:
            self._watch.sample(worker.pid)
        execution.enter("tasks")

    def _load_spec(self, number: int) -> LoadSpec:
        """One sequence has all the room, several share it."""
        return replace(self._load, context_tokens=self._load.context_tokens // number, batch=number)

    def _load_for(self, number: int) -> None:
        """Load the model anew where it is loaded for another number of sequences."""
        if number == self._loaded_for:
            return
        self._ask_framework("unload", {})
        self._ask_framework("load", to_body(self._load_spec(number)))
        self._loaded_for = number
