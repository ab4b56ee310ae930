"""What every front door shares: plan a suite on this machine, open a session of it, carry it out or resume it.

Owns the steps from a suite's name to an `Outcome`; the command line and the pytest plugin only talk to people.
Contract: planning creates nothing; a session that was begun is always ended with its status, or stays resumable
when the process is killed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from harness import __version__
from harness.artifact import Adopted
from harness.environment import Override, check_overrides
from harness.errors import EdgebenchError, UsageError
from harness.frameworks import FrameworkEntry, framework, frameworks
from harness.git import git
from harness.machine import describe_machine, describe_session_state, host, physical_cores
from harness.model import Model
from harness.model.checked_yaml import parse_yaml
from harness.runner.catalogue import Catalogue, cell_record
from harness.runner.corpora import why_seen
from harness.runner.expect import Expectation
from harness.runner.order import plan_runs
from harness.runner.pace import Pace
from harness.runner.progress import SessionProgress
from harness.runner.scratch import claim_path, remove_leavings
from harness.runner.session import Outcome, SessionJob, SessionRunner
from harness.runner.setup import Workshop
from harness.runner.stopping import Outcome as RunOutcome
from harness.runner.stopping import outcome_of
from harness.runner.tasks import TaskPlan, TaskRequest
from harness.runner.tree import kill_strays
from harness.safe_text import without_passwords
from harness.store import Store
from harness.store.facts import CellFacts
from harness.store.records import (
    CellRecord,
    MachineRecord,
    PlannedCellRecord,
    PlannedRunRecord,
    RunKind,
    RunRecord,
    SessionRecord,
)
from harness.suite import (
    AutoRuns,
    Cell,
    PlannedCell,
    RunSettings,
    Suite,
    Workload,
    expand,
    load_suite,
    parse_suite,
    runs_settings,
    select,
    suite_models,
)
from harness.suite.options import merged_options

#: Clocks of two machines that write into one database may differ by so much without a word.
_CLOCKS_APART = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for.

    Attributes:
        suite: name or path.
        expression: ``-k``; empty: every cell.
        overrides: ``--with``, as typed.
        options: framework -> its option -> value, on top of the suite's.
        model_files: model lists of the user's own.
        runs: processes per cell, ``auto``: until the interval of the median is narrow enough, None: the suite's.
        seed: None: the suite's.
        trigger: ``manual``, ``nightly``, ``gate``, ``pytest``.
        scoring: keys of the suite's ``scoring`` that are replaced; a corpus is an absolute path. Empty: none.
        tasks: tasks on top of the suite's.
        recipe: this recipe in place of the suite's precisions or recipes; None: the suite's.
    """

    suite: str | Path
    expression: str = ""
    overrides: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str]] | None = None
    model_files: tuple[Path, ...] = ()
    runs: int | Literal["auto"] | None = None
    seed: int | None = None
    trigger: str = "manual"
    scoring: Mapping[str, Any] = field(default_factory=dict)
    tasks: TaskRequest = field(default_factory=TaskRequest)
    recipe: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A suite on this machine: what would run, and what cannot.

    Attributes:
        adopted: artifacts that take the place of what recipes would make.
    """

    request: Request
    suite: Suite
    cells: tuple[PlannedCell, ...]
    models: Mapping[str, Model]
    entries: Mapping[str, FrameworkEntry]
    overrides: tuple[Override, ...]
    tasks: TaskPlan | None = None
    adopted: tuple[Adopted, ...] = ()


def usable_frameworks() -> dict[str, FrameworkEntry]:
    """Every framework whose backend can be imported, test backends included where they are switched on."""
    return {name: entry for name, entry in frameworks(include_hidden=True).items() if entry.error is None}


def make_plan(request: Request) -> Plan:
    """Expand and select; creates nothing.

    Raises:
        UsageError: something in the request or the suite is wrong.
    """
    suite = load_suite(request.suite)
    changes: dict[str, object] = {}
    runs = _own_rule(suite) if request.runs == "auto" else request.runs
    if runs is not None:
        changes["runs"] = runs
    if request.seed is not None:
        changes["seed"] = request.seed
    if request.options:
        for name in request.options:
            framework(name)  # an unknown one is told with what was meant
        changes["options"] = [merged_options(given, request.options) for given in suite.options]
    if request.recipe is not None:
        changes |= {"recipe": [request.recipe], "precision": None}
    if changes:
        document = suite.document
        suite = suite.model_copy(update=changes)
        suite._document = document
    if request.scoring:
        suite = suite.with_scoring(request.scoring)
    entries = usable_frameworks()
    models = suite_models(suite, request.model_files)
    backends = {name: entry.backend for name, entry in entries.items()}
    cells = expand(suite, backends, models, host())
    if runs is not None:  # over what an include says, too
        cells = [replace(one, settings=replace(one.settings, **runs_settings(runs))) for one in cells]
    if request.expression:
        cells = select(cells, request.expression)
    overrides = tuple(Override.parse(text) for text in request.overrides)
    named = {planned.cell.framework for planned in cells}
    check_overrides(overrides, [backend for name, backend in backends.items() if name in named])
    tasks = TaskPlan.of(suite, request.tasks)
    if suite.scoring_of() is not None:
        _check_corpus(suite)
    if suite.scoring_of() is not None or tasks is not None:
        wanted = {planned.cell.model for planned in cells if planned.reason is None}
        _check_references({name for name in wanted if models[name].synthetic is None}, models, entries)
    return Plan(request, suite, tuple(cells), models, entries, overrides, tasks)


def _own_rule(suite: Suite) -> AutoRuns:
    """What ``--runs auto`` means: the suite's rule where it has one."""
    return suite.runs if isinstance(suite.runs, AutoRuns) else AutoRuns()


def _check_references(
    wanted: Iterable[str], models: Mapping[str, Model], entries: Mapping[str, FrameworkEntry]
) -> None:
    """Every model's quality reference can be asked for."""
    for name in sorted(wanted):
        reference = models[name].reference
        entry = entries.get(reference.framework) or framework(reference.framework)
        recipes = [recipe.name for recipe in entry.backend.recipes]
        if reference.recipe not in recipes:
            raise UsageError(
                f"the model {name} has the quality reference {reference.framework} {reference.recipe}, "
                f"but {entry.backend.title} has no such recipe",
                next_step=f"name one of its recipes in the model's `reference:`: {', '.join(recipes)}",
            )


def with_history(plan: Plan, store: Store) -> Plan:
    """The plan with what its cells took on this machine before in place of rough guesses."""
    known = store.durations(describe_machine().id, [planned.cell.id for planned in plan.cells])
    return replace(
        plan,
        cells=tuple(
            replace(planned, expected_s=round(known[planned.cell.id, "timed"] * planned.settings.runs, 1))
            if planned.reason is None and (planned.cell.id, "timed") in known
            else planned
            for planned in plan.cells
        ),
    )


# -- sessions -----------------------------------------------------------------------------------------------------


def begin_session(
    plan: Plan,
    store: Store,
    *,
    timed: bool = True,
    about: Mapping[str, Any] | None = None,
    title: str | None = None,
    looks: Mapping[RunKind, Collection[str]] | None = None,
    anew: bool = False,
) -> str:
    """Store a new session with its plan; gives its id.

    Args:
        plan: from `make_plan`.
        store: the database.
        timed: plan its timed runs; False: whoever carries it out plans each of them when it is due.
        about: kept in the session's settings.
        title: the name that it is stored under, None: the suite's.
        looks: ids of the cells that are scored (``score``), evaluated (``tasks``) and timed (``timed``), None: all that
            can be.
        anew: score and evaluate what the database holds as well.
    """
    machine_id = record_machine(store)
    runnable = [planned for planned in plan.cells if planned.reason is None]
    # A score rests on logits; tasks may be answered with text too.
    needs: dict[RunKind, frozenset[str]] = {}
    if plan.suite.scoring_of() is not None:
        needs["score"] = frozenset({"score"})
    if plan.tasks is not None:
        needs["tasks"] = frozenset({"score", "complete"})
    judged = [
        (kind, planned.cell.id)
        for kind, answering in needs.items()
        for planned in runnable
        # Of a function that can be compared, by a framework that answers.
        if plan.models[planned.cell.model].synthetic is None
        and answering & plan.entries[planned.cell.framework].backend.capabilities
        and (looks is None or planned.cell.id in looks.get(kind, ()))
    ]
    untimed = [
        PlannedRunRecord(cell_id, kind, 0, position) for position, (kind, cell_id) in enumerate(judged)
    ]
    runs = {
        planned.cell.id: planned.settings.runs
        for planned in runnable
        if timed and (looks is None or planned.cell.id in looks.get("timed", ()))
    }
    timed_runs = [
        PlannedRunRecord(run.cell_id, "timed", run.index, len(untimed) + run.position, run.seed)
        for run in plan_runs(runs, plan.suite.seed)
    ]
    record = SessionRecord(
        machine_id=machine_id,
        suite=title or plan.suite.title,
        suite_sha256=plan.suite.sha256,
        suite_text=plan.suite.text,
        # What is stored is shown, exported and handed on.
        command_line=[without_passwords(word) for word in sys.argv],
        edgebench_version=__version__,
        seed=plan.suite.seed,
        started_at=datetime.now(UTC),
        trigger=plan.request.trigger,
        commit_sha=_commit(),
        system=describe_session_state(),
        settings={
            "suite_path": str(plan.suite.path.resolve()) if plan.suite.path else None,
            "runs": runs_told(plan.suite),
            "expression": plan.request.expression,
            "overrides": list(plan.request.overrides),
            "options": {name: dict(options) for name, options in (plan.request.options or {}).items()},
            "model_files": [str(path.resolve()) for path in plan.request.model_files],
            "scoring": dict(plan.request.scoring),
            "threads": plan.suite.threads or physical_cores(),
            "tasks": None if plan.tasks is None else plan.tasks.to_settings(),
            **({"anew": True} if anew else {}),
            **({"adopted": [one.to_settings() for one in plan.adopted]} if plan.adopted else {}),
            **(about or {}),
        },
    )
    cells = [
        PlannedCellRecord(
            cell=cell_record(planned.cell),
            position=position,
            reason=planned.reason,
            expected_s=planned.expected_s,
            settings=asdict(planned.settings),
        )
        for position, planned in enumerate(plan.cells)
    ]

    def skipped(session_id: str) -> list[RunRecord]:
        return [
            RunRecord(
                session_id=session_id,
                cell_id=planned.cell.id,
                kind="timed",
                index=0,
                status="skipped",
                started_at=record.started_at,
                reason=planned.reason,
            )
            for planned in plan.cells
            if planned.reason is not None
        ]

    return store.start_session(record, cells, [*untimed, *timed_runs], skipped)


def clock_warning(store: Store) -> str | None:
    """What a person should know where the clock is behind what is stored already; None where it is not."""
    newest = store.newest_session()
    began = None if newest is None else store.began_at(newest)
    now = datetime.now(UTC)
    if began is None or now >= began - _CLOCKS_APART:
        return None
    return (
        f"warning: the clock says {now:%Y-%m-%d %H:%M} UTC, but session {newest} began later, at "
        f"{began:%Y-%m-%d %H:%M}: was it set back? Commands that name no session mean the one that began last; "
        "name this one with --session"
    )


def runs_told(suite: Suite) -> int | dict[str, Any]:
    """The number of runs, or the rule in its place, ready for JSON."""
    return suite.runs if isinstance(suite.runs, int) else suite.runs.model_dump()


def record_machine(store: Store) -> str:
    """Store this machine; gives its id."""
    machine = describe_machine()
    return store.record_machine(
        MachineRecord(
            cpu_model=machine.cpu_model,
            arch=machine.arch,
            physical_cores=machine.cores,
            logical_cores=machine.threads,
            # On the grid of the id: kernels of one machine differ by some megabytes.
            memory_bytes=int(machine.memory_gib * 2**30),
            sockets=machine.sockets,
            name=machine.name,
            accelerators=[{"id": one} for one in machine.accelerators],
            id=machine.id,
        )
    )


def _commit() -> str | None:
    """Commit of the working folder: what was under test when a project runs edgebench in its own checkout."""
    return git("rev-parse", "HEAD", timeout_s=5) or None


def newest_session_here(store: Store, title: str) -> str | None:
    """The newest session of a suite on this machine."""
    return store.newest_session(title, describe_machine().id)


def unfinished_session(store: Store, title: str) -> str | None:
    """The newest session on this machine, of the suite with this title, that lacks runs."""
    return store.newest_session(title, describe_machine().id, unfinished=True)


def carry_out(
    session_id: str,
    store: Store,
    cache_dir: Path,
    progress: SessionProgress,
    *,
    resumed: bool = False,
    trust_task_code: bool = False,
    pace: Pace | None = None,
    close: bool = True,
) -> Outcome:
    """Do what a session lacks, from what the database says of it alone.

    Args:
        session_id: which.
        store: where it is.
        cache_dir: of models, environments, artifacts.
        progress: told what happens.
        resumed: it was begun by somebody else: another process, perhaps on another day.
        trust_task_code: folders of task code that a resumed session names may run.
        pace: asked between runs whether to wait or to end.
        close: the progress; False: more is shown in it afterwards.

    Raises:
        UsageError: a resumed session names folders of task code, and nobody said that they are trusted.
        EdgebenchError: nothing can be measured at all, or the database fails.
        KeyboardInterrupt: passed on, with the session marked as interrupted.
    """
    own = session_claim(session_id, cache_dir)
    try:
        _clear_up(session_id, cache_dir, progress)
        if resumed:
            _check_trusted(store, session_id, trusted=trust_task_code)
            store.resume_session(session_id)
        outcome = session_runner(session_id, store, cache_dir, progress, pace).run()
    except BaseException:
        # Whatever it was (Ctrl-C, a full disk): what is stored stays and a resume goes on from here. Where even
        # this cannot be stored, the session stays without an end, which is resumable too; the first error counts.
        with contextlib.suppress(EdgebenchError):
            store.end_session(session_id, "interrupted")
        raise
    finally:
        own.release()
        if close:
            progress.close()
    # Of the whole session: a resumed one may have failed before it was interrupted.
    facts = store.session_facts(session_id)
    last = [
        run
        for cell in facts.cells
        for run in (*cell.timed(), *cell.scorings()[-1:], *cell.evaluations()[-1:])
    ]
    failed = outcome.failures or any(run.status not in ("ok", "skipped") for run in last)
    store.end_session(session_id, "failed" if failed else "ok")
    return outcome


def _clear_up(session_id: str, cache_dir: Path, progress: SessionProgress) -> None:
    """End and remove what killed sessions left: they could not do so themselves."""
    ended = kill_strays()
    if ended:
        progress.note(
            f"ended {ended} process{'es' if ended > 1 else ''} that a killed session had left running"
        )
    remove_leavings(cache_dir, session_id)


def _check_trusted(store: Store, session_id: str, *, trusted: bool) -> None:
    """A database is no place to say which Python may run: whoever resumes says it again."""
    tasks = store.session_facts(session_id).settings.get("tasks") or {}
    folders = tasks.get("code_paths") or ()
    if folders and not trusted:
        raise UsageError(
            f"the session's task files in {', '.join(map(str, folders))} may run Python functions",
            next_step="look into them, and add --trust-task-code to resume",
        )


def session_claim(session_id: str, cache_dir: Path) -> FileLock:
    """The session for this process alone; free again as soon as the process is dead.

    Raises:
        UsageError: another process is carrying it out.
    """
    path = claim_path(cache_dir, session_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"session {session_id} is being carried out by another process",
            next_step="wait for its end, or end that process, and then resume",
        ) from None
    return lock


def session_runner(
    session_id: str, store: Store, cache_dir: Path, progress: SessionProgress, pace: Pace | None = None
) -> SessionRunner:
    """What carries out a stored session, made from what the database says of it alone.

    Raises:
        EdgebenchError: this installation lacks a framework that the session needs.
    """
    facts = store.session_facts(session_id)
    settings = facts.settings
    suite_path = settings["suite_path"]
    described = store.describe("session", session_id)
    suite = parse_suite(parse_yaml(described["suite_text"], Path(suite_path or "suite.yaml")))
    if settings.get("scoring"):  # older sessions have no such key
        suite = suite.with_scoring(settings["scoring"])
    entries = usable_frameworks()
    models = suite_models(suite, [Path(path) for path in settings["model_files"]])
    threads = int(settings["threads"])
    overrides = tuple(Override.parse(text) for text in settings["overrides"])
    cells = {one.cell.id: cell_of(one.cell) for one in facts.cells if one.reason is None}
    gone = sorted({cell.framework for cell in cells.values()} - entries.keys())
    if gone:
        raise EdgebenchError(
            f"the session needs frameworks that this installation does not have: {', '.join(gone)}",
            next_step="install the package that provides them, then resume again",
        )
    attempts: dict[tuple[str, str, int], int] = {}
    for run in (*facts.others, *(run for one in facts.cells for run in one.runs)):
        key = (run.cell_id, run.kind, run.index)
        attempts[key] = max(attempts.get(key, 0), run.attempt)
    assert facts.seed is not None, "only an imported session has none, and nothing of it is missing"
    job = SessionJob(
        session_id=session_id,
        suite=suite,
        cells=cells,
        settings={one.cell.id: RunSettings(**one.settings) for one in facts.cells if one.reason is None},
        missing=store.missing_runs(session_id),
        attempts=attempts,
        threads=threads,
        seed=facts.seed,
        outcomes={
            one.cell.id: _outcomes(one, cells[one.cell.id]) for one in facts.cells if one.cell.id in cells
        },
        stopped={one.cell.id for one in facts.cells if one.stop is not None},
        tasks=TaskPlan.of_settings(settings.get("tasks")),
        anew=bool(settings.get("anew")),
    )
    workshop = Workshop(
        models=models,
        entries=entries,
        cache_dir=cache_dir,
        overrides=overrides,
        threads=threads,
        progress=progress,
        calibration=suite.calibration_file(),
        adopted=[Adopted.of_settings(one) for one in settings.get("adopted", ())],
    )
    return SessionRunner(
        job,
        store=store,
        workshop=workshop,
        catalogue=Catalogue(
            store=store,
            workshop=workshop,
            models=models,
            entries=entries,
            machine_id=facts.machine.id,
            session_id=session_id,
        ),
        cache_dir=cache_dir,
        progress=progress,
        expectation=Expectation(
            store.durations(facts.machine.id, list(cells)),
            {
                one.cell.id: one.expected_s / max(1, RunSettings(**one.settings).runs)
                for one in facts.cells
                if one.expected_s is not None
            },
        ),
        pace=pace,
    )


def _outcomes(facts: CellFacts, cell: Cell) -> dict[int, RunOutcome]:
    """What the stored timed runs of a cell count for, by index."""
    counted = {run.index: outcome_of(run, cell.workload) for run in facts.timed()}
    return {index: outcome for index, outcome in counted.items() if outcome is not None}


def cell_of(record: CellRecord) -> Cell:
    """A stored cell as the runner knows it."""
    return Cell(
        framework=record.framework,
        model=record.model,
        precision=record.precision,
        recipe=record.recipe,
        device=record.device,
        api=record.api,
        workload=Workload.parse(record.workload),
        options={key: str(value) for key, value in record.options.items()},
    )


def _check_corpus(suite: Suite) -> None:
    """Refuse a scoring text that cannot be used, before anything is made for it.

    Raises:
        UsageError: there is no such file, it is empty, no UTF-8 text, or shares much with the text that
            recipes are calibrated with.
    """
    path = suite.corpus_file()
    if path is None:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the scoring text {path} cannot be read: {error}",
            next_step="name a UTF-8 text file, or write: corpus: shipped",
        ) from error
    if not text.strip():
        raise UsageError(
            f"the scoring text {path} is empty", next_step="name a text, or write: corpus: shipped"
        )
    seen = why_seen(str(path), text, suite.calibration_file())
    if seen is not None:
        raise UsageError(
            seen, next_step="name another text in `calibration:`, or in `scoring: {corpus: ...}`"
        )


def suite_title(suite: str | Path) -> str:
    """The name that sessions of a suite are stored under."""
    return load_suite(suite).title
