"""How the text of an option's value is read, for the backends that take such a value.

Imports the standard library. Contract: a ValueError says what would do, in words that go on from "expected".
"""

from __future__ import annotations

from collections.abc import Callable


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError("a number above 0")
    return number


def choice(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return parse
