"""A worker's log: its end for people, and a length that no worker can exceed for long.

Owns the file that a worker's standard output and error are appended to. Contract: the first and the last of what was
written stay; where the middle had to go, a line says so.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.files import readable_bytes

#: A log that is longer than this is shortened.
LIMIT_BYTES = 16 * 2**20
#: What then stays of its beginning, and of its end.
_KEPT_BYTES = 2**20
TAIL_LINES = 30
_TAIL_BYTES = 16_384


def log_tail(path: Path, begin: int) -> str:
    """The last lines after the first ``begin`` bytes; empty where there are none."""
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(begin, end - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError as error:
        return f"(the log cannot be read: {error})"
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def bound_log(path: Path, begin: int) -> None:
    """Take the middle out of what follows the first ``begin`` bytes, where it has become too long.

    Whoever appends to the file meanwhile may lose what it appends in this moment, nothing else. A log that is not
    there is short enough; one that cannot be changed (a full disk, another's file) stays as it is.
    """
    try:
        end = path.stat().st_size
        if end - begin <= LIMIT_BYTES:
            return
        with path.open("rb") as log:
            log.seek(end - _KEPT_BYTES)
            last = log.read(_KEPT_BYTES)
        # To append: whatever others append, nothing is written over.
        with path.open("ab") as log:
            log.truncate(begin + _KEPT_BYTES)
            left_out = readable_bytes(end - begin - 2 * _KEPT_BYTES)
            log.write(f"\n[... {left_out} left out: the log became too long ...]\n".encode() + last)
    except OSError:
        return
