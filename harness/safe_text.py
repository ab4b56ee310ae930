"""Text that leaves the program: without control characters, without passwords, and JSON that every reader accepts.

Owns what is done to text from a database, a file or an address before a person sees it or a file keeps it. Imports the
standard library only. Contract: pure; whatever comes in, a terminal is never told to do anything, and a password that
stands in an address is never repeated.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

# C0 without line end and tab, DEL, C1, line and paragraph separators, what reverses the order of what is read, and
# halves of characters, which no file can hold, and the two of the first plane that are none, which no XML may hold.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
#: Where a spreadsheet begins to compute (OWASP's list, with the full-width forms), and the guard itself.
_FORMULA = frozenset("=+-@\t\r\n'＝＋－＠")
_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")

#: ``scheme://user:password@``; the user may be missing. Up to the last @ before a space: passwords may hold one. With
#: one slash as well, which is how a path writes two, and of a database with none.
_USER = re.compile(
    r"(?P<head>(?:[A-Za-z][A-Za-z0-9+.-]*:/{1,2}|\b(?:postgres|mysql|mariadb|mssql|oracle)[A-Za-z0-9+.-]*:)"
    r"[^\s:/@?#]*:)(?P<secret>[^\s]*)(?=@)"
)
#: ``password=...`` in an address's settings, or in a library's words.
_SETTING = re.compile(
    r"(?P<head>(?:[?&]\w*(?:password|passwd|pwd|secret|token|api_?key|options)|\b(?:ssl)?passw(?:or)?d)=)(?P<secret>[^\s&;'\"]+)",
    re.IGNORECASE,
)


def printable(text: str) -> str:
    r"""The text with control characters as ``\u001b``; line ends and tabs stay."""
    return _CONTROL.sub(_escape, text)


def printable_values(value: Any) -> Any:
    """Plain data with every text in it as `printable` has it; names of fields are ours and stay.

    Before it becomes JSON: written behind that, the escape would be JSON's own and be undone by who reads it.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: printable_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable_values(one) for one in value]
    return value


def printable_styled(text: str) -> str:
    """The same, but what only sets colour and weight of letters stays: our own output in a terminal."""
    parts = _STYLE.split(text)
    return "".join(part if place % 2 else printable(part) for place, part in enumerate(parts))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: with an apostrophe before what might be one.

    So has a text that began with an apostrophe: whoever takes one away at the beginning has the text again.
    """
    return f"'{text}" if text[:1] in _FORMULA else text


def without_passwords(text: str) -> str:
    """The text with ``***`` for the password of every address, and for settings that are called like one."""
    if "@" not in text and "=" not in text:
        return text
    hidden = _USER.sub(lambda match: f"{match['head']}***", text)
    return _SETTING.sub(lambda match: f"{match['head']}***", hidden)


def json_text(value: Any) -> str:
    """Indented JSON without NaN, infinity or control characters; such numbers are their names as text."""
    return printable(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def finite(value: Any) -> Any:
    """The same with ``"inf"``, ``"-inf"`` and ``"nan"`` for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
