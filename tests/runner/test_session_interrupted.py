"""A session that is interrupted, killed, or not alone: nothing finished is lost, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter

import psutil
import pytest
from fake_lab import SUITE, Lab, finish, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")

#: Slow enough to be met in the middle of the second of three runs, on a busy machine at the latest in the third.
SLOW = {"decode": [{"do": "wait", "seconds": 0.15}]}
PLANNED = SUITE.replace("[fp16, int4]", "fp16").replace("runs: 2", "runs: 3\nrepetitions: 1\nwarmups: 1")


def workers_of(pid: int) -> list[psutil.Process]:
    """Worker processes below a runner."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [child for child in below if any("bootstrap.py" in word for word in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def is_gone(process: psutil.Process) -> bool:
    """Whether a process ended; one that its new parent has not collected yet has."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_a_later_timed_run(lab: Lab, pid: int) -> list[psutil.Process]:
    """The worker, once a timed run is stored and the next one runs."""
    if sum(run[1] == "timed" for run in lab.runs()) < 1:
        return []
    return workers_of(pid)


def assert_complete(lab: Lab, finished: list[tuple[str, str, int, int, str]]) -> None:
    """The session holds every planned run once, what was finished before among it."""
    after = lab.runs()
    assert after[: len(finished)] == finished
    assert all(status == "ok" for *_, status in after)
    assert Counter(kind for _, kind, *_ in after) == {"reference": 1, "score": 1, "timed": 3}
    assert len({run[:3] for run in after}) == len(after), "a run was done twice"
    assert lab.query("SELECT status FROM session") == [("ok",)]


@pytest.mark.alone
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
@pytest.mark.stocked
def test_an_ended_runner_loses_no_finished_run_leaves_no_worker_and_is_resumed(lab: Lab, how: str) -> None:
    lab.suite(PLANNED)
    lab.script(SLOW)
    runner = lab.start("run", "fake.yaml")
    (worker,) = wait_until(lambda: in_a_later_timed_run(lab, runner.pid), "a second timed run")[:1]
    finished = lab.runs()
    os.kill(runner.pid, getattr(signal, how))
    begin = time.monotonic()
    wait_until(lambda: is_gone(worker), "the worker's end")
    took = time.monotonic() - begin
    ended = finish(runner)
    lab.say(f"the worker was gone {took:.2f} s after {how}")
    # One second is promised of a machine that is not busy with other tests.
    assert took < 5.0
    finished = lab.runs() if len(lab.runs()) > len(finished) else finished  # one may have ended meanwhile
    if how == "SIGKILL":
        assert ended.status == -signal.SIGKILL
    else:
        assert ended.status == 130, ended.err
        assert "edgebench run fake.yaml --resume" in ended.err
        assert "Traceback" not in ended.err
        assert lab.query("SELECT status FROM session") == [("interrupted",)]
    assert workers_of(runner.pid) == []
    assert {status for *_, status in finished} == {"ok"}

    lab.script(None)
    resumed = lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 0, resumed.err
    assert_complete(lab, finished)
    assert lab.query("SELECT resumed FROM session") == [(1,)]


def test_killed_in_its_set_up_a_session_is_resumed_and_its_locks_block_nobody(lab: Lab) -> None:
    lab.suite(PLANNED)
    lab.script({"make": [{"do": "hang"}]})
    runner = lab.start("run", "fake.yaml")
    wait_until(lambda: workers_of(runner.pid) and list(lab.cache.glob("artifacts/staging/*")), "a conversion")
    runner.kill()
    finish(runner)
    lab.script(None)
    assert lab.run("run", "fake.yaml", "--resume").status == 0
    assert_complete(lab, [])
    assert list(lab.cache.glob("artifacts/staging/*")) == []


def test_two_sessions_at_once_share_cache_and_database_and_make_each_artifact_once(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1"))
    lab.script({"make": [{"do": "wait", "seconds": 0.3}]})
    ended = [finish(process) for process in [lab.start("run", "fake.yaml") for _ in range(2)]]
    assert [each.status for each in ended] == [0, 0], [each.err for each in ended]
    made = [
        line for each in ended for line in each.err.splitlines() if line.startswith("set-up: making tiny")
    ]
    assert sorted(made) == [f"set-up: making tiny fake {recipe}" for recipe in ("FP16", "FP32", "INT4")]
    assert lab.query("SELECT status FROM session") == [("ok",), ("ok",)]
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'timed'") == [(4,)]
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'reference'") == [(1,)]
