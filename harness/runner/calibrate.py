"""A short fixed piece of work whose duration shows whether the machine changed speed around a run.

Runs in the parent while no worker computes. Contract: always the same work, some tens of milliseconds of one core, and
nothing is allocated that stays.
"""

from __future__ import annotations

import hashlib
import time

_BLOCK = bytes(range(256)) * 4096  # 1 MiB: beyond the first-level caches, within the last
_PASSES = 8
_TRIES = 5


def calibrate() -> float:
    """Seconds of the best of some passes over the fixed work; the best one is the one least disturbed."""
    return min(_once() for _ in range(_TRIES))


def _once() -> float:
    begin = time.perf_counter()
    digest = hashlib.sha256()
    for _ in range(_PASSES):
        digest.update(_BLOCK)
    digest.digest()
    return time.perf_counter() - begin
