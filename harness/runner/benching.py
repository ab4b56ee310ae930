"""Benching this machine while nothing else of edgebench measures, and what is stored of it.

Owns the choice of the int8 environment, the wait for the measuring lock, and the translation to the store's record.
Contract: what cannot be measured here is None with its reason; nothing is installed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness import __version__
from harness.environment import EnvironmentManager
from harness.errors import EdgebenchError
from harness.frameworks import framework
from harness.machine import describe_session_state
from harness.machine.bench import MachineBench, measure
from harness.machine.locks import lock_path
from harness.store.records import MachineBenchRecord

#: Which columns a reason of the bench belongs to.
_COLUMNS = {"read": "read_bytes_per_s", "int8": "int8_ops"}


def int8_python(cache_dir: Path) -> tuple[Path | None, str | None]:
    """Python of the OpenVINO environment, and why there is none."""
    try:
        found = EnvironmentManager(cache_dir).find(framework("openvino").backend)
    except EdgebenchError as error:
        return None, error.what
    if found is None:
        return (
            None,
            "numpy has no fast int8, and no OpenVINO environment is made: edgebench env make openvino",
        )
    return found.python, None


def bench_machine(cache_dir: Path, say: Callable[[str], None]) -> MachineBench:
    """Measure this machine; waits for a session that is measuring.

    Args:
        cache_dir: where the environments are.
        say: told of each step as it begins.

    Raises:
        EdgebenchError: a kernel did not run.
    """
    python, reason = int8_python(cache_dir)
    lock = FileLock(lock_path("measuring"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        say("waiting for the run of a session on this machine")
        lock.acquire(poll_interval=0.5)
    try:
        return measure(int8_python=python, int8_reason=reason, say=say)
    finally:
        lock.release()


def bench_record(bench: MachineBench, machine_id: str) -> MachineBenchRecord:
    """What is stored of a bench."""
    return MachineBenchRecord(
        machine_id=machine_id,
        measured_at=datetime.now(UTC),
        edgebench_version=__version__,
        threads=bench.threads,
        array_bytes=bench.array_bytes,
        last_level_cache_bytes=bench.last_level_cache_bytes,
        read_bytes_per_s=bench.read.best,
        read_median_bytes_per_s=bench.read.median,
        copy_bytes_per_s=bench.copy.best,
        copy_median_bytes_per_s=bench.copy.median,
        fp32_flops=bench.fp32.best,
        fp32_median_flops=bench.fp32.median,
        int8_ops=None if bench.int8 is None else bench.int8.best,
        int8_median_ops=None if bench.int8 is None else bench.int8.median,
        reasons={_COLUMNS.get(name, name): reason for name, reason in bench.reasons.items()},
        method={"kernels": _plain(bench.kernels), "software": dict(bench.software)},
        state=describe_session_state(),
        validity=bench.validity,
        flags=bench.flags,
    )


def bench_json(record: MachineBenchRecord, *, stored: bool) -> dict[str, Any]:
    """A bench for programs: the columns of its table, and whether it was stored."""
    return {
        **asdict(record),
        "measured_at": record.measured_at.isoformat(),
        "flags": list(record.flags),
        "stored": stored,
    }


def _plain(kernels: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {name: dict(figures) for name, figures in kernels.items()}
