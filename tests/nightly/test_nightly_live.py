"""Whole nights with the scripted framework: budget, interruption, one at a time, newest releases."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_lab import SUITE, Lab, finish, wait_until

from harness.environment import EnvironmentManager, Override
from harness.errors import EdgebenchError, UsageError
from harness.nightly.morning import morning
from harness.nightly.night import TRIGGER, Night, Wish, only_night, spend
from harness.runner import front
from harness.runner.progress import QuietProgress
from harness.store import Store

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16")
#: Nothing is scored: half of the time.
BARE = re.sub("scoring: .*", "scoring: null\ncheck: null\nrepetitions: 1\nwarmups: 0", SUITE)


class Clock(QuietProgress):
    """A clock that jumps when so many runs have ended."""

    def __init__(self, jump: timedelta = timedelta(0), after: int = 1) -> None:
        super().__init__()
        self.time = datetime.now(UTC)
        self.notes: list[str] = []
        self._jump = jump
        self._after = after

    def __call__(self) -> datetime:
        return self.time

    def note(self, text: str) -> None:
        self.notes.append(text)

    def run_ended(self, label: str, outcome: str, *, ok: bool) -> None:
        self._after -= 1
        if self._after == 0:
            self.time += self._jump


def wish(**changes: Any) -> Wish:
    return Wish(front.Request(suite="fake.yaml", trigger=TRIGGER), **changes)


def spent(lab: Lab, asked: Wish, clock: Clock, **more: Any) -> tuple[Night, str]:
    with Store.open(lab.database) as store:
        night = spend(asked, store, lab.cache, clock, read=dict, now=clock, **more)
        return night, morning(night, store, "fake").markdown()


def test_a_night_measures_every_cell_and_reports_in_both_forms(lab: Lab) -> None:
    result = lab.run("nightly", "fake.yaml", "--report", "out/morning.md", "--json", "-q")
    assert result.status == 0, result.err
    answer = result.json
    assert answer["coverage"] == {"measured": 2}
    assert (answer["raised"], answer["failures"], answer["resumed"]) == ([], {}, None)
    (session,) = answer["sessions"]
    ((trigger, stored),) = lab.query("SELECT trigger, settings FROM session WHERE id = ?", session)
    assert trigger == "nightly"
    settings = json.loads(stored)["nightly"]
    assert [one["why"] for one in settings["picked"]] == ["never measured"] * 2
    text = (lab.folder / "out" / "morning.md").read_text(encoding="utf-8")
    assert text.startswith("# Night of ")
    assert "Nothing new: no change in 0 series" in text
    assert "- measured: 2 cells" in text
    again = lab.run("nightly", "fake.yaml", "--budget", "0.2s", "-q")
    assert again.status == 2
    assert "none of 2 cells has room" in again.one_message()


def test_what_the_budget_had_no_room_for_is_stored_as_skipped_and_not_taken_up_again(lab: Lab) -> None:
    lab.suite(BARE)
    night, report = spent(lab, wish(budget=timedelta(hours=6)), Clock(timedelta(hours=7)))
    kinds = Counter((kind, status) for _, kind, _, _, status in lab.runs())
    assert kinds == {("timed", "ok"): 1, ("timed", "skipped"): 3}
    (reason,) = {row[0] for row in lab.query("SELECT reason FROM run WHERE status = 'skipped'")}
    assert reason.startswith("the night's time budget was over at ")
    assert "- partly: 1 cell\n" in report
    assert "- no room: 1 cell\n" in report
    assert lab.query("SELECT status FROM session") == [("ok",)]
    again, _ = spent(lab, wish(), Clock())
    assert again.resumed is None
    # The one without any run is the more urgent one.
    assert again.choice is not None
    assert [one.why.partition(",")[0] for one in again.choice.picked] == ["never measured", "measured lately"]
    assert night.session != again.session


def test_a_rule_for_the_number_of_runs_ends_with_the_budget(lab: Lab) -> None:
    lab.suite(
        BARE.replace("runs: 2", "runs: {auto: {width: 0.0000001, min: 2, max: 50}}").replace(
            "[fp16, int4]", "fp16"
        )
    )
    spent(lab, wish(budget=timedelta(hours=6)), Clock(timedelta(hours=7), after=2))
    assert lab.query("SELECT ended_by, runs FROM cell_stop") == [("cap", 2)]
    with Store.open(lab.database) as store:
        assert store.newest_session(unfinished=True) is None


def test_scores_that_a_budget_has_no_room_for_are_not_missing(lab: Lab) -> None:
    clock = Clock(timedelta(hours=7))  # after the reference's run
    _, report = spent(lab, wish(budget=timedelta(hours=6)), clock)
    kinds = Counter((kind, status) for _, kind, _, _, status in lab.runs())
    assert kinds["timed", "skipped"] == 4
    assert kinds["score", "skipped"] >= 1
    assert "- no room: 2 cells" in report
    with Store.open(lab.database) as store:
        assert store.newest_session(unfinished=True) is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_an_interrupted_night_is_taken_up_by_the_next_one(lab: Lab, how: str) -> None:
    lab.suite(BARE.replace("[fp16, int4]", "fp16").replace("runs: 2", "runs: 3"))
    lab.script({"decode": [{"do": "wait", "seconds": 0.15}]})
    night = lab.start("nightly", "fake.yaml", "--budget", "6h")
    wait_until(lambda: any(run[1] == "timed" for run in lab.runs()), "a timed run")
    os.kill(night.pid, getattr(signal, how))
    ended = finish(night)
    if how == "SIGTERM":
        assert ended.status == 130, ended.err
        assert "Go on with: edgebench nightly fake.yaml" in ended.err
    lab.script(None)
    before = lab.runs()
    again = lab.run("nightly", "fake.yaml", "--budget", "6h", "--resume", "--json")
    assert again.status == 0, again.err
    ((session,),) = lab.query("SELECT id FROM session")
    assert (again.json["resumed"], again.json["sessions"]) == (session, [session])
    assert lab.runs()[: len(before)] == before
    assert sorted(run[2] for run in lab.runs() if run[1] == "timed") == [0, 1, 2]
    nothing = lab.run("nightly", "fake.yaml", "--resume")
    assert (nothing.status, nothing.out) == (0, "")
    assert "nothing to resume" in nothing.err


def test_the_rest_of_an_older_night_is_done_before_this_nights_own_session(lab: Lab) -> None:
    lab.suite(ONE)
    plan = front.make_plan(wish().request)
    yesterday = datetime.now(UTC) - timedelta(hours=12)
    with Store.open(lab.database) as store:
        old = front.begin_session(plan, store, about={"nightly": {"deadline": yesterday.isoformat()}})
    night, _ = spent(lab, wish(budget=timedelta(hours=6)), Clock())
    assert night.resumed == old
    assert night.session is not None
    assert night.sessions == [old, night.session]
    assert Counter(status for *_, status in lab.runs()) == {"ok": 4}  # reference, score; timed in both


def test_an_older_night_that_can_never_be_taken_up_does_not_end_every_later_one(lab: Lab) -> None:
    """As where a folder of its tasks, or the package of a framework, is gone for good."""
    lab.suite(ONE)
    plan = front.make_plan(wish().request)
    gone = {"names": ["a"], "paths": [], "data_paths": [str(lab.folder / "gone")], "code_paths": []}
    with Store.open(lab.database) as store:
        old = front.begin_session(plan, store, about={"nightly": {}, "tasks": gone})
    night, report = spent(lab, wish(), Clock())
    assert (night.resumed, night.sessions) == (None, [night.session])
    assert f"session {old} could not be taken up: the session's tasks are in" in report
    assert old != night.session


def test_a_night_that_is_only_to_be_taken_up_and_cannot_be_is_an_error(lab: Lab) -> None:
    lab.suite(ONE)
    gone = {"names": ["a"], "paths": [], "data_paths": [str(lab.folder / "gone")], "code_paths": []}
    with Store.open(lab.database) as store:
        front.begin_session(front.make_plan(wish().request), store, about={"nightly": {}, "tasks": gone})
    result = lab.run("nightly", "fake.yaml", "--resume", "-q")
    assert result.status == 1
    assert "which is gone" in result.one_message()


def test_there_is_one_night_at_a_time_on_a_machine_whatever_its_cache_folder(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with only_night():
        monkeypatch.setenv("EDGEBENCH_CACHE_DIR", str(lab.folder / "another"))
        refused = lab.run("nightly", "fake.yaml")
        assert refused.status == 2
        assert f"a nightly is under way on this machine: process {os.getpid()}, since 20" in refused.err
        assert not lab.database.exists()
    with only_night(), pytest.raises(UsageError), only_night():
        pass


def test_newest_releases_that_cannot_be_made_are_told_and_the_pins_are_measured(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.suite(ONE)
    ensure = EnvironmentManager.ensure

    def only_pins(manager: Any, backend: Any, variant: str = "cpu", overrides: Any = (), **more: Any) -> Any:
        if overrides:
            assert overrides == [Override.parse("fake=numpy==99.0")]
            raise EdgebenchError("numpy 99.0 does not build", next_step="none")
        return ensure(manager, backend, variant, overrides, **more)

    monkeypatch.setattr(EnvironmentManager, "ensure", only_pins)
    night, report = spent(lab, wish(upgrade=True), Clock(), newest={"numpy": "99.0"}.__getitem__)
    assert night.upgrade is not None
    assert night.upgrade.overrides == ()
    assert "- failed: fake: not with numpy 99.0: numpy 99.0 does not build" in report
    assert "- measured: 1 cell\n" in report


def test_a_failing_cell_is_in_the_report_and_in_the_exit_status(lab: Lab) -> None:
    lab.suite(BARE.replace("runs: 2", "runs: 1"))
    lab.script({"load": [{"do": "raise", "message": "no such kernel"}]})
    result = lab.run("nightly", "fake.yaml", "-q")
    assert result.status == 1
    assert "## Failures" in result.out
    assert "no such kernel" in result.out


@pytest.mark.parametrize("budget", ["6", "six hours", "0h", "-1h", "9999999h"])
def test_a_budget_that_is_no_time_is_refused(lab: Lab, budget: str) -> None:
    refused = lab.run("nightly", "fake.yaml", f"--budget={budget}")
    assert refused.status == 2
    assert not lab.database.exists()
