"""Dataclasses as message bodies, and back, with every field checked.

Owns the one conversion between the plain types of `harness.worker.api` / `harness.worker.protocol` and JSON objects.
Never imports numpy or anything of the lab half. Contract: `from_body` either returns an instance whose fields have
the annotated types, or raises `BodyError` naming the field; it never guesses or drops a key.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class BodyError(ValueError):
    """A message body that does not fit its type; the message names the field."""


def to_body(value: Any) -> Any:
    """A dataclass (or a container of them) as JSON values; paths become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_body(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, collections.abc.Mapping):
        return {str(key): to_body(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_body(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_body(kind: type[T], body: Any) -> T:
    """The dataclass ``kind`` from a message body.

    Args:
        kind: a dataclass whose annotations are plain: bool, int, float, str, Path, Any, other dataclasses, and lists,
            tuples, mappings, literals and unions with None of these.
        body: a JSON object with exactly its fields; those with a default may be missing.

    Raises:
        BodyError: a field is missing, unknown, or of another type.
    """
    value: T = _dataclass(kind, body, kind.__name__)
    return value


def _dataclass(kind: Any, body: Any, where: str) -> Any:
    if not isinstance(body, dict):
        raise BodyError(f"{where}: expected an object, got {_shown(body)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(body.keys() - fields.keys()):
        raise BodyError(f"{where}: unknown field {unknown[0]!r} (known: {', '.join(fields)})")
    hints = typing.get_type_hints(kind)
    values = {}
    for name, field in fields.items():
        if name in body:
            values[name] = _value(hints[name], body[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BodyError(f"{where}: field {name!r} is missing")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _value(inner, value, where)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise BodyError(
                f"{where}: expected one of {', '.join(map(repr, arguments))}, got {_shown(value)}"
            )
        return value
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise BodyError(f"{where}: expected a list, got {_shown(value)}")
        return origin(_value(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            raise BodyError(f"{where}: expected an object, got {_shown(value)}")
        return {key: _value(arguments[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int to isinstance, and no count.
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    raise BodyError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {_shown(value)}")


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:60]!r}"
