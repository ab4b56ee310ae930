"""Runs of `edgebench` in processes of their own that are killed at a given instant, many of them a minute.

A `Zygote` imports the program once and forks for each run: importing takes longer than most of a scripted session.
What is forked is the command line's own `main`, and it alone gets the signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

import harness

#: For the forked process, whose program is `edgebench`; everything else waits, kills and collects it.
PROGRAM = """
import json, os, signal, sys, time, traceback
from harness.cli import main
import harness.cli.run_command, harness.pytest_plugin, harness.report, harness.runner.front, harness.store
import rich.progress

# What every session reads anew of the distributions that are installed.
from harness.frameworks import frameworks
frameworks(include_hidden=True)

# What is measured around a run does not matter here, and takes as long as the run.
from harness.runner import calibrate
calibrate._PASSES, calibrate._TRIES, calibrate._MEMORY_BYTES = 1, 1, 4096

def run(task):
    os.chdir(task["folder"])
    os.environ.update(task["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 99
    try:
        main(task["words"])
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

print("ready", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        run(task)
    end = begin + task["kill_after_s"] if task["kill_after_s"] is not None else float("inf")
    killed = False
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            break
        if not killed and time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)  # not reaped yet: the number is still its own
            killed = True
        time.sleep(0.002)
    answer = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - begin}
    print(json.dumps(answer), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: exit status (negative: the signal), after how many seconds, and what it said."""

    code: int
    seconds: float
    said: str


class Zygote:
    """Forks `edgebench` processes, one at a time. A context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "EDGEBENCH_FAKE": "1", "PYTHONPATH": str(Path(harness.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        assert self._out.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.close()
        self._process.wait(timeout=120)
        self._out.close()

    def run(
        self, *words: str, folder: Path, environment: Mapping[str, str], kill_after_s: float | None = None
    ) -> Ended:
        """``edgebench WORDS`` in a folder, killed after some seconds if it still runs then."""
        log = folder / "said"
        log.unlink(missing_ok=True)
        task = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(log),
            "kill_after_s": kill_after_s,
        }
        self._in.write(json.dumps(task) + "\n")
        self._in.flush()
        answer = json.loads(self._out.readline())
        said = log.read_text(encoding="utf-8") if log.exists() else ""
        return Ended(answer["code"], answer["seconds"], said)


def bearers(name: str, value: str) -> list[int]:
    """Living processes that were started with this variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until_none(name: str, value: str, patience_s: float) -> list[int]:
    """What still bears the variable after some time at most; nothing where all ended."""
    end = time.monotonic() + patience_s
    while (left := bearers(name, value)) and time.monotonic() < end:
        time.sleep(0.02)
    return left
