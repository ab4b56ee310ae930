"""Reading small kernel files, where absence is an ordinary answer.

Owns nothing but the reading. Imports only the standard library. Contract: what cannot be read is None; why it
cannot be read is asked for with `why_unreadable`.
"""

from __future__ import annotations

import os
from pathlib import Path


def read_text(path: Path) -> str | None:
    """The stripped text of a file; None where it is absent, unreadable or empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:  # kernel files fail with EIO, ENODATA, EOPNOTSUPP too: all of them mean "not told"
        return None


def read_int(path: Path) -> int | None:
    """The integer in a file; None where there is none."""
    text = read_text(path)
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def why_unreadable(path: Path) -> str:
    """Why `read_text` gave None, for a person."""
    if not path.exists():
        return f"{path} does not exist"
    if not os.access(path, os.R_OK):
        return f"{path} may not be read by this user"
    return f"{path} tells nothing"
