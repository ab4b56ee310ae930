"""``edgebench model prepare``: make artifacts ahead of a session."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import (
    check_cache,
    complete_suites,
    db_option,
    json_option,
    models_option,
    print_json,
    tell,
    terminate_like_interrupt,
)
from harness.errors import EdgebenchError, UsageError

if TYPE_CHECKING:
    from harness.artifact import Artifact
    from harness.frameworks import FrameworkEntry
    from harness.model import Model
    from harness.runner.catalogue import Catalogue
    from harness.runner.making import Attempt
    from harness.runner.prepare import Job, Key, Result
    from harness.runner.prepare_progress import PrepareProgress
    from harness.worker.api import Recipe

EPILOG = """\b
Examples:
  edgebench model prepare quickstart                   all that the suite would make here
  edgebench model prepare full --framework openvino    one framework's share of it
  edgebench model prepare --model smollm2-135m-instruct --framework llamacpp --recipe Q4_K_M --recipe Q8_0
"""


@click.command("prepare", epilog=EPILOG)
@click.argument("suite", metavar="[SUITE]", required=False, shell_complete=complete_suites)
@click.option("--model", "names", multiple=True, metavar="ID", help="Of these models. Several times.")
@click.option(
    "--framework", "frameworks_", multiple=True, metavar="ID", help="For these frameworks. Several times."
)
@click.option("--recipe", "recipes", multiple=True, metavar="NAME", help="These recipes. Several times.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="Most artifacts made at once; no more than cores, and what memory allows. Default: the cores.",
)
@models_option
@db_option
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress; failures alone.")
def command(
    suite: str | None,
    names: tuple[str, ...],
    frameworks_: tuple[str, ...],
    recipes: tuple[str, ...],
    jobs: int | None,
    model_files: tuple[Path, ...],
    db: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Make artifacts now, several at once: what SUITE needs here, or the recipes that are named.

    What is made already is left as it is. Seconds and peak memory of each are stored. Exit status 0 when everything is
    there, 1 when something failed, 2 for wrong words, 130 when interrupted.
    """
    from rich.console import Console

    from harness.machine import physical_cores
    from harness.paths import cache_dir
    from harness.runner import front, prepare
    from harness.runner.catalogue import Catalogue
    from harness.runner.prepare_progress import prepare_progress_for
    from harness.runner.setup import Workshop
    from harness.store import Store

    entries = front.usable_frameworks()
    if suite is not None:
        wanted, models, calibration = _of_suite(suite, model_files, names, frameworks_, recipes)
    else:
        wanted, models = _of_words(model_files, names, frameworks_, recipes, entries)
        calibration = None
    synthetic = {name for name, model in models.items() if model.synthetic is not None}
    check_cache()
    terminate_like_interrupt()
    cores = physical_cores()
    at_once = min(jobs or cores, cores)
    progress = prepare_progress_for(Console(file=sys.stderr), quiet=quiet or as_json)
    workshop = Workshop(
        models=models,
        entries=entries,
        cache_dir=cache_dir(),
        threads=max(1, cores // at_once),
        progress=progress,
        calibration=calibration,
    )
    with Store.open(db) as store:
        if store.upgraded:
            tell(store.upgraded)
        catalogue = Catalogue(
            store=store,
            workshop=workshop,
            models=models,
            entries=entries,
            machine_id=front.record_machine(store),
            jobs=at_once,
        )
        peaks = store.preparation_peaks()
        try:
            parameters = workshop.warm_up(prepare.plan_jobs(wanted, entries, synthetic=synthetic))
            planned = prepare.plan_jobs(
                wanted,
                entries,
                lambda key: prepare.estimate_bytes(key, peaks, parameters.get(key[0])),
                synthetic,
            )
            progress.begin_jobs(len(planned), at_once)
            watcher = _Watcher(catalogue, progress)
            results = prepare.carry_out(
                planned,
                lambda key: workshop.artifact(*key),
                watcher,
                at_once=at_once,
                budget_bytes=prepare.memory_budget(),
                stop=workshop.stop,
            )
        except KeyboardInterrupt:
            tell("interrupted; what was made stays, half-made files are removed")
            return 130
        finally:
            catalogue.record_attempts()
            progress.close()
    return _report(results, watcher.attempts, as_json)


class _Watcher:
    """Stores and shows what became of each job."""

    def __init__(self, catalogue: Catalogue, progress: PrepareProgress) -> None:
        self.attempts: dict[Key, Attempt] = {}
        self._catalogue = catalogue
        self._progress = progress

    def job_started(self, job: Job) -> None:
        self._progress.job_started(_name(job.key))

    def job_ended(self, job: Job, artifact: Artifact | EdgebenchError) -> Result:
        from harness.runner.prepare import Result

        for attempt in self._catalogue.record_attempts():
            self.attempts[attempt.model, attempt.request.framework, attempt.request.recipe] = attempt
        if isinstance(artifact, EdgebenchError):
            result = Result(job, "failed", reason=artifact.what, next_step=artifact.next_step)
        else:
            result = Result(job, "made" if job.key in self.attempts else "cached", artifact)
        self._progress.job_ended(_name(job.key), self._outcome(result), ok=result.status != "failed")
        return result

    def _outcome(self, result: Result) -> str:
        from harness.table.metrics import as_bytes, as_seconds

        attempt = self.attempts.get(result.job.key)
        if result.artifact is None:
            return result.reason or ""
        if attempt is None:
            return "was there already"
        peak = "" if attempt.peak_bytes is None else f", at most {as_bytes(attempt.peak_bytes)} of memory"
        return f"{as_bytes(result.artifact.size_bytes)} in {as_seconds(attempt.seconds)}{peak}"


def _name(key: Key) -> str:
    return " ".join(key)


def _of_suite(
    suite: str,
    model_files: tuple[Path, ...],
    names: tuple[str, ...],
    frameworks_: tuple[str, ...],
    recipes: tuple[str, ...],
) -> tuple[list[Key], Mapping[str, Model], Path]:
    """What a suite makes on this machine: its cells that can run, and the quality references of their models.

    Returns:
        The artifacts, the models, and the text that recipes are calibrated with.
    """
    from harness.runner import front

    plan = front.make_plan(front.Request(suite=suite, model_files=model_files))
    cells = [planned.cell for planned in plan.cells if planned.reason is None]
    keys = [(cell.model, cell.framework, cell.recipe) for cell in cells]
    if plan.suite.scoring_of() is not None:
        real = [
            name
            for name in dict.fromkeys(cell.model for cell in cells)
            if plan.models[name].synthetic is None
        ]
        references = [(name, plan.models[name].reference) for name in real]
        keys += [(name, reference.framework, reference.recipe) for name, reference in references]
    kept = [
        key
        for key in dict.fromkeys(keys)
        if all(
            not words or part in words for part, words in zip(key, (names, frameworks_, recipes), strict=True)
        )
    ]
    if not kept:
        raise UsageError(
            f"nothing of {suite} is to be made here for these words",
            next_step=f"see what it has: edgebench run {suite} --dry-run",
        )
    return kept, plan.models, plan.suite.calibration_file()


def _of_words(
    model_files: tuple[Path, ...],
    names: tuple[str, ...],
    frameworks_: tuple[str, ...],
    recipes: tuple[str, ...],
    entries: dict[str, FrameworkEntry],
) -> tuple[list[Key], dict[str, Model]]:
    """Models x frameworks x recipes. Without recipes: every one that is a cell and not known to be impossible."""
    from harness.frameworks import framework
    from harness.machine import host
    from harness.model import find_model, load_models

    if not names:
        raise UsageError(
            "nothing is named that could be prepared",
            next_step="name a suite, or a model: edgebench model prepare --model smollm2-135m-instruct",
        )
    models = load_models(model_files)
    for name in names:
        find_model(models, name)
    chosen = list(frameworks_)
    if not chosen:
        here = host()
        chosen = [
            name
            for name, entry in entries.items()
            if not entry.backend.hidden
            and entry.backend.unavailable(here, *entry.backend.known_devices[0]) is None
        ]
    known = {
        name: {recipe.name for recipe in framework(name).backend.recipes if not recipe.intermediate}
        for name in chosen
    }
    missing = [recipe for recipe in recipes if not any(recipe in of for of in known.values())]
    if missing:
        raise UsageError(
            f"no recipe of {', '.join(chosen)} is called {missing[0]!r}",
            next_step="`edgebench list recipes` names them all",
        )
    keys = [
        (model, name, recipe.name)
        for model in names
        for name in chosen
        for recipe in entries[name].backend.recipes
        if recipe.name in known[name]
        and (recipe.name in recipes if recipes else _possible(entries[name], recipe, models[model]))
    ]
    return list(dict.fromkeys(keys)), dict(models)


def _possible(entry: FrameworkEntry, recipe: Recipe, model: Model) -> bool:
    return entry.backend.unsupported(recipe, model.facts()) is None


def _report(results: list[Result], attempts: dict[Key, Attempt], as_json: bool) -> int:
    failed = [result for result in results if result.status == "failed"]
    if as_json:
        print_json({"prepared": [_json(result, attempts.get(result.job.key)) for result in results]})
    else:
        for result in failed:
            tell(f"failed: {_name(result.job.key)}: {result.reason}")
            if result.next_step:
                tell(f"  next: {result.next_step}")
        made = sum(result.status == "made" for result in results)
        cached = sum(result.status == "cached" for result in results)
        click.echo(f"{made} made, {cached} there already, {len(failed)} failed")
    return 1 if failed else 0


def _json(result: Result, attempt: Attempt | None) -> dict[str, Any]:
    model, framework, recipe = result.job.key
    artifact = result.artifact
    return {
        "model": model,
        "framework": framework,
        "recipe": recipe,
        "wanted": result.job.wanted,
        "status": result.status,
        "reason": result.reason,
        "artifact": None if artifact is None else artifact.id,
        "bits_per_weight": None if artifact is None else artifact.bits_per_weight,
        "size_bytes": None if artifact is None else artifact.size_bytes,
        "seconds": None if attempt is None else attempt.seconds,
        "peak_bytes": None if attempt is None else attempt.peak_bytes,
        "expected_peak_bytes": result.job.estimate_bytes,
        "log_tail": None if attempt is None else attempt.log_tail,
    }
