"""File names and anchors of the site, from ids and names that may have come from anywhere.

Owns that rule. Contract: a name is ASCII letters, digits, dots, dashes and underscores; different texts have different
names on every system, those that ignore case too; the same text has the same name in every build.
"""

from __future__ import annotations

import re

from harness.files import key_of
from harness.names import why_no_name

_OTHER = re.compile(r"[^a-z0-9._-]+")
#: As the store makes ids of sessions: the one capital letter is always the same.
_SESSION = re.compile(r"[0-9]{8}T[0-9]{4}-[0-9a-f]{6,16}")
_LONGEST = 60


def slug(text: str) -> str:
    """The text as a part of a file's name or an anchor; a piece of its hash tells apart what looks alike then."""
    if _SESSION.fullmatch(text):
        return text
    plain = _OTHER.sub("-", text.lower()).strip(".-")[:_LONGEST]
    if plain == text and why_no_name(plain) is None:
        return plain
    return f"{plain}-{key_of(text)[:10]}".lstrip("-")
