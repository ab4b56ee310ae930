"""Ids that two laboratories derive alike from the same content, so that their databases merge without conflicts.

Owns how an id is made. Imports only the standard library. Contract: the same content gives the same id on every
machine and with every version of this program; nothing random, no counters, no clock but the one passed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: Hexadecimal digits of a content id: 64 bits, of which ten million ids share one with a chance of 3 in a million.
DIGITS = 16
#: Digits after a session's minute. Nightly jobs of many machines begin in the same minute, so four are too few.
SESSION_DIGITS = 8


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces; NaN and infinities refused.

    Raises:
        ValueError: the value holds a NaN or an infinity.
        TypeError: the value holds something that JSON has no word for.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def content_id(kind: str, content: Mapping[str, Any]) -> str:
    """The id of something of one kind (a table's name) with this content: 16 hexadecimal digits."""
    return hashlib.sha256(canonical_json([kind, content]).encode()).hexdigest()[:DIGITS]


def run_id(session_id: str, cell_id: str, kind: str, index: int, attempt: int) -> str:
    """The id of one run: where it stands in its session, so that storing it again is the same run."""
    content = {"session": session_id, "cell": cell_id, "kind": kind, "index": index, "attempt": attempt}
    return content_id("run", content)


def session_id(started_at: datetime, content: Mapping[str, Any]) -> str:
    """A session's id, such as ``20261123T0612-3fa9c01e``: sortable by its beginning (UTC), short enough to type.

    Args:
        started_at: aware time of the beginning; its microseconds are part of the digits.
        content: what else tells it from a session that began in the same minute elsewhere.
    """
    moment = started_at.astimezone(UTC)
    digest = content_id("session", {"started_at": moment.isoformat(timespec="microseconds"), **content})
    return f"{moment:%Y%m%dT%H%M}-{digest[:SESSION_DIGITS]}"
