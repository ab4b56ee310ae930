"""Folders that a session needs for a moment, and what is left of them when it was killed.

Owns ``scoring-<session>-*`` in the cache folder. Contract: a session removes its own; what a dead session left is
removed by the next one, what a living one uses is not touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.files import exclusive_now, remove_tree

_BEGIN = "scoring-"


def claim_path(cache_dir: Path, session_id: str) -> Path:
    """The lock that a session holds while it is carried out."""
    return cache_dir / "sessions" / f"{session_id}.lock"


@contextmanager
def scratch(cache_dir: Path, session_id: str) -> Iterator[Path]:
    """An empty folder, removed afterwards. The session holds its claim."""
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=f"{_BEGIN}{session_id}-") as folder:
        yield Path(folder)


def remove_leavings(cache_dir: Path) -> None:
    """Remove the folders of sessions that nobody carries out."""
    for left in cache_dir.glob(f"{_BEGIN}*"):
        session_id = left.name.removeprefix(_BEGIN).rpartition("-")[0]
        with exclusive_now(claim_path(cache_dir, session_id)) as ours:
            if ours:
                remove_tree(left)
