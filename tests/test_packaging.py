"""What a user installs: the wheel of an exported tree, without git's metadata and with a worker's dirt in it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HATCHLING = importlib.util.find_spec("hatchling") is not None
#: What a checkout has beside the project: caches, environments, results.
_NOT_EXPORTED = shutil.ignore_patterns(
    ".git", ".tox", ".venv", "venv", ".*_cache", ".hypothesis", ".benchmarks", "__pycache__", "build", "dist",
    "*.egg-info", "*.db", "*.db-*",
)  # fmt: skip


def _run(*words: str | Path, cwd: Path = ROOT.parent) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *(os.fspath(word) for word in words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wheel(source: Path, out: Path) -> list[str]:
    """Names of the files in the wheel of a folder or source archive."""
    # Isolated, as a user's pip does it, where the build backend is not here; that needs a package index.
    isolation = ["--no-build-isolation"] if HATCHLING else []
    _run("pip", "wheel", "--no-deps", *isolation, "--wheel-dir", out, source)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without git, after a session was measured in it."""
    tree = tmp_path_factory.mktemp("exported") / "edgebench"
    shutil.copytree(ROOT, tree, ignore=_NOT_EXPORTED)
    for dirt in ("results/edgebench.db", "results/edgebench.db-wal", "results/reports/one.html"):
        (tree / dirt).parent.mkdir(parents=True, exist_ok=True)
        (tree / dirt).write_text("measured", encoding="utf-8")
    cache = tree / "harness" / "__pycache__"
    cache.mkdir()
    (cache / "paths.cpython-311.pyc").write_bytes(b"compiled")
    return tree


@pytest.fixture(scope="module")
def wheel(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return _wheel(exported, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_installs_one_importable_name(wheel: list[str]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {name.split("/")[0] for name in wheel} == {"harness", f"edgebench-{version}.dist-info"}
    assert len(wheel) == len(set(wheel))


def test_the_wheel_has_every_file_of_the_package(wheel: list[str]) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "harness").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    code = {name for name in wheel if name.startswith("harness/") and not name.startswith("harness/_data/")}
    assert code == package
    for name in (
        "harness/py.typed",
        "harness/environment/locks/openvino.txt",
        "harness/store/migrations/env.py",
        "harness/store/migrations/script.py.mako",
        "harness/store/migrations/versions/0001_first_schema.py",
        "harness/table/claims.yaml",
        "harness/table/table.css",
        "harness/table/table.html.j2",
    ):
        assert name in code


def test_the_data_folders_are_inside_the_package_and_nothing_measured_is(wheel: list[str]) -> None:
    data = {name.removeprefix("harness/_data/") for name in wheel if name.startswith("harness/_data/")}
    shipped = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "suites").rglob("*") if path.is_file()
    } | {path.relative_to(ROOT).as_posix() for path in (ROOT / "reports").rglob("*") if path.is_file()}
    assert data == shipped | {"results/README.md"}
    assert {"suites/quickstart.yaml", "suites/full.yaml", "suites/models.yaml"} <= data
    assert {"suites/text/scoring.txt", "suites/text/calibration.txt"} <= data
    for task in ("arithmetic", "facts", "grammar"):
        assert {f"suites/tasks/{task}.yaml", f"suites/tasks/{task}.jsonl"} <= data
    assert "suites/tasks/edgebench.yaml" in data
    assert not any("__pycache__" in name or name.endswith((".db", ".pyc")) for name in wheel)


@pytest.mark.skipif(not HATCHLING, reason="the build backend hatchling is not installed here")
def test_the_source_archive_makes_the_same_wheel_and_has_the_tests(
    exported: Path, wheel: list[str], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(exported, tree)
    _run("hatchling", "build", "-t", "sdist", "-d", tmp_path / "sdist", cwd=tree)
    (archive,) = (tmp_path / "sdist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    assert {"tox.ini", "README.md", "LICENSE", "tests/test_packaging.py", "docs/index.md"} <= inside
    assert not any(name.endswith(".db") or "__pycache__" in name for name in inside)
    assert sorted(_wheel(archive, tmp_path / "wheel")) == sorted(wheel)
