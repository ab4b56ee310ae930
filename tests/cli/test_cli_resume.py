"""``edgebench run --resume``: the session as it was planned, by one process at a time, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_lab import SUITE, Lab
from filelock import FileLock

from harness.errors import UsageError
from harness.runner import front
from harness.runner.progress import QuietProgress
from harness.store import Store

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16")


def test_there_is_nothing_to_resume_where_there_is_no_database(lab: Lab) -> None:
    lab.suite(ONE)
    refused = lab.run("run", "fake.yaml", "--resume")
    assert refused.status == 2
    assert "no session to resume" in refused.err
    assert not lab.database.exists()


@pytest.mark.parametrize("words", [("-k", "fp16"), ("--runs", "9"), ("--seed", "0"), ("--dry-run",)])
def test_what_a_planned_session_cannot_take_is_refused_beside_resume(
    lab: Lab, words: tuple[str, ...]
) -> None:
    lab.suite(ONE)
    refused = lab.run("run", "fake.yaml", "--resume", *words)
    assert refused.status == 2
    assert "as it was planned" in refused.err


def test_a_session_that_another_process_carries_out_is_not_taken_up(lab: Lab) -> None:
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0
    with Store.open(lab.database) as store:
        session_id = store.newest_session()
        assert session_id is not None
        with (
            FileLock(lab.cache / "sessions" / f"{session_id}.lock"),
            pytest.raises(UsageError, match="another process"),
        ):
            front.carry_out(session_id, store, lab.cache, QuietProgress(), resumed=True)
        front.carry_out(session_id, store, lab.cache, QuietProgress(), resumed=True)


def test_looking_at_a_database_leaves_its_folder_as_it_was(lab: Lab) -> None:
    lab.suite(ONE)
    assert lab.run("run", "fake.yaml").status == 0

    def files(folder: Path) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    before = files(lab.database.parent)
    for words in (
        ("run", "fake.yaml", "--dry-run"),
        ("table",),
        ("show",),
        ("db", "info"),
        ("db", "sessions"),
    ):
        assert lab.run(*words).status == 0
        assert files(lab.database.parent) == before
