"""Durations, sizes and shares as people write them: ``90s``, ``10m``, ``1h30m``; ``4GB``, ``2GiB``; ``2 %``.

Owns these three notations. Imports nothing of the project. Contract: a `ValueError` says what is wrong with the text.
"""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION_PART = r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|min|m|h)"
DURATION_PATTERN = rf"^\s*({_DURATION_PART}\s*)+$"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SIZE_PATTERN = r"^\s*(\d{1,18}(?:\.\d{1,9})?)\s*([kKmMgGtT]?)(i?)[bB]\s*$"
_SIZE = re.compile(SIZE_PATTERN, re.ASCII)

SHARE_PATTERN = r"^\s*(\d{1,6}(?:\.\d{1,9})?)\s*%\s*$"
_SHARE = re.compile(SHARE_PATTERN, re.ASCII)


def share(text: str | float) -> float:
    """The share that ``2 %`` or ``0.02`` is.

    Raises:
        ValueError: not a share, or not above 0 and at most 1.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        found = float(text)
    elif isinstance(text, str) and (match := _SHARE.match(text)):
        found = float(match.group(1)) / 100
    else:
        raise ValueError(f"{text!r} is no share: write 2 % or 0.02")
    if not 0 < found <= 1:
        raise ValueError(f"{text!r} is no share above 0 and at most 1")
    return found


def duration_s(text: str | float) -> float:
    """Seconds of ``90s``, ``10m``, ``1h30m``; a bare number is seconds.

    Raises:
        ValueError: not a duration, or not above zero.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str) and _DURATION.match(text):
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in re.findall(_DURATION_PART, text, re.ASCII))
    else:
        raise ValueError(f"{text!r} is no duration: write 90s, 10m or 1h30m")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no duration above zero")
    return seconds


def size_bytes(text: str | int) -> int:
    """Bytes of ``4GB`` (10^9 each), ``2GiB`` (2^30 each); a bare whole number is bytes.

    Raises:
        ValueError: not a size, or not above zero.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        size = text
    elif isinstance(text, str) and (match := _SIZE.match(text)):
        number, prefix, binary = match.groups()
        if binary and not prefix:
            raise ValueError(f"{text!r} is no size: write 4GB or 2GiB")
        size = round(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])
    else:
        raise ValueError(f"{text!r} is no size: write 4GB or 2GiB")
    if size <= 0:
        raise ValueError(f"{text!r} is no size above zero")
    return size
