"""The values of portable rows: what each kind may be, and how they are written as JSON and to SQLite.

Owns these forms. In memory: text is str, times are aware datetimes, JSON is its one canonical text (`canonical_json`
of the store), the rest is what it is. In JSON lines: times as ISO text, bytes as base64, JSON as itself, floats that
JSON has no word for as text. Contract: what is not of its kind is a ValueError that says which column; equal values
have equal forms.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, SmallInteger

from harness.exchange.shape import Field, Kind, TableShape
from harness.store.ids import canonical_json

Row = tuple[Any, ...]

_TYPES: dict[Kind, frozenset[type]] = {
    "text": frozenset({str}),
    "int": frozenset({int}),
    "float": frozenset({float}),
    "bool": frozenset({bool}),
    "time": frozenset({datetime}),
    "bytes": frozenset({bytes}),
    "json": frozenset({str}),
}
_NONE = frozenset({type(None)})
#: Of whole numbers; the others have 32.
_BITS: tuple[tuple[type, int], ...] = ((BigInteger, 64), (SmallInteger, 16))
#: Figures that no record takes unless they are numbers.
_FINITE = frozenset({("sample", "value"), ("statistic", "value"), ("statistic", "stddev")})


def sound(shape: TableShape, rows: Sequence[Row]) -> list[Row]:
    """The rows with JSON in its canonical text, after checking that every value is of its column's kind.

    Raises:
        ValueError: one is not; it was written by hand or by another program.
    """
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    changed = False
    for place, (field, values) in enumerate(zip(shape.fields, columns, strict=False)):
        found = set(map(type, values))
        if not field.nullable and type(None) in found:
            raise ValueError(f"{shape.name}.{field.name} is missing")
        wrong = found - _TYPES[field.kind] - _NONE
        if wrong:
            named = ", ".join(sorted(one.__name__ for one in wrong))
            raise ValueError(f"{shape.name}.{field.name} holds {named} instead of {field.kind}")
        if field.kind == "json":
            canonical = {text: _canonical(shape, field, text) for text in set(values)}
            if any(text != one for text, one in canonical.items()):
                columns[place] = [canonical[text] for text in values]
                changed = True
    return list(zip(*columns, strict=True)) if changed else list(rows)


def _canonical(shape: TableShape, field: Field, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
        if value is None:
            return None
        made = canonical_json(value)
        made.encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shape.name}.{field.name} holds no JSON that can be kept: {error}") from None
    return made


def utc(value: datetime | None) -> datetime | None:
    """Aware, in UTC; SQLite keeps no zone."""
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# -- JSON lines -----------------------------------------------------------------------------------------------------


def _float_out(value: float) -> Any:
    return value if math.isfinite(value) else repr(value)


_OUT: dict[Kind, Callable[[Any], Any]] = {
    "time": lambda value: value.isoformat(),
    "bytes": lambda value: base64.b64encode(value).decode("ascii"),
    "json": json.loads,
    "float": _float_out,
}


def to_json(shape: TableShape, row: Row) -> dict[str, Any]:
    """A row as one JSON object."""
    made = {}
    for field, value in zip(shape.fields, row, strict=True):
        convert = _OUT.get(field.kind)
        made[field.name] = value if value is None or convert is None else convert(value)
    return made


def _time_in(value: Any) -> datetime:
    made = datetime.fromisoformat(value)
    if made.tzinfo is None:
        raise ValueError("a time without its zone")
    return made.astimezone(UTC)


def _float_in(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("no number")
    if isinstance(value, str) and value not in ("inf", "-inf", "nan"):
        raise ValueError("no number")
    return float(value)


def _json_in(value: Any) -> str:
    text = canonical_json(value)
    text.encode()
    return text


def _text_in(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()
    if "\0" in value:
        raise ValueError("a zero character, which no server keeps")
    return value


def _bytes_in(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


def _int_in(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise TypeError("no whole number of 64 bits")
    return value


def _bool_in(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError("neither true nor false")
    return value


_IN: dict[Kind, Callable[[Any], Any]] = {
    "time": _time_in,
    "bytes": _bytes_in,
    "json": _json_in,
    "float": _float_in,
    "text": _text_in,
    "int": _int_in,
    "bool": _bool_in,
}


def from_json(shape: TableShape, made: Any) -> Row:
    """A row from its JSON object.

    Raises:
        ValueError: not a row of this table.
    """
    if not isinstance(made, dict) or made.keys() != set(shape.names):
        raise ValueError(f"{shape.name}: not the columns of this table")
    row: list[Any] = []
    for field in shape.fields:
        value = made[field.name]
        if value is None:
            if not field.nullable:
                raise ValueError(f"{shape.name}.{field.name} is missing")
            row.append(None)
            continue
        try:
            made_in = _IN[field.kind](value)
            _check_range(shape, field, made_in)
            row.append(made_in)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
            raise ValueError(f"{shape.name}.{field.name} holds no {field.kind}: {error}") from None
    return tuple(row)


def _check_range(shape: TableShape, field: Field, value: Any) -> None:
    """Refuse what the column's type, or the record that it is of, never holds.

    Raises:
        ValueError: a whole number that is too large for it, or a figure that is no number.
    """
    if field.kind == "int":
        bits = next((bits for kind, bits in _BITS if isinstance(field.column.type, kind)), 32)
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"no whole number of {bits} bits")
    elif (shape.name, field.name) in _FINITE and not math.isfinite(value):
        raise ValueError(f"{value} is no figure")


# -- SQLite ---------------------------------------------------------------------------------------------------------


def _time_for_sqlite(value: datetime) -> str:
    # As SQLAlchemy writes it: without its zone, which is UTC.
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def for_sqlite(kinds: Iterable[Kind], rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    """Rows as SQLite's driver takes them."""
    times = [place for place, kind in enumerate(kinds) if kind == "time"]
    if not times:
        return rows
    return (_with_times(row, times) for row in rows)


def _with_times(row: Sequence[Any], times: Sequence[int]) -> Sequence[Any]:
    made = list(row)
    for place in times:
        if made[place] is not None:
            made[place] = _time_for_sqlite(made[place])
    return made


def parsed(text: str | None) -> Any:
    """The value of a JSON text; None of none."""
    return None if text is None else json.loads(text)
