"""A server that the user's command starts: it is found, measured, and gone afterwards, however this side ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import harness
from harness.backends import _server_command as command
from harness.backends._server_client import ServerError
from harness.backends.server import Server, parse_options
from harness.worker.api import LoadSpec

HERE = Path(__file__).resolve().parent
NAME = "EDGEBENCH_SERVER_OF_TEST"
#: A server that starts a process of its own and says which; the port is its argument.
PROGRAM = f"""
import subprocess, sys
sys.path.insert(0, {str(HERE)!r})
import server_script
other = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
open(sys.argv[2], "w").write(str(other.pid))
server = server_script.Scripted(int(sys.argv[1]))
server.script = [server_script.piece(text) for text in "ab"]
server.script += [server_script.piece("c", "length"), server_script.DONE]
server.serve_forever()
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server's own child is written down; the command is set."""
    path = tmp_path / "other"
    words = [sys.executable, "-I", "-c", PROGRAM, command.PORT, str(path)]
    monkeypatch.setenv(NAME, json.dumps(words))
    return path


def _spec(tmp_path: Path, **options: str) -> LoadSpec:
    artifact = tmp_path / "served.json"
    artifact.write_text("{}", encoding="utf-8")
    return LoadSpec(artifact, "cpu", "http", 1, 64, {"command_env": NAME, **options})


def _gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_the_commands_server_is_started_measured_and_ended_with_all_that_it_started(
    tmp_path: Path, other: Path
) -> None:
    backend = Server()
    backend.start()
    loaded = backend.load(_spec(tmp_path))
    assert loaded.hints["model"] == "tiny"
    (stream,) = backend.stream([np.arange(8, dtype=np.int32)], 3)
    assert stream.tokens == 3
    assert backend._command is not None
    pids = [backend._command.pid, int(other.read_text()), backend._command._process.pid]
    if sys.platform == "linux":
        imported, now = backend.memory("load")
        assert "never seen without a model" in (imported.reason or "")
        assert now.peak_rss_bytes is not None
        assert now.method == "VmHWM(tree)"
    backend.unload()
    assert all(_gone(pid) for pid in pids)


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_client_leaves_nothing_behind(tmp_path: Path, other: Path) -> None:
    spec = _spec(tmp_path)
    text = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(harness.__file__).parents[1])!r})\n"
        "from pathlib import Path\n"
        "from harness.backends.server import Server\n"
        "from harness.worker.api import LoadSpec\n"
        "backend = Server()\n"
        f"backend.load(LoadSpec(Path({str(spec.artifact)!r}), 'cpu', 'http', 1, 64, {dict(spec.options)!r}))\n"
        "print(backend._command.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    server = int(client.stdout.readline())
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    client.stdout.close()
    assert _gone(server)
    assert _gone(int(other.read_text()))


def test_a_command_that_ends_at_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, json.dumps([sys.executable, "-c", "raise SystemExit(7)"]))
    with pytest.raises(ServerError, match="ended with status 7 before its server answered"):
        Server().load(_spec(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "is not set"), ("   ", "is not set"), ("[1]", "no list of words"), ("['a", r"\(command_env\)")],
)
def test_a_variable_without_a_command_is_told(
    text: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if text is not None:
        monkeypatch.setenv(NAME, text)
    with pytest.raises(ValueError, match=message):
        command.command_of(NAME)


def test_a_command_line_is_taken_apart_as_a_shell_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "serve --model 'my model' --port {port}")
    assert command.command_of(NAME) == ["serve", "--model", "my model", "--port", "{port}"]


@pytest.mark.parametrize("options", [{"command_env": "PATH"}, {"command_env": NAME, "pid": "1"}])
def test_a_suite_names_no_command_but_one_of_edgebenchs_variables(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"begins with EDGEBENCH_|runs already"):
        parse_options(options)


def test_a_recipe_of_a_server_with_its_own_model_may_be_started_by_a_command() -> None:
    (recipe,) = (one for one in Server.recipes if one.name == "as-served-int4")
    assert Server.unusable(recipe, {"command_env": NAME}) is None
    assert "command_env" in (Server.unusable(recipe, {}) or "")
