"""Programs in processes of their own that begin at once: forks of one process that has imported what they need.

A plugin of the test suite (see `conftest.py`). Importing the store takes longer than most of what such a process does
until it is killed. The forking process does nothing else, holds no database, and has no thread.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

import harness

HERE = Path(__file__).resolve().parent

#: Answers one request after the other: to fork for a program, or to wait for one that was forked.
_SERVER = """
import json, os, socket, sys, time, traceback
import alembic.command, make_store_records
import harness.cli, harness.cli.db_command, harness.cli.show_command, harness.report, harness.store

try:
    import psycopg
except ImportError:
    pass  # then there is no server either

asked = socket.socket(fileno=int(sys.argv[1]))

def run(program, words, descriptors):
    asked.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["-c", *words]
    code = 0
    try:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

def wait(pid, seconds):
    end = time.monotonic() + seconds
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.002)

while True:
    text, descriptors = b"", []
    while not text.endswith(b"\\n"):
        more, found, _, _ = socket.recv_fds(asked, 1 << 16, 3)
        if not more:
            sys.exit()
        text += more
        descriptors += found
    task = json.loads(text)
    if "wait" in task:
        answer = wait(task["wait"], task["seconds"])
    else:
        answer = os.fork()
        if answer == 0:
            run(task["program"], task["words"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    asked.sendall(json.dumps(answer).encode() + b"\\n")
"""


@dataclass
class Forked:
    """A process that was forked; ``returncode`` is None until somebody waited for its end."""

    pid: int
    _server: socket.socket
    returncode: int | None = None

    def wait(self, timeout: float = 120.0) -> int:
        """Its exit status; negative: the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        if self.returncode is None:
            self.returncode = _ask(self._server, {"wait": self.pid, "seconds": timeout})
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def kill(self) -> None:
        """Kill it, if nobody has waited for its end: until then its number is its own."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class Forks:
    """Starts them. A context manager."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": _path()},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        """Ends the process that forks."""
        self._socket.close()
        self._process.wait(timeout=120)

    def start(
        self,
        program: str,
        *words: str,
        stdin: int | None = None,
        stdout: IO[Any] | int,
        stderr: IO[Any] | int,
    ) -> Forked:
        """Begin a program.

        Args:
            program: Python.
            words: its arguments.
            stdin: what it reads; nothing unless given.
            stdout: where it writes.
            stderr: the same.
        """
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - as the system calls it
            descriptors = [
                one if isinstance(one, int) else one.fileno()
                for one in (nothing if stdin is None else stdin, stdout, stderr)
            ]
            pid = _ask(self._socket, {"program": program, "words": words}, descriptors)
        return Forked(pid, self._socket)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, with what it said."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = self.start(program, *words, stdout=out, stderr=err).wait()
            said = []
            for one in (out, err):
                one.seek(0)
                said.append(one.read())
        return subprocess.CompletedProcess([program, *words], code, *said)


def _path() -> str:
    return os.pathsep.join([str(Path(harness.__file__).parents[1]), str(HERE)])


def _ask(server: socket.socket, task: dict[str, Any], descriptors: list[int] | None = None) -> Any:
    socket.send_fds(server, [json.dumps(task).encode() + b"\n"], descriptors or [])
    answer = b""
    while not answer.endswith(b"\n"):
        more = server.recv(1 << 16)
        assert more, "the process that forks has ended"
        answer += more
    return json.loads(answer)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Starts programs that have the store imported already."""
    made = Forks()
    yield made
    made.close()
