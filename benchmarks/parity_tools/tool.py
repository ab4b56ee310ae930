"""What a framework's own benchmark is to the comparison, and what the four of them share.

Owns the interface, the running of a tool's process, and what ``--tool`` may be where the tool is a Python program.
Imports nothing of a framework. Contract: a tool is run in a fresh process, and its figures come back as seconds of
prefill and of decode by our definitions, or as an `EdgebenchError`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import EdgebenchError, UsageError

PHASES = ("prefill", "decode")
TIMEOUT_S = 1800.0

#: Seconds of prefill and of decode, each the median over a process's repetitions.
Seconds = dict[str, float]


@dataclass(frozen=True, slots=True)
class Shape:
    """How much work one process does.

    Attributes:
        prompt_tokens: tokens of the prompt.
        decode_tokens: single-token forward passes behind it.
        repetitions: timed ones, after one that is not.
    """

    prompt_tokens: int
    decode_tokens: int
    repetitions: int


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides are given.

    Attributes:
        artifact: what our backend loads.
        threads: of the computation.
        shape: the work.
        vocab_size: ids of random prompts are below it.
        hints: settings in force, as our backend read them back.
    """

    artifact: Path
    threads: int
    shape: Shape
    vocab_size: int
    hints: Mapping[str, str]


class Tool(ABC):
    """A framework's own benchmark.

    Attributes:
        framework: our id of the framework.
        help: what ``--tool`` is for this framework, and what it is if omitted.
        default_shape: work that makes a pair last seconds with a small model on two cores.
        load_options: options of our backend that make it compute as the tool does.
        device: device and API that our backend is told to use: the one that the tool takes.
    """

    framework: ClassVar[str]
    help: ClassVar[str]
    default_shape: ClassVar[Shape]
    load_options: ClassVar[Mapping[str, str]] = {}
    device: tuple[str, str] = ("cpu", "cpu")

    @abstractmethod
    def artifact(self, path: Path) -> Path:
        """What our backend loads, from what the user gave.

        Raises:
            UsageError: it is no artifact of this framework.
        """

    @abstractmethod
    def command(self, tool: Path | None, python: Path) -> list[str]:
        """The words that start the tool.

        Args:
            tool: ``--tool``, None where it was omitted.
            python: of the framework's environment.

        Raises:
            UsageError: there is no such tool.
            EdgebenchError: it cannot be made.
        """

    @abstractmethod
    def seconds(self, command: Sequence[str], case: Case, seed: int) -> Seconds:
        """One measurement in fresh processes.

        Args:
            command: of `command`.
            case: the work and the settings.
            seed: of the prompts, where the tool takes one.

        Raises:
            EdgebenchError: it failed, or printed something else than figures.
        """


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Standard output of one process of a tool.

    Raises:
        EdgebenchError: it could not be started, failed, or took longer than `TIMEOUT_S`.
    """
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise no_figure(command, str(error)) from error
    if result.returncode != 0:
        raise no_figure(command, f"status {result.returncode}: {result.stderr.strip()[-400:]}")
    return result.stdout


def no_figure(command: Sequence[str], why: str) -> EdgebenchError:
    """The error of a tool that gave no figure."""
    return EdgebenchError(
        f"{Path(command[0]).name} gave no figure: {why}",
        next_step="give the tool of the version that the backend pins, or leave out --tool; see benchmarks/README.md",
    )


def medians(times: Mapping[str, Sequence[float]]) -> Seconds:
    """The figure of a process: the median over its repetitions, of each phase."""
    return {phase: statistics.median(times[phase]) for phase in PHASES}


def existing(tool: Path) -> Path:
    """The tool's absolute path; symbolic links stay, because a virtual environment's Python is one.

    Raises:
        UsageError: there is no such file.
    """
    if not tool.is_file():
        raise UsageError(f"--tool: there is no file {tool}", next_step="give a file, or leave out --tool")
    return tool.absolute()


def python_command(tool: Path | None, python: Path, own: Sequence[str]) -> list[str]:
    """The command of a tool that is a Python program.

    Args:
        tool: a Python, which then runs ``own``; a script (``.py``) for ``python``; or a program with ``own``'s
            arguments. None: ``own`` with ``python``.
        python: of the framework's environment.
        own: what to give to a Python.
    """
    if tool is None:
        return [str(python), "-I", *own]
    tool = existing(tool)
    if tool.suffix == ".py":
        return [str(python), "-I", str(tool)]
    if tool.name.lower().startswith("python"):
        return [str(tool), "-I", *own]
    return [str(tool)]


def folder_with(path: Path, name: str, what: str) -> Path:
    """The folder that is meant by itself or by a file in it, and holds the file ``name``.

    Raises:
        UsageError: it does not.
    """
    folder = path.parent if path.is_file() else path
    if not (folder / name).is_file():
        raise UsageError(
            f"--artifact: {path} is no {what}: there is no {name}",
            next_step="give the folder of the artifact; `edgebench show ID` tells where one is",
        )
    return folder


def loop_times(text: str, command: Sequence[str], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each repetition, from the JSON that a script of ``loops/`` prints as its last line.

    Raises:
        EdgebenchError: it is something else.
    """
    try:
        figures: Any = json.loads(text.strip().splitlines()[-1])
        times = {phase: [float(each) for each in figures[f"{phase}_s"]] for phase in PHASES}
        if any(len(each) != repetitions or min(each) <= 0 for each in times.values()):
            raise ValueError(f"not {repetitions} times above 0: {times}")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise no_figure(command, f"{type(error).__name__}: {error}") from error
    return times
