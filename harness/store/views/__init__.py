"""The views: what people and their tools ask of the database, under the names of the comparison table.

Owns the list of views, and making and removing them; `figures` has the definitions in SQL, the other modules the views.
Imports the tables for their words and SQLAlchemy. Contract: the same text on SQLite and PostgreSQL, in new databases
and in upgraded ones; whoever changes it adds a revision of the schema, since a database of the newest one is not looked
at again. Nothing pools sessions, machines or versions; where a view names no session it means the newest that measured.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from harness.store.views import measured, outcomes, quality
from harness.store.views.parts import View

VIEWS: tuple[View, ...] = (
    measured.cells_latest(),
    measured.history(),
    measured.runs(),
    measured.samples(),
    quality.scores(),
    quality.tasks(),
    outcomes.coverage(),
    outcomes.failures(),
    quality.artifacts(),
    quality.lineage(),
)


def create(connection: Connection) -> None:
    """Makes all views; none of them may exist."""
    for view in VIEWS:
        connection.execute(text(view.statement()))


def drop(connection: Connection) -> None:
    """Removes the views that there are: a table that a view reads cannot be changed."""
    for view in VIEWS:
        connection.execute(text(f"DROP VIEW IF EXISTS {view.name}"))
