"""``artifact=``: a side whose cells load one artifact, wherever it was made.

Owns which artifact the word means, whether it fits, and the cells that load it. Contract: one framework and one model
are left, or a sentence says which are; nothing is guessed of a file that nobody here made, so its precision is
``unknown`` and its weight bytes are those of its tensors (`harness.gate.own_weights`) or none.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from harness.artifact import Adopted, Artifact, ArtifactStore
from harness.artifact.adopting import OWN, adopt, files_of
from harness.errors import EdgebenchError, UsageError
from harness.gate.own_weights import weight_bytes
from harness.importing.result import UNKNOWN
from harness.model import Model, fetch
from harness.runner.front import Plan
from harness.suite import PlannedCell
from harness.worker.api import Backend

#: Fewer characters than these name no artifact.
_SHORTEST = 6


def with_artifact(plan: Plan, word: str, cache_dir: Path) -> Plan:
    """The plan with one artifact in place of what the suite's recipes make.

    Args:
        plan: of the suite.
        word: a file, a folder, or the beginning of the id of one in the cache.
        cache_dir: the cache.

    Raises:
        UsageError: it fits none or several of the planned frameworks or models.
        EdgebenchError: it cannot be taken into the cache.
    """
    framework, model = _one_of(plan, word)
    backend = plan.entries[framework].backend
    store = ArtifactStore(cache_dir)
    path = Path(word)
    if path.exists():
        artifact = _of_path(store, path, backend, plan.models[model], cache_dir)
        origin = str(path.resolve())
    else:
        artifact = _of_id(store, word, backend, model)
        origin = f"artifact {artifact.id}"
    recipe = next(
        (one for one in backend.recipes if one.name == artifact.recipe and artifact.tool != OWN), None
    )
    adopted = Adopted(
        framework=framework,
        model=model,
        recipe=artifact.recipe,
        precision=UNKNOWN if recipe is None else recipe.precision,
        key=artifact.request_key,
        id=artifact.id,
        origin=origin,
    )
    return replace(plan, cells=_cells(plan, adopted), adopted=(adopted,))


def _one_of(plan: Plan, word: str) -> tuple[str, str]:
    """The one framework and the one model of what could run."""
    runnable = [one.cell for one in plan.cells if one.reason is None]
    if not runnable:
        raise UsageError(
            f"artifact={word}: no cell of the suite can run here",
            next_step="see why: `edgebench run SUITE --dry-run`",
        )
    for what, names in (
        ("framework", sorted({cell.framework for cell in runnable})),
        ("model", sorted({cell.model for cell in runnable})),
    ):
        if len(names) > 1:
            raise UsageError(
                f"artifact={word}: an artifact is of one {what}, and {', '.join(names)} are left",
                next_step=f"choose one with -k, such as -k {names[0]}",
            )
    return runnable[0].framework, runnable[0].model


def _cells(plan: Plan, adopted: Adopted) -> tuple[PlannedCell, ...]:
    """The cells that load it: of those that differ in nothing but the recipe one, that can run where one can."""
    found: dict[str, PlannedCell] = {}
    for one in sorted(plan.cells, key=lambda one: one.reason is not None):
        cell = replace(one.cell, recipe=adopted.recipe, precision=adopted.precision)
        if (cell.framework, cell.model) == (adopted.framework, adopted.model):
            found.setdefault(cell.id, replace(one, cell=cell))
    return tuple(found.values())


# -- which artifact -----------------------------------------------------------------------------------------------


def _of_path(
    store: ArtifactStore, path: Path, backend: type[Backend], model: Model, cache_dir: Path
) -> Artifact:
    mark = backend.artifact_mark
    if mark is None:
        raise UsageError(
            f"{backend.title} loads no artifact of one's own", next_step="choose another framework with -k"
        )
    if model.synthetic is not None:
        raise UsageError(
            f"{model.id} has random weights: no artifact of one's own can be of it",
            next_step="choose a real model",
        )
    files = files_of(path)
    marked = [file.path for file in files if "/" not in file.path and fnmatchcase(file.path, mark)]
    if len(marked) != 1 or (path.is_file() and not backend.loads_file):
        thing = "file" if path.is_file() else "folder"
        has = f"has {len(marked)} files {mark}" if len(marked) > 1 else f"is none with a file {mark}"
        raise UsageError(
            f"{path}: this {thing} {has}, by which {backend.title} tells its artifacts",
            next_step="name an artifact of this framework, or choose the artifact's framework with -k",
        )
    source = fetch(model, cache_dir)
    return adopt(
        store,
        path,
        files,
        framework=backend.framework,
        model=model.id,
        entry=marked[0] if backend.loads_file else ".",
        parameter_count=source.facts.parameter_count,
        weigh=weight_bytes,
    )


def _of_id(store: ArtifactStore, word: str, backend: type[Backend], model: str) -> Artifact:
    known = store.beginning(word) if len(word) >= _SHORTEST else []
    ids = {one.id for one in known}
    if len(ids) != 1:
        which = (
            "several artifacts begin" if ids else "there is no such file, and no artifact in the cache begins"
        )
        raise UsageError(
            f"artifact={word}: {which} so",
            next_step="see `edgebench model artifacts` for the ids; one that a database knows and the cache does not "
            "is made again by `edgebench model prepare`",
        )
    for one in known:
        if one.framework == backend.framework and one.model == model:
            problem = store.verify(one)
            if problem is not None:
                raise EdgebenchError(
                    f"artifact {one.id[:12]} {problem}",
                    next_step=f"remove it with `edgebench model remove {one.id[:12]}`, and have it made again",
                )
            return one
    (first, *_) = known
    raise UsageError(
        f"artifact={word} is {first.model} for {first.framework}, and {model} for {backend.framework} is left of the "
        "suite",
        next_step=f"choose it with -k {first.framework}, or name another artifact",
    )
