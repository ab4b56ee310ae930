"""What this machine's memory and arithmetic can do: the figures that utilisation is measured against.

Owns the order of the measurements and what they give. Imports psutil; the kernels run in processes of their own
(`bench_numpy`, `bench_openvino`). Contract: the best of many repetitions counts, with its spread beside it; a figure
that cannot be measured is None with its reason, never an estimate; a bench that something spoiled says so.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.errors import EdgebenchError
from harness.machine.caches import last_level_cache_bytes
from harness.machine.identity import physical_cores
from harness.machine.validity import Validity, verdict
from harness.machine.watch import RunWatch

#: Arrays are this many times the last-level cache: what of them stays in it is then an eighth at most.
_CACHES = 8
_SMALLEST_BYTES = 256 * 2**20
#: Of the memory that is free; source and target are two arrays.
_FREE_SHARE = 8
#: A kernel that is this much faster on data in a cache is limited by the memory, not by its own instructions.
MEMORY_BOUND = 1.3
_PATIENCE_S = 300.0
#: Every BLAS reads one of these when it is loaded.
_BLAS_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """One figure per second: the best of its repetitions, their median and lowest, and how many there were."""

    best: float
    median: float
    lowest: float
    repetitions: int


@dataclass(frozen=True, slots=True)
class MachineBench:
    """What was measured.

    Attributes:
        threads: that worked at the same time: the physical cores.
        array_bytes: of all sources together.
        last_level_cache_bytes: None where the system does not tell.
        read: bytes read per second, of the best kernel.
        copy: bytes read and written per second.
        fp32: fp32 operations per second of the best matrix product; a multiply-add is two.
        int8: int8 operations per second; None where nothing here computes them.
        reasons: why a figure is None, or less than it seems, by its name.
        kernels: every kernel's figures by name.
        software: versions of what computed.
        validity: ``suspect`` where something spoiled it.
        flags: what did.
    """

    threads: int
    array_bytes: int
    last_level_cache_bytes: int | None
    read: Rate
    copy: Rate
    fp32: Rate
    int8: Rate | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    software: Mapping[str, Any] = field(default_factory=dict)
    validity: Validity = "ok"
    flags: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process of kernels said, and what speaks against it."""

    body: Mapping[str, Any]
    flags: tuple[str, ...] = ()


#: Runs one set of kernels: which script, which Python, its words, threads of its BLAS.
Ask = Callable[[str, Path, Mapping[str, Any], int], Answer]


def measure(
    *,
    int8_python: Path | None,
    int8_reason: str | None = None,
    seconds: float = 1.0,
    root: Path = Path("/"),
    say: Callable[[str], None] = lambda _text: None,
    ask: Ask | None = None,
) -> MachineBench:
    """Measure; about 15 times ``seconds``.

    Args:
        int8_python: Python of an OpenVINO environment; None: none exists.
        int8_reason: why there is none.
        seconds: for each kernel.
        root: where ``sys`` is.
        say: told of each step as it begins.
        ask: starts the kernels; a process of their own by default.

    Raises:
        EdgebenchError: a kernel did not run.
    """
    ask = ask or run_kernels
    threads = physical_cores(root)
    cache, no_cache = last_level_cache_bytes(root)
    wanted = max(_SMALLEST_BYTES, _CACHES * (cache or 0))
    array_bytes = min(wanted, psutil.virtual_memory().available // _FREE_SHARE)
    reasons: dict[str, str] = {} if no_cache is None else {"last_level_cache_bytes": no_cache}

    own = Path(sys.executable)
    say(f"[1/3] memory: {threads} threads, {array_bytes / 1e6:.0f} MB")
    memory = ask("memory", own, {"threads": threads, "array_bytes": array_bytes, "seconds": seconds}, 1)
    say(f"[2/3] fp32: matrix products with {threads} threads")
    compute = ask("compute", own, {"seconds": seconds}, threads)
    if int8_python is None:
        int8 = Answer({"reason": int8_reason or "no environment here has int8 products"})
    else:
        say("[3/3] int8: OpenVINO's matrix products")
        int8 = ask("int8", int8_python, {"threads": threads, "seconds": 2 * seconds}, threads)
    if "reason" in int8.body:
        reasons["int8"] = str(int8.body["reason"])

    kernels = (
        dict(memory.body["kernels"]) | dict(compute.body["kernels"]) | dict(int8.body.get("kernels", {}))
    )
    reads = {name: one for name, one in memory.body["kernels"].items() if name != "copy"}
    fastest = max(reads, key=lambda name: reads[name]["best"])
    reasons |= _doubts(fastest, reads[fastest], memory.body["array_bytes"], cache)
    flags = tuple(
        f"{what}: {flag}"
        for what, answer in (("memory", memory), ("fp32", compute), ("int8", int8))
        for flag in answer.flags
    )
    return MachineBench(
        threads=threads,
        array_bytes=memory.body["array_bytes"],
        last_level_cache_bytes=cache,
        read=_rate(reads[fastest]),
        copy=_rate(memory.body["kernels"]["copy"]),
        fp32=_rate(max(compute.body["kernels"].values(), key=_best)),
        int8=None if "reason" in int8.body else _rate(max(int8.body["kernels"].values(), key=_best)),
        reasons=reasons,
        kernels=kernels,
        software={
            "numpy": memory.body.get("numpy"),
            "blas": memory.body.get("blas"),
            "openvino": int8.body.get("openvino"),
            "read_kernel": fastest,
        },
        validity="suspect" if flags else "ok",
        flags=flags,
    )


def _doubts(name: str, kernel: Mapping[str, float], array_bytes: int, cache: int | None) -> dict[str, str]:
    """Why the read rate may not be the memory's."""
    if cache is not None and array_bytes < _CACHES / 2 * cache:
        return {
            "read": f"free memory allows arrays of {array_bytes / 1e6:.0f} MB only: part of it is the cache's rate"
        }
    if kernel["in_cache"] < MEMORY_BOUND * kernel["best"]:
        return {
            "read": f"the fastest kernel ({name}) is no faster on data in a cache: the memory may give more"
        }
    return {}


def _rate(kernel: Mapping[str, float]) -> Rate:
    return Rate(kernel["best"], kernel["median"], kernel["lowest"], int(kernel["repetitions"]))


def _best(kernel: Mapping[str, float]) -> float:
    return kernel["best"]


def run_kernels(what: str, python: Path, words: Mapping[str, Any], blas_threads: int) -> Answer:
    """Start a process of kernels, watch the machine while it measures, and wait for its figures.

    Args:
        what: ``memory``, ``compute`` or ``int8``.
        python: an interpreter that has numpy (``int8``: and openvino).
        words: arguments of the measurement.
        blas_threads: of a BLAS in that process.

    Raises:
        EdgebenchError: it ended without figures, or did not end.
    """
    script = Path(__file__).with_name("bench_openvino.py" if what == "int8" else "bench_numpy.py")
    # OpenVINO's environment stands alone; ours may have numpy in the user's own packages. Neither has this folder.
    isolation = "-I" if what == "int8" else "-P"
    environment = {**os.environ, **dict.fromkeys(_BLAS_VARIABLES, str(blas_threads))}
    watch = RunWatch()
    watch.begin()
    body: Mapping[str, Any] | None = None
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            [str(python), isolation, str(script), what, json.dumps(words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(_PATIENCE_S, process.kill)
        late.start()
        try:
            for line in process.stdout:
                event = _event(line)
                if event.get("event") not in ("ready", "done"):
                    continue
                watch.sample(process.pid)
                if event["event"] == "done":
                    body = event
                    break
                process.stdin.write("\n")
                process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended by itself; below stands why
        finally:
            late.cancel()
            if body is None:
                process.kill()
        if body is None:
            process.wait()
            log.seek(0)
            last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
            raise EdgebenchError(
                f"measuring {what} with {python} gave no figures: {last}",
                next_step="free some memory and try again; a broken environment is made anew by `edgebench env make`",
            )
    return Answer(body, verdict(watch.end())[1])


def _event(line: str) -> dict[str, Any]:
    """A line of the kernels; empty where it is somebody else's."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
