"""From what a worker did to what the store keeps.

Pure translation; owns no rule of measurement. Contract: nothing is averaged and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.errors import EdgebenchError
from harness.machine import Window, verdict
from harness.runner.execute import Execution
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
    """What is known of a run before it starts."""

    session_id: str
    cell_id: str
    kind: RunKind
    index: int
    attempt: int
    started_at: datetime
    seed: int | None = None
    artifact_id: str | None = None
    environment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen around a run.

    Attributes:
        window: the machine while the worker computed.
        calibration_s: seconds of the calibration before and after.
    """

    window: Window
    calibration_s: tuple[float, float]


def run_record(
    frame: RunFrame,
    execution: Execution,
    surroundings: Surroundings,
    *,
    duration_s: float,
    harness_s: float,
    score: ScoreRecord | None = None,
) -> RunRecord:
    """A run that had a worker."""
    validity, flags = verdict(surroundings.window, calibration=surroundings.calibration_s)
    flags = (*flags, *execution.flags)
    loaded = execution.loaded
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
            "calibration_before_s": surroundings.calibration_s[0],
            "calibration_after_s": surroundings.calibration_s[1],
            "peak_seen_bytes": execution.peak_seen_bytes,
        },
        samples=[SampleRecord.of(from_body(Sample, raw)) for raw in execution.result.get("samples", [])],
        memory=[MemoryRecord.of(reading) for reading in memory_readings(execution)],
        energy=execution.energy,
        score=score,
    )


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


def measured_seconds(execution: Execution, calibration_s: Sequence[float]) -> float:
    """Seconds that belong to the measurement itself; everything else of a run is the runner's own work.

    Import, load, warm-up, timed passes, scoring and idle windows, and the calibrations around them.
    """
    own = execution.hello.get("import_s", 0.0)
    own += sum(execution.seconds.get(phase, 0.0) for phase in ("load", "timed", "score", "energy"))
    return float(own + sum(calibration_s))


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
