"""Losing the runner before the guard is up, and the end of the pipe as the only sign."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import harness

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

_BOOTSTRAP = Path(harness.__file__).parent / "worker" / "bootstrap.py"


def _start(read_fd: int, write_fd: int, parent: int, standard: bool = False) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-u", str(_BOOTSTRAP)]
    if not standard:
        command += [f"--read-fd={read_fd}", f"--write-fd={write_fd}"]
    command += [f"--parent-pid={parent}", f"--package=harness={_BOOTSTRAP.parents[1]}"]
    command += ["--backend=harness.backends.fake:Fake"]
    return subprocess.Popen(
        command,
        stdin=read_fd if standard else None,
        stdout=write_fd if standard else None,
        pass_fds=() if standard else (read_fd, write_fd),
        start_new_session=True,
        stderr=subprocess.PIPE,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux asks who its parent is")
def test_a_worker_whose_parent_is_another_than_its_runner_leaves_at_once() -> None:
    read_fd, keep_open = os.pipe()
    read_back, write_fd = os.pipe()
    with _start(read_fd, write_fd, parent=2**22 - 1) as worker:
        _, errors = worker.communicate(timeout=30)
    for descriptor in (read_fd, keep_open, read_back, write_fd):
        os.close(descriptor)
    assert worker.returncode == -signal.SIGKILL
    assert b"the runner is gone" in errors


@pytest.mark.parametrize("standard", [False, True], ids=["own pipes", "standard pipes"])
def test_the_end_of_the_request_pipe_ends_the_worker(standard: bool) -> None:
    read_fd, requests = os.pipe()
    read_back, write_fd = os.pipe()
    with _start(read_fd, write_fd, parent=os.getpid(), standard=standard) as worker:
        os.close(read_fd)
        os.close(write_fd)
        os.close(requests)
        worker.communicate(timeout=30)
    assert os.read(read_back, 1) == b"", "it ended without a word"
    os.close(read_back)
    assert worker.returncode == -signal.SIGKILL, "it took its process group along"
