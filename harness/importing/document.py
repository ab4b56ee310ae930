"""A file as it lies there: its bytes within limits, and what they are as text, JSON, JSON lines or CSV.

Owns the limits and the first checks. Imports the standard library. Contract: whatever the bytes are, the answer is data
or an `ImportFileError` that names the file and the place; no number of a document is NaN or infinite, no text of it has
a NUL or half a character, no object has a key twice, nothing is nested deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from harness.errors import UsageError

#: A file of one benchmark has kilobytes; parsed, JSON takes some ten times its size.
MAX_BYTES = 64 * 2**20
#: Samples of lm-eval have every question and answer in them.
MAX_LINES_BYTES = 512 * 2**20
MAX_LINE_BYTES = 16 * 2**20
MAX_DEPTH = 48
#: Digits of an integer: 64 bits have 19.
_MAX_DIGITS = 40
_SHOWN = 60

Made = TypeVar("Made")


class ImportFileError(UsageError):
    """A file that cannot be imported: which, where, why, and what to do."""

    def __init__(self, name: str, place: str, what: str, *, next_step: str | None = None) -> None:
        where = f"{name}, {place}" if place else name
        super().__init__(
            f"{where}: {what}; nothing of it was stored",
            next_step=next_step or "write the file anew with the tool, or name its format with --format",
        )


class _Refused(ValueError):
    """A document that is JSON, but not one that can be stored."""


class Document:
    """One file, read once.

    Attributes:
        path: where it is.
        name: for messages.
        data: its bytes.
        sha256: of them.
    """

    def __init__(self, path: Path, *, limit_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.name = path.name
        self.data = _bytes(path, limit_bytes)
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def refuse(self, place: str, what: str, *, next_step: str | None = None) -> NoReturn:
        """Raises the error of this file."""
        raise ImportFileError(str(self.path), place, what, next_step=next_step)

    def beside(self, name: str, *, limit_bytes: int = MAX_BYTES) -> Document | None:
        """A file in the same folder; None where there is none."""
        path = self.path.with_name(name)
        return Document(path, limit_bytes=limit_bytes) if path.is_file() else None

    def facts(self) -> dict[str, Any]:
        """What is kept of a file that was read beside another one."""
        return {"name": self.name, "bytes": len(self.data), "sha256": self.sha256}

    @cached_property
    def text(self) -> str:
        """As UTF-8, with or without its mark.

        Raises:
            ImportFileError: it is not.
        """
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.refuse(f"byte {error.start}", "this is no UTF-8 text")
        if "\0" in text:
            self.refuse(f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}", "the text holds a NUL")
        return text

    @cached_property
    def json(self) -> Any:
        """As one JSON document.

        Raises:
            ImportFileError: it is none, or one that cannot be stored.
        """
        return self._loaded(self.text, "")

    @cached_property
    def json_or_none(self) -> Any:
        """As one JSON document; None where it is none."""
        try:
            return self.json
        except ImportFileError:
            return None

    @cached_property
    def is_json(self) -> bool:
        """Whether it begins as JSON does: then its errors are JSON's."""
        return self.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")

    def json_lines(self) -> Iterator[tuple[int, Any]]:
        """``(line, value)`` of every line that is not empty.

        Raises:
            ImportFileError: a line is no JSON.
        """
        for number, line in enumerate(io.BytesIO(self.data), 1):
            if len(line) > MAX_LINE_BYTES:
                self.refuse(f"line {number}", f"it has more than {MAX_LINE_BYTES:,} bytes")
            try:
                text = line.decode()
            except UnicodeDecodeError:
                self.refuse(f"line {number}", "this is no UTF-8 text")
            if text.strip():
                yield number, self._loaded(text, f"line {number}")

    def _loaded(self, text: str, place: str) -> Any:
        try:
            value = json.loads(
                text,
                parse_constant=str,  # NaN stays a word: it is no number
                parse_float=_float,
                parse_int=_integer,
                object_pairs_hook=_object,
            )
            _check(value)
        except json.JSONDecodeError as error:
            self.refuse(place or f"line {error.lineno}", f"this is no JSON: {error.msg}")
        except RecursionError:
            self.refuse(place, "it is nested too deeply")
        except _Refused as error:
            self.refuse(place, str(error))
        return value

    def csv_rows(self) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
        """The head, and ``(line, fields by name)`` of every row; rows with other numbers of fields are refused.

        Raises:
            ImportFileError: it is no CSV with one head.
        """
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        head: list[str] = []
        rows: list[tuple[int, dict[str, str]]] = []
        try:
            for fields in reader:
                if not fields:
                    continue
                if not head:
                    head = [field.strip() for field in fields]
                    if len(set(head)) != len(head):
                        self.refuse("line 1", "two columns have the same name")
                elif len(fields) != len(head):
                    self.refuse(
                        f"line {reader.line_num}", f"it has {len(fields)} fields, its head {len(head)}"
                    )
                else:
                    rows.append((reader.line_num, dict(zip(head, fields, strict=True))))
        except csv.Error as error:
            self.refuse(f"line {reader.line_num}", f"this is no CSV: {error}")
        return head, rows

    @cached_property
    def head(self) -> list[str]:
        """The fields of the first line, as CSV; empty where it is none."""
        line = self.data[:65536].decode("utf-8-sig", errors="replace").partition("\n")[0]
        try:
            return [field.strip() for field in next(csv.reader([line]), [])]
        except csv.Error:
            return []


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImportFileError(str(path), "", "this is no regular file", next_step="name a file")
            if status.st_size > limit:
                raise _too_large(path, limit)
            # It may grow meanwhile.
            data = file.read(limit + 1)
    except OSError as error:
        raise ImportFileError(
            str(path), "", f"it cannot be read: {error.strerror}", next_step="name a file that exists"
        ) from error
    if len(data) > limit:
        raise _too_large(path, limit)
    if not data.strip():
        raise ImportFileError(str(path), "", "it is empty", next_step="name a file with results")
    return data


def _too_large(path: Path, limit: int) -> ImportFileError:
    return ImportFileError(
        str(path),
        "",
        f"it has more than {limit:,} bytes, which no such tool writes for one benchmark",
        next_step="split the file, for instance one benchmark a file",
    )


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _Refused(f"a number has {len(text)} digits: {text[:_SHOWN]}...")
    return int(text)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"an object has the key {twice[:_SHOWN]!r} twice")
    return made


def _check(value: Any) -> None:
    """Refuses what cannot be stored, without recursion."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise _Refused(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(one, str):
            _check_text(one)
        elif isinstance(one, dict):
            for name in one:
                _check_text(name)
            waiting += [(each, depth + 1) for each in one.values()]
        elif isinstance(one, list):
            waiting += [(each, depth + 1) for each in one]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _Refused(f"a text holds a NUL: {text[:_SHOWN]!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refused(f"a text holds half a character: {text[:_SHOWN]!r}") from None


def quietly(attempt: Callable[[], Made]) -> Made | None:
    """What an attempt gives; None where the file does not allow it."""
    try:
        return attempt()
    except ImportFileError:
        return None
