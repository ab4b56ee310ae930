"""Which build of torch an environment gets: one for the CPU where the machine has no GPU that the other is for.

Owns this choice and reading which build it became. Imports the room's own pip and the finding of accelerators; names
no index: a build is had where pip's own configuration (indexes, find-links) has it. Contract: only Linux has a choice
to make, for there alone the plain name is the CUDA build, several gigabytes large; what is asked for is never changed
but by the local version ``+cpu``, and where that is not to be had the plain one is installed, with a note.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.environment.pip_run import pip
from harness.environment.record import python_of
from harness.machine import host

#: The file in which a build of torch says what it is for; looked at without importing torch, which takes seconds.
_ASK = (
    "import importlib.util, pathlib, runpy; spec = importlib.util.find_spec('torch');"
    " told = runpy.run_path(str(pathlib.Path(spec.origin).with_name('version.py')));"
    " print(told.get('cuda') and 'cuda ' + told['cuda'] or told.get('hip') and 'rocm ' + told['hip'] or 'cpu')"
)


def cpu_pin(lines: Iterable[str], *, system: str = sys.platform) -> str | None:
    """The CPU build of the torch that is asked for: ``torch==2.13.0+cpu``.

    Args:
        lines: requirement lines for pip.
        system: as `sys.platform`.

    Returns:
        None: no torch is pinned, its build is named already, or the system has no other build.
    """
    if system != "linux":
        return None
    for line in lines:
        try:
            requirement = Requirement(line.partition(" --hash")[0])
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != "torch" or requirement.url is not None:
            continue
        exact = [one.version for one in requirement.specifier if one.operator == "=="]
        if len(exact) == 1 and "+" not in exact[0] and "*" not in exact[0]:
            return f"torch=={exact[0]}+cpu"
    return None


def has_cuda() -> bool:
    """Whether this machine has what the plain build is for."""
    return "cuda" in host().accelerators


def is_offered(pin: str, folder: Path, on_line: Callable[[str], None]) -> bool:
    """Whether pip, as it is configured, finds this build.

    Args:
        pin: from `cpu_pin`.
        folder: of the environment that is being made.
        on_line: told what pip says.
    """
    # A log of its own: what is not found here is no reason of a later failure.
    status = pip(
        "install", "--dry-run", "--no-deps", "--ignore-installed", pin,
        python=python_of(folder), log=folder / "torch.log", on_line=on_line,
    )  # fmt: skip
    return status == 0


def ask_for_build() -> tuple[str, ...]:
    """Arguments of an environment's Python that prints ``cpu``, ``cuda 13.0`` or ``rocm 6.4``."""
    return ("-I", "-c", _ASK)
