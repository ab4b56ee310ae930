"""``git=``: the wheel of a project at a revision, built once a commit, in a worktree that goes again."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.errors import EdgebenchError, UsageError
from harness.gate import sides
from harness.gate.sides import Side, check_sides, revision_wheel

#: A build backend of the project itself, so that pip has nothing to fetch.
BACKEND = """
import pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    text = pathlib.Path(__file__).with_name("thing.py").read_text()
    if "broken" in text:
        raise SystemExit("this revision does not build")
    name = "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("thing.py", text)
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("thing-1.0.dist-info/RECORD", "")
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commit(folder: Path, message: str = "a commit") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose project, in a folder of it, has three revisions; the last one does not build."""
    folder = tmp_path / "repository" / "python"
    folder.mkdir(parents=True)
    git(folder.parent, "init", "-q")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    for text in ("speed = 1\n", "speed = 2\n", "broken\n"):
        (folder / "thing.py").write_text(text, encoding="utf-8")
        commit(folder.parent, text.strip())
    return folder.parent


def content(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as file:
        return file.read("thing.py").decode()


def test_each_revision_has_its_wheel_and_the_checkout_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    wheels = [revision_wheel(f"{revision}:python", cache, project) for revision in ("HEAD~2", "HEAD~1")]
    assert [content(wheel) for wheel in wheels] == ["speed = 1\n", "speed = 2\n"]
    built = wheels[0].stat().st_mtime_ns
    assert revision_wheel("HEAD~2:python", cache, project) == wheels[0]
    assert wheels[0].stat().st_mtime_ns == built, "built once"
    assert len(git(project, "worktree", "list").splitlines()) == 1
    assert git(project, "status", "--porcelain") == ""


def test_a_revision_that_cannot_be_built_is_told_with_the_tools_last_words(
    project: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgebenchError, match="does not build"):
        revision_wheel("HEAD:python", tmp_path / "cache", project)
    with pytest.raises(UsageError, match="no folder 'elsewhere'"):
        revision_wheel("HEAD:elsewhere", tmp_path / "cache", project)
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_a_projects_submodules_are_there_when_it_is_built(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As llama-cpp-python vendors llama.cpp; the checkout that the gate is called in need not have them."""
    # Git follows no path to a submodule unless it is told to.
    for name, value in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for folder in (inner, outer):
        folder.mkdir()
        git(folder, "init", "-q")
    (inner / "thing.py").write_text("speed = 'of a submodule of a submodule'\n", encoding="utf-8")
    commit(inner)
    git(outer, "submodule", "--quiet", "add", str(inner), "inner")
    commit(outer)
    git(project, "submodule", "--quiet", "add", str(outer), "python/vendor")
    text = BACKEND.replace('with_name("thing.py")', 'parent.joinpath("vendor", "inner", "thing.py")')
    (project / "python" / "backend.py").write_text(text, encoding="utf-8")
    commit(project)
    git(project, "submodule", "--quiet", "deinit", "--all", "--force")
    before = (project / ".git" / "config").read_text(encoding="utf-8")
    wheel = revision_wheel("HEAD:python", tmp_path / "cache", project)
    assert content(wheel) == "speed = 'of a submodule of a submodule'\n"
    assert (project / ".git" / "config").read_text(encoding="utf-8") == before
    assert git(project, "status", "--porcelain") == ""
    assert len(git(project, "worktree", "list").splitlines()) == 1
    outer.rename(tmp_path / "moved")
    with pytest.raises(EdgebenchError, match="could not fetch the submodules"):
        revision_wheel("HEAD:python", tmp_path / "elsewhere", project)
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_a_wheel_of_another_python_is_not_taken(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_repository: Path, _commit: str, _folder: str, kept: Path) -> Path:
        wheel = kept / "thing-1.0-py3-none-any.whl"
        wheel.touch()
        return wheel

    monkeypatch.setattr(sides, "_build", build)
    ours = revision_wheel("HEAD:python", tmp_path / "cache", project)
    assert revision_wheel("HEAD:python", tmp_path / "cache", project) == ours
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    assert revision_wheel("HEAD:python", tmp_path / "cache", project) != ours


def test_two_revisions_are_two_sides_and_one_is_not() -> None:
    base, head = Side.parse("base", ("git=main",)), Side.parse("head", ("git=HEAD:python",))
    assert (base.revisions, head.revisions) == (("main",), ("HEAD:python",))
    check_sides({"base": base, "head": head})
    with pytest.raises(UsageError, match="the same"):
        check_sides({"base": base, "head": Side.parse("head", ("git=main",))})
