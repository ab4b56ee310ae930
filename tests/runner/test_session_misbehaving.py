"""Workers that crash, hang, fork, eat memory, flood or close their pipes: a row with its reason, and the next cell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_lab import SUITE, Lab, wait_until

from harness.runner import log as log_module
from harness.runner import tree

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX's"),
    pytest.mark.stocked,
]

MEGABYTE = 2**20
FLOOD_BYTES = 24 * MEGABYTE
#: Long enough for a worker to get there on a busy machine; all that hang wait so long.
SHORT = ", timeout: 6s"


@dataclass(frozen=True)
class Case:
    """What a worker does, the settings of its cell, and the row that comes of it."""

    script: dict[str, Any]
    status: str
    reason: str | None
    settings: str = ""


def started(folder: str) -> list[dict[str, Any]]:
    """A child of each kind, whose numbers are written into files."""
    return [
        {"do": "spawn", "pid_file": f"{folder}/child"},
        {"do": "spawn", "pid_file": f"{folder}/session", "session": True},
        {"do": "daemon", "pid_file": f"{folder}/daemon"},
        {"do": "fork", "pid_file": f"{folder}/fork"},
    ]


def cases(folder: Path) -> dict[str, Case]:
    """Every way, by name; those that start processes have a folder of their own for the numbers."""
    for name in ("ended", "crashed", "timed out", "too big"):
        (folder / name).mkdir()
    crash = {"do": "crash", "how": "segv"}
    flood = [
        {"do": "print", "text": "x" * 79 + "\n", "times": FLOOD_BYTES // 80, "stream": stream, "fd": True}
        for stream in ("stdout", "stderr")
    ]
    return {
        "segv": Case({"decode": [crash]}, "failed", "ended by SIGSEGV"),
        "abort": Case({"load": [{"do": "crash", "how": "abort"}]}, "failed", "ended by SIGABRT"),
        "exit 0": Case(
            {"decode": [{"do": "crash", "how": "exit", "status": 0}]}, "failed", "exited with status 0"
        ),
        "exit 0 at once": Case(
            {"load": [{"do": "crash", "how": "exit", "status": 0}]}, "failed", "exited with status 0"
        ),
        "hang": Case({"decode": [{"do": "ignore"}, {"do": "hang"}]}, "timeout", "time-out of 6 s", SHORT),
        "hang in C": Case({"decode": [{"do": "hang", "gil": True}]}, "timeout", "time-out of 6 s", SHORT),
        "stop": Case({"decode": [{"do": "stop"}]}, "timeout", "time-out of 6 s", SHORT),
        "leaves processes": Case({"load": started(f"{folder}/ended")}, "ok", None),
        "leaves processes and crashes": Case(
            {"load": started(f"{folder}/crashed"), "decode": [crash]}, "failed", "ended by SIGSEGV"
        ),
        "leaves processes and stops": Case(
            {"load": started(f"{folder}/timed out"), "decode": [{"do": "stop"}]},
            "timeout",
            "time-out of 6 s",
            SHORT,
        ),
        "leaves processes and eats memory": Case(
            {"load": started(f"{folder}/too big"), "decode": [{"do": "allocate", "bytes": 2_000_000_000}]},
            "oom",
            "its limit is 700000000 bytes",
            ", memory_limit: 700MB",
        ),
        "floods": Case(
            {"load": flood, "decode": [{"do": "print", "text": "last words", "at": 3}]}, "ok", None
        ),
        "floods and crashes": Case({"load": [*flood, crash]}, "failed", "ended by SIGSEGV"),
        "raises megabytes": Case(
            {"decode": [{"do": "raise", "message": "no ", "times": MEGABYTE}]}, "failed", "no no no no"
        ),
        "closes its answers": Case(
            {"decode": [{"do": "close", "what": "pipe"}, {"do": "hang"}]}, "failed", "closed its pipe"
        ),
        "closes its answers and goes on": Case({"decode": [{"do": "close", "what": "pipe"}]}, "failed", None),
        "closes its output": Case({"load": [{"do": "close", "what": "output"}]}, "ok", None),
        "garbage": Case({"decode": [{"do": "pipe", "text": "\x00\xff{]\n"}]}, "failed", "not JSON"),
        "half a line and a crash": Case(
            {"decode": [{"do": "pipe", "text": '{"v":1,"id"'}, crash]}, "failed", "ended by SIGSEGV"
        ),
        "half a line and no more": Case(
            {"decode": [{"do": "pipe", "text": '{"v":1,"id"'}, {"do": "hang"}]},
            "timeout",
            "time-out of 6 s",
            SHORT,
        ),
    }


def suite(all_cases: dict[str, Case]) -> str:
    """A cell for each, after one that does nothing wrong and before another."""
    entries = "".join(
        f"  - {{precision: int4, options: {{fake: {{script: {json.dumps(json.dumps(case.script))}}}}}"
        f"{case.settings}}}\n"
        for case in all_cases.values()
    )
    text = SUITE.replace("[fp16, int4]", "[fp16, int8]").replace(
        "runs: 2\n", f"runs: 1\nrepetitions: 1\nwarmups: 0\ninclude:\n{entries}"
    )
    return re.sub("scoring: .*", "scoring: null", text)


def numbers(folder: Path) -> list[int]:
    """The processes that were written down."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"child", "session", "daemon", "fork"}
    return [int(path.read_text(encoding="utf-8")) for path in files]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_whatever_a_worker_does_its_cell_has_its_reason_and_the_next_one_runs(lab: Lab) -> None:
    pids = lab.folder / "pids"
    pids.mkdir()
    ways = cases(pids)
    lab.suite(suite(ways))
    result = lab.run("run", "fake.yaml")
    assert result.status == 1
    assert "Traceback" not in result.err
    rows = lab.rows()
    good = [row for row in rows if row["precision"] in ("fp16", "int8")]
    assert [row["status"] for row in good] == ["ok", "ok"]
    bad = [row for row in rows if row["precision"] == "int4"]
    for (name, case), row in zip(ways.items(), bad, strict=True):
        assert row["status"] == case.status, f"{name}: {row['status']}: {row['reason']}"
        assert (case.reason or "") in (row["reason"] or ""), f"{name}: {row['reason']}"
        assert len(row["reason"] or "") < 4_000, name
        assert (row["decode_tps"] is not None) == (case.status == "ok"), name
    # Order is random: whichever came after one of these ran, and none left anything that runs.
    for folder in sorted(pids.iterdir()):
        for pid in numbers(folder):
            wait_until(partial(gone, pid), f"the end of process {pid} of {folder.name!r}")
    logs = [path for path in lab.cache.rglob("*.log") if "environments" not in path.parts]
    assert max(path.stat().st_size for path in logs) <= 4 * MEGABYTE
    assert any("left out: the log became too long" in path.read_text(errors="replace") for path in logs)
    for size, tail in lab.query("SELECT length(log_tail), log_tail FROM run WHERE log_tail IS NOT NULL"):
        assert size <= 20_000, tail[:200]
    told = lab.query("SELECT log_tail FROM run WHERE reason LIKE '%SIGSEGV during ''load''%'")
    assert any("Segmentation fault" in tail for (tail,) in told), "the last words are what matters of a flood"


def test_a_log_is_shortened_while_its_worker_still_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "LIMIT_BYTES", 10_000)
    monkeypatch.setattr(log_module, "_KEPT_BYTES", 1_000)
    path = tmp_path / "worker.log"
    path.write_text("an earlier worker's words\n", encoding="utf-8")
    begin = path.stat().st_size
    with path.open("ab", buffering=0) as worker:
        worker.write(b"first\n")
        for number in range(2_000):
            worker.write(f"line {number}\n".encode())
            log_module.bound_log(path, begin)
            assert path.stat().st_size <= begin + 10_000
        worker.write(b"last\n")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("an earlier worker's words\nfirst\nline 0\n")
    assert text.endswith("line 1999\nlast\n")
    assert "left out" in text
    assert log_module.log_tail(path, begin).endswith("last")


def test_a_log_that_is_not_there_is_short_enough(tmp_path: Path) -> None:
    log_module.bound_log(tmp_path / "none.log", 0)
    assert "cannot be read" in log_module.log_tail(tmp_path / "none.log", 0)


# Alone: any session of the machine that begins meanwhile ends strays too, and then tells of them in this one's place.
@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="strays are looked for on Linux only")
def test_what_the_worker_of_a_killed_runner_left_is_ended_by_the_next_session(lab: Lab) -> None:
    pid_file = lab.folder / "daemon"
    script = {"decode": [{"do": "daemon", "pid_file": str(pid_file)}, {"do": "hang"}]}
    lab.suite(SUITE.replace("[fp16, int4]", "fp16").replace("runs: 2", "runs: 1"))
    lab.script(script)
    runner = lab.start("run", "fake.yaml")
    wait_until(lambda: pid_file.exists() and pid_file.read_text(encoding="utf-8"), "a daemon")
    daemon = int(pid_file.read_text(encoding="utf-8"))
    runner.kill()
    runner.communicate()
    assert not gone(daemon), "nobody was left to end it"
    lab.script(None)
    result = lab.run("run", "fake.yaml", "--resume")
    assert result.status == 0, result.err
    assert "that a killed session had left running" in result.err
    assert gone(daemon)


@pytest.mark.skipif(sys.platform != "linux", reason="strays are looked for on Linux only")
def test_the_worker_of_a_living_runner_is_no_stray(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env={**os.environ, tree.MARK: f"{os.getpid()}-77"},
    ) as process:
        tree.kill_strays()
        assert process.poll() is None
        monkeypatch.setattr(psutil, "pid_exists", lambda pid: pid != os.getpid())
        assert tree.kill_strays() == 1
        assert process.wait(timeout=60) == -9
