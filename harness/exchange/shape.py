"""What travels of each table, and by which name: derived from the tables themselves, so that a new one is covered.

Owns the *portable row*: a table's columns without its local key, in which every reference to a local key is the id
that this key stands for (``run_key`` becomes ``run_id``). Imports SQLAlchemy only. Contract: two databases
that hold the same facts have equal portable rows, whatever their keys are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.sql import Select

#: About the file and the program that wrote it; no facts.
OF_THE_FILE = frozenset({"schema_revision", "alembic_version"})

Kind = Literal["text", "int", "float", "bool", "time", "bytes", "json"]

#: ``shared``: belongs to no session. ``session``: to one. ``run``: a run, or below one. ``loose``: may belong to one.
Level = Literal["shared", "session", "run", "loose"]

_KINDS: tuple[tuple[type, Kind], ...] = (
    (JSON, "json"), (DateTime, "time"), (LargeBinary, "bytes"), (Boolean, "bool"), (Float, "float"), (Integer, "int"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a portable row.

    Attributes:
        name: in the portable row.
        column: in the table.
        kind: of its values.
        nullable: may be None.
        stands_for: table whose local key the column holds (``run``, ``metric``); None where it holds what it says.
        refers_to: table whose id it holds; None where it refers to none, or by a local key.
    """

    name: str
    column: Column[object]
    kind: Kind
    nullable: bool
    stands_for: str | None
    refers_to: str | None


@dataclass(frozen=True)
class TableShape:
    """One table as it travels.

    Attributes:
        table: the table.
        fields: its portable row.
        key: places in the row of what names it everywhere.
        level: to what it belongs.
        owner: place in the row of the session or run that it belongs to; None where it may belong to none.
    """

    table: Table
    fields: tuple[Field, ...]
    key: tuple[int, ...]
    level: Level
    owner: int | None

    @property
    def name(self) -> str:
        """The table's."""
        return self.table.name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the fields."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def has_bytes(self) -> bool:
        """Whether its rows may be large."""
        return any(field.kind == "bytes" for field in self.fields)

    def at(self, name: str) -> int:
        """The place of a field."""
        return self.names.index(name)

    def key_of(self, row: tuple[object, ...]) -> tuple[object, ...]:
        """What names a row everywhere."""
        return tuple(row[place] for place in self.key)


class Shape:
    """All tables of a schema as they travel, parents first. Iterate over it for its tables.

    Attributes:
        selects: by table and dialect, what reads its portable rows; filled by readers, of which there are many.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.metadata = metadata
        self.selects: dict[tuple[str, str], Select[Any]] = {}
        self._tables = [one for one in metadata.sorted_tables if one.name not in OF_THE_FILE]
        #: Table -> the column that names a row everywhere, where its primary key is local to a file.
        self.local = {one.name: _name_beside(one) for one in self._tables if _has_local_key(one)}
        self.tables = {one.name: self._shape(one) for one in self._tables}

    def __iter__(self) -> Iterator[TableShape]:
        """Parents first."""
        return iter(self.tables.values())

    def __getitem__(self, name: str) -> TableShape:
        """The table of a name."""
        return self.tables[name]

    def of_level(self, *levels: Level) -> list[TableShape]:
        """The tables of some levels, parents first."""
        return [one for one in self.tables.values() if one.level in levels]

    def _shape(self, table: Table) -> TableShape:
        fields = tuple(self._field(one) for one in table.columns if not self._is_local(one))
        name = self.local.get(table.name)
        key = list(table.primary_key.columns) if name is None else [name]
        places = {field.column.name: place for place, field in enumerate(fields)}
        level, owner = self._level(table, fields)
        return TableShape(table, fields, tuple(places[one.name] for one in key), level, owner)

    def _is_local(self, column: Column[object]) -> bool:
        return column.table.name in self.local and column.primary_key

    def _field(self, column: Column[object]) -> Field:
        root = _root(column)
        if root is not column and self._is_local(root):
            of = root.table.name
            beside = self.local[of]
            name = f"{column.name.removesuffix('_key')}_{beside.name}"
            return Field(name, column, _kind(beside), bool(column.nullable), of, None)
        refers_to = None if root is column else next(iter(column.foreign_keys)).column.table.name
        return Field(column.name, column, _kind(column), bool(column.nullable), None, refers_to)

    def _level(self, table: Table, fields: tuple[Field, ...]) -> tuple[Level, int | None]:
        if table.name == "session":
            return "session", [field.name for field in fields].index("id")
        if table.name == "run":
            return "run", [field.name for field in fields].index("id")
        # What is part of the primary key says most about to whom a row belongs.
        ordered = sorted(enumerate(fields), key=lambda one: not one[1].column.primary_key)
        for wanted in (False, True):
            for place, field in ordered:
                if field.nullable is not wanted:
                    continue
                if field.refers_to == "session":
                    return ("loose", None) if wanted else ("session", place)
                if field.stands_for == "run":
                    return ("loose", None) if wanted else ("run", place)
        return "shared", None


def _kind(column: Column[object]) -> Kind:
    kept = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    return next((kind for made_of, kind in _KINDS if isinstance(kept, made_of)), "text")


def _root(column: Column[object]) -> Column[object]:
    """The column that a chain of references ends at; itself without any."""
    while column.foreign_keys:
        column = next(iter(column.foreign_keys)).column
    return column


def _has_local_key(table: Table) -> bool:
    columns = list(table.primary_key.columns)
    return len(columns) == 1 and isinstance(columns[0].type, Integer) and not columns[0].foreign_keys


def _name_beside(table: Table) -> Column[object]:
    """The column that names a row of a table whose key is local to a file.

    Raises:
        TypeError: there is none; such a table cannot travel.
    """
    for constraint in sorted(table.constraints, key=lambda one: str(one.name)):
        if isinstance(constraint, UniqueConstraint) and len(constraint.columns) == 1:
            return next(iter(constraint.columns))
    raise TypeError(f"table {table.name}: its key is local to a file, and no other column names its rows")
