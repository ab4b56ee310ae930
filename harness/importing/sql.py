"""Rows out of a file of SQL statements, read as data: nothing is ever executed.

Owns the small grammar that llama-bench writes: ``CREATE TABLE IF NOT EXISTS name (...)`` and ``INSERT INTO name
(columns) VALUES (values)``. Imports the standard library. Contract: any other statement is an error. A parser of
these two and not a database in memory, because an SQL engine would have to be kept from everything else that a
hostile file can ask of it, and because the tool writes a quote in a value as it is: what does not parse is refused
with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<text>'(?:[^']|'')*')"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<sign>[(),;])",
)

Value = str | None


class SqlError(ValueError):
    """Text that is none of the two statements; ``line`` from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def insert_rows(text: str, table: str) -> list[tuple[int, dict[str, Value]]]:
    """``(line, values by column)`` of every INSERT into a table; values as text, NULL as None.

    Raises:
        SqlError: anything else than rows of this table.
    """
    tokens = _Tokens(_tokens(text))
    rows = []
    while not tokens.at_end:
        if tokens.word("CREATE"):
            _skip_create(tokens, table)
        elif tokens.word("INSERT"):
            line = tokens.line
            rows += [(line, row) for row in _insert(tokens, table)]
        elif not tokens.sign(";"):
            raise tokens.unexpected("CREATE TABLE or INSERT INTO")
    return rows


class _Tokens:
    """The tokens that are still to be read."""

    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self._next = next(tokens, None)
        self.line = 1

    @property
    def at_end(self) -> bool:
        return self._next is None

    def take(self, kind: str, text: str | None = None) -> str | None:
        """The next token's text if it is such a one, which is then read; else None."""
        token = self._next
        if token is None or token.kind != kind or (text is not None and token.text.upper() != text):
            return None
        self.line = token.line
        self._next = next(self._tokens, None)
        return token.text

    def word(self, text: str) -> bool:
        return self.take("word", text) is not None

    def sign(self, text: str) -> bool:
        return self.take("sign", text) is not None

    def need(self, kind: str, text: str | None = None) -> str:
        found = self.take(kind, text)
        if found is None:
            raise self.unexpected(text or f"a {kind}")
        return found

    def unexpected(self, wanted: str) -> SqlError:
        token = self._next
        if token is None:
            return SqlError(self.line, f"it ends where {wanted} is expected")
        return SqlError(token.line, f"{wanted} is expected, not {token.text[:60]!r}")


def _tokens(text: str) -> Iterator[_Token]:
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise SqlError(line, f"no statement of llama-bench has {text[place : place + 20]!r} in it")
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")
        place = match.end()


def _skip_create(tokens: _Tokens, table: str) -> None:
    tokens.need("word", "TABLE")
    if tokens.word("IF"):
        tokens.need("word", "NOT")
        tokens.need("word", "EXISTS")
    _need_table(tokens, table)
    tokens.need("sign", "(")
    while not tokens.sign(")"):
        tokens.need("word")
        while tokens.take("word") is not None:
            pass
        if not tokens.sign(","):
            tokens.need("sign", ")")
            break
    tokens.need("sign", ";")


def _need_table(tokens: _Tokens, table: str) -> None:
    if not tokens.word(table.upper()):
        raise tokens.unexpected(table)


def _insert(tokens: _Tokens, table: str) -> list[dict[str, Value]]:
    tokens.need("word", "INTO")
    _need_table(tokens, table)
    tokens.need("sign", "(")
    columns = [tokens.need("word")]
    while tokens.sign(","):
        columns.append(tokens.need("word"))
    tokens.need("sign", ")")
    if len(set(columns)) != len(columns):
        raise SqlError(tokens.line, "a column is named twice")
    tokens.need("word", "VALUES")
    rows = [_row(tokens, columns)]
    while tokens.sign(","):
        rows.append(_row(tokens, columns))
    tokens.need("sign", ";")
    return rows


def _row(tokens: _Tokens, columns: list[str]) -> dict[str, Value]:
    tokens.need("sign", "(")
    values = [_value(tokens)]
    while tokens.sign(","):
        values.append(_value(tokens))
    tokens.need("sign", ")")
    if len(values) != len(columns):
        raise SqlError(tokens.line, f"{len(values)} values for {len(columns)} columns")
    return dict(zip(columns, values, strict=True))


def _value(tokens: _Tokens) -> Value:
    quoted = tokens.take("text")
    if quoted is not None:
        return quoted[1:-1].replace("''", "'")
    if tokens.word("NULL"):
        return None
    return tokens.need("number")
