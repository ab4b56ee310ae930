"""Finding tasks and reading their files, with what lm-eval would execute held back.

Owns which task files may run Python, where their data files are, and whether their items can be judged at all. Runs in
lm-eval's environment. Contract: a task file below a data path executes nothing: neither ``!function`` nor more in a
Jinja template than its sandbox allows; one task that cannot be loaded is `Missing` with the reason, and the others are
there.

Works on lm-eval's own loader, whose inner names it needs; the version is pinned exactly.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Modules whose exceptions mean that data could not be fetched.
_HUB_MODULES = ("huggingface_hub", "httpx", "requests", "urllib3")


class TaskError(Exception):
    """A task cannot be evaluated; the message is for people."""


class RefusedError(TaskError):
    """The lab has no answer to a question: ``unsupported`` where the framework can answer none of this kind."""

    def __init__(self, reason: str, unsupported: bool) -> None:
        super().__init__(reason)
        self.unsupported = unsupported


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands in a task's place where it cannot be loaded."""

    task_name: str
    reason: str


def guard(code_paths: Iterable[str]) -> None:
    """Let only lm-eval's own task files and those below ``code_paths`` name Python functions.

    Jinja templates are rendered in a sandbox from here on, whoever wrote them.
    """
    import lm_eval
    import lm_eval.tasks._yaml_loader as loader
    import lm_eval.utils
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    roots = [Path(lm_eval.__file__).resolve().parent, *(Path(path).resolve() for path in code_paths)]
    importing = loader._import_func_in_yml

    def guarded(qualified: str, folder: Path) -> Any:
        if not any(folder.resolve().is_relative_to(root) for root in roots):
            raise TaskError(
                f"a task file in {folder} names the Python function {qualified!r}, and task files there are data: "
                "name the folder with --task-path, and say --trust-task-code to let it run"
            )
        return importing(qualified, folder)

    loader._import_func_in_yml = guarded
    sandbox = SandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    sandbox.filters.update(lm_eval.utils.env.filters)
    lm_eval.utils.env = sandbox


def load(names: Sequence[str], paths: Sequence[str]) -> tuple[Any, list[Any]]:
    """lm-eval's task manager, and the tasks and groups of these names.

    Args:
        names: tasks, groups or tags.
        paths: folders of task files; where two name the same task the later one counts. lm-eval's own tasks are
            looked through only for a name that is in none of them.

    Returns:
        In the order of the names; `Missing` in the place of what is unknown, of a wrong file, and of data that
        cannot be had, within groups too.
    """
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=list(paths), include_defaults=False)
    if any(name not in manager.task_index for name in names):
        manager = TaskManager(include_path=list(paths), include_defaults=True)
    manager._factory = _factory()
    found: list[Any] = []
    for name in names:
        if name not in manager.task_index:
            found.append(Missing(name, _unknown(name, manager.all_tasks, paths)))
            continue
        try:
            made = manager._load_spec(name)
        except Exception as error:  # noqa: BLE001  whatever a task's file, its code or its data raise
            made = Missing(name, why_not(name, error))
        found += made if isinstance(made, list) else [made]
    return manager, found


def _unknown(name: str, known: Sequence[str], paths: Sequence[str]) -> str:
    from lm_eval.tasks._yaml_loader import load_yaml

    text = f"unknown task {name!r}"
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        text += f" (did you mean {close[0]!r}?)"
    # lm-eval passes over files that it cannot read; whoever wrote one wants to know.
    for path in paths:
        for file in sorted(Path(path).glob("**/*.yaml")):
            try:
                load_yaml(file, resolve_func=False)
            except Exception as error:  # noqa: BLE001  whatever a YAML reader raises
                text += f"; {file} cannot be read: {' '.join(str(error).split())[:200]}"
    return text


def why_not(name: str, error: BaseException) -> str:
    """Why a task cannot be loaded, for people: its own words, or that the hub is out of reach."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for one in chain:
        if isinstance(one, TaskError):
            return str(one)
    if any(
        isinstance(one, ConnectionError) or type(one).__module__.partition(".")[0] in _HUB_MODULES
        for one in chain
    ):
        return (
            f"the data of task {name!r} cannot be had from the Hugging Face hub ({line_of(error)}): "
            "without a hub, use the tasks that come with edgebench or --task-path"
        )
    return f"task {name!r} cannot be loaded: {line_of(error)}"


def line_of(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _factory() -> Any:
    """lm-eval's factory of tasks: data files stand beside the file that names them, and a failure is one task's."""
    from lm_eval.tasks._factory import TaskFactory

    class Factory(TaskFactory):  # type: ignore[misc]  # lm-eval is not there where types are checked
        def _build_task(self, entry: Any, overrides: dict[str, Any] | None) -> Any:
            try:
                return super()._build_task(entry, overrides)
            except Exception as error:  # noqa: BLE001  whatever a task's file, its code or its data raise
                name = str((overrides or {}).get("task", entry.name))
                return Missing(name, why_not(name, error))

        def _load_full_config(self, entry: Any, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
            config: dict[str, Any] = super()._load_full_config(entry, overrides)
            if entry.yaml_path is not None and config.get("dataset_kwargs"):
                config["dataset_kwargs"] = beside(config["dataset_kwargs"], Path(entry.yaml_path).parent)
            return config

    return Factory(meta=None)


def beside(dataset_kwargs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with relative paths of ``data_files`` and ``data_dir`` taken from a folder; addresses stay."""

    def absolute(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: absolute(one) for key, one in value.items()}
        if isinstance(value, list):
            return [absolute(one) for one in value]
        if isinstance(value, str) and not re.match(r"\w[\w+.-]+://", value):
            return str(folder / value)
        return value

    return {
        key: absolute(value) if key in ("data_files", "data_dir") else value
        for key, value in dataset_kwargs.items()
    }


def check_labels(task: Any, limit: int | None) -> None:
    """Every item of a task has an answer that it can be judged by.

    Args:
        task: lm-eval's.
        limit: items that will be asked.

    Raises:
        TaskError: it has no items, or an item no label.
    """
    docs = list(task.eval_docs)[:limit]
    if not docs:
        raise TaskError(f"task {task.config.task!r} has no items")
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return
    for index, doc in enumerate(docs):
        why = _without_label(task, doc)
        if why:
            raise TaskError(
                f"task {task.config.task!r} has no label for its item {index} ({why}): "
                "name a split that has labels"
            )


def _without_label(task: Any, doc: Any) -> str | None:
    """Why an item cannot be judged, None where it can."""
    try:
        target = task.doc_to_target(doc)
        choices = task.doc_to_choice(doc) if task.OUTPUT_TYPE == "multiple_choice" else None
    except Exception as error:  # noqa: BLE001  templates and functions of others raise anything
        return line_of(error)
    if target is None:
        return "its target is empty"
    if choices is None or task.multiple_input:
        return None
    for one in target if isinstance(target, list) else [target]:
        if isinstance(one, int) and not 0 <= one < len(choices):
            return f"its target is choice {one} of {len(choices)}"
        if isinstance(one, str) and one not in choices:
            return f"its target {one!r} is none of its choices"
    return None
