"""A server that the user's own command starts: ended with everything that it started.

Owns reading the command and the process around it. Imports the standard library and the worker half only. Contract:
the command comes from the environment, never from a suite; no shell reads it; the server ends with this object, and
by itself when this process ends in any way.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.backends._server_client import Endpoint, ServerError
from harness.backends._server_process import CHILD, POLL_S, free_port

#: Stands for the port in the words of a command and in its URL.
PORT = "{port}"
#: Where a server is asked, unless the suite says otherwise.
URL = f"http://127.0.0.1:{PORT}/v1"
#: The process around it has taken all of its server's down by then.
_END_S = 10.0


def command_of(variable: str) -> list[str]:
    """The words of the command that an environment variable holds: as a shell separates them, or a JSON list.

    Raises:
        ValueError: it is not set, or holds no command.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ValueError(f"the environment variable {variable} (command_env) is not set")
    try:
        words = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise ValueError(f"the environment variable {variable} (command_env): {error}") from error
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"the environment variable {variable} (command_env) holds no list of words")
    return list(words)


class CommandServer:
    """A server that answers when the constructor returns.

    Args:
        words: of the command; `PORT` in them becomes a free port.
        url: where it answers; likewise.
        headers: sent with every request.
        stall_s: as `Endpoint`'s.

    Raises:
        ServerError: it ended before it answered.
        ValueError: ``url`` is no URL.
    """

    def __init__(self, words: list[str], url: str, headers: dict[str, str], stall_s: float) -> None:
        port = str(free_port())
        self.endpoint = Endpoint(url.replace(PORT, port), headers, stall_s)
        self._folder = Path(tempfile.mkdtemp(prefix="edgebench-server-"))
        told = self._folder / "pid"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-u", str(CHILD), "run", str(told)]
                + [word.replace(PORT, port) for word in words],
                stdin=subprocess.PIPE,
            )
            while not self._answers():
                if (status := self._process.poll()) is not None:
                    raise ServerError(
                        f"the command {words[0]!r} ended with status {status} before its server answered at "
                        f"{self.endpoint.where}; the run's log has its last words"
                    )
                time.sleep(POLL_S)
            self.pid = int(told.read_text(encoding="utf-8"))
        except BaseException:
            self.remove()
            raise

    def _answers(self) -> bool:
        """Whether it lists a model: it may listen before it has loaded one."""
        with contextlib.suppress(ServerError):
            return bool(self.endpoint.models())
        return False

    def remove(self) -> None:
        """End it and all that it started, and remove its files."""
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
