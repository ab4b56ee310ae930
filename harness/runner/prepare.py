"""Making artifacts ahead of a session, several at once where memory allows.

Owns which artifacts, in which order, how many beside each other, and what became of each. What makes one is the
`Workshop`. Contract: sources before what is made from them, each once; never more jobs than asked for, nor more
memory expected than the budget, but one job always; whatever interrupts it, every maker is ended and what was half
made is removed before the exception goes on.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import psutil

from harness.artifact import Artifact
from harness.errors import EdgebenchError
from harness.frameworks import FrameworkEntry

#: Model, framework, recipe.
Key = tuple[str, str, str]

#: What a maker needs beside the weights: interpreter, framework, buffers.
CONSTANT_BYTES = 512 * 2**20

#: Share of the available memory that all jobs together may be expected to take; the rest is for mistaken estimates.
MEMORY_SHARE = 0.7

#: How often a wait for the end of a job is interrupted, so that the keyboard is heard on every system.
_SLICE_S = 0.5

ResultStatus = Literal["made", "cached", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """One artifact to be made.

    Attributes:
        key: model, framework, recipe.
        sources: jobs that must be done before, in order.
        wanted: it was asked for, not only needed by others.
        estimate_bytes: memory that its maker is expected to take.
    """

    key: Key
    sources: tuple[Key, ...]
    wanted: bool
    estimate_bytes: int = CONSTANT_BYTES


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job.

    Attributes:
        job: which.
        status: ``made`` now, ``cached`` before, or ``failed``.
        artifact: None where it failed.
        reason: why it failed.
        next_step: what to do about that.
    """

    job: Job
    status: ResultStatus
    artifact: Artifact | None = None
    reason: str | None = None
    next_step: str | None = None


class Watcher(Protocol):
    """Told what happens, in the thread that called `carry_out`."""

    def job_started(self, job: Job) -> None:
        """A job begins."""

    def job_ended(self, job: Job, artifact: Artifact | EdgebenchError) -> Result:
        """A job ended with this; what it means."""


def sources_of(
    key: Key, entries: Mapping[str, FrameworkEntry], synthetic: Collection[str] = ()
) -> tuple[Key, ...]:
    """What an artifact is made from: its source if that is an artifact, and whatever else its recipe needs.

    Args:
        key: of the artifact.
        entries: the frameworks.
        synthetic: the models whose weights a framework writes itself where it can, from nothing.
    """
    model, framework, name = key
    backend = entries[framework].backend
    if model in synthetic and "synthesize" in backend.capabilities:
        return ()
    recipe = next(one for one in backend.recipes if one.name == name)
    words = [recipe.made_from] if recipe.made_from != "model" else []
    found = (tuple(word.split(":", 1)) for word in (*words, *recipe.needs))
    return tuple((model, source[0], source[1]) for source in found)


def plan_jobs(
    wanted: Iterable[Key],
    entries: Mapping[str, FrameworkEntry],
    estimate: Callable[[Key], int] = lambda _key: CONSTANT_BYTES,
    synthetic: Collection[str] = (),
) -> list[Job]:
    """The jobs for these artifacts and for all that they are made from, sources first, each once."""
    asked = list(dict.fromkeys(wanted))
    jobs: dict[Key, Job] = {}

    def add(key: Key) -> None:
        if key in jobs:
            return
        sources = sources_of(key, entries, synthetic)
        for source in sources:
            add(source)
        jobs[key] = Job(key, sources, key in asked, estimate(key))

    for key in asked:
        add(key)
    return list(jobs.values())


def estimate_bytes(key: Key, peaks: Mapping[Key, int], parameters: int | None) -> int:
    """Memory that making is expected to take: as it was before, else the weights twice in fp32 and a constant.

    Args:
        key: which.
        peaks: the most that was seen, by key; of this machine or another.
        parameters: number of weights of the model, None where unknown.
    """
    if key in peaks:
        return peaks[key]
    return (parameters or 0) * 4 * 2 + CONSTANT_BYTES


def memory_budget() -> int:
    """Bytes that all jobs together may be expected to take now."""
    return int(psutil.virtual_memory().available * MEMORY_SHARE)


def next_job(
    waiting: Sequence[Job], running: Sequence[Job], done: Iterable[Key], *, at_once: int, budget_bytes: int
) -> Job | None:
    """The job to start now; None where one has to end first.

    Jobs that others wait for were planned first and go first. One that does not fit beside those that run is passed
    over for one that does; one that fits nowhere runs alone.
    """
    if len(running) >= at_once:
        return None
    finished = set(done)
    taken = sum(job.estimate_bytes for job in running)
    for job in waiting:
        fits = not running or taken + job.estimate_bytes <= budget_bytes
        if fits and finished.issuperset(job.sources):
            return job
    return None


def carry_out(
    jobs: Sequence[Job],
    make: Callable[[Key], Artifact],
    watcher: Watcher,
    *,
    at_once: int,
    budget_bytes: int,
    stop: Callable[[], None],
) -> list[Result]:
    """Do all jobs; gives what became of each, in the order in which they ended.

    Args:
        jobs: sources first.
        make: gives the artifact of a key; called in other threads.
        watcher: told what happens.
        at_once: most jobs beside each other.
        budget_bytes: memory that they may be expected to take together.
        stop: has the calls of ``make`` that are under way end soon.

    Raises:
        BaseException: whatever interrupted it, when no call of ``make`` is left.
    """
    waiting, results = list(jobs), list[Result]()
    running: dict[concurrent.futures.Future[Artifact], Job] = {}
    done: set[Key] = set()
    failed: set[Key] = set()
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="prepare")
    try:
        while waiting or running:
            results += _hopeless(waiting, failed)
            while job := next_job(
                waiting, list(running.values()), done, at_once=at_once, budget_bytes=budget_bytes
            ):
                waiting.remove(job)
                watcher.job_started(job)
                running[pool.submit(make, job.key)] = job
            ended, _ = concurrent.futures.wait(
                running, timeout=_SLICE_S, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in ended:
                job = running.pop(future)
                result = watcher.job_ended(job, _outcome(future))
                results.append(result)
                (failed if result.status == "failed" else done).add(job.key)
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def _outcome(future: concurrent.futures.Future[Artifact]) -> Artifact | EdgebenchError:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, EdgebenchError):
        return error
    raise error


def _hopeless(waiting: list[Job], failed: set[Key]) -> list[Result]:
    """Takes out the jobs whose source failed, and those whose source is one of these."""
    results = []
    for job in list(waiting):  # sources stand before what is made from them
        lost = next((source for source in job.sources if source in failed), None)
        if lost is not None:
            waiting.remove(job)
            failed.add(job.key)
            reason = f"not tried: {lost[1]} {lost[2]}, which it is made from, could not be made"
            results.append(Result(job, "failed", reason=reason))
    return results
