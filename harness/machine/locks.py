"""Locks of which a machine has one, whatever cache folder a process works with.

Owns their places. Contract: files in the user's state folder, named after the host, since a home folder may be shared
by several; the system frees such a lock when the process that holds it ends. Another user's are not seen.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from harness.errors import EdgebenchError
from harness.paths import state_dir


def lock_path(name: str) -> Path:
    """The file of a lock of this machine, in a folder that exists.

    Args:
        name: ``measuring`` or ``nightly``.

    Raises:
        EdgebenchError: the folder cannot be made.
    """
    folder = state_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgebenchError(
            f"{folder}, where the lock of whoever measures is, cannot be made: {error.strerror}",
            next_step="set EDGEBENCH_STATE_DIR to a folder that everything which measures on this machine shares",
        ) from error
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
    return folder / f"{name}-{host}.lock"
