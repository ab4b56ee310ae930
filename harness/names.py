"""Which names may become a file's: one rule for every system, so that a cache can be carried from one to another.

Owns that rule. Imports the errors only. Contract: a name that passes is one component of a path and stays inside the
folder that it is joined to, on Linux, macOS and Windows.
"""

from __future__ import annotations

import re

from harness.errors import EdgebenchError

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:<>"|?*]')
#: Windows opens devices under these names, whatever follows the first dot.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)
_LONGEST_BYTES = 255


def why_no_name(text: str) -> str | None:
    """Why a text cannot be a file's name everywhere; None where it can."""
    found = _FORBIDDEN.search(text)
    if not text or text in (".", ".."):
        return "it names no file" if not text else "it names a folder"
    if found is not None:
        return f"it holds {found[0]!r}"
    if text[-1] in ". ":
        return "it ends in a dot or a space"
    if text.partition(".")[0].rstrip(" ").lower() in _DEVICES:
        return "it is a device's name on Windows"
    if len(text.encode("utf-8", "surrogatepass")) > _LONGEST_BYTES:
        return f"it is longer than {_LONGEST_BYTES} bytes"
    return None


def safe_name(text: str) -> str:
    """The text, if it is a file's name everywhere.

    Raises:
        EdgebenchError: it is none: it would lead out of its folder, or cannot be carried to another system.
    """
    why = why_no_name(text)
    if why is not None:
        raise EdgebenchError(
            f"{text[:100]!r} cannot be the name of a file: {why}",
            next_step="rename it where it comes from: the suite, the model list or the database",
        )
    return text


def safe_path(text: str) -> str:
    """A relative path with forward slashes, each part of which is a file's name everywhere.

    Raises:
        EdgebenchError: a part is none.
    """
    for part in text.split("/"):
        safe_name(part)
    return text
