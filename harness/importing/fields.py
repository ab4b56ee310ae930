"""Checked access to what a file says: numbers that are numbers, names that can be printed, times with a zone.

Owns the checks and the exact factors of units. Imports the standard library. Contract: a value comes out right, or the
file is refused with the path of the field in it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from harness.importing.document import Document

NS, US, MS = 1e9, 1e6, 1e3
MB, GB = 1e6, 1e9
MIB, GIB = 2.0**20, 2.0**30
KWH_JOULES = 3.6e6

#: Of columns of 32 bits.
_MAX_WHOLE = 2**31 - 1
_MAX_NAME = 1000
_SHOWN = 60


class Fields:
    """One object or row of a file, with the place where it stands.

    Attributes:
        values: as they are.
        place: such as ``results[2]`` or ``line 7``.
    """

    def __init__(self, document: Document, values: Any, place: str) -> None:
        self.document = document
        self.place = place
        if not isinstance(values, dict):
            self.document.refuse(place, f"an object is expected, not {_shown(values)}")
        self.values: dict[str, Any] = values

    def refuse(self, key: str, what: str) -> NoReturn:
        """Raises the error of a field."""
        self.document.refuse(f"{self.place}: {key}" if self.place else key, what)

    def has(self, key: str) -> bool:
        """Whether the file has the field with a value; an empty text is none."""
        return self.values.get(key) not in (None, "")

    def below(self, key: str) -> Fields:
        """The object in a field; an empty one where the file has none."""
        return Fields(self.document, self.values.get(key) or {}, f"{self.place}.{key}".lstrip("."))

    def rows(self, key: str) -> list[Fields]:
        """The objects of a list."""
        return [
            Fields(self.document, one, f"{self.place}.{key}[{place}]".lstrip("."))
            for place, one in enumerate(self.list_of(key))
        ]

    def list_of(self, key: str) -> list[Any]:
        """A list; an empty one where the file has none."""
        found = self.values.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.refuse(key, f"a list is expected, not {_shown(found)}")
        return found

    # -- numbers ------------------------------------------------------------------------------------------------

    def number(self, key: str) -> float:
        """A finite number, also where it is written as text (CSV, SQL)."""
        value = self.values.get(key)
        found = _number(value)
        if found is None:
            self.refuse(key, f"a number is expected, not {_shown(value)}")
        return found

    def number_or_none(self, key: str) -> float | None:
        """As `number`; None where the file has none or says that it is none."""
        value = self.values.get(key)
        if value is None or (isinstance(value, str) and value.strip().lower() in _NONE):
            return None
        return self.number(key)

    def positive(self, key: str) -> float:
        """A number above 0."""
        value = self.number(key)
        if value <= 0:
            self.refuse(key, f"a number above 0 is expected, not {value:g}")
        return value

    def positive_or_none(self, key: str) -> float | None:
        """A number above 0; None where the file has none. A tool's 0 or -1 for "not measured" is none."""
        value = self.number_or_none(key)
        return value if value is not None and value > 0 else None

    def positives(self, key: str, *, or_zero: bool = False) -> list[float]:
        """A list of numbers above 0; ``or_zero``: or 0, where the tool means that."""
        made = []
        for place, value in enumerate(self.list_of(key)):
            found = _number(value) if not isinstance(value, str) else None
            if found is None or found < 0 or (found == 0 and not or_zero):
                self.refuse(f"{key}[{place}]", f"a number above 0 is expected, not {_shown(value)}")
            made.append(found)
        return made

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number from 0; ``default`` where the file has none."""
        if default is not None and not self.has(key):
            return default
        value = self.number(key)
        if value != int(value) or not 0 <= value <= _MAX_WHOLE:
            self.refuse(key, f"a whole number from 0 to {_MAX_WHOLE} is expected, not {value:g}")
        return int(value)

    def whole_or_none(self, key: str) -> int | None:
        """As `whole`; None where the file has none."""
        return self.whole(key) if self.has(key) else None

    def commit_or_none(self, key: str) -> str | None:
        """A commit's hash; None where the file has none, or a word for that."""
        value = self.values.get(key)
        return value if isinstance(value, str) and _COMMIT.fullmatch(value) else None

    # -- texts --------------------------------------------------------------------------------------------------

    def name(self, key: str) -> str:
        """A name on one line: white space is folded, other control characters are refused."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"a name is expected, not {_shown(value)}")
        return self.checked_name(key, value)

    def name_or_none(self, key: str) -> str | None:
        """As `name`; None where the file has none."""
        return self.name(key) if self.has(key) else None

    def checked_name(self, key: str, value: str) -> str:
        """A text as a name of the field."""
        folded = " ".join(value.split())
        if len(folded) > _MAX_NAME:
            self.refuse(key, f"a name of {len(folded)} characters")
        if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") for letter in folded):
            self.refuse(key, f"a name with a character that cannot be shown: {_shown(value)}")
        return folded

    def option(self, key: str) -> str | None:
        """A setting as text, the same whether the file has it as text, number or yes and no; None where it is none."""
        value = self.values.get(key)
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, int | float):
            return f"{value:g}" if isinstance(value, float) else str(value)
        if isinstance(value, str) and value.strip():
            return self.checked_name(key, value)
        return None

    def time_or_none(self, key: str) -> datetime | None:
        """An ISO time with its zone; None where the file has none, or no zone: nobody can say when it was."""
        value = self.values.get(key)
        if not isinstance(value, str):
            return None
        try:
            found = datetime.fromisoformat(value.strip())
            return None if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            self.refuse(key, f"a time is expected, not {_shown(value)}")

    def epoch_or_none(self, key: str) -> datetime | None:
        """Seconds since 1970 as a time; None where the file has none."""
        value = self.number_or_none(key)
        if value is None:
            return None
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            self.refuse(key, f"a time is expected, not {value:g}")


_COMMIT = re.compile("[0-9a-f]{7,64}")
_NONE = ("", "na", "n/a", "nan", "none", "null")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    if isinstance(value, str) and "_" in value:  # Python reads 1_000, no tool writes it
        return None
    # Far beyond any second, byte or joule; what is computed from it stays finite.
    return found if math.isfinite(found) and abs(found) < 1e100 else None


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def without(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A copy of an object without some keys."""
    return {name: value for name, value in values.items() if name not in keys}


def file_stem(path: str, suffixes: Sequence[str] = ()) -> str:
    """The last part of a path of any system, without a suffix of the given ones."""
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    for suffix in suffixes:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
