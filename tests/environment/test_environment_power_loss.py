"""A power cut while an environment is made, or right after: what is half there is noticed, and made again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from environment_index import Index, backend, lock_lines

from harness.environment import Environment, EnvironmentManager, host, manager, pins, record
from harness.environment.record import MANIFEST, damage
from harness.worker.api import Backend

DECLARED = backend("engine==1.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    made = Index(tmp_path / "index")
    for name, value in made.configuration.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pins, "LOCKS", tmp_path / "locks")
    (tmp_path / "locks").mkdir()
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def module(environment: Environment, name: str = "engine.py") -> Path:
    (found,) = [path for path in environment.path.rglob(name) if "lib64" not in path.parts]
    return found


def metadata(environment: Environment) -> Path:
    return module(environment).parent / "engine-1.0.dist-info"


def works(environment: Environment) -> bool:
    program = "import engine, helper; print(engine.version, helper.version)"
    done = subprocess.run(
        [environment.python, "-I", "-c", program],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return done.stdout.strip() == "1.0 2.0"


def half_installed(environment: Environment) -> None:
    (environment.path / MANIFEST).unlink()
    shutil.rmtree(environment.path / "bin")


#: What a cut leaves on a disk: what it does to a whole environment.
CUTS: dict[str, Callable[[Environment], object]] = {
    "no manifest": lambda one: (one.path / MANIFEST).unlink(),
    "no manifest, half the files": half_installed,
    "an empty manifest": lambda one: (one.path / MANIFEST).write_bytes(b""),
    "a manifest of zeros": lambda one: (one.path / MANIFEST).write_bytes(bytes(900)),
    "a manifest cut short": lambda one: (one.path / MANIFEST).write_bytes(
        (one.path / MANIFEST).read_bytes()[:99]
    ),
    "an empty module": lambda one: module(one).write_bytes(b""),
    "a module cut short": lambda one: module(one, "helper.py").write_bytes(b"version"),
    "no module": lambda one: module(one).unlink(),
    "no list of files": lambda one: (metadata(one) / "RECORD").unlink(),
    "an empty list of files": lambda one: (metadata(one) / "RECORD").write_bytes(b""),
    "no metadata": lambda one: shutil.rmtree(metadata(one)),
    "no Python": lambda one: one.python.unlink(),
}


@pytest.mark.skipif(os.name == "nt", reason="the folders of an environment have other names there")
def test_a_power_cut_at_any_stage_is_noticed_and_the_environment_made_again(
    index: Index, cache: Path
) -> None:
    index.wheel("helper", "2.0")
    index.wheel("engine", "1.0", requires=("helper==2.0",))
    first = EnvironmentManager(cache).ensure(DECLARED)
    assert damage(first) is None
    assert works(first)
    for name, cut in CUTS.items():
        cut(first)
        lines: list[str] = []
        again = EnvironmentManager(cache).ensure(DECLARED, progress=lines.append)
        assert any(line.startswith("making ") for line in lines), f"{name}: taken for whole"
        assert again.id == first.id, name
        assert works(again), name
        assert EnvironmentManager(cache).clean() == 0, f"{name}: something is left"
        # Only what had its manifest is a surprise to anybody.
        warned = [line for line in lines if line.startswith("warning: the tiny environment is damaged: ")]
        assert bool(warned) == ("manifest" not in name and name != "no Python"), name


def test_a_whole_environment_is_looked_at_once_and_not_made_again(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("engine", "1.0")
    made = EnvironmentManager(cache).ensure(DECLARED)
    # What is compiled, added or lengthened later is no damage.
    (module(made).parent / "cache.bin").write_bytes(b"x")
    with module(made).open("a", encoding="utf-8") as file:
        file.write("# looked into\n")
    looked: list[Path] = []

    def count(environment: Environment) -> str | None:
        looked.append(environment.path)
        return damage(environment)

    monkeypatch.setattr(manager, "damage", count)
    session = EnvironmentManager(cache)
    lines: list[str] = []
    assert [session.ensure(DECLARED, progress=lines.append).id for _ in range(3)] == [made.id] * 3
    assert (looked, lines) == ([made.path], [])


def test_a_file_that_two_packages_bring_is_no_damage(index: Index, cache: Path) -> None:
    index.wheel("helper", "2.0", body="# the longer one of two modules of this name")
    made = EnvironmentManager(cache).ensure(backend("helper==2.0"))
    site = module(made, "helper.py").parent
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "RECORD").write_text("helper.py,sha256=x,5\nother-1.0.dist-info/RECORD,,\n", encoding="utf-8")
    (site / "helper.py").write_text("x = 1", encoding="utf-8")
    assert damage(made) is None
    (site / "helper.py").write_text("x", encoding="utf-8")
    assert damage(made) == "helper.py has 1 bytes instead of 5"


def test_all_files_are_on_disk_before_the_manifest_is(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("engine", "1.0")
    events: list[str] = []

    def synced(folder: Path) -> None:
        assert module_there(folder)
        assert not (folder / MANIFEST).exists()
        events.append("files")

    def module_there(folder: Path) -> bool:
        return any(folder.rglob("engine.py"))

    write = record.write_manifest

    def written(environment: Environment) -> None:
        events.append("manifest")
        write(environment)

    monkeypatch.setattr(manager, "sync_tree", synced)
    monkeypatch.setattr(manager, "write_manifest", written)
    EnvironmentManager(cache).ensure(DECLARED)
    assert events == ["files", "manifest"]


def locked(*paths: Path) -> type[Backend]:
    (pins.LOCKS / "tiny.txt").write_text(lock_lines(*paths), encoding="utf-8")
    return backend("engine==1.0", lock="tiny.txt", from_source=("engine",))


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
@pytest.mark.parametrize("content", [b"", bytes(300), b'{"name": "eng'], ids=["empty", "zeros", "cut"])
def test_a_build_whose_record_is_half_there_is_built_again(index: Index, cache: Path, content: bytes) -> None:
    declared = locked(index.source("engine", "1.0"))
    environments = EnvironmentManager(cache)
    environments.remove(environments.ensure(declared).key)
    (written,) = (cache / "builds").rglob("*.whl.json")
    written.write_bytes(content)
    assert EnvironmentManager(cache).ensure(declared).builds[0].name == "engine"
    assert index.builds == 2
