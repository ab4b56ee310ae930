"""What views are made of: columns with the words that explain them, and the joins that many share.

Owns the shape of a view. Imports the tables for their words. Contract: a column that stands in a table is explained as
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.store.tables import models


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column: its name, the expression that gives it, and what it holds, for people."""

    name: str
    expression: str
    what: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. ``source`` is all that stands behind SELECT and its columns; ``before`` what stands in front."""

    name: str
    what: str
    columns: tuple[ViewColumn, ...]
    source: str
    before: str = ""

    def statement(self) -> str:
        """The SQL that makes it."""
        listed = ",\n    ".join(f"{one.expression} AS {one.name}" for one in self.columns)
        return f"CREATE VIEW {self.name} AS\n{self.before}SELECT\n    {listed}\n{self.source}"


def is_(name: str, expression: str, what: str) -> ViewColumn:
    """A column that is an expression."""
    return ViewColumn(name, expression, what)


def of(table: str, names: str, alias: str | None = None) -> list[ViewColumn]:
    """Columns of a table, as that table explains them."""
    fields = models()[table].model_fields
    return [
        ViewColumn(name, f"{alias or table}.{name}", fields[name].description or "") for name in names.split()
    ]


def columns(*parts: ViewColumn | Iterable[ViewColumn]) -> tuple[ViewColumn, ...]:
    """Columns one after the other."""
    made: list[ViewColumn] = []
    for part in parts:
        made += [part] if isinstance(part, ViewColumn) else part
    return tuple(made)


CELL = of("cell", "framework model precision recipe device api workload depth batch")
WHERE = [
    is_("machine_id", "session.machine_id", "where it ran"),
    is_("machine", "machine.name", "that machine, a line for people"),
]
SESSION = [
    *of("session", "suite"),
    is_("session_started_at", "session.started_at", "when its session began, UTC"),
    is_("trigger", "session.trigger", "`manual`, `nightly`, `gate` ..."),
    *of("session", "commit_sha edgebench_version"),
]
JOIN_RUN = (
    "JOIN cell ON cell.id = run.cell_id\nJOIN session ON session.id = run.session_id\n"
    "JOIN machine ON machine.id = session.machine_id"
)
