"""What holds where two databases say different things of one id.

Owns these rules, and which columns they are for; everywhere else a difference is a contradiction. Imports nothing of
SQLAlchemy. Contract: a join takes the greater of two states in a total order, and of two descriptions the greater value
of each column, so it is commutative, associative and idempotent: merging gives the same in any order, and twice is
once.
"""

from __future__ import annotations

from typing import Any

from harness.exchange.shape import TableShape
from harness.exchange.values import Row
from harness.store.imports import PREFIX
from harness.store.tables import ALERT_STATES, SESSION_STATUSES

#: Table -> columns that change in place, and are taken together from the later state. An alert's figures are what was
#: known when it was raised: who looked later knew more of the same change.
CHANGING: dict[str, tuple[str, ...]] = {
    "session": ("resumed", "ended_at", "status"),
    "alert": (
        "state_changed_at", "state", "note", "raised_at", "session_before_id", "session_after_id", "time_before",
        "time_after", "first_session_id", "last_session_id", "value_before", "value_after", "ratio", "ratio_low",
        "ratio_high", "confidence", "direction",
    ),
}  # fmt: skip

#: Table -> columns that describe a thing without being part of its id: programs of other versions may tell less, or
#: tell it otherwise. What is told stands before what is missing.
DESCRIBING: dict[str, tuple[str, ...]] = {
    "machine": ("name",),
    "model": ("configuration",),
    "artifact": ("weight_bytes", "parameters", "bits_per_weight", "files"),
    "lineage": ("made_peak_bytes",),
    # The same file under another name, or read by a program that says its definitions in other words.
    "session_import": ("file_name", "definitions"),
}

#: What describes a session that was imported, and its runs: programs of several versions may import the same file, and
#: keep more or less of a record as it stands there.
_DESCRIBING_IMPORTED = {"session": ("edgebench_version",), "run": ("details",)}

#: Table -> its columns whose rows come along when a part of a database is taken and the row they refer to is in it:
#: an artifact brings the ways in which it was made. Other shared rows come where something refers to them.
COMES_WITH: dict[str, tuple[str, ...]] = {
    "environment_package": ("environment_id",),
    "lineage": ("artifact_id",),
    "machine_bench": ("machine_id",),
    "preparation": ("session_id", "artifact_id"),
}

_ALERT_RANK = {state: rank for rank, state in enumerate(ALERT_STATES)}
# Of two states of one session that was taken up equally often, what was told last; a status cannot change without its
# end but by hand, and then the order of the words decides.
_STATUS_RANK = {status: rank for rank, status in enumerate(SESSION_STATUSES)}


def state_rank(row: Row, shape: TableShape) -> tuple[Any, ...]:
    """How late a state of a session is: taken up more often, then ended rather than not, then ended later."""
    resumed, ended_at, status = (row[shape.at(name)] for name in CHANGING["session"])
    return (
        resumed,
        ended_at is not None,
        0.0 if ended_at is None else ended_at.timestamp(),
        _STATUS_RANK.get(status, -1),
        status,
    )


def free_columns(table: str) -> tuple[str, ...]:
    """Columns in which two rows of one id may differ."""
    return (*CHANGING.get(table, ()), *DESCRIBING.get(table, ()), *_DESCRIBING_IMPORTED.get(table, ()))


def alert_rank(row: Row, shape: TableShape) -> tuple[Any, ...]:
    """How late a state of an alert is: by its time, then resolved after acknowledged after open, then by the rest."""
    changed_at, state, *rest = (row[shape.at(name)] for name in CHANGING["alert"])
    # None is never compared with a value: the flag before it decides.
    return (
        changed_at.timestamp(),
        _ALERT_RANK.get(state, -1),
        *((value is not None, 0 if value is None else value) for value in rest),
    )


def joined(shape: TableShape, ours: Row, theirs: Row) -> Row | None:
    """What stands of two different rows of one id; None where they contradict one another."""
    differ = set(differing(shape, ours, theirs))
    described = DESCRIBING.get(shape.name, ())
    if _is_imported(shape, ours) and _is_imported(shape, theirs):
        described = _DESCRIBING_IMPORTED[shape.name]
    changing = CHANGING.get(shape.name, ())
    if not differ <= {*changing, *described}:
        return None
    rank = {"session": state_rank, "alert": alert_rank}.get(shape.name)
    later = ours if rank is None or rank(ours, shape) >= rank(theirs, shape) else theirs
    made = list(later)
    for place in map(shape.at, described):
        made[place] = _greater(ours[place], theirs[place])
    if shape.name == "artifact":
        weight_bytes, parameters = made[shape.at("weight_bytes")], made[shape.at("parameters")]
        if weight_bytes is not None and parameters:
            made[shape.at("bits_per_weight")] = weight_bytes * 8 / parameters
    return tuple(made)


def _is_imported(shape: TableShape, row: Row) -> bool:
    if shape.name == "session":
        return bool(row[shape.at("origin")] == "imported")
    return shape.name == "run" and str(row[shape.at("session_id")]).startswith(PREFIX)


def _greater(ours: Any, theirs: Any) -> Any:
    known = [value for value in (ours, theirs) if value is not None]
    return max(known, default=None)


def differing(shape: TableShape, ours: Row, theirs: Row) -> list[str]:
    """Names of the columns in which two rows differ."""
    return [name for name, one, other in zip(shape.names, ours, theirs, strict=True) if one != other]


def redescribed(shape: TableShape, ours: Row, theirs: Row) -> bool:
    """Whether both tell something, and something else: worth a word."""
    return any(
        ours[place] is not None and theirs[place] is not None and ours[place] != theirs[place]
        for place in map(shape.at, DESCRIBING.get(shape.name, ()))
    )
