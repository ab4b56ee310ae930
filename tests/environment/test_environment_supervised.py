"""Nothing that a command starts outlives it, nor the program that wanted it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.environment import supervised

#: Starts a grandchild in a process group of its own, as ninja does with compilers, and tells both ids.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(os.getpid(), child.pid, flush=True)
if sys.argv[1] == "wait":
    child.wait()
"""

posix_only = pytest.mark.skipif(os.name == "nt", reason="sessions and kill -9 are POSIX")


def run(command: list[str], log: Path, on_line: Callable[[str], None] = lambda _: None) -> int:
    return supervised.run(command, env=dict(os.environ), log=log, on_line=on_line)


def all_end(ids: list[int]) -> bool:
    """Whether the processes end within some seconds; a zombie has ended, whoever fails to bury it."""
    living = []
    for pid in ids:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            living.append(psutil.Process(pid))
    _, alive = psutil.wait_procs([process for process in living if not is_zombie(process)], timeout=20)
    return not [process for process in alive if not is_zombie(process)]


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_output_reaches_the_log_and_the_caller_line_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    script = (
        "import sys; print('out'); sys.stdout.flush(); print('err \\u00e9', file=sys.stderr); sys.exit(3)"
    )
    assert run([sys.executable, "-X", "utf8", "-c", script], tmp_path / "below" / "log", lines.append) == 3
    assert lines == ["out", "err é"]
    log = (tmp_path / "below" / "log").read_text(encoding="utf-8")
    assert log.startswith("$ ")
    assert log.endswith("out\nerr é\n")


def test_a_command_reads_an_empty_standard_input(tmp_path: Path) -> None:
    assert run([sys.executable, "-c", "import sys; sys.exit(len(sys.stdin.read()))"], tmp_path / "log") == 0


@posix_only
def test_a_command_that_a_signal_ended_has_the_shells_status(tmp_path: Path) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run([sys.executable, "-c", script], tmp_path / "log") == 128 + signal.SIGKILL


@posix_only
def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run([sys.executable, "-c", FAMILY, "leave"], tmp_path / "log", lines.append) == 0
    assert all_end([int(word) for word in lines[0].split()])


@posix_only
def test_an_interrupted_caller_ends_the_command_and_all_it_started(tmp_path: Path) -> None:
    ids: list[int] = []

    def interrupt(line: str) -> None:
        ids.extend(int(word) for word in line.split())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", FAMILY, "wait"], tmp_path / "log", interrupt)
    assert len(ids) == 2
    assert all_end(ids)


@posix_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def test_a_killed_caller_takes_the_command_and_all_it_started_with_it(tmp_path: Path, number: int) -> None:
    script = f"""
import os, sys
from pathlib import Path
from harness.environment import supervised
supervised.run([sys.executable, "-c", {FAMILY!r}, "wait"], env=dict(os.environ),
               log=Path({str(tmp_path / "log")!r}), on_line=lambda line: print(line, flush=True))
"""
    caller = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=Path(__file__).parents[2],
    )
    assert caller.stdout is not None
    ids = [int(word) for word in caller.stdout.readline().split()]
    assert len(ids) == 2
    caller.send_signal(number)
    caller.communicate(timeout=60)
    assert all_end(ids)
