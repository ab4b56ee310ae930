"""``edgebench nightly``: an unattended session within a time budget, and what the morning should know."""

from __future__ import annotations

import shlex
from datetime import timedelta
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
    terminate_like_interrupt,
)
from harness.cli.run_command import RunsType
from harness.errors import EdgebenchError
from harness.model.quantities import duration_s

EPILOG = """\b
Examples:
  edgebench nightly                               every framework and recipe, as long as it takes
  edgebench nightly --budget 6h --upgrade         six hours, with the frameworks' newest releases
  edgebench nightly lab.yaml --budget 6h --report morning.md
  edgebench alerts                                what was raised, afterwards
"""


if TYPE_CHECKING:
    _TimeType = click.ParamType[timedelta]
else:
    _TimeType = click.ParamType  # older versions are not generic


class BudgetType(_TimeType):
    """``6h``, ``90min``, ``1h30m``."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse it."""
        if isinstance(value, timedelta):
            return value
        try:
            seconds = duration_s(str(value).strip().lower())
        except ValueError:
            self.fail(f"{value!r} is no time; write 6h, 90min or 1h30m", param, ctx)
        if seconds > 366 * 86_400:
            self.fail(f"{value!r} is no time that a night can take", param, ctx)
        return timedelta(seconds=seconds)


@click.command("nightly", epilog=EPILOG)
@click.argument("suite", metavar="[SUITE]", default="full", shell_complete=complete_suites)
@click.option(
    "--budget",
    type=BudgetType(),
    help="Time for all of it, such as 6h: the most urgent cells that fit are measured. Default: every cell.",
)
@click.option(
    "--upgrade",
    is_flag=True,
    help="Take the newest releases of the frameworks' packages; where one cannot be had, the pin stands.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Only take up a night that was interrupted; do nothing where there is none.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the morning report there.",
)
@click.option(
    "--cool-below",
    metavar="CELSIUS",
    type=click.FloatRange(0, 150),
    help="Wait between runs while a sensor is above it. Default: 15 °C above rest, and above 50 °C.",
)
@click.option(
    "-k", "expression", default="", metavar="EXPR", help="Only cells whose names match, as in pytest."
)
@click.option(
    "--with",
    "overrides",
    multiple=True,
    metavar="REQUIREMENT",
    help="NAME==VERSION or ./FILE.whl in place of a framework's pin, as for run; --upgrade leaves it alone.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="FRAMEWORK.NAME=VALUE",
    help="A framework's own setting, as for run.",
)
@models_option
@click.option("--runs", type=RunsType(), help="Processes per cell, as for run.")
@click.option(
    "--trust-task-code",
    is_flag=True,
    help="Let the suite's task files run the Python functions that they name.",
)
@db_option
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress; the report alone.")
def command(
    suite: str,
    budget: timedelta | None,
    upgrade: bool,
    resume: bool,
    report: Path | None,
    cool_below: float | None,
    expression: str,
    overrides: tuple[str, ...],
    options: tuple[str, ...],
    model_files: tuple[Path, ...],
    runs: int | Literal["auto"] | None,
    trust_task_code: bool,
    db: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure SUITE unattended, and say in the morning what moved.

    A night that was interrupted (Ctrl-C, SIGTERM, a reboot) is taken up by the same command. Exit status 0 when every
    cell ended ok or skipped with a reason, 1 when something failed, 2 for wrong words or another night under way, 130
    when interrupted. Alerts change nothing of it: the report and `edgebench alerts` have them.
    """
    from harness.files import write_atomically
    from harness.nightly.morning import morning
    from harness.nightly.night import TRIGGER, Wish, only_night, spend, unfinished_night
    from harness.paths import cache_dir
    from harness.report import write_report
    from harness.runner import front
    from harness.runner.progress import progress_for
    from harness.runner.tasks import TaskRequest
    from harness.store import Store

    request = front.Request(
        suite=suite,
        expression=expression,
        overrides=overrides,
        options=parse_options(options) or None,
        model_files=model_files,
        runs=runs,
        trigger=TRIGGER,
        tasks=TaskRequest(trusted=trust_task_code),
    )
    front.make_plan(request)  # wrong words are told before anything is made
    wish = Wish(request, budget, upgrade, cool_below, resume)
    terminate_like_interrupt()
    check_cache()
    with only_night(), Store.open(db) as store:
        if store.upgraded:
            tell(store.upgraded)
        progress = progress_for(quiet=quiet or as_json)
        warning = front.clock_warning(store)
        if warning is not None:
            progress.note(warning)
        if resume and unfinished_night(store, front.suite_title(suite)) is None:
            tell(f"nothing to resume: no night of {suite} on this machine was interrupted")
            return 0
        try:
            night = spend(wish, store, cache_dir(), progress)
        except KeyboardInterrupt:
            tell_interrupted(f"edgebench nightly {shlex.quote(suite)}", db)
            return 130
        found = morning(night, store, front.suite_title(suite))
        tables = [str(write_report(store, one).path) for one in night.sessions]
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(found.markdown(), nl=False)
        for path in tables:
            click.echo(f"table: {path}")
    if report is not None:
        try:
            report.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(report, found.markdown())
        except OSError as error:
            raise EdgebenchError(
                f"{report} cannot be written: {error.strerror}",
                next_step="name another file with --report; what was measured is stored",
            ) from error
        tell(str(report))
    return 1 if found.failed else 0
