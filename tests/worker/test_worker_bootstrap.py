"""The first file of a worker: what becomes importable, where the streams go, which descriptors are taken."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess
from harness.worker.bootstrap import PackageFinder, parse_arguments

BOOTSTRAP = Path(harness.__file__).parent / "worker" / "bootstrap.py"


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[PackageFinder]:
    package = tmp_path / "site" / "one_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("value = 1\n", encoding="utf-8")
    (package / "inner" / "__init__.py").write_text("", encoding="utf-8")
    (package / "inner" / "leaf.py").write_text("value = 2\n", encoding="utf-8")
    (tmp_path / "site" / "beside_it.py").write_text("", encoding="utf-8")
    (tmp_path / "site" / "one_file.py").write_text("value = 3\n", encoding="utf-8")
    (tmp_path / "site" / "no_init").mkdir()
    (tmp_path / "site" / "no_init" / "leaf.py").write_text("value = 4\n", encoding="utf-8")
    site = tmp_path / "site"
    finder = PackageFinder(
        {
            "one_package": package,
            "one_file": site / "one_file.py",
            "no_init": site / "no_init",
            "missing_one": site / "missing_one",
        }
    )
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield finder
    sys.meta_path.remove(finder)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_named_package_is_importable_with_its_submodules_from_exactly_its_folder(
    finder: PackageFinder, tmp_path: Path
) -> None:
    del finder
    assert importlib.import_module("one_package").value == 1
    leaf = importlib.import_module("one_package.inner.leaf")
    assert leaf.value == 2
    assert leaf.__file__ == str(tmp_path / "site" / "one_package" / "inner" / "leaf.py")


def test_a_single_file_and_a_folder_without_init_are_importable_too(finder: PackageFinder) -> None:
    del finder
    assert importlib.import_module("one_file").value == 3
    assert importlib.import_module("no_init.leaf").value == 4


@pytest.mark.parametrize("name", ["beside_it", "missing_one"])
def test_what_lies_beside_a_named_package_stays_out_of_reach(finder: PackageFinder, name: str) -> None:
    del finder
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)


def test_the_command_line_is_read() -> None:
    options = parse_arguments(
        ["--read-fd", "5", "--write-fd=6", "--package", "a=/x/a", "--package=b=/y=z", "--backend", "m:C"]
    )
    assert (options.read_fd, options.write_fd, options.parent_pid) == (5, 6, None)
    assert dict(options.package) == {"a": Path("/x/a"), "b": Path("/y=z")}
    assert options.backend == "m:C"


def test_without_descriptors_the_standard_ones_carry_the_protocol() -> None:
    options = parse_arguments(["--backend", "m:C"])
    assert (options.read_fd, options.write_fd) == (0, 1)


@pytest.mark.parametrize("package", ["nothing", "=x", "a=", "not-a-name=/x"])
def test_a_wrong_package_argument_is_refused(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--read-fd=1", "--write-fd=2", "--backend=m:C", "--package", package])
    assert "expected NAME=PATH" in capsys.readouterr().err


BACKEND = """
import json, os, sys
from harness.backends.fake import Fake

class Probe(Fake):
    framework = "probe"

    def versions(self):
        import third_helper
        inherited = [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _inheritable(fd)]
        return {
            "framework": "1",
            "path": json.dumps(sys.path),
            "isolated": str(sys.flags.isolated),
            "utf8": str(sys.flags.utf8_mode),
            "stdin": repr(sys.stdin.read()),
            "same": str(os.path.sameopenfile(1, 2)),
            "inherited": json.dumps(inherited),
            "helper": third_helper.__name__,
            "lab": str("psutil" in sys.modules),
        }

def _inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
"""


@pytest.mark.skipif(sys.platform != "linux", reason="lists descriptors in /proc")
@pytest.mark.parametrize("standard", [False, True], ids=["own pipes", "standard pipes"])
def test_a_third_partys_backend_runs_isolated_with_its_streams_in_the_log(
    tmp_path: Path, standard: bool
) -> None:
    package = tmp_path / "elsewhere" / "third"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "backend.py").write_text(BACKEND, encoding="utf-8")
    helper = tmp_path / "elsewhere" / "third_helper.py"
    helper.write_text("", encoding="utf-8")
    launch = Launch(
        Path(sys.executable),
        "third.backend:Probe",
        packages={**Launch(Path(), "").packages, "third": package, "third_helper": helper},
        env={"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "nothing"},
        standard_pipes=standard,
    )
    with WorkerProcess(launch, log=tmp_path / "log") as worker:
        told = worker.call("hello", {}, timeout_s=60)["versions"]
    assert told["isolated"] == "1"
    assert told["utf8"] == "1"
    assert told["stdin"] == "''"
    assert told["same"] == "True", "standard output goes where standard error goes"
    assert told["inherited"] == "[]", "what the framework starts gets no end of the protocol's pipes"
    assert told["helper"] == "third_helper"
    path = json.loads(told["path"])
    assert str(tmp_path) not in path
    assert str(package.parent) not in path
    beside_harness = Path(harness.__file__).resolve().parents[1]
    # The package that is tested may be installed where this interpreter looks anyway.
    if beside_harness != Path(sysconfig.get_path("purelib")).resolve():
        assert str(beside_harness) not in path


def test_the_bootstrap_imports_nothing_but_the_standard_library_before_its_finder() -> None:
    program = "import runpy, sys; runpy.run_path(sys.argv[1]); print('numpy' in sys.modules, 'harness' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, os.fspath(BOOTSTRAP)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.split() == ["False", "False"]
