"""A worker that loses its runner ends within a second; real runners, really killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import harness

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="waits on pidfd"), pytest.mark.alone]

#: Starts a worker, has it do what the script says, tells the worker's process id once it is at it.
RUNNER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess

def told(message):
    print(worker.pid, flush=True)

with WorkerProcess(Launch(Path(sys.executable), "harness.backends.fake:Fake"), log=Path(sys.argv[2])) as worker:
    worker.call("hello", {}, timeout_s=60)
    worker._on_event = told
    worker.call("load", {"artifact": sys.argv[3], "device": "cpu", "api": "cpu", "threads": 1,
                         "context_tokens": 8, "options": {}}, timeout_s=600)
"""


class _Runner:
    def __init__(self, tmp_path: Path, load: list[dict[str, Any]]) -> None:
        artifact = tmp_path / "fake.json"
        artifact.write_text('{"bits": 8, "broken": false}', encoding="utf-8")
        self.child_file = tmp_path / "child"
        script = {"start": [{"do": "spawn", "pid_file": str(self.child_file)}], "load": load}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                RUNNER,
                str(Path(harness.__file__).parents[1]),
                str(tmp_path / "log"),
                str(artifact),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "EDGEBENCH_FAKE_SCRIPT": json.dumps(script)},
            start_new_session=True,
            text=True,
        )
        assert self.process.stdout is not None
        self.worker = os.pidfd_open(int(self.process.stdout.readline()))
        self.child = os.pidfd_open(int(self.child_file.read_text(encoding="utf-8")))

    def end(self, number: int) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)

    def all_gone_after_s(self) -> float:
        begin = time.monotonic()
        for descriptor in (self.worker, self.child):
            assert select.select([descriptor], [], [], 10.0)[0], "still running"
            os.close(descriptor)
        return time.monotonic() - begin


@pytest.mark.parametrize("gil", [False, True], ids=["gil free", "gil held"])
def test_a_worker_and_its_child_end_within_a_second_of_a_killed_runner(tmp_path: Path, gil: bool) -> None:
    runner = _Runner(tmp_path, [{"do": "hang", "gil": gil}])
    runner.end(signal.SIGKILL)
    assert runner.all_gone_after_s() < 1.0
    assert runner.process.returncode == -signal.SIGKILL


def test_a_worker_that_computes_ends_within_a_second_of_a_killed_runner(tmp_path: Path) -> None:
    runner = _Runner(tmp_path, [{"do": "wait", "seconds": 600}])
    runner.end(signal.SIGKILL)
    assert runner.all_gone_after_s() < 1.0


@pytest.mark.parametrize("gil", [False, True], ids=["gil free", "gil held"])
def test_a_key_press_ends_the_runner_and_takes_the_worker_along(tmp_path: Path, gil: bool) -> None:
    runner = _Runner(tmp_path, [{"do": "hang", "gil": gil}])
    os.killpg(runner.process.pid, signal.SIGINT)
    _, errors = runner.process.communicate(timeout=30)
    assert runner.all_gone_after_s() < 1.0
    assert "KeyboardInterrupt" in errors
    assert runner.process.returncode != 0
