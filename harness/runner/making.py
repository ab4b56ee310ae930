"""One attempt to make an artifact: its worker process, what it took, how it ended.

Owns the workers that make things, so that they can be ended from another thread, and the list of attempts. Contract:
every attempt whose maker was started is noted once, failed ones with the tool's last words; what was found in the
cache is none; an attempt that this program itself ended is none either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from harness.artifact import Artifact, ArtifactRequest
from harness.environment import Environment
from harness.errors import EdgebenchError
from harness.runner.launch import Launch
from harness.runner.process import WorkerError, WorkerOutOfMemory, WorkerProcess, WorkerRefused, WorkerTimeout
from harness.worker.protocol import Method

AttemptStatus = Literal["ok", "failed", "oom", "timeout"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to make an artifact.

    Attributes:
        model: its id in the model list.
        request: what was asked for.
        environment: that was to make it.
        status: how it ended.
        started_at: when its maker was started.
        seconds: from there to the maker's end.
        peak_bytes: the highest resident set of the maker's process tree that was seen, or the maker's own
            high-water mark where that is higher; None where neither was read.
        artifact: what came out, None unless ok.
        reason: why it is not ok.
        error: the maker's own error text.
        log_tail: last lines of its output where it is not ok.
    """

    model: str
    request: ArtifactRequest
    environment: Environment
    status: AttemptStatus
    started_at: datetime
    seconds: float
    peak_bytes: int | None
    artifact: Artifact | None = None
    reason: str | None = None
    error: str | None = None
    log_tail: str | None = None


class Makers:
    """The makers of one workshop. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[WorkerProcess] = set()
        self._attempts: list[Attempt] = []
        self._stopped = False

    def begin(self, model: str, request: ArtifactRequest, environment: Environment) -> Making:
        """An attempt that may come; it is one when its maker is started. A context manager."""
        return Making(self, model, request, environment)

    def take_attempts(self) -> list[Attempt]:
        """The attempts since the last time, in the order in which they ended."""
        with self._lock:
            taken, self._attempts = self._attempts, []
        return taken

    def stop(self) -> None:
        """End every maker that is at work; none is started any more. What they were making is not kept."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.abort()

    def started(self, worker: WorkerProcess) -> None:
        """Note that a maker is at work.

        Raises:
            EdgebenchError: the workshop was told to stop.
        """
        with self._lock:
            if self._stopped:
                raise EdgebenchError("it was stopped before it began", next_step="start it again")
            self._workers.add(worker)

    def ended(self, worker: WorkerProcess) -> None:
        """Note that a maker is at work no more; it has not been reaped yet."""
        with self._lock:
            self._workers.discard(worker)

    def note(self, attempt: Attempt) -> None:
        """Keep an attempt, unless it was this program that ended it."""
        with self._lock:
            if attempt.status == "ok" or not self._stopped:
                self._attempts.append(attempt)


class Making:
    """One attempt while it is under way. Leaving the context notes it, if its maker was ever started."""

    def __init__(
        self, makers: Makers, model: str, request: ArtifactRequest, environment: Environment
    ) -> None:
        self._makers = makers
        self._model = model
        self._request = request
        self._environment = environment
        self._started_at: datetime | None = None
        self._begin = 0.0
        self._seconds: float | None = None
        self._peak: int | None = None
        self._failure: WorkerError | None = None
        self._log_tail: str | None = None
        self._artifact: Artifact | None = None

    def call(
        self, launch: Launch, log: Path, method: Method, body: Mapping[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Start a maker, ask it, end it; gives its answer without its readings.

        Raises:
            WorkerError: it did not answer as asked.
        """
        self._started_at, self._begin = datetime.now(UTC), time.perf_counter()
        # Started in the thread that uses it: on Linux it dies with that thread.
        worker = WorkerProcess(launch, log=log, watch_memory=True)
        try:
            with worker:
                self._makers.started(worker)
                try:
                    answer = worker.call(method, body, timeout_s=timeout_s)
                finally:
                    self._makers.ended(worker)
        except WorkerError as failure:
            self._failure = failure
            raise
        finally:
            self._peak = worker.peak_seen_bytes
            self._log_tail = worker.log_tail()
            self._seconds = time.perf_counter() - self._begin
        for reading in answer.pop("memory", []):
            own = reading["peak_rss_bytes"]
            if own is not None:
                self._peak = max(own, self._peak or 0)
        return answer

    def peak_bytes(self) -> int | None:
        """The most memory of the maker so far."""
        return self._peak

    def done(self, artifact: Artifact) -> None:
        """The artifact, made now or found."""
        self._artifact = artifact

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started_at is None or not (error is None or isinstance(error, EdgebenchError)):
            return
        failure = self._failure
        status: AttemptStatus = "ok" if error is None else "failed"
        if isinstance(failure, WorkerOutOfMemory):
            status = "oom"
        elif isinstance(failure, WorkerTimeout):
            status = "timeout"
        self._makers.note(
            Attempt(
                model=self._model,
                request=self._request,
                environment=self._environment,
                status=status,
                started_at=self._started_at,
                seconds=self._seconds if self._seconds is not None else time.perf_counter() - self._begin,
                peak_bytes=self._peak,
                artifact=self._artifact if error is None else None,
                reason=error.what if isinstance(error, EdgebenchError) else None,
                error=failure.traceback if isinstance(failure, WorkerRefused) else None,
                log_tail=None if error is None else self._log_tail or None,
            )
        )
