"""What a worker is started with: which Python, which backend, which packages it may import.

Owns the command line of `harness/worker/bootstrap.py`. Imports `harness.frameworks`. Contract: a `Launch` names
everything that a worker process depends on besides the machine and the environment variables that it inherits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import harness
from harness.frameworks import FrameworkEntry, framework

_HARNESS = Path(harness.__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker.

    Attributes:
        python: the environment's interpreter.
        backend: ``module:Class``.
        packages: top-level import names and the folders (or single files) to import them from; ``harness`` is one.
        env: environment variables on top of the runner's own.
        program: module whose ``serve`` answers requests; the workers' unless given.
        standard_pipes: the protocol goes through the worker's standard input and output instead of two descriptors
            of its own, which only POSIX systems hand on (docs/decisions/0006).
    """

    python: Path
    backend: str
    packages: Mapping[str, Path] = field(default_factory=lambda: {"harness": _HARNESS})
    env: Mapping[str, str] = field(default_factory=dict)
    program: str = "harness.worker.main"
    standard_pipes: bool = sys.platform == "win32"

    def command(self, read_fd: int, write_fd: int) -> list[str]:
        """The command line, for the worker's ends of the two pipes; standard ones go unnamed."""
        pipes = [] if self.standard_pipes else ["--read-fd", str(read_fd), "--write-fd", str(write_fd)]
        packages = [f"--package={name}={path}" for name, path in sorted(self.packages.items())]
        return [
            os.fspath(self.python),
            # Isolated: neither PYTHON* variables nor the working folder nor the user's site-packages take part.
            "-I",
            "-u",
            # Isolation also drops PYTHONUTF8; what frameworks print must not depend on the locale.
            *("-X", "utf8", "-X", "faulthandler"),
            os.fspath(self.packages["harness"] / "worker" / "bootstrap.py"),
            *pipes,
            *("--parent-pid", str(os.getpid())),
            *packages,
            *("--backend", self.backend),
            *("--program", self.program),
        ]


def launch_for(
    framework_: str | FrameworkEntry, python: Path, env: Mapping[str, str] | None = None
) -> Launch:
    """The launch of a framework's worker.

    Args:
        framework_: its id, or its entry.
        python: interpreter of the framework's environment.
        env: environment variables on top of the runner's own.

    Raises:
        UsageError: there is no such framework.
        EdgebenchError: its backend cannot be imported.
    """
    entry = framework(framework_) if isinstance(framework_, str) else framework_
    return Launch(python=python, backend=entry.value, packages=entry.packages, env=dict(env or {}))


def launch_of_tool(program: str, python: Path, env: Mapping[str, str]) -> Launch:
    """The launch of a process that serves the same protocol without a framework.

    Args:
        program: its module, inside ``harness``.
        python: interpreter of its environment.
        env: environment variables on top of the runner's own.
    """
    return Launch(python=python, backend="none:None", env=dict(env), program=program)
