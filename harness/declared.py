"""What distributions declare under a group of entry points, the project's own included where it is not installed.

Owns reading the declarations. Imports none of what is declared. Contract: of a checkout, its ``pyproject.toml`` is
read.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

DISTRIBUTION = "edgebench"
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry point: its name, ``module:attribute``, and the distribution that declares it."""

    name: str
    value: str
    distribution: str


def of_checkout(group: str, package: Path = _PACKAGE) -> list[Declared]:
    """What the project file beside a package declares; nothing where there is none."""
    pyproject = package.parent / "pyproject.toml"
    if not pyproject.is_file():
        return []
    declared = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["entry-points"][group]
    return [Declared(name, value, DISTRIBUTION) for name, value in declared.items()]


def declared(group: str) -> list[Declared]:
    """Everything that is declared under a group, by name; the project's own before that of others."""
    found = [
        Declared(point.name, point.value, point.dist.name if point.dist is not None else "unknown")
        for point in entry_points(group=group)
    ]
    if not any(each.distribution == DISTRIBUTION for each in found):
        found += of_checkout(group)
    return sorted(found, key=lambda each: (each.name, each.distribution != DISTRIBUTION))
