"""The little language of ``--where``, ``--rows`` and ``--columns``.

Owns its grammar: conditions joined by commas, all of which must hold; ``COLUMN OP VALUE`` with ``=``, ``!=``, ``<``,
``<=``, ``>``, ``>=`` or ``~`` (contains); alternatives of a value by ``|``; ``null`` is a missing value. Raw units.
Contract: nothing is evaluated as code; a wrong word is a UsageError that says which words there are.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.table.metrics import METRICS

_CONDITION = re.compile(r"\s*([A-Za-z0-9_]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

Test = Callable[[Mapping[str, Any]], bool]


def column(name: str) -> str:
    """The name of a column, checked.

    Raises:
        UsageError: there is no such column.
    """
    key = name.strip()
    if key in METRICS:
        return key
    near = difflib.get_close_matches(key, METRICS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"no column is called {key!r}", next_step=f"{meant}`edgebench list metrics` names them all"
    )


def columns(text: str | Sequence[str]) -> list[str]:
    """Column names, of ``a,b,c`` or of a sequence, without doubles.

    Raises:
        UsageError: there is no such column, or no name at all.
    """
    names = text.split(",") if isinstance(text, str) else list(text)
    keys = list(dict.fromkeys(column(name) for name in names if name.strip()))
    if not keys:
        raise UsageError("no column is named", next_step="name some, as in framework,precision")
    return keys


def parse_where(text: str) -> Test:
    """A test of one row's values.

    Raises:
        UsageError: the text is no list of conditions, or names an unknown column.
    """
    tests = [_condition(part) for part in text.split(",") if part.strip()]
    return lambda row: all(test(row) for test in tests)


def _condition(text: str) -> Test:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text.strip()!r} is no condition",
            next_step="write COLUMN=VALUE, also with != < <= > >= or ~ (contains), joined by commas",
        )
    key, sign, value = column(match[1]), match[2], match[3]
    if sign in _ORDER:
        return _ordered(key, sign, value)
    wanted = [each.strip() for each in value.split("|")]
    if sign == "~":
        return lambda row: (
            row[key] is not None and any(each.lower() in str(row[key]).lower() for each in wanted)
        )
    if sign == "=":
        return lambda row: any(_equal(row[key], each) for each in wanted)
    return lambda row: not any(_equal(row[key], each) for each in wanted)


def _ordered(key: str, sign: str, value: str) -> Test:
    compare = _ORDER[sign]
    try:
        limit = float(value)
    except ValueError:
        raise UsageError(
            f"{value!r} is no number",
            next_step=f"{key}{sign} wants one, in {METRICS[key].unit or 'plain figures'}",
        ) from None

    def test(row: Mapping[str, Any]) -> bool:
        measured = row[key]
        return isinstance(measured, int | float) and compare(measured, limit)

    return test


def _equal(measured: Any, wanted: str) -> bool:
    if wanted.lower() == "null":
        return measured is None
    if isinstance(measured, bool):
        return wanted.lower() in (("true", "yes") if measured else ("false", "no"))
    if isinstance(measured, int | float):
        try:
            return measured == float(wanted)
        except ValueError:
            return False
    if isinstance(measured, list):
        return wanted.lower() in (str(each).lower() for each in measured)
    return str(measured).lower() == wanted.lower() if measured is not None else False
