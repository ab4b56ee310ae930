"""Tasks in a session: once per artifact, framework, device and options, the quality reference's first.

Owns the plan of a session's tasks, the key under which an evaluation is found again, and the way from lm-eval's answer
to records. `examine` runs the processes. Contract: as scoring: an evaluation that the database holds under the same
key is used again, if the tasks would ask the very same items now; the reference of a model and length is evaluated
once; a failure belongs to its cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.environment.tools import LM_EVAL
from harness.errors import EdgebenchError, UsageError
from harness.evaluation.exchange import Evaluation, TaskHole
from harness.files import file_sha256, key_of
from harness.paths import data_dir
from harness.runner.catalogue import Catalogue, Ready, cell_record, environment_record
from harness.runner.examine import MOST_TOGETHER, Examination, examine, survey, told
from harness.runner.execute import Execution
from harness.runner.launch import launch_of_tool
from harness.runner.progress import SessionProgress
from harness.runner.record import RunFrame, setup_failure, skipped_run
from harness.runner.setup import Workshop
from harness.runner.workplace import Workplace
from harness.store import Store
from harness.store.evaluation_records import (
    EvaluationRecord,
    TaskHoleRecord,
    TaskItemRecord,
    TaskMetricRecord,
    TaskRecord,
)
from harness.store.evaluations import EvaluationFacts
from harness.store.records import RunKind, RunRecord
from harness.suite import Suite
from harness.suite.schema import Tasks
from harness.worker.api import LoadSpec
from harness.worker.bodies import from_body, to_body

#: What of the environment lm-eval's process is told: nobody counts its users, and nothing is drawn beside a bar.
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """What the command line asks for, on top of the suite's `tasks:`.

    Attributes:
        names: tasks in place of the suite's; empty: the suite's.
        paths: further folders of task files.
        limit: items of each task at most, None: the suite's.
        trusted: Python functions that task files in ``paths`` name may run: somebody said that they were looked at.
    """

    names: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    limit: int | None = None
    trusted: bool = False

    def __bool__(self) -> bool:
        return bool(self.names or self.paths or self.limit is not None)


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The tasks of a session.

    Attributes:
        tasks: the settings in force.
        data_paths: folders of task files in which nothing is executed, those that come with edgebench first.
        code_paths: folders named on the command line whose Python may run.
    """

    tasks: Tasks
    data_paths: tuple[Path, ...]
    code_paths: tuple[Path, ...]

    @classmethod
    def of(cls, suite: Suite, request: TaskRequest) -> TaskPlan | None:
        """The plan of a suite and a command line; None where neither names a task.

        Raises:
            UsageError: a folder does not exist, or there are folders or a limit but no tasks.
        """
        tasks = suite.tasks
        if request.names:
            tasks = (
                tasks.model_copy(update={"names": list(request.names)})
                if tasks is not None
                else Tasks(names=list(request.names))
            )
        if tasks is None:
            if request:
                raise UsageError(
                    f"the suite {suite.title} has no tasks, and none was named",
                    next_step="name one: --task NAME, or write `tasks:` into the suite",
                )
            return None
        if request.limit is not None:
            tasks = tasks.model_copy(update={"limit": request.limit})
        for path in request.paths:
            if not path.is_dir():
                raise UsageError(
                    f"there is no folder {path}",
                    next_step="correct --task-path: a folder of lm-eval task files",
                )
        shipped = data_dir("suites") / "tasks"
        data_paths = [*([shipped.resolve()] if shipped.is_dir() else []), *suite.task_folders()]
        named = [path.resolve() for path in request.paths]
        if request.trusted:
            return cls(tasks, tuple(data_paths), tuple(named))
        return cls(tasks, (*data_paths, *named), ())

    def to_settings(self) -> dict[str, Any]:
        """For the session's stored settings."""
        return {
            **self.tasks.model_dump(mode="json", by_alias=True),
            "paths": [],
            "data_paths": [str(path) for path in self.data_paths],
            "code_paths": [str(path) for path in self.code_paths],
        }

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any] | None) -> TaskPlan | None:
        """What `to_settings` gave; None where the session has no tasks.

        Raises:
            EdgebenchError: a folder is gone.
        """
        if settings is None:
            return None
        plain = dict(settings)
        data_paths, code_paths = (
            tuple(Path(path) for path in plain.pop(name)) for name in ("data_paths", "code_paths")
        )
        for path in (*data_paths, *code_paths):
            if not path.is_dir():
                raise EdgebenchError(
                    f"the session's tasks are in {path}, which is gone",
                    next_step="put it back, or begin anew",
                )
        return cls(Tasks.model_validate(plain), data_paths, code_paths)

    def files_sha256(self) -> str:
        """Over every file in the folders: tasks and their data, by name and content."""
        digest = hashlib.sha256()
        for folder in (*self.data_paths, *self.code_paths):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                if "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
        return digest.hexdigest()


def task_record(evaluation: Evaluation) -> list[TaskRecord]:
    """Results as the store keeps them."""
    return [
        TaskRecord(
            task=task.task,
            version=task.version,
            n=task.n,
            num_fewshot=task.num_fewshot,
            corpus_sha256=task.sha256,
            metrics=[
                TaskMetricRecord(one.metric, one.value, one.stderr, one.higher_is_better)
                for one in task.metrics
            ],
            items=[
                TaskItemRecord(one.sha256, one.values, one.loglikelihoods, one.text) for one in task.items
            ],
        )
        for task in evaluation.tasks
    ]


class Session(Protocol):
    """What the tasks need of the session that they belong to."""

    def measure(
        self,
        one: Ready,
        frame: RunFrame,
        label: str,
        context_tokens: int,
        work: Callable[[Workplace], Execution],
        *,
        timeout_s: float | None = None,
        evaluation: Callable[[Execution], EvaluationRecord] | None = None,
    ) -> RunRecord:
        """One run, while no other session of this machine measures."""

    def frame(self, cell_id: str, kind: RunKind, index: int, one: Ready | None) -> RunFrame:
        """What is known of a run before it starts."""

    def keep(self, one: Ready, label: str, record: RunRecord) -> RunRecord:
        """Store a run and say how it ended."""

    def lost(self, one: Ready, reason: str) -> None:
        """Something that was asked of a cell has no figures."""


@dataclass(frozen=True, slots=True)
class _Reference:
    key: str
    run_id: str
    text: str


class TaskRunner:
    """Evaluates the tasks of a session.

    Args:
        plan: the tasks.
        session_id: stored.
        session: measures and stores.
        store: the database.
        workshop: makes environments.
        catalogue: knows the quality references.
        cache_dir: where data from the hub is kept.
        progress: the display.
        anew: evaluate what the database holds as well; a reference that it holds is used.
    """

    def __init__(
        self,
        plan: TaskPlan,
        session_id: str,
        session: Session,
        *,
        store: Store,
        workshop: Workshop,
        catalogue: Catalogue,
        cache_dir: Path,
        progress: SessionProgress,
        anew: bool = False,
    ) -> None:
        self._plan = plan
        self._anew = anew
        self._session_id = session_id
        self._session = session
        self._store = store
        self._workshop = workshop
        self._catalogue = catalogue
        self._cache_dir = cache_dir
        self._progress = progress
        self._files: str | None = None
        self._references: dict[tuple[str, int], _Reference | EdgebenchError] = {}
        self._surveys: dict[str, dict[str, str] | None] = {}

    def groups(self, ready: Sequence[Ready]) -> list[list[Ready]]:
        """Cells that share one evaluation: they differ in their workload only."""
        groups: dict[str, list[Ready]] = {}
        for one in ready:
            groups.setdefault(key_of(_target(one)), []).append(one)
        return list(groups.values())

    def evaluate(self, group: Sequence[Ready], broken: str | None) -> None:
        """Evaluates one artifact, or finds its evaluation; a failure is stored as its first cell's.

        Args:
            group: the cells that the evaluation stands for.
            broken: why the artifact computes no function that a task could be asked of, None where it does.
        """
        one = group[0]
        label = f"{one.cell.framework} {one.cell.recipe} tasks"
        frame = self._session.frame(one.cell.id, "tasks", 0, one)
        if broken is not None:
            reason = f"not evaluated: the artifact is broken: {broken}"
            self._session.keep(one, label, skipped_run(frame, reason))
            return
        try:
            reference = self._reference(one.cell.model, self._max_length(one))
            key = self._key(one, reference.key)
        except EdgebenchError as error:
            failure = EdgebenchError(
                f"the quality reference has no task results: {error.what}", next_step=error.next_step
            )
            self._session.keep(one, label, setup_failure(frame, failure))
            return
        cells = tuple(each.cell.id for each in group)
        found = None if self._anew else self._find(one.cell.model, key)
        if found is not None:
            self._store.link_evaluation(self._session_id, cells, found.run_id)
            failed = told(
                [TaskHole(one.task, one.status, one.reason) for one in found.holes if one.status == "failed"]
            )
            if failed:
                self._session.lost(one, failed)
            text = "evaluated before" + (f", without figures of {failed}" if failed else "")
            self._progress.run_ended(label, text, ok=not failed)
            return
        self._session.keep(
            one, label, self._measure(one, frame, label, key, reference, reference.text, cells)
        )

    # -- the reference ------------------------------------------------------------------------------------------------

    def _reference(self, model: str, max_length: int) -> _Reference:
        """The quality reference's evaluation at this length; tried once per session."""
        wanted = (model, max_length)
        if wanted not in self._references:
            try:
                self._references[wanted] = self._make_reference(model, max_length)
            except EdgebenchError as error:
                self._references[wanted] = error
        found = self._references[wanted]
        if isinstance(found, EdgebenchError):
            raise found
        return found

    def _make_reference(self, model: str, max_length: int) -> _Reference:
        one = self._catalogue.reference(model)
        text = self._catalogue.reference_text(model)
        key = self._key(one, None, max_length)
        found = self._find(model, key)
        if found is None:
            self._store.record_cells([cell_record(one.cell)])
            label = f"{model} quality reference ({text}) tasks"
            index = sum(name == model for name, _ in self._references)
            frame = self._session.frame(one.cell.id, "tasks", index, one)
            record = self._measure(one, frame, label, key, None, text, (), max_length)
            self._store.record_run(record)
            if record.status != "ok":
                raise EdgebenchError(
                    str(record.reason), next_step=f"edgebench show {record.id} has the last lines"
                )
            found = self._store.find_evaluation(key)
            assert found is not None, "what was stored is found"
        return _reference_of(found, text)

    # -- what was evaluated before ------------------------------------------------------------------------------------

    def _find(self, model: str, key: str) -> EvaluationFacts | None:
        """The evaluation under a key, if it asked what would be asked now: data may change where no key sees it."""
        found = self._store.find_evaluation(key)
        if found is None:
            return None
        now = self._survey(model)
        return found if now is not None and same_items(found, now) else None

    def _survey(self, model: str) -> dict[str, str] | None:
        """Task -> SHA-256 of the items that it would ask of a model now; None where that cannot be found out.

        Looked at once per session.
        """
        if model not in self._surveys:
            self._progress.note("comparing the tasks' items with those evaluated before")
            examination = self._examination(model, self._plan.tasks.context_tokens, "logits")
            source = self._workshop.model_file(model).path
            try:
                now = survey(
                    self._workshop.tokenizer_launch(model),
                    LoadSpec(source, "cpu", "cpu", 1, 1),
                    examination,
                    timeout_s=self._plan.tasks.timeout_s,
                    log=self._workshop.log(f"{self._session_id}/survey-{model}"),
                )
            except EdgebenchError as error:
                self._progress.note(f"evaluations of before are not used: {error.what}")
                self._surveys[model] = None
            else:
                # A group has no items but those of its tasks.
                self._surveys[model] = {
                    task.task: task.sha256 for task in now.tasks if task.sha256 is not None
                }
        return self._surveys[model]

    # -- one evaluation -----------------------------------------------------------------------------------------------

    def _max_length(self, one: Ready) -> int:
        """Tokens that fit: as the suite says, less where the model or a graph of static shape has less."""
        lengths = [self._plan.tasks.context_tokens]
        static = self._workshop.recipe(one.cell.framework, one.cell.recipe).static
        if static is not None:
            lengths.append(static.context_tokens)
        facts = self._workshop.model_file(one.cell.model).facts
        trained = facts.metadata.get(f"{facts.architecture}.context_length")
        if trained is not None:
            lengths.append(int(trained))
        return min(lengths)

    def _settings(self, max_length: int) -> dict[str, Any]:
        tasks = self._plan.tasks
        return {
            "names": list(tasks.names),
            "limit": tasks.limit,
            "num_fewshot": tasks.num_fewshot,
            "chat_template": tasks.chat_template,
            "max_length": max_length,
        }

    def _key(self, one: Ready, reference: str | None, max_length: int | None = None) -> str:
        """Equal where evaluating the same items again would give the same."""
        if self._files is None:
            self._files = self._plan.files_sha256()
        model = one.cell.model
        content: dict[str, Any] = {
            "target": _target(one),
            "settings": self._settings(self._max_length(one) if max_length is None else max_length),
            "files": self._files,
            "source": self._workshop.model_file(model).sha256,
            "tokenizer": self._workshop.tokenizer(model).id,
            "lm_eval": self._workshop.tool(LM_EVAL).id,
            "reference": reference,
        }
        together = self._together(one.cell.framework)
        if together > 1:
            # Of a text that is generated beside others near ties may fall otherwise.
            content["together"] = together
        return key_of(content)[:32]

    def _together(self, framework: str) -> int:
        """Sequences that a framework generates together at most."""
        return MOST_TOGETHER if "ragged" in self._workshop.capabilities(framework) else 1

    def _examination(
        self, model: str, max_length: int, answers: Literal["logits", "text"], together: int = 1
    ) -> Examination:
        """The session's tasks, as they are asked of a model."""
        plan, tasks = self._plan, self._plan.tasks
        source = self._workshop.model_file(model)
        return Examination(
            evaluator=launch_of_tool(
                "harness.evaluation.program",
                self._workshop.tool(LM_EVAL).python,
                {**_QUIET, "HF_DATASETS_CACHE": str(self._cache_dir / "datasets")},
            ),
            tokenizer=self._workshop.tokenizer_launch(model),
            source=source.path,
            metadata=source.facts.metadata,
            names=tasks.names,
            data_paths=plan.data_paths,
            code_paths=plan.code_paths,
            limit=tasks.limit,
            num_fewshot=tasks.num_fewshot,
            chat_template=tasks.chat_template,
            max_length=max_length,
            answers=answers,
            together=together,
        )

    def _measure(
        self,
        one: Ready,
        frame: RunFrame,
        label: str,
        key: str,
        reference: _Reference | None,
        text: str,
        cells: tuple[str, ...],
        max_length: int | None = None,
    ) -> RunRecord:
        tasks = self._plan.tasks
        length = self._max_length(one) if max_length is None else max_length
        environment = self._workshop.tool(LM_EVAL)
        answers: Literal["logits", "text"] = (
            "logits" if "score" in self._workshop.capabilities(one.cell.framework) else "text"
        )
        examination = self._examination(one.cell.model, length, answers, self._together(one.cell.framework))

        def work(place: Workplace) -> Execution:
            return examine(
                place.launch,
                place.load,
                examination,
                place.limits,
                log=place.log,
                on_phase=self._progress.phase,
                watch=place.watch,
            )

        def evaluation(execution: Execution) -> EvaluationRecord:
            body = dict(execution.result)
            counted = {name: body.pop(name) for name in ("tokens", "computed_tokens")}
            result = from_body(Evaluation, body)
            return EvaluationRecord(
                evaluation_key=key,
                artifact_id=one.artifact.id,
                settings=self._settings(length),
                chat_template=tasks.chat_template,
                items_limit=tasks.limit,
                max_length=length,
                environment_id=self._store.record_environment(environment_record(environment)),
                lm_eval_version=result.versions["lm-eval"],
                truncated=result.truncated,
                tasks=task_record(result),
                reference_run_id=None if reference is None else reference.run_id,
                quality_reference=text,
                cells=cells,
                holes=[TaskHoleRecord(one.task, one.status, one.reason) for one in result.holes],
                details={
                    "versions": dict(result.versions),
                    "data": to_body(result.data),
                    "requests": dict(result.requests),
                    "files_sha256": self._files,
                    **counted,
                },
            )

        # One token more than the length is only predicted.
        return self._session.measure(
            one, frame, label, length, work, timeout_s=tasks.timeout_s, evaluation=evaluation
        )


def same_items(found: EvaluationFacts, asked: Mapping[str, str]) -> bool:
    """Whether an evaluation holds what evaluating again would give.

    Every task's items and questions must be those of today. What failed although its items can be had is tried again;
    what could not be loaded is not, while it still cannot.

    Args:
        found: the evaluation.
        asked: task -> SHA-256 of the items of today, from a survey.
    """
    held = {task.task: task.corpus_sha256 for task in found.tasks if task.corpus_sha256 is not None}
    skipped = {hole.task for hole in found.holes if hole.status == "skipped"}
    return (
        all(task in asked and asked[task] == sha256 for task, sha256 in held.items())
        and asked.keys() <= held.keys() | skipped
    )


def _target(one: Ready) -> dict[str, Any]:
    """What is evaluated: everything that changes the answers, and nothing else."""
    cell = one.cell
    return {
        "artifact": one.artifact.id,
        "framework": cell.framework,
        "environment": one.environment_record_id,
        "device": cell.device,
        "api": cell.api,
        "options": dict(cell.options),
    }


def _reference_of(found: EvaluationFacts, text: str) -> _Reference:
    return _Reference(found.evaluation_key, found.run_id, text)
