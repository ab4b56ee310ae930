"""A package index of tiny wheels and source archives in a folder, and backends that want them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from harness.worker.api import Backend, Requirements

#: A build backend in the source archive itself, so that nothing else has to be fetched. It writes a module that
#: tells the variables it was built with, and counts its builds in a file outside.
BUILD_BACKEND = """
import os, subprocess, sys, zipfile
from pathlib import Path

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open({counter!r}, "a", encoding="utf-8") as counter:
        counter.write("x")
{hook}
    name = "{stem}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("{module}.py", "built_with = " + repr(os.environ.get("CMAKE_ARGS")))
        wheel.writestr("{stem}.dist-info/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr("{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        rows = [member.filename + ",," for member in wheel.infolist()]
        wheel.writestr("{stem}.dist-info/RECORD", "\\n".join([*rows, "{stem}.dist-info/RECORD,,"]) + "\\n")
    return name
"""


class Index:
    """A folder of distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.counter = folder.parent / f"{folder.name}-builds"

    def wheel(
        self,
        name: str,
        version: str,
        body: str = "",
        requires: tuple[str, ...] = (),
        tag: str = "py3-none-any",
        inside: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a wheel with one module of the distribution's name, a package where it has files ``inside``."""
        stem = f"{name.replace('-', '_')}-{version}"
        metadata = [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
            *(f"Requires-Dist: {r}" for r in requires),
        ]
        module = name.replace("-", "_")
        files = {
            f"{module}.py" if inside is None else f"{module}/__init__.py": f"version = {version!r}\n{body}\n",
            f"{stem}.dist-info/METADATA": "\n".join(metadata) + "\n",
            f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            **{f"{module}/{path}": text for path, text in (inside or {}).items()},
        }
        rows = []
        path = self.folder / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in files.items():
                digest = (
                    base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                )
                rows.append(f"{member},sha256={digest},{len(text.encode())}")
                archive.writestr(member, text)
            archive.writestr(
                f"{stem}.dist-info/RECORD", "\n".join([*rows, f"{stem}.dist-info/RECORD,,"]) + "\n"
            )
        return path

    def source(self, name: str, version: str, hook: str = "") -> Path:
        """Write a source archive whose build counts itself and runs ``hook`` (indented Python lines) first."""
        stem = f"{name.replace('-', '_')}-{version}"
        backend = BUILD_BACKEND.format(
            counter=str(self.counter),
            hook=hook,
            stem=stem,
            module=name.replace("-", "_"),
            name=name,
            version=version,
        )
        files = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": backend,
        }
        path = self.folder / f"{stem}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member, text in files.items():
                info = tarfile.TarInfo(f"{stem}/{member}")
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        return path

    @property
    def builds(self) -> int:
        """How often a source archive was built."""
        return len(self.counter.read_text(encoding="utf-8")) if self.counter.exists() else 0

    @property
    def configuration(self) -> dict[str, str]:
        """pip's settings for this index and nothing else."""
        return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder), "PIP_CONFIG_FILE": "/dev/null"}


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock_lines(*paths: Path) -> str:
    """A lock file of wheels and source archives."""
    lines = []
    for path in paths:
        name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{sha256(path)}")
    return "# a comment\n" + "\n".join(lines) + "\n"


def backend(
    *packages: str,
    framework: str = "tiny",
    import_name: str | None = None,
    lock: str | None = None,
    from_source: tuple[str, ...] = (),
    build: Mapping[str, Mapping[str, str]] | None = None,
    converter: Requirements | None = None,
) -> type[Backend]:
    """A backend class that only declares."""
    first = packages[0].partition("=")[0].replace("-", "_") if packages else "none"
    requirements = Requirements(
        packages=packages,
        import_name=import_name or first,
        lock=lock,
        build=build or {"cpu": {}},
        from_source=from_source,
        converter=converter,
    )
    return type(
        "Declared",
        (Backend,),
        {"framework": framework, "title": framework.title(), "requirements": requirements},
    )
