"""From what a worker did to what the store keeps.

Pure translation; owns no rule of measurement. Contract: nothing is averaged and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from harness.errors import EdgebenchError
from harness.machine import Window, verdict
from harness.machine.device_memory import DeviceMemory
from harness.machine.validity import Calibrations
from harness.runner.calibrate import Calibration
from harness.runner.execute import Execution
from harness.store.evaluation_records import EvaluationRecord
from harness.store.records import (
    SETUP_PHASE,
    MemoryRecord,
    RunKind,
    RunRecord,
    SampleRecord,
    ScoreRecord,
)
from harness.worker.bodies import from_body
from harness.worker.protocol import MemoryReading, Sample


@dataclass(frozen=True, slots=True)
class RunFrame:
    """What is known of a run before it starts.

    ``details`` are kept as they are; ``threads`` are those asked for, None where a run has none.
    """

    session_id: str
    cell_id: str
    kind: RunKind
    index: int
    attempt: int
    started_at: datetime
    seed: int | None = None
    artifact_id: str | None = None
    environment_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen around a run.

    Attributes:
        window: the machine while the worker computed.
        before: the calibration before the run.
        after: the one after it.
    """

    window: Window
    before: Calibration
    after: Calibration

    def calibrations(self) -> Calibrations:
        """Seconds before and after, by what was kept busy."""
        return {
            "compute": (self.before.compute_s, self.after.compute_s),
            "memory": (self.before.memory_s, self.after.memory_s),
        }


def run_record(
    frame: RunFrame,
    execution: Execution,
    surroundings: Surroundings,
    *,
    duration_s: float,
    harness_s: float,
    score: ScoreRecord | None = None,
    evaluation: EvaluationRecord | None = None,
) -> RunRecord:
    """A run that had a worker."""
    validity, flags = verdict(surroundings.window, calibrations=surroundings.calibrations())
    flags = (*flags, *execution.flags)
    loaded = execution.loaded
    told = loaded.get("threads")
    if told is not None and frame.threads is not None and told != frame.threads:
        validity, flags = "suspect", (*flags, f"{frame.threads} threads were asked for, {told} are in force")
    return RunRecord(
        session_id=frame.session_id,
        cell_id=frame.cell_id,
        kind=frame.kind,
        index=frame.index,
        attempt=frame.attempt,
        status=execution.status,
        started_at=frame.started_at,
        reason=execution.reason,
        phase=None if execution.status == "ok" else execution.phase,
        error=execution.error,
        log_tail=execution.log_tail,
        artifact_id=frame.artifact_id,
        environment_id=frame.environment_id,
        framework_version=loaded.get("framework_version")
        or execution.hello.get("versions", {}).get("framework"),
        versions=execution.hello.get("versions", {}),
        device=loaded.get("device"),
        hints=loaded.get("hints", {}),
        threads=loaded.get("threads"),
        seed=frame.seed,
        duration_s=duration_s,
        phases_s=worker_seconds(execution),
        harness_s=harness_s,
        vocab_size=loaded.get("vocab_size"),
        kv_cache_bytes=loaded.get("kv_cache_bytes"),
        validity="suspect" if flags else validity,
        flags=list(flags),
        machine_state={
            "window": surroundings.window.to_dict(),
            "calibration_before_s": surroundings.before.compute_s,
            "calibration_after_s": surroundings.after.compute_s,
            "memory_calibration_before_s": surroundings.before.memory_s,
            "memory_calibration_after_s": surroundings.after.memory_s,
            "peak_seen_bytes": execution.peak_seen_bytes,
        },
        samples=[SampleRecord.of(from_body(Sample, raw)) for raw in execution.result.get("samples", [])],
        memory=memory_records(execution),
        energy=execution.energy,
        timeline=execution.timeline,
        score=score,
        evaluation=evaluation,
        details={**frame.details, **timed_details(execution)},
    )


def memory_records(execution: Execution) -> list[MemoryRecord]:
    """The worker's readings, with what its device held: that is asked after the load and after the last pass only."""
    records = [MemoryRecord.of(reading) for reading in memory_readings(execution)]
    asked: dict[int, DeviceMemory] = {}
    if "load" in execution.device_memory:
        loads = [place for place, one in enumerate(records) if one.phase == "load"]
        asked |= dict.fromkeys(loads[-1:], execution.device_memory["load"])
    work = execution.device_memory.get("timed") or execution.device_memory.get("score")
    if work is not None and execution.result.get("memory"):
        asked[len(records) - 1] = work
    for place, one in asked.items():
        records[place] = replace(
            records[place], device_bytes=one.device_bytes, device_shared=one.shared, device_note=one.note
        )
    return records


def timed_details(execution: Execution) -> dict[str, Any]:
    """How a timed run warmed up, and what is to be known of its tokenizer's figures."""
    result = execution.result
    details: dict[str, Any] = {}
    if result.get("warmup") is not None:
        details["warmup"] = result["warmup"]
    if result.get("text") is not None:
        details["text"] = {name: value for name, value in result["text"].items() if name != "values"}
    return details


def memory_readings(execution: Execution) -> list[MemoryReading]:
    """Every memory reading that the worker sent, in order."""
    raw: list[Any] = []
    for body in (execution.hello, execution.loaded, execution.result):
        raw += body.get("memory", [])
    return [from_body(MemoryReading, one) for one in raw]


def worker_seconds(execution: Execution) -> dict[str, float]:
    """Seconds by phase: as the worker told where it did, else as the runner saw them."""
    seconds = dict(execution.seconds)
    if "import_s" in execution.hello:
        seconds["import"] = execution.hello["import_s"]
    return seconds


def measured_seconds(execution: Execution, surroundings: Surroundings) -> float:
    """Seconds that belong to the measurement itself; everything else of a run is the runner's own work.

    Import, load, warm-up, timed passes, scoring, tasks and idle windows, and the calibrations around them.
    """
    own = execution.hello.get("import_s", 0.0)
    own += sum(execution.seconds.get(phase, 0.0) for phase in ("load", "timed", "score", "energy", "tasks"))
    return float(own + surroundings.before.took_s + surroundings.after.took_s)


def setup_failure(frame: RunFrame, error: EdgebenchError) -> RunRecord:
    """A run that never had a worker because its environment or artifact could not be made."""
    return RunRecord(
        session_id=frame.session_id,
        cell_id=frame.cell_id,
        kind=frame.kind,
        index=frame.index,
        attempt=frame.attempt,
        status="failed",
        started_at=frame.started_at,
        reason=error.what,
        phase=SETUP_PHASE,
        error=error.next_step,
    )


def skipped_run(frame: RunFrame, reason: str) -> RunRecord:
    """A run that is not made, with the reason."""
    return RunRecord(
        session_id=frame.session_id,
        cell_id=frame.cell_id,
        kind=frame.kind,
        index=frame.index,
        attempt=frame.attempt,
        status="skipped",
        started_at=datetime.now(UTC),
        reason=reason,
        artifact_id=frame.artifact_id,
        environment_id=frame.environment_id,
    )
