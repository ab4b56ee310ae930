"""``edgebench run``: measure a suite."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.cli.common import (
    check_cache,
    complete_suites,
    db_option,
    json_option,
    models_option,
    parse_options,
    print_json,
    tell,
    tell_interrupted,
    terminal_width,
    terminate_like_interrupt,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.runner.front import Plan
    from harness.runner.session import Outcome
    from harness.store import Store

EPILOG = """\b
Examples:
  edgebench run quickstart                             nine cells, some minutes
  edgebench run quickstart --resume                    exactly what an interruption left out
  edgebench run full --dry-run                         the plan, with reasons; creates nothing
  edgebench run my-suite.yaml -k "openvino and int4"   only these cells
  edgebench run quickstart --with "openvino==2026.5.0" another version, this session only
  edgebench run quickstart --task arc_easy --task-limit 100
  edgebench run quickstart --corpus my.txt --window 512 --max-windows 20
  edgebench run quickstart --option openvino.INFERENCE_PRECISION_HINT=f32
"""


class RunsType(click.ParamType[int | Literal["auto"]]):
    """A number of runs, or ``auto``."""

    name = "N|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["auto"]:
        """The number; ``auto`` as it is."""
        if value == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of runs nor auto", param, ctx)
        return click.IntRange(1, 10_000).convert(number, param, ctx)


@click.command("run", epilog=EPILOG)
@click.argument("suite", shell_complete=complete_suites)
@click.option(
    "-k", "expression", default="", metavar="EXPR", help="Only cells whose names match, as in pytest."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and create nothing.")
@click.option("--resume", is_flag=True, help="Do what the suite's newest session on this machine lacks.")
@click.option(
    "--with",
    "overrides",
    multiple=True,
    metavar="REQUIREMENT",
    help="NAME==VERSION or ./FILE.whl in place of a framework's pin; FRAMEWORK= before it means one framework only.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="FRAMEWORK.NAME=VALUE",
    help="A framework's own setting, by its own name; part of the cells' identity.",
)
@click.option(
    "--task",
    "task_names",
    multiple=True,
    metavar="NAME",
    help="Evaluate this lm-eval task, instead of the suite's tasks; may be given several times.",
)
@click.option(
    "--task-path",
    "task_paths",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A folder of task files of your own.",
)
@click.option(
    "--trust-task-code",
    is_flag=True,
    help="Let task files below --task-path run the Python functions that they name.",
)
@click.option(
    "--task-limit", type=click.IntRange(1), help="Items of each task at most, instead of the suite's number."
)
@models_option
@click.option(
    "--runs",
    type=RunsType(),
    help="Processes per cell, instead of the suite's number; auto: until the median's interval is within 2 %.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Seed of the prompts and the order, instead of the suite's.",
)
@click.option(
    "--corpus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Text to score, instead of the suite's; also of a suite that scores nothing.",
)
@click.option(
    "--window", type=click.IntRange(4, 10**7 - 1), help="Tokens of a scored window; half are scored."
)
@click.option("--max-windows", type=click.IntRange(1), help="Windows that are scored at most.")
@click.option(
    "--trigger", default="manual", show_default=True, help="What began the session; stored with it."
)
@db_option
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress; the table alone.")
def command(
    suite: str,
    expression: str,
    dry_run: bool,
    resume: bool,
    overrides: tuple[str, ...],
    options: tuple[str, ...],
    task_names: tuple[str, ...],
    task_paths: tuple[Path, ...],
    trust_task_code: bool,
    task_limit: int | None,
    model_files: tuple[Path, ...],
    runs: int | Literal["auto"] | None,
    seed: int | None,
    corpus: Path | None,
    window: int | None,
    max_windows: int | None,
    trigger: str,
    db: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure every cell of SUITE: a shipped suite's name, or a file.

    Exit status 0 when every cell ended ok or skipped with a reason, 1 when something failed, 2 for wrong words or
    files, 130 when interrupted.
    """
    from harness.runner import front
    from harness.runner.tasks import TaskRequest

    request = front.Request(
        suite=suite,
        expression=expression,
        overrides=overrides,
        options=parse_options(options) or None,
        model_files=model_files,
        runs=runs,
        seed=seed,
        trigger=trigger,
        tasks=TaskRequest(task_names, task_paths, task_limit, trust_task_code),
        scoring=_scoring(corpus, window, max_windows),
    )
    changed = (expression, overrides, options, model_files, request.tasks, request.scoring, runs, dry_run)
    if resume and (any(changed) or seed is not None):
        raise UsageError(
            "--resume goes on with a session as it was planned",
            next_step="leave out -k, --with, --option, --task, --task-path, --task-limit, --models, --runs, --seed, "
            "--corpus, --window, --max-windows "
            "and --dry-run",
        )
    if dry_run:
        return _dry_run(_with_history(front.make_plan(request), db), as_json)
    from harness.paths import cache_dir
    from harness.runner.progress import progress_for
    from harness.store import Store

    terminate_like_interrupt()
    # Before the database is made: wrong words leave nothing behind.
    plan = None if resume else front.make_plan(request)
    title = front.suite_title(suite)
    if resume and not _exists(db):
        raise UsageError(
            f"there is no database {db}, so no session to resume",
            next_step=f"begin one: edgebench run {suite}",
        )
    check_cache()
    with Store.open(db) as store:
        if store.upgraded:
            tell(store.upgraded)
        warning = front.clock_warning(store) if plan is not None else None
        if plan is not None:
            session_id = front.begin_session(front.with_history(plan, store), store)
        else:
            unfinished = front.unfinished_session(store, title)
            if unfinished is None:
                newest = front.newest_session_here(store, title)
                if newest is None:
                    raise UsageError(
                        f"{store.place} holds no session of {suite} on this machine",
                        next_step=f"begin one: edgebench run {suite}",
                    )
                tell(f"nothing to resume: every session of {suite} on this machine is complete")
                return _report(store, newest, None, as_json)
            session_id = unfinished
        progress = progress_for(quiet=quiet or as_json)
        progress.note(f"session {session_id} in {store.place}")
        if warning is not None:
            progress.note(warning)
        try:
            outcome = front.carry_out(
                session_id, store, cache_dir(), progress, resumed=resume, trust_task_code=trust_task_code
            )
        except KeyboardInterrupt:
            tell_interrupted(f"edgebench run {shlex.quote(suite)} --resume", db)
            return 130
        return _report(store, session_id, outcome, as_json, told=not (quiet or as_json))


def _scoring(corpus: Path | None, window: int | None, max_windows: int | None) -> dict[str, Any]:
    """What replaces keys of the suite's scoring."""
    given = {
        "corpus": None if corpus is None else str(corpus.resolve()),
        "window": window,
        "max_windows": max_windows,
    }
    return {key: value for key, value in given.items() if value is not None}


def _with_history(plan: Plan, db: str) -> Plan:
    """The plan with earlier durations, where there is a database: a dry run creates nothing."""
    from harness.runner import front
    from harness.store import Store

    if not _exists(db):
        return plan
    with Store.open(db, read_only=True) as store:
        return front.with_history(plan, store)


def _exists(db: str) -> bool:
    """Whether there is a database; of a server it is taken for granted."""
    from harness.store.engine import locate

    place = locate(db)
    return place.path is None or place.path.is_file()


def _report(
    store: Store, session_id: str, outcome: Outcome | None, as_json: bool, *, told: bool = False
) -> int:
    from harness.report import write_report
    from harness.table import render

    report = write_report(store, session_id)
    if as_json:
        click.echo(render(report.rows, [report.about], "json"), nl=False)
    else:
        click.echo(render(report.rows, [report.about], "table", width=terminal_width()), nl=False)
        click.echo(f"report: {report.path}")
    if outcome is not None:
        for reason in dict.fromkeys(outcome.failures.values()):
            names = [name for name, why in outcome.failures.items() if why == reason]
            tell(f"failed: {', '.join(names)}: {reason}")
            # With a display, it was told when it happened.
            if reason in outcome.next_steps and not told:
                tell(f"  next: {outcome.next_steps[reason]}")
    # A task without figures fails no cell, and yet something that was asked for is missing.
    missing = outcome is not None and bool(outcome.failures)
    return 1 if missing or any(row["status"] not in ("ok", "skipped") for row in report.rows) else 0


def _dry_run(plan: Plan, as_json: bool) -> int:
    from harness.runner import front

    cells = [_planned_json(plan, position) for position in range(len(plan.cells))]
    if as_json:
        print_json({"suite": plan.suite.title, "runs": front.runs_told(plan.suite), "cells": cells})
        return 0
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from harness.runner.progress import duration_text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in (
        "framework",
        "model",
        "precision",
        "recipe",
        "device",
        "workload",
        "expected",
        "why not here",
    ):
        table.add_column(title, overflow="fold")
    for cell in cells:
        table.add_row(
            *(str(cell[key]) for key in ("framework", "model", "precision", "recipe", "device", "workload")),
            "" if cell["reason"] else duration_text(cell["expected_s"]),
            escape(cell["reason"] or ""),  # "mlx[cpu]" is no markup
            style="dim" if cell["reason"] else None,
        )
    console = Console(width=terminal_width())
    console.print(table)
    runnable = [cell for cell in cells if cell["reason"] is None]
    runs = sum(one.settings.runs for one in plan.cells if one.reason is None)
    total = sum(cell["expected_s"] or 0.0 for cell in runnable)
    repeated = any(one.settings.runs_width is not None for one in plan.cells if one.reason is None)
    console.print(
        f"{len(runnable)} of {len(cells)} cells would run, {'at least ' if repeated else ''}{runs} timed runs; "
        f"expected {duration_text(total)} for them, beside set-up and scoring",
        highlight=False,
    )
    return 0


def _planned_json(plan: Plan, position: int) -> dict[str, Any]:
    planned = plan.cells[position]
    cell = planned.cell
    return {
        "id": cell.id,
        "name": cell.name,
        "framework": cell.framework,
        "model": cell.model,
        "precision": cell.precision,
        "recipe": cell.recipe,
        "device": cell.device_label,
        "api": cell.api,
        "workload": str(cell.workload),
        "options": dict(cell.options),
        "reason": planned.reason,
        "expected_s": planned.expected_s,
    }
