"""Kernels that show what a machine's memory and arithmetic can do, in numpy: a program of its own.

Owns the kernels and their timing. Imports the standard library and numpy only; `bench` starts it by its path, with the
number of BLAS threads in its environment, because a BLAS reads that once. Contract: a JSON line ``{"event": "ready"}``
on standard output when everything is allocated, then waits for a line; one ``{"event": "done", ...}`` with all figures,
then waits for the end of its input. ``memory`` needs a BLAS of one thread: its own threads share the work.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Kernel = Callable[[Array, Array], object]

_ROW = 4096
_VECTOR: Array = np.ones(_ROW, dtype=np.float32)
#: Each reads its first array once, and nothing else that does not stay in a first-level cache.
READ_KERNELS: dict[str, Kernel] = {
    "dot": lambda array, _: np.dot(array, array),
    "max": lambda array, _: np.maximum.reduce(array),
    "sum": lambda array, _: np.add.reduce(array),
    "gemv": lambda array, _: array.reshape(-1, _ROW) @ _VECTOR,
}
#: Reads its first array and writes its second: bytes of both count, as STREAM counts them.
COPY_KERNELS: dict[str, Kernel] = {"copy": lambda array, target: np.copyto(target, array)}

_AT_LEAST = 5
#: What each thread works on where everything is to lie in its core's own cache.
_IN_CACHE_BYTES = 256 * 1024
_CACHE_PASSES = 200
#: Matrix products of these sizes, the larger ones only where one takes no more than this.
_SIZES = (512, 1024, 2048)
_LONGEST_S = 1.5


def spread(values: Sequence[float]) -> dict[str, float]:
    """Best, median and lowest of some rates, and how many there are."""
    return {
        "best": max(values),
        "median": statistics.median(values),
        "lowest": min(values),
        "repetitions": len(values),
    }


class Team:
    """Threads that each hold arrays of their own, written by themselves, and run a kernel on them at the same time.

    Args:
        threads: how many.
        array_bytes: of each thread's source and of its target.
    """

    def __init__(self, threads: int, array_bytes: int) -> None:
        self._barrier = threading.Barrier(threads + 1)
        self._kernel: Kernel | None = None
        self._passes = 1
        self._spans = [(0.0, 0.0)] * threads
        self.bytes = threads * array_bytes
        for index in range(threads):
            threading.Thread(target=self._work, args=(index, array_bytes), daemon=True).start()
        self._barrier.wait()

    def rate(self, kernel: Kernel, passes: int = 1) -> float:
        """Bytes of the sources per second, from the first thread's beginning to the last one's end."""
        self._kernel, self._passes = kernel, passes
        self._barrier.wait()
        self._barrier.wait()
        return (
            passes
            * self.bytes
            / (max(end for _, end in self._spans) - min(begin for begin, _ in self._spans))
        )

    def close(self) -> None:
        """Let the threads end, and their arrays go."""
        self._kernel = None
        self._barrier.wait()

    def _work(self, index: int, array_bytes: int) -> None:
        source = np.ones(array_bytes // 4, dtype=np.float32)
        target = np.zeros_like(source)
        target.fill(2.0)  # zeros that nobody wrote are no memory yet
        self._barrier.wait()
        while True:
            self._barrier.wait()
            kernel = self._kernel
            if kernel is None:
                return
            begin = time.perf_counter()
            for _ in range(self._passes):
                kernel(source, target)
            self._spans[index] = (begin, time.perf_counter())
            self._barrier.wait()


def _repeated(once: Callable[[], float], seconds: float) -> list[float]:
    """Rates of one call after another, for this long, and the first one apart."""
    once()
    values: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(values) < _AT_LEAST or time.perf_counter() < deadline:
        values.append(once())
    return values


def memory(threads: int, array_bytes: int, seconds: float) -> dict[str, Any]:
    """Read and copy rates by kernel, in bytes per second, each beside its rate on arrays that lie in a cache.

    Args:
        threads: how many read at the same time.
        array_bytes: of all threads' sources together.
        seconds: for each kernel.
    """
    share = array_bytes // threads // (4 * _ROW) * (4 * _ROW)
    team = Team(threads, share)
    _ready()
    found: dict[str, dict[str, Any]] = {}
    for name, kernel in (READ_KERNELS | COPY_KERNELS).items():
        moved = 2 if name in COPY_KERNELS else 1
        found[name] = spread([moved * rate for rate in _repeated(partial(team.rate, kernel), seconds)])
    team.close()
    small = Team(threads, _IN_CACHE_BYTES)
    for name, kernel in (READ_KERNELS | COPY_KERNELS).items():
        moved = 2 if name in COPY_KERNELS else 1
        rates = _repeated(partial(small.rate, kernel, _CACHE_PASSES), seconds / 10)
        found[name]["in_cache"] = moved * max(rates)
    small.close()
    return {"kernels": found, "array_bytes": share * threads}


def compute(seconds: float) -> dict[str, Any]:
    """Floating-point operations per second of fp32 matrix products, by size; a multiply-add is two."""
    generator = np.random.default_rng(0)
    matrices = {size: generator.standard_normal((size, size), dtype=np.float32) for size in _SIZES}
    _ready()
    found: dict[str, dict[str, float]] = {}
    for size, matrix in matrices.items():
        product = np.empty_like(matrix)

        def once(matrix: Array = matrix, product: Array = product, size: int = size) -> float:
            begin = time.perf_counter()
            np.matmul(matrix, matrix, out=product)
            return 2.0 * size**3 / (time.perf_counter() - begin)

        rates = _repeated(once, seconds)
        found[f"sgemm {size}"] = spread(rates)
        if 2.0 * (2 * size) ** 3 / max(rates) > _LONGEST_S:
            break
    return {"kernels": found}


def blas() -> dict[str, Any]:
    """Which BLAS numpy was built with."""
    try:
        told: Any = np.show_config(mode="dicts")
    except TypeError:  # numpy before 1.25 only prints it
        return {}
    library = told.get("Build Dependencies", {}).get("blas", {})
    return {"name": library.get("name"), "version": library.get("version")}


def _say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


def _ready() -> None:
    _say(event="ready")
    sys.stdin.readline()


def main() -> None:
    """``bench_numpy.py memory|compute '{"threads": 2, ...}'``."""
    what, words = sys.argv[1], json.loads(sys.argv[2])
    found = memory(**words) if what == "memory" else compute(**words)
    _say(event="done", numpy=np.__version__, blas=blas(), **found)
    sys.stdin.read()


if __name__ == "__main__":
    main()
