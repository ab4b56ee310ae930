"""An environment as it was made: the plain value and its manifest file.

Owns ``environment.json``. Never imports a framework. Contract: the manifest is written last and atomically, so an
environment exists exactly when its manifest does.
"""

from __future__ import annotations

import csv
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
        notes: what is to be known of it, a sentence each.
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
    notes: tuple[str, ...] = ()

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


def damage(environment: Environment) -> str | None:
    """What is wrong with an environment's files, None when nothing is.

    Looks for files that are missing or shorter than in their package's ``RECORD``, which pip wrote: what a power cut
    leaves. Reads and hashes none of them; what was compiled, added or changed since does not count.
    """
    folder = environment.path
    records = [
        record
        for site in (*folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")
        for record in sorted(site.glob("*.dist-info/RECORD"))
    ]
    if len(records) < len(environment.packages):
        return f"{len(records)} of its {len(environment.packages)} packages are there"
    sizes: dict[str, int] = {}
    for record in records:
        listed = _listed(record)
        if not listed:
            return f"{record.parent.name} has no list of its files"
        for path, size in listed:
            # A file that several packages bring is the one that came last.
            sizes[path] = min(size, sizes.get(path, size))
    for path, size in sizes.items():
        try:
            found = os.stat(path).st_size  # noqa: PTH116 - 40,000 files: Path costs five times as much
        except FileNotFoundError:
            return f"{Path(path).name} is missing"
        if found < size:
            return f"{Path(path).name} has {found} bytes instead of {size}"
    return None


def _listed(record: Path) -> list[tuple[str, int]]:
    """Paths and sizes in a ``RECORD``; those without a size (what was compiled, the list itself) are left out."""
    site = os.fspath(record.parent.parent)
    try:
        rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error):
        return []
    whole = [row for row in rows if len(row) == 3 and row[2].isdigit()]
    return [(os.path.join(site, path), int(size)) for path, _, size in whole]  # noqa: PTH118 - as above


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
    raw["notes"] = tuple(raw.get("notes", ()))  # older manifests have none
    return Environment(path=folder, python=python, **raw)
