"""Which sessions refer to which: scores to the run of their reference, cells to a score of an earlier night.

Owns these queries and following them. Imports SQLAlchemy Core and the reader. Contract: works inside the reader's
transaction; holds pairs of session ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import select

from harness.exchange.reading import Reader
from harness.exchange.shape import TableShape


def between_sessions(reader: Reader) -> dict[str, set[str]]:
    """Session -> other sessions that its rows refer to."""
    found: dict[str, set[str]] = defaultdict(set)
    for shape in reader.shape.of_level("session", "run"):
        for query in _queries(reader, shape):
            for session, other in reader.connection.execute(query):
                found[session].add(other)
    return found


def _queries(reader: Reader, shape: TableShape) -> Iterable[Any]:
    """Pairs of different sessions, of each column that refers to a run or session which is not the row's owner."""
    runs = reader.shape["run"].table
    assert shape.owner is not None
    owner = shape.fields[shape.owner].column
    for place, field in enumerate(shape.fields):
        if place == shape.owner or not (field.stands_for == "run" or field.refers_to == "session"):
            continue
        if shape.name == "run" and field.name == "session_id":
            continue
        source: Any = shape.table
        if shape.name == "run":
            session: Any = shape.table.c.session_id
        elif shape.level == "run":
            own = runs.alias("own")
            source = source.join(own, own.c.key == owner)
            session = own.c.session_id
        else:
            session = owner
        if field.stands_for == "run":
            meant = runs.alias("meant")
            source = source.join(meant, meant.c.key == field.column)
            other: Any = meant.c.session_id
        else:
            other = field.column
        yield select(session, other).select_from(source).where(session != other).distinct()


def reached(begin: Iterable[str], needs: Mapping[str, Collection[str]], within: Collection[str]) -> set[str]:
    """What is found from some by following, those included; only what is ``within`` counts."""
    found: set[str] = set()
    waiting = list(begin)
    while waiting:
        one = waiting.pop()
        if one in found or one not in within:
            continue
        found.add(one)
        waiting.extend(needs.get(one, ()))
    return found
