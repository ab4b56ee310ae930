"""What base and head are: the words of ``--base`` and ``--head``, and the plan that each gives.

Owns these words and the pairing of the two plans' cells. Contract: two sides differ in what was named and in nothing
else: the same suite, the same machine, the same order of cells.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from harness.environment import Override
from harness.environment.releases import settled
from harness.errors import EdgebenchError, UsageError
from harness.gate.own_artifact import with_artifact
from harness.git import git
from harness.runner.front import Plan, Request, make_plan
from harness.suite import Cell, PlannedCell
from harness.suite.options import merged_options, options_of

Name = Literal["base", "head"]
NAMES: tuple[Name, Name] = ("base", "head")

_RECIPE, _GIT, _OPTION, _ARTIFACT = "recipe=", "git=", "option=", "artifact="
_WORDS = (_RECIPE, _GIT, _OPTION, _ARTIFACT)
#: Building a framework from source may take long; one that takes longer than this hangs.
BUILD_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side, as it was asked for.

    Attributes:
        name: base or head.
        words: as typed.
        overrides: distributions that take the place of pins.
        recipe: in place of the suite's recipes, None: the suite's.
        revisions: revisions of the project in the working folder whose wheels are built.
        options: framework -> its option -> value, on top of the suite's.
        artifact: a file, a folder or the beginning of an id, in place of what the recipes make; None: nothing is.
    """

    name: Name
    words: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    recipe: str | None = None
    revisions: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    artifact: str | None = None

    @classmethod
    def parse(cls, name: Name, words: Sequence[str]) -> Side:
        """Read the words of one side; none: the frameworks as they are pinned.

        Raises:
            UsageError: two recipes or artifacts, both, or an option that is none.
        """
        recipes = [word.removeprefix(_RECIPE) for word in words if word.startswith(_RECIPE)]
        artifacts = [word.removeprefix(_ARTIFACT) for word in words if word.startswith(_ARTIFACT)]
        for what, given in (("recipes", recipes), ("artifacts", artifacts)):
            if len(given) > 1:
                raise UsageError(
                    f"--{name}: two {what} ({', '.join(given)})",
                    next_step="give one: a side is one thing; the suite says over which frameworks and models",
                )
        if recipes and artifacts:
            raise UsageError(
                f"--{name}: a recipe and an artifact", next_step="give one: an artifact is made already"
            )
        if "" in artifacts:
            raise UsageError(f"--{name} artifact=: names nothing", next_step="write artifact=FILE|FOLDER|ID")
        return cls(
            name,
            tuple(words),
            tuple(word for word in words if not word.startswith(_WORDS)),
            recipes[0] if recipes else None,
            tuple(word.removeprefix(_GIT) for word in words if word.startswith(_GIT)),
            _options(name, [word.removeprefix(_OPTION) for word in words if word.startswith(_OPTION)]),
            artifacts[0] if artifacts else None,
        )

    @property
    def text(self) -> str:
        """For people."""
        return ", ".join(self.words) or "as pinned"


def _options(side: Name, words: Sequence[str]) -> dict[str, dict[str, str]]:
    try:
        return options_of(words)
    except ValueError as error:
        raise UsageError(
            f"--{side} option={error}: not a framework's option",
            next_step="write option=FRAMEWORK.NAME=VALUE, such as option=openvino.INFERENCE_PRECISION_HINT=f32",
        ) from error


@dataclass(frozen=True, slots=True)
class CellPair:
    """The same cell of both sides.

    Attributes:
        key: what both share, in words.
        base: its cell on the base side.
        head: its cell on the head side.
    """

    key: str
    base: Cell
    head: Cell

    def of(self, name: Name) -> Cell:
        """One side's cell."""
        return self.base if name == "base" else self.head


@dataclass(frozen=True, slots=True)
class AbsentCell:
    """A cell that base would run here and head would not.

    Attributes:
        key: in words, as of a pair.
        base: its cell on the base side.
        head: its cell on the head side, None where head's plan has none.
        reason: why head does not run it.
    """

    key: str
    base: Cell
    head: Cell | None
    reason: str


@dataclass(frozen=True, slots=True)
class Paired:
    """The cells of two plans.

    Attributes:
        pairs: what both sides would run.
        absent: what base alone would run.
        added: keys of what head alone would run.
    """

    pairs: list[CellPair]
    absent: list[AbsentCell]
    added: list[str]


def plan_side(side: Side, request: Request, cache_dir: Path) -> Plan:
    """The plan of one side; builds the wheels of its revisions, takes its artifact into the cache, and nothing else.

    Raises:
        UsageError: something in the words or the suite is wrong.
        EdgebenchError: a revision cannot be built, or an artifact not be copied.
    """
    wheels = [str(revision_wheel(revision, cache_dir)) for revision in side.revisions]
    plan = make_plan(
        replace(
            request,
            overrides=(*request.overrides, *side.overrides, *wheels),
            recipe=side.recipe,
            options=merged_options(request.options or {}, side.options) or None,
            trigger="gate",
        )
    )
    if side.artifact is not None:
        plan = with_artifact(plan, side.artifact, cache_dir)
    return plan


def in_pairs(plan: Plan) -> Plan:
    """The plan without rules that repeat runs: a gate plans each pair when it is due."""
    cells = tuple(
        replace(one, settings=replace(one.settings, runs_width=None, runs_max=None)) for one in plan.cells
    )
    return replace(plan, cells=cells)


def pair_cells(plans: Mapping[Name, Plan], sides: Mapping[Name, Side]) -> Paired:
    """The cells that both sides would run, and those that only one of them would.

    Cells that neither can run here are left out: a machine's holes are no change.
    """
    by_key: dict[Name, dict[str, PlannedCell]] = {}
    # What the sides were told apart by is no part of what they share.
    recipes_differ = len({(side.recipe, side.artifact) for side in sides.values()}) > 1
    told = {
        (framework, name)
        for side in sides.values()
        for framework, options in side.options.items()
        for name in options
    }
    for name, plan in plans.items():
        by_key[name] = {}
        for planned in plan.cells:
            key = _key(planned.cell, recipes_differ, told)
            other = by_key[name].get(key)
            if other is not None and planned.reason is other.reason is None:
                _refuse_several(name, other.cell, planned.cell)
            if planned.reason is None or key not in by_key[name]:
                by_key[name][key] = planned
    runnable = {
        name: {key for key, one in found.items() if one.reason is None} for name, found in by_key.items()
    }
    base, head = by_key["base"], by_key["head"]
    found = Paired([], [], [key for key in head if key in runnable["head"] - runnable["base"]])
    for key in base:
        there = head.get(key)
        if key not in runnable["base"]:
            continue
        if there is None:
            found.absent.append(AbsentCell(key, base[key].cell, None, "head's plan does not have it"))
        elif there.reason is not None:
            found.absent.append(AbsentCell(key, base[key].cell, there.cell, there.reason))
        else:
            found.pairs.append(CellPair(key, base[key].cell, there.cell))
    return found


def _refuse_several(name: Name, one: Cell, other: Cell) -> None:
    """Two cells of a side that differ in nothing but what the sides are told apart by.

    Raises:
        UsageError: they are two: which of them is compared?
    """
    if one.recipe != other.recipe:
        raise UsageError(
            f"{name} has several recipes of one cell: {one.recipe}, {other.recipe}",
            next_step=f"name one with --{name} recipe=, or choose it with -k",
        )
    if one.id != other.id:
        raise UsageError(
            f"{name} has several settings of one cell: {one.name} and {other.name}",
            next_step=f"name the setting on both sides (--{name} option=...), or leave one in the suite",
        )


def _key(cell: Cell, recipes_differ: bool, told: Collection[tuple[str, str]]) -> str:
    options = [
        f"{name}={value}"
        for name, value in sorted(cell.options.items())
        if (cell.framework, name) not in told
    ]
    recipe = [] if recipes_differ else [cell.recipe]
    words = [cell.framework, cell.model, *recipe, cell.device_label, str(cell.workload), *options]
    return " ".join(words)


# -- revisions ----------------------------------------------------------------------------------------------------


def revision_wheel(words: str, cache_dir: Path, repository: Path | None = None) -> Path:
    """The wheel of the project in the working folder at a revision; built once per commit and Python.

    Args:
        words: ``REVISION`` or ``REVISION:SUBFOLDER``.
        cache_dir: where built wheels are kept.
        repository: a folder of the project, None: the working folder.

    Raises:
        UsageError: no such revision, or no project.
        EdgebenchError: the build failed, with the tool's last words.
    """
    revision, _, folder = words.partition(":")
    here = repository or Path.cwd()
    commit = _git(here, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"git={words}: {here} has no such revision",
            next_step="run in the project's checkout, and name a branch, a tag or a commit",
        )
    # A wheel may be of one Python and platform: another one's environment could not take it.
    built_by = f"{folder}\0{sys.implementation.cache_tag}\0{sysconfig.get_platform()}"
    kept = cache_dir / "wheels" / f"{commit[:16]}-{hashlib.sha256(built_by.encode()).hexdigest()[:8]}"
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        found = sorted(kept.glob("*.whl"))
        return found[0] if found else _build(here, commit, folder, kept)


def _build(repository: Path, commit: str, folder: str, kept: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix="edgebench-revision-") as place:
        tree, out = Path(place) / "tree", Path(place) / "out"
        if _git(repository, "worktree", "add", "--detach", str(tree), commit) is None:
            raise EdgebenchError(
                f"git could not check out {commit[:12]}", next_step="run `git worktree prune` and try again"
            )
        try:
            _fetch_submodules(tree, commit)
            project = (tree / folder).resolve()
            if not project.is_relative_to(tree.resolve()) or not project.is_dir():
                raise UsageError(
                    f"{commit[:12]} has no folder {folder!r}",
                    next_step="name the folder of the Python project",
                )
            # With this Python: the wheel is installed into environments that it makes.
            command = [
                sys.executable,
                "-m",
                "pip",
                "wheel",
                "--no-deps",
                "--wheel-dir",
                str(out),
                str(project),
            ]
            built = _run_long(command, place, f"building the wheel of {commit[:12]}")
            wheels = sorted(out.glob("*.whl")) if out.is_dir() else []
            if built.returncode != 0 or len(wheels) != 1:
                last = "\n".join((built.stderr or built.stdout).strip().splitlines()[-15:])
                raise EdgebenchError(
                    f"the wheel of {commit[:12]} could not be built:\n{last}",
                    next_step="build it yourself, and give the .whl file instead of git=",
                )
            # Copied, then renamed: the temporary folder may be on another file system.
            partial = kept / f".{wheels[0].name}.partial"
            shutil.copyfile(wheels[0], partial)
            return partial.replace(kept / wheels[0].name)
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _fetch_submodules(tree: Path, commit: str) -> None:
    """What a project vendors as submodules, as llama-cpp-python does llama.cpp: a new worktree has none of it.

    Raises:
        EdgebenchError: one cannot be had, with git's last words.
    """
    if not (tree / ".gitmodules").is_file():
        return
    # Not --init, which would write into the configuration that the worktree shares with the user's checkout.
    command = ["git", "-c", "submodule.active=.", "submodule", "update", "--recursive", "--quiet"]
    done = _run_long(command, tree, f"fetching the submodules of {commit[:12]}")
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise EdgebenchError(
            f"git could not fetch the submodules of {commit[:12]}:\n{last}",
            next_step="see whether `git submodule update --init --recursive` works in a fresh clone, or give a .whl "
            "file instead of git=",
        )


def _run_long(command: Sequence[str], folder: Path | str, what: str) -> subprocess.CompletedProcess[str]:
    """Run what may take long.

    Raises:
        EdgebenchError: it took longer than `BUILD_TIMEOUT_S`, and was ended.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgebenchError(
            f"{what} took longer than {BUILD_TIMEOUT_S:.0f} s and was ended",
            next_step="build it yourself, and give the .whl file instead of git=",
        ) from error


def _git(folder: Path, *words: str) -> str | None:
    return git(*words, folder=folder, timeout_s=120)


def settle(side: Side, tell: Callable[[str], None]) -> Side:
    """The side with an exact version in place of each range or bare name: the newest release that fits.

    Raises:
        EdgebenchError: none fits, or the package index cannot be asked.
    """
    overrides = []
    for word in side.overrides:
        exact = settled(word)
        if exact != word:
            tell(f"{side.name}: {word} is {exact}")
        overrides.append(exact)
    return replace(side, overrides=tuple(overrides))


def check_sides(sides: Mapping[Name, Side]) -> None:
    """Refuse two sides that are the same: nothing could be found.

    Raises:
        UsageError: they are.
    """
    base, head = sides["base"], sides["head"]
    identities = {
        name: sorted(Override.parse(text).identity for text in side.overrides) for name, side in sides.items()
    }
    if (
        identities["base"] == identities["head"]
        and (base.recipe, base.artifact) == (head.recipe, head.artifact)
        and base.revisions == head.revisions
        and base.options == head.options
    ):
        raise UsageError(
            "base and head are the same",
            next_step="name what differs: --head ./dist/x.whl, --base 'NAME==1.0', --head recipe=Q4_K_M, "
            "--base git=main; `--same` judges a machine against itself",
        )
