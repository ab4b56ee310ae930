"""An environment as it was made: the plain value and its manifest file.

Owns ``environment.json``. Never imports a framework. Contract: the manifest is written last and atomically, so an
environment exists exactly when its manifest does.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from harness.environment.build import Build
from harness.environment.pip_run import Package
from harness.files import key_of, write_atomically

MANIFEST = "environment.json"
_MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Environment:
    """A framework's environment.

    Attributes:
        id: SHA-256 over the resolved packages (name, version, hash) and the Python: equal ids, equal software.
        key: 16 digits over what was asked.
        framework: framework id.
        role: ``runtime`` or ``converter``.
        variant: build variant.
        path: its folder.
        python: its Python.
        python_version: of that Python.
        python_abi: of that Python.
        import_name: module whose import proves that it works.
        packages: what was installed, in order of name.
        hashed: True where every file was checked against a lock file's hashes.
        overrides: identities of the overrides in it.
        builds: packages that were built here.
        made_s: seconds that making it took, without builds.
        made_at: UTC time, ISO 8601.
        size_bytes: bytes of its files.
    """

    id: str
    key: str
    framework: str
    role: str
    variant: str
    path: Path
    python: Path
    python_version: str
    python_abi: str
    import_name: str
    packages: tuple[Package, ...]
    hashed: bool
    overrides: tuple[str, ...]
    builds: tuple[Build, ...]
    made_s: float
    made_at: str
    size_bytes: int

    def version(self, distribution: str) -> str | None:
        """Version of an installed distribution, None where it is not installed."""
        name = canonicalize_name(distribution)
        return next((package.version for package in self.packages if package.name == name), None)


def python_of(folder: Path) -> Path:
    """The Python of an environment's folder."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment_id(packages: tuple[Package, ...], python: dict[str, str]) -> str:
    """The id of resolved packages on a Python."""
    return key_of({"packages": [asdict(package) for package in packages], "python": python})


def write_manifest(environment: Environment) -> None:
    """Write the manifest into the environment's folder: from now on it exists."""
    raw = asdict(environment)
    del raw["path"], raw["python"]
    text = json.dumps({"manifest_version": _MANIFEST_VERSION, **raw}, indent=1) + "\n"
    write_atomically(environment.path / MANIFEST, text)


def read_manifest(folder: Path) -> Environment | None:
    """The environment of a folder; None where it is half-made, of another version, or its Python is gone."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(raw, dict) or raw.pop("manifest_version", None) != _MANIFEST_VERSION:
        return None
    python = python_of(folder)
    if not python.exists():  # follows the link: the Python it was made with may have been uninstalled
        return None
    raw["packages"] = tuple(Package(**package) for package in raw["packages"])
    raw["builds"] = tuple(Build(**build) for build in raw["builds"])
    raw["overrides"] = tuple(raw["overrides"])
    return Environment(path=folder, python=python, **raw)
