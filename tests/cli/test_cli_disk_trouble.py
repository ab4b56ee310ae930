"""Disks that fill up and files that go away while a session runs: said in a sentence, and resumed without a loss."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab, Result, finish, wait_until

from harness.artifact import ArtifactRequest, ArtifactStore
from harness.errors import EdgebenchError
from harness.worker.api import Made

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("[fp16, int4]", "fp16").replace("runs: 2", "runs: 4\nrepetitions: 1\nwarmups: 0")
SLOW = {"decode": [{"do": "wait", "seconds": 0.1}]}


def fill(folder: Path) -> Path:
    """Leave no room on a file system; gives the file to remove."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (65_536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(block))
    return filler


def one_error(result: Result) -> str:
    assert result.status == 1, result.err
    assert "Traceback" not in result.err
    assert result.err.count("error: ") == 1, result.err
    assert result.err.count(" next: ") == 1, result.err
    return result.err


def begin(lab: Lab, *words: str) -> subprocess.Popen[str]:
    """A session that has stored a timed run and goes on."""
    lab.suite(ONE)
    lab.script(SLOW)
    runner = lab.start("run", "fake.yaml", *words)
    wait_until(lambda: sum(run[1] == "timed" for run in lab.runs()) >= 1, "a first timed run")
    return runner


def assert_resumed(lab: Lab, finished: list[tuple[str, str, int, int, str]], *words: str) -> None:
    """The session goes on from what was finished, and has every planned run once."""
    lab.script(None)
    resumed = lab.run("run", "fake.yaml", "--resume", *words)
    assert resumed.status == 0, resumed.err
    after = lab.runs()
    assert after[: len(finished)] == finished
    assert Counter(run[1] for run in after if run[4] == "ok") == {"reference": 1, "score": 1, "timed": 4}
    assert lab.query("PRAGMA integrity_check") == [("ok",)]


def test_a_disk_that_fills_up_under_way_ends_the_session_which_is_resumed(lab: Lab, small_disk: Path) -> None:
    lab.database = small_disk / "results.db"
    runner = begin(lab, "--db", str(lab.database))
    filler = fill(small_disk)
    ended = finish(runner)
    filler.unlink()
    finished = lab.runs()
    assert "the disk is full" in one_error(ended)
    assert_resumed(lab, finished, "--db", str(lab.database))


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved there")
@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_a_database_that_goes_away_under_way_ends_the_session_and_comes_back_whole(
    lab: Lab, replaced: bool
) -> None:
    runner = begin(lab)
    away = lab.folder / "away.db"
    lab.database.rename(away)
    other = b"not to be touched" * 1000
    if replaced:
        lab.database.write_bytes(other)
    ended = finish(runner)
    said = one_error(ended)
    assert "was deleted or replaced while it was open" in said
    if replaced:
        assert lab.database.read_bytes() == other
        lab.database.unlink()
    else:
        assert not lab.database.exists()
    away.rename(lab.database)
    finished = lab.runs()
    assert [run[1] for run in finished][:3] == ["reference", "score", "timed"]
    assert_resumed(lab, finished)


def test_a_worker_that_finds_the_disk_full_has_not_measured_and_is_resumed(lab: Lab) -> None:
    lab.suite(ONE)
    full = {"do": "raise", "type": "OSError", "message": "[Errno 28] No space left on device: 'x'"}
    lab.script({"decode": [full]})
    result = lab.run("run", "fake.yaml")
    assert "the disk is full" in one_error(result)
    assert "resume" in result.err
    finished = lab.runs()
    assert [run[1] for run in finished] == ["reference", "score"]
    assert_resumed(lab, finished)


def test_an_artifact_that_fills_the_disk_is_told_and_made_when_there_is_room(small_disk: Path) -> None:
    request = ArtifactRequest("a" * 64, "fake", "FP16", {}, "numpy", "2")
    store = ArtifactStore(small_disk)

    def make(out: Path) -> Made:
        (out / "weights.bin").write_bytes(bytes(6_000_000))
        return Made(6_000_000, "weights.bin", "2")

    filler = small_disk / "filler"
    filler.write_bytes(bytes(4_000_000))
    with pytest.raises(EdgebenchError, match="the disk became full while fake FP16 was being made") as caught:
        store.get(request, make)
    assert "EDGEBENCH_CACHE_DIR" in caught.value.next_step
    assert store.list() == []
    assert list((small_disk / "artifacts" / "staging").iterdir()) == []
    filler.unlink()
    assert store.verify(store.get(request, make)) is None


def test_an_artifact_cache_without_any_room_is_told(
    small_disk: Path, lab: Lab, fake_environments: Path
) -> None:
    """Not a byte: not even for a lock or an empty folder."""
    lab.suite(ONE)
    (small_disk / "environments").symlink_to(fake_environments)
    filler = fill(small_disk)
    runner = lab.start("run", "fake.yaml", EDGEBENCH_CACHE_DIR=str(small_disk))
    ended = finish(runner)
    assert ended.status == 1, ended.err
    assert "Traceback" not in ended.err
    assert "the disk" in ended.err
    assert "full" in ended.err
    filler.unlink()
    resume = ["--resume"] if lab.database.exists() else []
    resumed = finish(lab.start("run", "fake.yaml", *resume, EDGEBENCH_CACHE_DIR=str(small_disk)))
    assert resumed.status == 0, resumed.err


def test_an_environment_that_fills_the_disk_is_told_and_nothing_of_it_stays(
    bare_lab: Lab, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE_DIR", str(small_disk))
    begin_s = time.monotonic()
    result = bare_lab.run("env", "make", "fake")
    bare_lab.say(f"found full after {time.monotonic() - begin_s:.0f} s")
    assert "the disk is full" in one_error(result)
    assert "EDGEBENCH_CACHE_DIR" in result.err
    left = [path for path in (small_disk / "environments").iterdir() if path.is_dir()]
    assert left == []
    assert bare_lab.run("env", "list", "--json").json["environments"] == []
