"""What the runner's own CPU time is while it times, the memory watch included: below 1 % of one core is wanted.

    python benchmarks/memory_watch.py [--seconds S] [--framework NAME --artifact PATH] [--json]

Starts one worker, watches its memory as a session does (memory limit included), and lets it compute for about
``--seconds``: the scripted framework, or a real one on an artifact. Prints the CPU time of this whole process over the
timed request, as a share of one core, beside that of the watching thread alone and of the same request without any
watching. Exits with 1 when the share with the watch is 1 % or more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.machine import physical_cores
from harness.runner.launch import Launch, launch_for
from harness.runner.memory_watch import MemoryWatch
from harness.runner.process import WorkerProcess
from harness.worker.api import LoadSpec
from harness.worker.bodies import to_body
from harness.worker.protocol import TimedSpec

#: Share of one core that the parent may take while a worker is timed.
LIMIT = 0.01
#: One pass of the scripted framework takes so long: one token, one busy core.
PASS_S = 0.5
TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Taken:
    """CPU time of this process over one timed request.

    Attributes:
        seconds: how long the request took.
        cpu_s: CPU seconds of this process, all of its threads.
        watcher_cpu_s: of the watching thread, None without one.
        readings: that it made.
    """

    seconds: float
    cpu_s: float
    watcher_cpu_s: float | None = None
    readings: int = 0

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.seconds


def measure(launch: Launch, load: LoadSpec, work: TimedSpec, log: Path, *, watched: bool) -> Taken:
    """Load, and time the timed request from this side; with the watch and a limit that is never reached, or without."""
    limit = 2**62 if watched else None
    with WorkerProcess(launch, log=log, memory_limit_bytes=limit) as worker:
        worker.call("load", to_body(load), timeout_s=TIMEOUT_S)
        watch = MemoryWatch()
        cpu, wall = time.process_time(), time.monotonic()
        if watched:
            watch.start(worker.pid)
        worker.call("timed", to_body(work), timeout_s=TIMEOUT_S)
        timeline = watch.stop()
        seconds, cpu_s = time.monotonic() - wall, time.process_time() - cpu
    if timeline is None:
        return Taken(seconds, cpu_s)
    return Taken(seconds, cpu_s, timeline.watcher_cpu_s, timeline.readings)


def scripted(folder: Path, seconds: float) -> tuple[Launch, LoadSpec, TimedSpec]:
    """A worker of the scripted framework that keeps one core busy through its passes."""
    artifact = folder / "fake.json"
    artifact.write_text(json.dumps({"bits": 8, "broken": False}), encoding="utf-8")
    script = {"decode": [{"do": "wait", "seconds": PASS_S}]}
    load = LoadSpec(artifact, "cpu", "cpu", 1, 64, {"script": json.dumps(script)})
    work = TimedSpec(8, 1, 0, max(1, round(seconds / PASS_S)), 0, 1)
    return Launch(Path(sys.executable), "harness.backends.fake:Fake"), load, work


def real(framework: str, python: Path, artifact: Path, seconds: float) -> tuple[Launch, LoadSpec, TimedSpec]:
    """A real framework; its passes are as many as fill the time, judged by one."""
    threads = physical_cores() or os.cpu_count() or 1
    launch = launch_for(framework, python)
    load = LoadSpec(artifact, "cpu", "cpu", threads, 512)
    one = TimedSpec(128, 64, 0, 1, 1, 1)
    with tempfile.TemporaryDirectory(prefix="edgebench-watch-") as name:
        taken = measure(launch, load, one, Path(name) / "log", watched=False)
    return launch, load, TimedSpec(128, 64, 0, max(1, round(2 * seconds / taken.seconds)), 1, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description="The runner's own CPU time while it times.")
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long to compute")
    parser.add_argument("--framework", help="a real framework instead of the scripted one")
    parser.add_argument("--python", type=Path, help="interpreter of its environment")
    parser.add_argument("--artifact", type=Path, help="what it loads")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if (arguments.framework is None) != (arguments.artifact is None or arguments.python is None):
        parser.error("--framework, --python and --artifact belong together")
    with tempfile.TemporaryDirectory(prefix="edgebench-watch-") as name:
        folder = Path(name)
        prepared = (
            scripted(folder, arguments.seconds)
            if arguments.framework is None
            else real(arguments.framework, arguments.python, arguments.artifact, arguments.seconds)
        )
        found = {
            label: measure(*prepared, folder / "worker.log", watched=watched)
            for label, watched in (("without", False), ("with", True))
        }
    ok = found["with"].share < LIMIT
    if arguments.json:
        summary: Mapping[str, Any] = {
            name: {**asdict(one), "share": one.share} for name, one in found.items()
        }
        print(json.dumps({**summary, "limit": LIMIT, "ok": ok}, indent=2))
        return 0 if ok else 1
    for label, one in found.items():
        print(
            f"{label:<8} the watch: {1e3 * one.cpu_s:.1f} ms of CPU in {one.seconds:.1f} s"
            f" = {100 * one.share:.3f} % of a core"
        )
    watch = found["with"]
    assert watch.watcher_cpu_s is not None
    per_reading = 1e6 * watch.watcher_cpu_s / max(1, watch.readings)
    print(f"its thread alone: {1e3 * watch.watcher_cpu_s:.1f} ms, {per_reading:.0f} µs a reading")
    print(f"limit {100 * LIMIT:.0f} %: {'kept' if ok else 'broken'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
