"""The content-security policy of a page that stands alone: nothing loads, and nothing runs but what stands in it.

Owns the one policy of every page that this program writes. Imports the standard library only. Contract: a style or
script is allowed by the hash of its text, so one that somebody's words bring into the page is not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def page_policy(styles: Iterable[str], scripts: Iterable[str] = ()) -> str:
    """The policy of a page that holds these styles and scripts, each text to the letter, and nothing else."""
    allowed = {"script-src": [_hash(one) for one in scripts], "style-src": [_hash(one) for one in styles]}
    none = "'none'"
    parts = [f"default-src {none}", *(f"{name} {' '.join(found) or none}" for name, found in allowed.items())]
    return "; ".join([*parts, "img-src data:", f"base-uri {none}", f"form-action {none}"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
