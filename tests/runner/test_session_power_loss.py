"""A power cut at what a session keeps beside its artifacts: half a file is noticed, and made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab

from harness import files
from harness.runner import scratch
from harness.store import Store
from harness.store.records import RunRecord

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("[fp16, int4]", "fp16").replace("runs: 2", "runs: 1")
NEXT = ONE.replace("precision: fp16", "precision: int4")

#: What a cut leaves of a file.
CUTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=list(CUTS))
@pytest.mark.parametrize("pattern", ["references/*.sketch", "tokens/*.i32", "tokens/*.json"])
def test_half_a_file_of_the_scoring_is_noticed_and_made_again(
    lab: Lab, pattern: str, cut: Callable[[Path], object]
) -> None:
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    before = {path: path.read_bytes() for path in lab.cache.glob(pattern)}
    assert before
    for path in before:
        cut(path)
    lab.suite(NEXT)
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    (row,) = lab.rows()
    assert (row["status"], row["artifact_verdict"]) == ("ok", "ok")
    assert row["kld_mean"] > 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("stored", [False, True], ids=["before its record", "after its record"])
def test_killed_beside_the_record_of_the_reference_it_is_stored_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    lab.suite(ONE)
    record_run = Store.record_run

    def dies(self: Store, record: RunRecord) -> bool:
        if stored:
            record_run(self, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "record_run", dies)
    assert lab.run("run", "fake.yaml").status == 130
    assert list(lab.cache.glob("references/*.sketch")), "the file is there before the record"
    monkeypatch.setattr(Store, "record_run", record_run)
    assert lab.run("run", "fake.yaml", "--resume").status == 0
    assert [run[1] for run in lab.runs()] == ["reference", "score", "timed"]


def test_what_a_killed_session_left_of_its_scoring_is_removed_by_the_next(lab: Lab) -> None:
    lab.suite(ONE)
    left = lab.cache / "scoring-20200101T0000-00000000-abc123"
    used = lab.cache / "scoring-20200101T0000-11111111-abc123"
    partial = lab.cache / "references" / f"{'0' * 32}.partial.npy"
    for path in (left / "positions", used / "positions", partial):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    with files.exclusive(scratch.claim_path(lab.cache, "20200101T0000-11111111")):
        assert lab.run("run", "fake.yaml").status == 0
    assert list(lab.cache.glob("scoring-*")) == [used], "another session is using it"
    assert list(lab.cache.glob("references/*.partial.*")) == []
