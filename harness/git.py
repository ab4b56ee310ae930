"""What git says of a folder.

Owns how it is asked. Imports the standard library only. Contract: an answer or None, never an error: git need not be
there, and a folder need not be a checkout.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(*words: str, folder: Path | None = None, timeout_s: float) -> str | None:
    """What git prints; None where it fails, takes too long or is not there.

    Args:
        words: git's command and its arguments.
        folder: where it is asked; None: in the working folder.
        timeout_s: seconds that it may take.
    """
    try:
        answer = subprocess.run(
            ["git", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
