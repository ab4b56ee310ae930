"""`harness.runner.prepare`: which jobs, in which order, how many at once, and what a failure or interruption does."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import pytest

from harness.artifact import Artifact
from harness.backends.fake import Fake
from harness.errors import EdgebenchError
from harness.frameworks import FrameworkEntry, frameworks
from harness.runner import prepare
from harness.runner.prepare import Job, Key, Result
from harness.worker.api import Recipe

GB = 2**30


def key(name: str) -> Key:
    return ("tiny", "fake", name)


def job(name: str, *sources: str, gb: float = 1.0) -> Job:
    return Job(key(name), tuple(key(each) for each in sources), True, int(gb * GB))


class Recorder:
    """Counts how many jobs run beside each other, and takes what is made for what was made."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def job_started(self, job: Job) -> None:
        del job

    def job_ended(self, job: Job, artifact: Artifact | EdgebenchError) -> Result:
        failed = isinstance(artifact, EdgebenchError)
        self.ended.append((job.key[2], "failed" if failed else "made"))
        return Result(job, "failed" if failed else "made", reason=str(artifact) if failed else None)


class Maker:
    """Takes a moment for everything; says what ran beside what, and in which order it began."""

    def __init__(self, *failing: str, seconds: float = 0.05) -> None:
        self.failing, self.seconds = failing, seconds
        self.began: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def __call__(self, key: Key) -> Any:
        with self._lock:
            self.began.append(key[2])
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            if self.stopped.wait(self.seconds) or key[2] in self.failing:
                raise EdgebenchError(f"{key[2]} broke", next_step="mend it")
        finally:
            with self._lock:
                self._now -= 1


def carry_out(jobs: list[Job], maker: Maker, watcher: Any = None, **limits: Any) -> list[Result]:
    told = {"at_once": 4, "budget_bytes": 100 * GB, **limits}
    return prepare.carry_out(jobs, maker, watcher or Recorder(), stop=maker.stopped.set, **told)


class Chained(Fake):
    """A scripted framework whose recipes need each other."""

    recipes: ClassVar[tuple[Recipe, ...]] = (
        Recipe("INT2", "int2", "fake:FP16", "numpy", needs=("fake:MATRIX",)),
        Recipe("MATRIX", "fp32", "fake:FP16", "numpy", intermediate=True),
        Recipe("FP16", "fp16", "model", "numpy", default=True),
    )


def chained(monkeypatch: pytest.MonkeyPatch) -> dict[str, FrameworkEntry]:
    monkeypatch.setenv("EDGEBENCH_FAKE", "1")
    monkeypatch.setattr(Fake, "recipes", Chained.recipes)
    return {"fake": frameworks(include_hidden=True)["fake"]}


def test_sources_and_what_else_a_recipe_needs_come_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = prepare.plan_jobs([key("INT2"), key("FP16")], chained(monkeypatch))
    assert [(one.key[2], one.wanted) for one in jobs] == [("FP16", True), ("MATRIX", False), ("INT2", True)]
    assert jobs[2].sources == (key("FP16"), key("MATRIX"))


def test_memory_is_expected_as_it_was_before_else_by_the_weights() -> None:
    assert prepare.estimate_bytes(key("a"), {key("a"): 7}, 10**9) == 7
    assert prepare.estimate_bytes(key("a"), {}, 10**9) == 8 * 10**9 + prepare.CONSTANT_BYTES
    assert prepare.estimate_bytes(key("a"), {}, None) == prepare.CONSTANT_BYTES
    assert prepare.memory_budget() > 0


def test_a_job_waits_for_its_sources_for_a_place_and_for_memory() -> None:
    big, small, late = job("big", gb=6), job("small", gb=2), job("late", "big")

    def start(waiting: list[Job], running: list[Job], *done: str, at_once: int = 2) -> str | None:
        chosen = prepare.next_job(
            waiting, running, [key(each) for each in done], at_once=at_once, budget_bytes=8 * GB
        )
        return chosen.key[2] if chosen else None

    assert start([late, big], []) == "big"
    assert start([big, small], [job("x", gb=4)]) == "small", "one that fits goes past one that does not"
    assert start([big], [job("x", gb=4)]) is None
    assert start([job("huge", gb=100)], []) == "huge", "what fits nowhere runs alone"
    assert start([small], [big, job("x", gb=0)]) is None, "no more than so many at once"
    assert start([late], [], "big") == "late"


@pytest.mark.parametrize(("at_once", "budget_gb", "most"), [(1, 100, 1), (2, 100, 2), (4, 2, 2), (4, 1, 1)])
def test_as_many_run_beside_each_other_as_cores_and_memory_allow(
    at_once: int, budget_gb: int, most: int
) -> None:
    maker = Maker()
    results = carry_out([job(str(i)) for i in range(6)], maker, at_once=at_once, budget_bytes=budget_gb * GB)
    assert [one.status for one in results] == ["made"] * 6
    assert maker.most == most


def test_a_failure_takes_what_is_made_from_it_along_and_nothing_else() -> None:
    maker = Maker("a")
    jobs = [job("a"), job("b", "a"), job("c", "b"), job("d")]
    results = {one.job.key[2]: one for one in carry_out(jobs, maker)}
    assert {name: one.status for name, one in results.items()} == {
        "a": "failed",
        "b": "failed",
        "c": "failed",
        "d": "made",
    }
    assert sorted(maker.began) == ["a", "d"]
    assert results["b"].reason == "not tried: fake a, which it is made from, could not be made"
    assert results["c"].reason == "not tried: fake b, which it is made from, could not be made"


def test_an_interruption_ends_what_runs_begins_nothing_and_goes_on() -> None:
    class Interrupted(Recorder):
        def job_ended(self, job: Job, artifact: Artifact | EdgebenchError) -> Result:
            raise KeyboardInterrupt

    maker = Maker(seconds=60.0)
    quick = Maker()
    threads = threading.active_count()

    def make(key: Key) -> Any:
        return (quick if key[2] == "0" else maker)(key)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        prepare.carry_out(
            [job(str(i)) for i in range(6)],
            make,
            Interrupted(),
            at_once=2,
            budget_bytes=100 * GB,
            stop=maker.stopped.set,
        )
    assert time.monotonic() - begin < 30
    assert len(maker.began) <= 1
    assert threading.active_count() == threads


def test_a_mistake_of_the_program_is_not_taken_for_a_failed_job() -> None:
    def broken(key: Key) -> Any:
        raise ZeroDivisionError(key)

    with pytest.raises(ZeroDivisionError):
        prepare.carry_out([job("a")], broken, Recorder(), at_once=1, budget_bytes=GB, stop=lambda: None)
