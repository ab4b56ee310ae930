"""Short fixed pieces of work whose duration shows whether the machine changed speed around a run.

Runs in the parent while no worker computes. Contract: always the same work, about a tenth of a second of one core and
64 MiB for that long; nothing is allocated that stays. What lies between the two calibrations of a run they cannot see:
they are for what lasts, such as a clock that fell or a neighbour behind the same memory.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

_BLOCK = bytes(range(256)) * 4096  # 1 MiB: beyond the first-level caches, within the last
_PASSES = 8
_TRIES = 5
#: Larger than most last-level caches. Written, not zeroed: pages of zeros that nobody wrote are one page of memory.
_MEMORY_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration.

    Attributes:
        compute_s: hashing 8 MiB that lie in a cache: the core's clock.
        memory_s: reading 64 MiB: what one core gets of the memory.
        took_s: all of it, preparation included.
    """

    compute_s: float
    memory_s: float
    took_s: float


def calibrate() -> Calibration:
    """The best of some passes over each piece of work; the best one is the one least disturbed."""
    begin = time.perf_counter()
    compute_s = min(_seconds(_hash) for _ in range(_TRIES))
    memory = b"\x01" * _MEMORY_BYTES
    # A search that finds nothing reads every byte, in C, at the speed of the memory.
    memory_s = min(_seconds(lambda: memory.find(0)) for _ in range(_TRIES))
    return Calibration(compute_s, memory_s, time.perf_counter() - begin)


def _hash() -> None:
    digest = hashlib.sha256()
    for _ in range(_PASSES):
        digest.update(_BLOCK)
    digest.digest()


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
