"""One run: a fresh worker process, asked to load and to do one thing, and what became of it.

Owns the sequence of requests of a timed run and of a scoring run, and the translation of every way in which a worker
can end into a status and a reason. Never touches the database: it returns an `Execution`, the session stores it.
Contract: whatever the worker does, the call returns (or passes on KeyboardInterrupt), and no process is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.machine import RunWatch
from harness.machine.device_memory import DeviceMemory, device_memory
from harness.runner.energy import EnergyProbe
from harness.runner.launch import Launch
from harness.runner.memory_watch import MemoryWatch, NoWatch
from harness.runner.process import (
    WorkerError,
    WorkerOutOfMemory,
    WorkerProcess,
    WorkerRefused,
    WorkerTimeout,
)
from harness.runner.tree import descendants
from harness.store.records import EnergyRecord, TimelineRecord
from harness.worker.api import LoadSpec
from harness.worker.bodies import to_body
from harness.worker.protocol import Message, ScoreSpec, TimedSpec

Status = Literal["ok", "skipped", "failed", "timeout", "oom"]

#: Asking a worker to leave: after this it is killed.
GOODBYE_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take.

    Attributes:
        timeout_s: for the whole run, from the start of the process.
        memory_bytes: resident set of the process tree, None: no limit.
    """

    timeout_s: float
    memory_bytes: int | None


@dataclass(slots=True)
class Execution:
    """What became of one run.

    Attributes:
        status: ok, skipped, failed, timeout or oom.
        reason: one line for people, None when ok.
        phase: the phase in which it ended: ``start``, ``load``, ``timed``, ``score``, ``unload``.
        error: the worker's traceback, None where it left none.
        log_tail: its last log lines, None when ok.
        hello: versions and Python of the worker.
        loaded: device, threads and hints, read back.
        result: the body of the answer to the run's one request (``timed`` or ``score``).
        seconds: wall seconds by phase, as the runner saw them.
        energy: energy readings of a timed run.
        flags: what in its readings makes the run suspect.
        peak_seen_bytes: highest resident set the runner saw.
        timeline: its memory over time, None where it was not watched.
        device_memory: memory of the device after a request (``load``, ``timed``, ``score``).
    """

    status: Status = "ok"
    reason: str | None = None
    phase: str = "start"
    error: str | None = None
    log_tail: str | None = None
    hello: dict[str, Any] = field(default_factory=dict)
    loaded: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    energy: list[EnergyRecord] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    peak_seen_bytes: int | None = None
    timeline: TimelineRecord | None = None
    device_memory: dict[str, DeviceMemory] = field(default_factory=dict)
    _entered: float = field(default_factory=time.monotonic, repr=False)

    def enter(self, phase: str) -> None:
        """A phase begins: the one before it has taken this long."""
        now = time.monotonic()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self._entered
        self._entered, self.phase = now, phase


class Deadline:
    """The end of a run's time."""

    def __init__(self, timeout_s: float) -> None:
        self._end = time.monotonic() + timeout_s
        self.timeout_s = timeout_s

    def left_s(self) -> float:
        """Seconds until then, never 0: a time-out of nothing would be none."""
        return max(0.001, self._end - time.monotonic())


def execute(
    launch: Launch,
    request: LoadSpec,
    work: TimedSpec | ScoreSpec,
    limits: Limits,
    *,
    log: Path,
    on_phase: Callable[[str], None],
    watch: RunWatch | None = None,
    energy: EnergyProbe | None = None,
    memory: MemoryWatch | None = None,
) -> Execution:
    """Start a worker, load, do ``work``, unload.

    Args:
        launch: which Python, which backend.
        request: what to load.
        work: the timed passes or the scoring.
        limits: time-out and memory limit.
        log: file for everything the worker prints.
        on_phase: told each phase as it begins.
        watch: reads the machine's state around the work.
        energy: runs the energy windows of a timed run, after its timed passes.
        memory: reads the worker's memory meanwhile.
    """
    method: Literal["timed", "score"] = "timed" if isinstance(work, TimedSpec) else "score"
    execution = Execution()
    deadline = Deadline(limits.timeout_s)
    timeline = memory or NoWatch()

    def on_event(message: Message) -> None:
        if message.name == "phase":
            phase = str(message.body.get("phase", ""))
            timeline.mark(phase)
            on_phase(phase)
        elif energy is not None:
            energy.on_event(message)

    enter = execution.enter
    try:
        with WorkerProcess(
            launch, log=log, memory_limit_bytes=limits.memory_bytes, on_event=on_event
        ) as worker:
            timeline.start(worker.pid)
            try:
                execution.hello = worker.call("hello", {}, timeout_s=deadline.left_s())
                enter("load")
                execution.loaded = worker.call("load", to_body(request), timeout_s=deadline.left_s())
                execution.device_memory["load"] = _device_memory(worker, execution)
                if watch is not None:
                    watch.sample(worker.pid)
                enter(method)
                execution.result = worker.call(method, to_body(work), timeout_s=deadline.left_s())
                if watch is not None:
                    watch.sample(worker.pid)
                execution.device_memory[method] = _device_memory(worker, execution)
                if energy is not None and isinstance(work, TimedSpec):
                    timeline.stop()  # idle power is measured without it
                    enter("energy")
                    readings = energy.measure(worker, request, work, deadline.left_s())
                    execution.energy, execution.flags = readings.records, readings.flags
                enter("unload")
                worker.close(timeout_s=min(GOODBYE_S, deadline.left_s()))
            finally:
                execution.peak_seen_bytes = worker.peak_seen_bytes
                execution.timeline = timeline.stop()
    except WorkerError as failure:
        explain(execution, failure, limits)
    if execution.status == "ok" and method == "score" and execution.result.get("finite") is False:
        # The sums exist only in part: the artifact's verdict says so, the run itself did its work.
        execution.reason = "some logits are not finite"
    if execution.status == "ok":
        enter("end")
    return execution


def _device_memory(worker: WorkerProcess, execution: Execution) -> DeviceMemory:
    """What the worker, and what it started, hold of the device that it loaded on."""
    return device_memory((worker.pid, *descendants(worker.pid)), execution.loaded["device"])


def explain(execution: Execution, failure: WorkerError, limits: Limits) -> None:
    """Status, reason and evidence of a run whose worker did not do as asked."""
    if failure.phase is not None:
        execution.phase = failure.phase
    execution.reason = failure.what
    execution.log_tail = getattr(failure, "log_tail", None)
    execution.status = "failed"
    if isinstance(failure, WorkerRefused):
        execution.reason = failure.message
        execution.error = failure.traceback
        # Unsupported says that it cannot be done at all: a hole in the table, not a failure.
        execution.status = "skipped" if failure.type == "Unsupported" else "failed"
    elif isinstance(failure, WorkerTimeout):
        execution.status = "timeout"
        execution.reason = (
            f"no answer within the run's time-out of {limits.timeout_s:g} s (in {execution.phase})"
        )
    elif isinstance(failure, WorkerOutOfMemory):
        execution.status = "oom"
