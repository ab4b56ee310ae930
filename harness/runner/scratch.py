"""What a session needs for a moment, and what is left of it when it was killed.

Owns ``scoring-<session>-*`` and ``references/<key>.partial.*`` in the cache folder. Contract: a session removes its
own; what a dead session left is removed by the next one, what a living one uses is not touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.files import exclusive_now, remove_tree
from harness.names import safe_name

_BEGIN = "scoring-"
_PARTIAL = ".partial"


def claim_path(cache_dir: Path, session_id: str) -> Path:
    """The lock that a session holds while it is carried out."""
    return cache_dir / "sessions" / safe_name(f"{session_id}.lock")


def reference_lock_path(path: Path) -> Path:
    """The lock of a reference's file, held while it is computed."""
    return path.with_name(f"{path.name.partition('.')[0]}.lock")


def partial_path(path: Path) -> Path:
    """Where a reference's file is written before it has its name."""
    return path.with_suffix(f"{_PARTIAL}{path.suffix}")


@contextmanager
def scratch(cache_dir: Path, session_id: str) -> Iterator[Path]:
    """An empty folder, removed afterwards. The session holds its claim."""
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=f"{_BEGIN}{session_id}-") as folder:
        yield Path(folder)


def remove_leavings(cache_dir: Path, session_id: str) -> None:
    """Remove what is left of sessions that nobody carries out, and of this one, which has just been claimed."""
    for left in cache_dir.glob(f"{_BEGIN}*-*-*"):
        owner = left.name.removeprefix(_BEGIN).rpartition("-")[0]
        if owner == session_id:
            remove_tree(left)
            continue
        with exclusive_now(claim_path(cache_dir, owner)) as ours:
            if ours:
                remove_tree(left)
    for left in (cache_dir / "references").glob(f"*{_PARTIAL}.*"):
        with exclusive_now(reference_lock_path(left)) as ours:
            if ours:
                remove_tree(left)
