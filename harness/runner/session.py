"""A session: set-up, scoring, timed runs in their order, everything stored as it happens.

Owns what comes after what. The parts are elsewhere: `setup` makes things, `execute` runs one worker, `scoring` knows
keys and verdicts, `record` translates, the store keeps. Contract: a run is stored before the next one starts; a
failure belongs to its cell and never ends the session; an interruption leaves every finished run stored and the
session resumable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from harness.errors import EdgebenchError
from harness.files import disk_is_full, sync_folder
from harness.machine import RunWatch
from harness.machine.locks import lock_path
from harness.machine.throttle import GpuClocks
from harness.runner.calibrate import calibrate
from harness.runner.catalogue import Catalogue, Ready, cell_record
from harness.runner.energy import EnergyProbe, EnergySource
from harness.runner.execute import Execution, Limits, execute
from harness.runner.expect import Expectation
from harness.runner.memory_watch import MemoryWatch
from harness.runner.order import plan_round
from harness.runner.pace import Pace, Unhurried
from harness.runner.progress import SessionProgress
from harness.runner.record import (
    RunFrame,
    Surroundings,
    measured_seconds,
    run_record,
    setup_failure,
    skipped_run,
)
from harness.runner.scoring import (
    ReferenceScore,
    ScoringTarget,
    reference_of,
    score_record,
    score_spec,
    scoring_key,
)
from harness.runner.scratch import partial_path, reference_lock_path, scratch
from harness.runner.setup import TokenFile, Workshop
from harness.runner.stopping import Outcome as RunOutcome
from harness.runner.stopping import StopRule, decide, expected_runs, outcome_of, stopped, widths
from harness.runner.tasks import TaskPlan, TaskRunner
from harness.runner.threads import asked_threads
from harness.runner.workplace import Workplace
from harness.store import Store
from harness.store.evaluation_records import EvaluationRecord
from harness.store.records import PlannedRunRecord, RunKind, RunRecord, ScoreRecord
from harness.suite import Cell, RunSettings, Scoring, Suite
from harness.table.marking import marked
from harness.worker.api import LoadSpec
from harness.worker.protocol import ScoreSpec, TimedSpec, WarmupRule
from harness.worker.reference import is_whole

#: Warm-up by rule lasts at least this long: short passes can agree with each other and still be cold.
MIN_WARMUP_S = 1.0


@dataclass(frozen=True, slots=True)
class SessionJob:
    """What a session has to do.

    Attributes:
        session_id: a session that is stored, with its plan.
        suite: its settings.
        cells: the runnable cells by id.
        settings: how the runs of each are made.
        missing: runs that are not stored yet, in the planned order.
        attempts: (cell id, kind, index) -> attempts that are stored already.
        threads: compute threads, where the workload names no other number.
        seed: of the order and the token ids.
        outcomes: of the timed runs that are stored already, by cell and index.
        stopped: cells whose repeating has ended already.
        tasks: what is evaluated, None: nothing.
        anew: score and evaluate what the database holds as well.
    """

    session_id: str
    suite: Suite
    cells: Mapping[str, Cell]
    settings: Mapping[str, RunSettings]
    missing: Sequence[PlannedRunRecord]
    attempts: Mapping[tuple[str, str, int], int]
    threads: int
    seed: int
    outcomes: Mapping[str, Mapping[int, RunOutcome]] = field(default_factory=dict)
    stopped: Collection[str] = ()
    tasks: TaskPlan | None = None
    anew: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of a session.

    Attributes:
        done: runs made now.
        failures: names of cells -> reason, of everything that ended neither ok nor skipped.
        next_steps: reason -> what to do about it, where that is known.
    """

    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    next_steps: dict[str, str] = field(default_factory=dict)


class SessionRunner:
    """Carries out one session.

    Args:
        job: what to do.
        store: the database.
        workshop: makes environments and artifacts.
        catalogue: writes down what was made.
        cache_dir: where reference log-probabilities are kept.
        progress: the display.
        expectation: how long runs take.
        pace: asked between runs; None: nothing holds the session up or ends it early.
    """

    def __init__(
        self,
        job: SessionJob,
        *,
        store: Store,
        workshop: Workshop,
        catalogue: Catalogue,
        cache_dir: Path,
        progress: SessionProgress,
        expectation: Expectation,
        pace: Pace | None = None,
    ) -> None:
        self._job = job
        self._pace = pace or Unhurried()
        self._store = store
        self._workshop = workshop
        self._catalogue = catalogue
        self._cache_dir = cache_dir
        self._progress = progress
        self._expectation = expectation
        self._energy = EnergySource.of_this_machine()
        self._bench = store.machine_bench(catalogue.machine_id)
        self._gpus = GpuClocks.of_this_machine()
        self._outcome = Outcome()
        self._left: list[tuple[str, str]] = []
        self._rules = {
            cell_id: rule
            for cell_id, settings in job.settings.items()
            if (rule := StopRule.of(settings)) is not None and cell_id not in job.stopped
        }
        self._outcomes = {cell_id: dict(job.outcomes.get(cell_id, {})) for cell_id in self._rules}
        self._references: dict[tuple[str, str], ReferenceScore | EdgebenchError] = {}
        cache_dir.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(lock_path("measuring"))

    @property
    def failures(self) -> Mapping[str, str]:
        """Names of cells -> reason, of everything so far that ended neither ok nor skipped."""
        return self._outcome.failures

    def run(self) -> Outcome:
        """Everything that is missing."""
        ready = self.prepare()
        timed = [run for run in self._job.missing if run.kind == "timed" and run.cell_id in ready]
        broken = self.examine(ready, timed)
        for run in timed:
            self._timed_run(ready[run.cell_id], run, broken.get(run.cell_id))
            self._left.pop(0)
        self._repeat(ready, broken)
        return self._outcome

    def prepare(self, *, every: bool = False) -> dict[str, Ready]:
        """The cells whose environment and artifact could be made, by id; failures are stored.

        Args:
            every: also those of which nothing planned is missing: whoever asks plans their runs itself.
        """
        firsts: dict[str, PlannedRunRecord] = {}
        for run in self._job.missing:
            if run.cell_id not in firsts or (run.kind == "timed" and firsts[run.cell_id].kind != "timed"):
                firsts[run.cell_id] = run
        for cell_id in self._rules:
            if cell_id not in firsts:  # nothing planned is missing, but its repeating has not ended
                firsts[cell_id] = PlannedRunRecord(cell_id, "timed", self._next_index(cell_id), 0)
        for cell_id in self._job.cells if every else ():
            firsts.setdefault(cell_id, PlannedRunRecord(cell_id, "timed", 0, 0))
        return self._prepare(firsts)

    def examine(self, ready: Mapping[str, Ready], timed: Sequence[PlannedRunRecord] = ()) -> dict[str, str]:
        """Scores and evaluates what is missing of both; gives the cells whose artifact is broken, with the reason.

        Args:
            ready: from `prepare`.
            timed: runs that come afterwards, for the progress alone.
        """
        missing = [planned for planned in self._job.missing if planned.cell_id in ready]
        groups = self._scoring_groups([ready[run.cell_id] for run in missing if run.kind == "score"])
        tasks = self._task_runner()
        evaluated = [ready[run.cell_id] for run in missing if run.kind == "tasks"]
        task_groups = tasks.groups(evaluated) if tasks is not None else []
        self._left = [(group[0].cell.id, "score") for group in groups]
        self._left += [(group[0].cell.id, "tasks") for group in task_groups]
        self._left += [(run.cell_id, "timed") for run in timed]
        self._progress.begin(len(self._left), 0)
        for group in groups:
            if (reason := self._pace.over()) is not None:
                self._skip(group, "score", reason)
            else:
                self._score_group(group)
            self._left.pop(0)
        broken = self._broken_cells(ready)
        for group in task_groups:
            assert tasks is not None, "there are groups"
            if (reason := self._pace.over()) is not None:
                self._skip(group, "tasks", reason)
            else:
                tasks.evaluate(group, broken.get(group[0].cell.id))
            self._left.pop(0)
        return broken

    def _skip(self, group: Sequence[Ready], kind: RunKind, reason: str) -> None:
        """Stores what stands for several cells as skipped, for each of them: nothing of it is missing then."""
        for one in group:
            label = f"{one.cell.framework} {one.cell.recipe} {kind}"
            self.keep(one, label, skipped_run(self.frame(one.cell.id, kind, 0, one), reason))

    def one_more(self, one: Ready, index: int, seed: int) -> RunRecord:
        """One timed run of a cell, planned now behind all that is planned, made and stored.

        Args:
            one: from `prepare`.
            index: which of the cell's runs.
            seed: of its prompts.
        """
        wanted = PlannedRunRecord(one.cell.id, "timed", index, 0, seed)
        (planned,) = self._store.extend_plan(self._job.session_id, [wanted])
        self._progress.more(1)
        self._left = [(one.cell.id, "timed")]
        return self._timed_run(one, planned, None)

    # -- set-up -------------------------------------------------------------------------------------------------------

    def _prepare(self, firsts: Mapping[str, PlannedRunRecord]) -> dict[str, Ready]:
        """Environment and artifact of every cell that ``firsts`` has a run of; a failure is stored as that run."""
        ready: dict[str, Ready] = {}
        told: set[str] = set()
        for cell_id, first in firsts.items():
            cell = self._job.cells[cell_id]
            self._progress.step(f"{cell.framework} {cell.recipe}")
            try:
                if cell.workload.prompt == "text":
                    self._workshop.prompt_tokens(cell.model)
                ready[cell_id] = self._catalogue.ready(cell)
            except EdgebenchError as error:
                if str(error) not in told:
                    told.add(str(error))
                    self._progress.note(f"✗ {error.what}\n  next: {error.next_step}")
                self._store.record_run(
                    setup_failure(self.frame(cell_id, first.kind, first.index, None), error)
                )
                self._outcome.failures[cell.name] = error.what
                self._outcome.next_steps[error.what] = error.next_step
        return ready

    # -- scoring ------------------------------------------------------------------------------------------------------

    def _scoring_groups(self, ready: Sequence[Ready]) -> list[list[Ready]]:
        """Cells that share one score: they differ in their workload only."""
        groups: dict[str, list[Ready]] = {}
        for one in ready:
            groups.setdefault(repr((_target(one), self._scoring(one))), []).append(one)
        return list(groups.values())

    def _scoring(self, one: Ready) -> Scoring:
        """The windows that a cell's artifact is scored at."""
        static = self._workshop.recipe(one.cell.framework, one.cell.recipe).static
        settings = self._job.settings[one.cell.id]
        scoring = self._job.suite.scoring_of(static, settings.max_windows)
        assert scoring is not None, "a suite that looks at nothing plans no score"
        return scoring

    def _score_group(self, group: Sequence[Ready]) -> None:
        """Scores one artifact, or finds its score; a failure is stored as its first cell's."""
        one = group[0]
        cell_ids = tuple(each.cell.id for each in group)
        label = f"{one.cell.framework} {one.cell.recipe} score"
        scoring = self._scoring(one)
        check = self._job.suite.check
        max_kld = None if check is None else check.limit(one.cell.precision)
        try:
            tokens = self._workshop.tokens(one.cell.model, self._workshop.corpus(self._job.suite))
            text = self._workshop.scored_text(one.cell.model, tokens.text)
            reference = self._reference(one.cell.model, tokens, scoring)
        except EdgebenchError as error:
            failure = EdgebenchError(f"no quality reference: {error.what}", next_step=error.next_step)
            self.keep(one, label, setup_failure(self.frame(one.cell.id, "score", 0, one), failure))
            return
        key = scoring_key(_target(one), scoring, tokens, reference.key, max_kld)
        found = None if self._job.anew else self._store.find_score(key)
        if found is not None:
            self._store.link_score(self._job.session_id, cell_ids, found.run_id)
            self._progress.run_ended(label, "scored before", ok=True)
            return

        frame = self.frame(one.cell.id, "score", 0, one)
        with scratch(self._cache_dir, self._job.session_id) as folder:
            spec = score_spec(
                scoring,
                tokens,
                reference_in=reference.log_probabilities,
                reference_out=None,
                positions_out=folder / "positions",
            )

            def score(execution: Execution) -> ScoreRecord:
                return score_record(
                    execution,
                    key=key,
                    artifact=one.artifact.id,
                    scoring=scoring,
                    tokens=tokens,
                    reference=reference,
                    quality_reference=reference.text,
                    cells=cell_ids,
                    precision=one.cell.precision,
                    spec=spec,
                    text=text,
                    max_kld=max_kld,
                )

            record = self._measure(one, frame, spec, label, score)
        self.keep(one, label, record)

    def _reference(self, model: str, tokens: TokenFile, scoring: Scoring) -> ReferenceScore:
        """The model's quality reference at these windows; tried once per session, however many artifacts want it."""
        wanted = (model, scoring.model_dump_json())
        if wanted not in self._references:
            try:
                self._references[wanted] = self._make_reference(model, tokens, scoring)
            except EdgebenchError as error:
                self._references[wanted] = error
        found = self._references[wanted]
        if isinstance(found, EdgebenchError):
            raise found
        return found

    def _make_reference(self, model: str, tokens: TokenFile, scoring: Scoring) -> ReferenceScore:
        """The reference on these tokens; computed where the cache or the database lack it."""
        one = self._catalogue.reference(model)
        name = self._catalogue.reference_text(model)
        text = self._workshop.scored_text(model, tokens.text)
        key = scoring_key(_target(one), scoring, tokens, None)
        folder = self._cache_dir / "references"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{key}.{'npy' if scoring.exact else 'sketch'}"
        with FileLock(reference_lock_path(path)):
            found = self._store.find_score(key)
            if found is not None and is_whole(path):
                return reference_of(found, path, name)
            self._store.record_cells([cell_record(one.cell)])
            partial = partial_path(path)
            spec = score_spec(scoring, tokens, reference_in=None, reference_out=partial)

            def score(execution: Execution) -> ScoreRecord:
                return score_record(
                    execution,
                    key=key,
                    artifact=one.artifact.id,
                    scoring=scoring,
                    tokens=tokens,
                    reference=None,
                    quality_reference=name,
                    cells=(),
                    precision=one.cell.precision,
                    spec=spec,
                    text=text,
                )

            label = f"{model} quality reference ({name})"
            # One for each window that artifacts of this model are scored at.
            index = sum(known == model for known, _ in self._references)
            frame = self.frame(one.cell.id, "reference", index, one)
            record = self._measure(one, frame, spec, label, score, self._reference_timeout_s(scoring))
            if record.status == "ok":
                # Before it is stored: killed in between, the run was never made, rather than made without its file.
                partial.replace(path)
                sync_folder(folder)
            self._store.record_run(record)
            if record.status != "ok" or record.score is None:
                raise EdgebenchError(
                    f"{label}: {record.reason}",
                    next_step=f"edgebench show {record.id} has the worker's last lines",
                )
            self._outcome.done += 1
            stored = self._store.find_score(key)
            assert stored is not None, "what was stored is found"
            return reference_of(stored, path, name)

    def _reference_timeout_s(self, scoring: Scoring) -> float:
        """The suite's time limit; longer in proportion where more windows are scored than the suite says."""
        usual = self._job.suite.scoring_of()
        factor = 1.0
        if usual is not None and usual.max_windows is not None and scoring.max_windows is not None:
            factor = max(1.0, scoring.max_windows / usual.max_windows)
        return factor * self._job.suite.timeout_s

    def _broken_cells(self, ready: Mapping[str, Ready]) -> dict[str, str]:
        """Cells whose artifact does not compute the model's function, with the reason."""
        broken: dict[str, str] = {}
        for facts in self._store.session_facts(self._job.session_id).cells:
            verdict = facts.score.verdict if facts.score is not None else None
            if facts.cell.id in ready and verdict is not None and verdict.verdict == "broken":
                broken[facts.cell.id] = verdict.reason or "its verdict is broken"
        return broken

    # -- repeating until a rule ends it -------------------------------------------------------------------------------

    def _next_index(self, cell_id: str) -> int:
        planned = [run.index for run in self._job.missing if run.cell_id == cell_id and run.kind == "timed"]
        return max([*self._outcomes[cell_id], *planned], default=-1) + 1

    def _repeat(self, ready: Mapping[str, Ready], broken: Mapping[str, str]) -> None:
        """Rounds of one more run of every cell that its rule has not ended yet."""
        while True:
            going = [cell_id for cell_id in self._rules if cell_id in ready]
            for cell_id in list(going):
                rule, outcomes = self._rules[cell_id], list(self._outcomes[cell_id].values())
                stop = decide(rule, cell_id, outcomes)
                if stop is None and self._pace.over() is not None:
                    stop = stopped(rule, cell_id, outcomes, "cap")
                if stop is not None:
                    self._store.record_stop(self._job.session_id, stop)
                    del self._rules[cell_id]
                    going.remove(cell_id)
            if not going:
                return
            planned = self._store.extend_plan(
                self._job.session_id,
                [
                    PlannedRunRecord(run.cell_id, "timed", run.index, run.position, run.seed)
                    for run in plan_round(
                        {cell_id: self._next_index(cell_id) for cell_id in going}, self._job.seed
                    )
                ],
            )
            self._progress.note(self._still_open(going))
            self._progress.more(len(planned))
            self._left = [(run.cell_id, "timed") for run in planned]
            for run in planned:
                self._timed_run(ready[run.cell_id], run, broken.get(run.cell_id))
                self._left.pop(0)

    def _still_open(self, going: Sequence[str]) -> str:
        known = [
            width
            for cell_id in going
            for width in widths(self._outcomes[cell_id].values()).values()
            if width is not None
        ]
        widest = f"±{100 * max(known):.1f} % at the widest" if known else "no interval yet"
        return f"another round: {len(going)} cell{'s' if len(going) > 1 else ''} not narrow enough, {widest}"

    def _expected_left(self) -> list[tuple[str, str]]:
        """What is planned, and what the rules will probably add to it."""
        left = list(self._left)
        for cell_id, rule in self._rules.items():
            outcomes = list(self._outcomes[cell_id].values())
            more = expected_runs(rule, outcomes) - len(outcomes) - left.count((cell_id, "timed"))
            left += [(cell_id, "timed")] * max(0, more)
        return left

    # -- timed runs ---------------------------------------------------------------------------------------------------

    def _timed_run(self, one: Ready, planned: PlannedRunRecord, broken: str | None) -> RunRecord:
        cell, settings = one.cell, self._job.settings[one.cell.id]
        label = f"{cell.name} run {planned.index + 1}"
        frame = self.frame(cell.id, "timed", planned.index, one, planned.seed)
        if broken is not None:
            reason = f"not timed: the artifact is broken: {broken}"
            return self.keep(one, label, skipped_run(frame, reason))
        if (over := self._pace.over()) is not None:
            return self.keep(one, label, skipped_run(frame, over))
        try:
            prompts = self._workshop.prompt_tokens(cell.model) if cell.workload.prompt == "text" else None
        except EdgebenchError as error:
            return self.keep(one, label, setup_failure(frame, error))
        spec = TimedSpec(
            prompt_tokens=cell.workload.prompt_tokens,
            decode_tokens=cell.workload.decode_tokens,
            depth=cell.workload.depth,
            repetitions=settings.repetitions,
            warmups=settings.warmups,
            seed=planned.seed or 0,
            concurrency=cell.workload.concurrency,
            warmup_rule=_warmup_rule(settings),
            prompt_file=None if prompts is None else str(prompts.path),
            text=self._workshop.fixed_text(cell.model),
            batch=cell.workload.batch,
        )
        told: dict[str, str] = {"kind": cell.workload.prompt}
        if prompts is not None:
            told |= {"text": prompts.corpus, "sha256": prompts.corpus_sha256}
        self._pace.before_timed()
        # It may have waited.
        frame = replace(
            frame,
            started_at=datetime.now(UTC),
            details={"prompt": told},
            threads=self._threads(cell),
        )
        record = self._measure(one, frame, spec, label, None)
        return self.keep(one, label, self._marked(one, record))

    def _threads(self, cell: Cell) -> int:
        return asked_threads(cell, self._catalogue.entries[cell.framework].backend, self._job.threads)

    def _marked(self, one: Ready, record: RunRecord) -> RunRecord:
        """The run, marked where it is faster than this machine's memory allows."""
        if self._bench is None:
            return record
        return marked(
            record,
            cell_record(one.cell),
            self._bench,
            weight_bytes=one.artifact.weight_bytes,
            unread_weight_bytes=self._catalogue.unread_weight_bytes(one.artifact),
            configuration=self._catalogue.configuration(one.cell.model),
            entries=self._catalogue.entries,
        )

    # -- tasks --------------------------------------------------------------------------------------------------------

    def _task_runner(self) -> TaskRunner | None:
        if self._job.tasks is None:
            return None
        return TaskRunner(
            self._job.tasks,
            self._job.session_id,
            self,
            store=self._store,
            workshop=self._workshop,
            catalogue=self._catalogue,
            cache_dir=self._cache_dir,
            progress=self._progress,
            anew=self._job.anew,
        )

    # -- one worker ---------------------------------------------------------------------------------------------------

    def _measure(
        self,
        one: Ready,
        frame: RunFrame,
        spec: TimedSpec | ScoreSpec,
        label: str,
        score: Callable[[Execution], ScoreRecord] | None,
        timeout_s: float | None = None,
    ) -> RunRecord:
        """A timed run or a scoring run; ``timeout_s`` in place of its cell's limit."""
        timed = spec if isinstance(spec, TimedSpec) else None
        context = (
            spec.window
            if isinstance(spec, ScoreSpec)
            else spec.depth + spec.prompt_tokens + spec.decode_tokens
        )

        def work(place: Workplace) -> Execution:
            return execute(
                place.launch,
                place.load,
                spec,
                place.limits,
                log=place.log,
                on_phase=self._progress.phase,
                watch=place.watch,
                energy=EnergyProbe(self._energy, one.cell.device) if timed is not None else None,
                memory=MemoryWatch(self._workshop.scope(one.cell.framework)) if timed is not None else None,
            )

        batch = 1 if timed is None else timed.batch
        return self.measure(one, frame, label, context, work, batch=batch, timeout_s=timeout_s, score=score)

    def measure(
        self,
        one: Ready,
        frame: RunFrame,
        label: str,
        context_tokens: int,
        work: Callable[[Workplace], Execution],
        *,
        batch: int = 1,
        timeout_s: float | None = None,
        score: Callable[[Execution], ScoreRecord] | None = None,
        evaluation: Callable[[Execution], EvaluationRecord] | None = None,
    ) -> RunRecord:
        """One run, while no other session of this machine measures.

        Raises:
            EdgebenchError: the disk is full. That is no result of what is measured: a resume makes the run again.
        """
        self._progress.run_started(label, self._expectation.total_s(self._expected_left()))
        settings = self._job.settings.get(one.cell.id, self._job.suite.settings)
        load = LoadSpec(
            artifact=one.artifact.entry,
            device=one.cell.device,
            api=one.cell.api,
            threads=self._threads(one.cell),
            context_tokens=context_tokens,
            options=dict(one.cell.options),
            batch=batch,
        )
        if not self._lock.is_locked:
            self._wait_for_machine()
        begun = time.monotonic()
        try:
            watch = RunWatch(gpus=self._gpus)
            before = calibrate()
            watch.begin()
            execution = work(
                Workplace(
                    launch=self._workshop.launch(one.cell.framework, api=one.cell.api),
                    load=load,
                    limits=Limits(timeout_s or settings.timeout_s, settings.memory_limit_bytes),
                    log=self._workshop.log(f"{frame.session_id}/{one.cell.id}-{frame.kind}-{frame.index}"),
                    watch=watch,
                )
            )
            surroundings = Surroundings(watch.end(), before, calibrate())
        finally:
            self._lock.release()
        if execution.status == "failed" and disk_is_full(execution.reason, execution.error):
            raise _full_disk(label, execution)
        duration_s = time.monotonic() - begun
        return run_record(
            frame,
            execution,
            surroundings,
            duration_s=duration_s,
            harness_s=duration_s - measured_seconds(execution, surroundings),
            score=score(execution) if score is not None and execution.status == "ok" else None,
            evaluation=evaluation(execution) if evaluation is not None and execution.status == "ok" else None,
        )

    def _wait_for_machine(self) -> None:
        """Two sessions that measure at once would measure each other: one run at a time on this machine."""
        try:
            self._lock.acquire(timeout=1)
        except TimeoutError:
            self._progress.note("waiting for the run of another session on this machine")
            self._lock.acquire(poll_interval=0.5)

    def frame(
        self, cell_id: str, kind: RunKind, index: int, one: Ready | None, seed: int | None = None
    ) -> RunFrame:
        """What is known of a run before it starts."""
        return RunFrame(
            session_id=self._job.session_id,
            cell_id=cell_id,
            kind=kind,
            index=index,
            attempt=self._job.attempts.get((cell_id, kind, index), 0) + 1,
            started_at=datetime.now(UTC),
            seed=seed,
            artifact_id=None if one is None else one.artifact.id,
            environment_id=None if one is None else one.environment_record_id,
        )

    def keep(self, one: Ready, label: str, record: RunRecord) -> RunRecord:
        """Stores a run, says how it ended and gives it back."""
        cell = one.cell
        self._store.record_run(record)
        self._outcome.done += 1
        counted = outcome_of(record, cell.workload)
        if counted is not None and cell.id in self._outcomes:
            self._outcomes[cell.id][record.index] = counted
        if record.status not in ("ok", "skipped"):
            self._outcome.failures[cell.name] = record.reason or record.status
        holes = () if record.evaluation is None else record.evaluation.holes
        partial = any(hole.status == "failed" for hole in holes)
        if partial:
            self.lost(one, record.reason or "some tasks have no figures")
        if record.duration_s is not None:
            self._expectation.learn(cell.id, record.kind, record.duration_s)
        suspect = " (suspect)" if record.validity == "suspect" else ""
        text = record.reason or f"ok in {record.duration_s or 0:.1f} s{suspect}"
        self._progress.run_ended(label, text, ok=record.status in ("ok", "skipped") and not partial)
        return record

    def lost(self, one: Ready, reason: str) -> None:
        """Something that was asked of a cell has no figures."""
        self._outcome.failures[one.cell.name] = f"tasks: {reason}"


def _full_disk(label: str, execution: Execution) -> EdgebenchError:
    return EdgebenchError(
        f"the disk is full: {label} could not write ({execution.reason})",
        next_step="free some space (`edgebench model clean`, `edgebench env clean`), or set EDGEBENCH_CACHE_DIR to "
        "another disk; then resume",
    )


def _warmup_rule(settings: RunSettings) -> WarmupRule | None:
    if settings.warmup_change is None or settings.warmup_max_s is None:
        return None
    return WarmupRule(settings.warmup_change, MIN_WARMUP_S, settings.warmup_max_s)


def _target(one: Ready) -> ScoringTarget:
    cell = one.cell
    return ScoringTarget(
        artifact=one.artifact.id,
        framework=cell.framework,
        environment=one.environment_record_id,
        device=cell.device,
        api=cell.api,
        options=dict(cell.options),
    )
