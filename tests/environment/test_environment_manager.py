"""Environments made from a folder of tiny wheels: created, found, shared, removed, and what fails."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from environment_index import Index, backend, lock_lines, sha256

from harness.environment import EnvironmentManager, Override, Package, host, pins
from harness.errors import EdgebenchError, UsageError
from harness.worker.api import Backend, Requirements


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


def locked(*files: Path, from_source: tuple[str, ...] = ()) -> type[Backend]:
    """A backend whose lock holds exactly these files."""
    (pins.LOCKS / "tiny.txt").write_text(lock_lines(*files), encoding="utf-8")
    return backend(
        "engine==1.0",
        lock="tiny.txt",
        from_source=from_source,
        build={"cpu": {"CMAKE_ARGS": "-DPLAIN=1"}, "fast": {"CMAKE_ARGS": "-DFAST=1"}},
    )


def says(python: Path, code: str) -> str:
    """What a line of code prints in an environment."""
    return subprocess.run(
        [python, "-I", "-c", code], check=True, capture_output=True, encoding="utf-8", timeout=60
    ).stdout.strip()


def test_an_environment_is_made_once_and_found_with_its_packages(index: Index, cache: Path) -> None:
    engine = index.wheel("engine", "1.0", requires=("Helper_Tools>=2",))
    helper = index.wheel("helper-tools", "2.0")
    declared = locked(engine, helper)
    manager = EnvironmentManager(cache)
    assert manager.find(declared) is None
    assert not cache.exists(), "finding creates nothing"
    lines: list[str] = []
    made = manager.ensure(declared, progress=lines.append)
    assert made.packages == (
        Package("engine", "1.0", sha256(engine)),
        Package("helper-tools", "2.0", sha256(helper)),
    )
    assert made.version("helper-tools") == "2.0"
    assert made.hashed
    assert made.path == cache / "environments" / f"tiny-runtime-cpu-{made.key}"
    assert made.made_s > 0
    assert made.size_bytes > 0
    assert says(made.python, "import engine, helper_tools; print(engine.version)") == "1.0"
    assert lines[0] == "making the tiny environment"
    assert any("installing 2 packages" in line for line in lines)
    assert EnvironmentManager(cache).find(declared) == made
    assert EnvironmentManager(cache).list() == [made]
    index.folder.rename(index.folder.with_name("gone"))
    assert manager.ensure(declared) == made, "found without pip"
    manager.verify(made)


def test_an_environment_is_isolated_from_the_one_that_made_it(index: Index, cache: Path) -> None:
    made = EnvironmentManager(cache).ensure(locked(index.wheel("engine", "1.0")))
    code = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('pydantic'), u.find_spec('harness'))"
    assert says(made.python, code) == "None None None"


def test_equal_software_has_an_equal_id_and_other_software_another(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    index.wheel("engine", "1.1")
    manager = EnvironmentManager(cache)
    one = manager.ensure(backend("engine==1.0", framework="one"))
    two = manager.ensure(backend("engine==1.0", framework="two"))
    three = manager.ensure(backend("engine==1.1", framework="one"))
    assert one.id == two.id != three.id
    assert len({one.key, two.key, three.key}) == 3


def test_an_override_makes_an_environment_of_its_own(index: Index, cache: Path, tmp_path: Path) -> None:
    declared = locked(index.wheel("engine", "1.0", requires=("helper",)), index.wheel("helper", "2.0"))
    plain = EnvironmentManager(cache).ensure(declared)
    wheel = Index(tmp_path / "own").wheel("engine", "1.0", body="own = True", requires=("helper",))
    made = EnvironmentManager(cache).ensure(declared, overrides=[Override.parse(str(wheel))])
    assert says(made.python, "import engine; print(engine.own)") == "True"
    assert made.version("helper") == "2.0"
    assert made.overrides == (f"engine==1.0 sha256:{sha256(wheel)}",)
    assert not made.hashed
    assert made.id != plain.id
    assert EnvironmentManager(cache).find(declared) == plain


def test_an_override_keeps_the_pins_that_are_not_in_its_way(index: Index, cache: Path) -> None:
    declared = locked(
        index.wheel("engine", "1.0", requires=("helper", "other")),
        index.wheel("helper", "2.0"),
        index.wheel("other", "1.0"),
    )
    index.wheel("helper", "3.0")
    index.wheel("other", "2.0")
    index.wheel("engine", "1.1", requires=("helper", "other"))
    index.wheel("engine", "1.2", requires=("helper>=3", "other"))
    manager = EnvironmentManager(cache)
    kept = manager.ensure(declared, overrides=[Override.parse("engine==1.1")])
    assert kept.version("helper") == "2.0", "the newest is 3.0, the pin is 2.0"
    assert kept.notes == ()
    lines: list[str] = []
    made = manager.ensure(declared, overrides=[Override.parse("engine==1.2")], progress=lines.append)
    assert (made.version("helper"), made.version("other")) == ("3.0", "1.0")
    assert any("the pins of helper give way" in line for line in lines)
    (note,) = made.notes
    assert note.startswith("helper 3.0 in place of the pin helper==2.0")
    assert EnvironmentManager(cache).find(declared, overrides=[Override.parse("engine==1.2")]) == made


def test_companions_that_need_each_other_give_way_one_after_the_other(index: Index, cache: Path) -> None:
    """As a runtime, what builds on it, and what that builds on, which a release has all of."""
    for version in ("1.0", "2.0", "3.0"):
        index.wheel("engine", version)
        index.wheel("middle", version, requires=(f"engine=={version}",))
        index.wheel("top", version, requires=(f"middle=={version}", "apart"))
    files = [index.folder / f"{name}-2.0-py3-none-any.whl" for name in ("engine", "middle", "top")]
    index.wheel("apart", "6.0")
    (pins.LOCKS / "tiny.txt").write_text(lock_lines(*files, index.wheel("apart", "5.0")), encoding="utf-8")
    declared = backend("engine==2.0", "top==2.0", lock="tiny.txt", from_source=())
    made = EnvironmentManager(cache).ensure(declared, overrides=[Override.parse("engine==1.0")])
    assert [made.version(name) for name in ("engine", "middle", "top", "apart")] == [
        "1.0",
        "1.0",
        "1.0",
        "5.0",
    ]
    assert len(made.notes) == 2


def test_overrides_that_do_not_fit_each_other_are_told(index: Index, cache: Path) -> None:
    declared = locked(index.wheel("engine", "1.0", requires=("helper",)), index.wheel("helper", "2.0"))
    index.wheel("engine", "1.2", requires=("helper>=3",))
    asked = [Override.parse("engine==1.2"), Override.parse("helper==2.0")]
    with pytest.raises(EdgebenchError, match="cannot be installed together") as caught:
        EnvironmentManager(cache).ensure(declared, overrides=asked)
    assert "--with" in caught.value.next_step


def test_a_file_with_another_hash_is_refused_and_named(index: Index, cache: Path) -> None:
    declared = locked(index.wheel("engine", "1.0"))
    index.wheel("engine", "1.0", body="tampered = True")
    with pytest.raises(
        EdgebenchError, match=r"another file than the one that is pinned \(engine==1\.0"
    ) as caught:
        EnvironmentManager(cache).ensure(declared)
    assert "log: " in caught.value.what
    assert EnvironmentManager(cache).list() == []
    assert [path.suffix for path in (cache / "environments").iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("index")
def test_a_missing_file_is_told_with_its_log(cache: Path) -> None:
    with pytest.raises(EdgebenchError, match="no index offers the pinned file") as caught:
        EnvironmentManager(cache).ensure(backend("engine==1.0"))
    log = Path(caught.value.what.partition("(log: ")[2].rstrip(")"))
    assert "No matching distribution found" in log.read_text(encoding="utf-8")


def test_the_users_constraints_are_honoured_and_named(
    index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("engine", "1.0", requires=("helper",))
    index.wheel("helper", "2.0")
    index.wheel("helper", "3.0")
    (tmp_path / "corporate.txt").write_text("helper==2.0\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "corporate.txt"))
    assert EnvironmentManager(cache).ensure(backend("engine==1.0")).version("helper") == "2.0"
    (tmp_path / "corporate.txt").write_text("engine==0.9\n", encoding="utf-8")
    with pytest.raises(EdgebenchError, match=r"The user requested \(constraint\) engine==0\.9") as caught:
        EnvironmentManager(cache).ensure(backend("engine==1.0", framework="other"))
    assert "PIP_CONSTRAINT" in caught.value.next_step


def test_relative_paths_in_the_users_configuration_are_to_the_working_folder(
    index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("engine", "1.0")
    (tmp_path / "corporate.txt").write_text("engine<2\n", encoding="utf-8")
    (tmp_path / "pip.py").write_text("raise SystemExit('not the pip that is meant')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", index.folder.name)
    monkeypatch.setenv("PIP_CONSTRAINT", "corporate.txt")
    assert EnvironmentManager(cache).ensure(backend("engine==1.0")).version("Engine") == "1.0"


def test_a_pip_that_demands_hashes_is_told_for_pins_without(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = index.wheel("engine", "1.0")
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    assert EnvironmentManager(cache).ensure(locked(wheel)).hashed
    with pytest.raises(EdgebenchError, match="configured to demand hashes") as caught:
        EnvironmentManager(cache).ensure(backend("engine==1.0", framework="other"))
    assert "PIP_REQUIRE_HASHES" in caught.value.next_step


def test_settings_that_install_elsewhere_do_not(
    index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    index.wheel("engine", "1.0")
    made = EnvironmentManager(cache).ensure(backend("engine==1.0"))
    assert made.version("engine") == "1.0"
    assert not (tmp_path / "elsewhere").exists()


def test_a_framework_that_cannot_be_imported_is_no_environment(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0", body="raise ImportError('libgomp.so.1: cannot open shared object file')")
    with pytest.raises(EdgebenchError, match=r"`import engine` does not work in it: .*libgomp\.so\.1"):
        EnvironmentManager(cache).ensure(backend("engine==1.0"))
    assert EnvironmentManager(cache).list() == []


def test_a_damaged_environment_does_not_verify(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    manager = EnvironmentManager(cache)
    made = manager.ensure(backend("engine==1.0"))
    (module,) = made.path.rglob("engine.py")
    module.unlink()
    shutil.rmtree(module.parent / "__pycache__")
    with pytest.raises(EdgebenchError, match="No module named 'engine'"):
        manager.verify(made)
    manager.remove(made.key)
    with pytest.raises(EdgebenchError, match="is gone"):
        manager.verify(made)


def test_the_converter_is_an_environment_of_its_own_only_where_pins_disagree(
    index: Index, cache: Path
) -> None:
    index.wheel("engine", "1.0")
    index.wheel("tool", "3")
    manager = EnvironmentManager(cache)
    one = backend("engine==1.0")
    assert manager.ensure(one, role="converter") == manager.ensure(one, role="runtime")
    two = backend(
        "engine==1.0", framework="two", converter=Requirements(packages=("tool==3",), import_name="tool")
    )
    assert manager.ensure(two, role="converter").version("tool") == "3"
    assert [found.role for found in manager.list()] == ["runtime", "converter"]


def test_a_half_made_folder_does_not_count_and_is_replaced(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    declared = backend("engine==1.0")
    manager = EnvironmentManager(cache)
    folder = cache / "environments" / f"tiny-runtime-cpu-{manager.key(declared)}"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "half").write_text("x", encoding="utf-8")
    assert manager.find(declared) is None
    assert manager.list() == []
    made = manager.ensure(declared)
    assert made.path == folder
    assert not (folder / "lib" / "half").exists()


def test_an_environment_whose_python_is_gone_is_made_again(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    manager = EnvironmentManager(cache)
    made = manager.ensure(backend("engine==1.0"))
    made.python.unlink()
    assert manager.find(backend("engine==1.0")) is None
    assert manager.ensure(backend("engine==1.0")).id == made.id


def test_removing_and_cleaning_tell_what_they_freed(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    manager = EnvironmentManager(cache)
    one = manager.ensure(backend("engine==1.0", framework="one"))
    two = manager.ensure(backend("engine==1.0", framework="two"))
    half = cache / "environments" / "half-runtime-cpu-0000"
    half.mkdir()
    (half / "x").write_bytes(b"x" * 100)
    assert manager.clean() == 100
    assert manager.list() == [one, two]
    assert manager.remove(one.key[:6]) >= one.size_bytes
    assert manager.list() == [two]
    assert manager.clean(keep={two.key}) == 0
    assert manager.clean(keep=set()) >= two.size_bytes
    assert manager.list() == []
    for key in (two.key, "", "0000"):
        with pytest.raises(UsageError, match="no environment begins with the key"):
            manager.remove(key)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_cache_that_cannot_be_written_is_told(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    cache.mkdir(mode=0o500)
    with pytest.raises(EdgebenchError, match="Permission denied") as caught:
        EnvironmentManager(cache).ensure(backend("engine==1.0"))
    assert "EDGEBENCH_CACHE_DIR" in caught.value.next_step


def test_a_cache_that_is_a_file_is_told(index: Index, cache: Path) -> None:
    index.wheel("engine", "1.0")
    cache.write_text("not a folder", encoding="utf-8")
    with pytest.raises(EdgebenchError, match="making the tiny environment failed") as caught:
        EnvironmentManager(cache).ensure(backend("engine==1.0"))
    assert "EDGEBENCH_CACHE_DIR" in caught.value.next_step


# -- built from source -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_a_source_is_built_once_per_variant_and_shared(index: Index, cache: Path) -> None:
    declared = locked(index.source("engine", "1.0"), index.wheel("helper", "2.0"), from_source=("engine",))
    manager = EnvironmentManager(cache)
    lines: list[str] = []
    plain = manager.ensure(declared, progress=lines.append)
    assert says(plain.python, "import engine; print(engine.built_with)") == "-DPLAIN=1"
    assert lines[0] == "building engine 1.0 from source: several minutes, once for this kind of processor"
    (build,) = plain.builds
    assert (build.name, build.wheel, build.env["CMAKE_ARGS"]) == (
        "engine",
        "engine-1.0-py3-none-any.whl",
        "-DPLAIN=1",
    )
    assert build.build_s > 0
    assert plain.packages[0] == Package("engine", "1.0", build.sha256)
    assert plain.hashed, "the built wheel is checked by the hash that it had when it was built"
    fast = manager.ensure(declared, "fast")
    assert says(fast.python, "import engine; print(engine.built_with)") == "-DFAST=1"
    assert index.builds == 2
    manager.remove(plain.key)
    assert manager.ensure(declared).id == plain.id
    assert index.builds == 2
    assert sorted(path.suffix for path in (cache / "builds").iterdir() if "building" in path.name) == []


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_a_damaged_build_is_built_again_with_a_warning(index: Index, cache: Path) -> None:
    declared = locked(index.source("engine", "1.0"), from_source=("engine",))
    manager = EnvironmentManager(cache)
    manager.remove(manager.ensure(declared).key)
    (wheel,) = (cache / "builds").rglob("*.whl")
    wheel.write_bytes(b"damaged")
    lines: list[str] = []
    manager.ensure(declared, progress=lines.append)
    assert "warning" in lines[0]
    assert index.builds == 2


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_a_source_with_another_hash_is_not_built(index: Index, cache: Path) -> None:
    declared = locked(index.source("engine", "1.0"), from_source=("engine",))
    index.source("engine", "1.0", hook="    tampered = True")
    with pytest.raises(EdgebenchError, match="another file than the one that is pinned"):
        EnvironmentManager(cache).ensure(declared)
    assert index.builds == 0


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_a_failed_build_tells_the_compilers_words_and_the_log(index: Index, cache: Path) -> None:
    hook = "    print('a.cpp:3:1: error: no such thing', flush=True); sys.exit(1)"
    declared = locked(index.source("engine", "1.0", hook=hook), from_source=("engine",))
    with pytest.raises(
        EdgebenchError, match=r"building engine 1\.0 failed: .*a\.cpp:3:1: error: no such thing"
    ) as caught:
        EnvironmentManager(cache).ensure(declared)
    assert caught.value.next_step.endswith(".log")
    assert [path for path in (cache / "builds").iterdir() if path.is_dir()] == []


def test_no_compiler_is_told_before_anything_is_fetched(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = locked(index.source("engine", "1.0"), from_source=("engine",))
    monkeypatch.setattr(host, "compiler", lambda: None)
    with pytest.raises(
        EdgebenchError, match=r"engine has no ready wheel and no C\+\+ compiler was found"
    ) as caught:
        EnvironmentManager(cache).ensure(declared)
    assert "install" in caught.value.next_step
    assert index.builds == 0


def test_a_wheel_of_ones_own_needs_no_compiler(
    index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = locked(index.source("engine", "1.0"), from_source=("engine",))
    monkeypatch.setattr(host, "compiler", lambda: None)
    wheel = Index(tmp_path / "own").wheel("engine", "1.0")
    made = EnvironmentManager(cache).ensure(declared, overrides=[Override.parse(f"tiny={wheel}")])
    assert made.builds == ()
    assert index.builds == 0


# -- several processes -----------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from environment_index import backend
from harness.environment import EnvironmentManager, pins
pins.LOCKS = Path(sys.argv[2])
declared = backend("engine==1.0", lock="tiny.txt", from_source=("engine",),
                   build={"cpu": {"CMAKE_ARGS": "-DPLAIN=1"}, "fast": {"CMAKE_ARGS": "-DFAST=1"}})
print("ready", flush=True)
sys.stdin.readline()
print(EnvironmentManager(Path(sys.argv[3])).ensure(declared).id)
"""


def child(cache: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(pins.LOCKS), str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_two_sessions_at_once_build_and_make_it_once(index: Index, cache: Path) -> None:
    locked(index.source("engine", "1.0"), from_source=("engine",))
    processes = [child(cache) for _ in range(2)]
    for process in processes:
        go(process)
    ids = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(ids) == 1
    assert index.builds == 1


def next_byte(descriptor: int) -> bytes:
    """The next byte of a fifo, nothing when its writers are gone."""
    ready, _, _ = select.select([descriptor], [], [], 120)
    assert ready, "neither a byte nor an end within two minutes"
    return os.read(descriptor, 1)


@pytest.mark.skipif(os.name == "nt", reason="kill -9 and fifos are POSIX")
@pytest.mark.skipif(host.compiler() is None, reason="this machine has no C++ compiler")
def test_a_session_killed_while_building_leaves_nothing_running_and_the_next_one_builds(
    index: Index, cache: Path, tmp_path: Path
) -> None:
    # The first build reports that it runs and hangs; its end of the fifo closes when it is really gone.
    fifo, first = tmp_path / "fifo", tmp_path / "first"
    os.mkfifo(fifo)
    first.touch()
    code = f"import time; f = open({str(fifo)!r}, 'w'); f.write('!'); f.flush(); time.sleep(600)"
    hook = (
        f"    if os.path.exists({str(first)!r}):\n"
        f"        os.unlink({str(first)!r})\n"
        f"        subprocess.run([sys.executable, '-c', {code!r}], process_group=0)"
    )
    declared = locked(index.source("engine", "1.0", hook=hook), from_source=("engine",))
    running = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    process = child(cache)
    go(process)
    assert next_byte(running) == b"!"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert next_byte(running) == b"", "the compiler's end closed: it is gone"
    os.close(running)
    made = EnvironmentManager(cache).ensure(declared)
    assert made.builds[0].env["CMAKE_ARGS"] == "-DPLAIN=1"
    assert index.builds == 2
    assert list((cache / "builds").glob("*.building-*")) == []
