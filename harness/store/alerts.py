"""Alerts: change points that were raised, and what became of them.

Owns their records, and reading and changing them. Imports SQLAlchemy Core and the tables. Contract: an alert is stored
once, under an id that follows from what was confirmed by which value; storing it again changes nothing; afterwards only
its state, note and the time of both change, and what is resolved stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select, update

from harness.store import ids
from harness.store.tables import table
from harness.store.writing import insert_missing

AlertState = Literal["open", "acknowledged", "resolved"]

#: The columns that make the id.
IDENTITY = ("session_id", "place", "cell_id", "machine_id", "metric")


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One alert; its attributes are the columns of `alert`, which `harness.store.tables` describes.

    Attributes:
        session_id: session with which the change was confirmed.
        place: which of its values did so, from 0.
        cell_id: whose series.
        machine_id: where.
        metric: what moved.
        session_before_id: the last one before the change.
        session_after_id: the first one behind it.
        time_before: when the former began, aware; None where it tells none.
        time_after: when the latter began, aware; None likewise.
        first_session_id: the first one that may be the last before the change, 95 %.
        last_session_id: the last one that may be.
        value_before: level before, in the metric's unit.
        value_after: level after.
        ratio: after / before, None where there is none.
        ratio_low: its lower bound, 95 %.
        ratio_high: its upper bound.
        confidence: 1 less the chance of a false alarm in this series.
        direction: ``up`` or ``down``.
        raised_at: aware.
        state: ``open``, ``acknowledged`` or ``resolved``.
        note: a person's words.
        state_changed_at: aware; None: when it was raised.
        id: derived when left out.
    """

    session_id: str
    place: int
    cell_id: str
    machine_id: str
    metric: str
    session_before_id: str
    session_after_id: str
    time_before: datetime | None
    time_after: datetime | None
    first_session_id: str
    last_session_id: str
    value_before: float
    value_after: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    confidence: float
    direction: Literal["up", "down"]
    raised_at: datetime
    state: AlertState = "open"
    note: str | None = None
    state_changed_at: datetime | None = None
    id: str = ""

    def __post_init__(self) -> None:
        content = {name: getattr(self, name) for name in IDENTITY}
        derived = ids.content_id("alert", content)
        if self.id not in ("", derived):
            raise ValueError(f"alert {self.id}: its content has the id {derived}")
        object.__setattr__(self, "id", derived)
        if self.state_changed_at is None:
            object.__setattr__(self, "state_changed_at", self.raised_at)


_NAMES = tuple(one.name for one in fields(AlertRecord))


def store(connection: Connection, records: Sequence[AlertRecord]) -> list[AlertRecord]:
    """Adds alerts; gives those that were not stored before."""
    rows = table("alert")
    wanted = [one.id for one in records]
    known = set(connection.execute(select(rows.c.id).where(rows.c.id.in_(wanted))).scalars())
    new = [one for one in records if one.id not in known]
    insert_missing(connection, "alert", [asdict(one) for one in new])
    return new


def alerts(
    connection: Connection,
    *,
    machine_id: str | None = None,
    states: Sequence[AlertState] | None = None,
) -> list[AlertRecord]:
    """The alerts of a machine (None: of all) in some states (None: in any), in the order in which they were raised."""
    rows = table("alert")
    query = select(*(rows.c[name] for name in _NAMES)).order_by(rows.c.raised_at, rows.c.id)
    if machine_id is not None:
        query = query.where(rows.c.machine_id == machine_id)
    if states is not None:
        query = query.where(rows.c.state.in_(states))
    return [AlertRecord(**row._mapping) for row in connection.execute(query)]


def change(
    connection: Connection, alert_id: str, state: AlertState, note: str, at: datetime
) -> AlertRecord | None:
    """Gives an alert another state; None, and nothing is changed, where it is resolved.

    Raises:
        LookupError: no such alert.
    """
    rows = table("alert")
    query = select(*(rows.c[name] for name in _NAMES)).where(rows.c.id == alert_id)
    found = connection.execute(query).first()
    if found is None:
        raise LookupError(f"no alert {alert_id}")
    record = AlertRecord(**found._mapping)
    if record.state == "resolved":
        return None
    # A clock that was set back: the later state is to stand where databases are merged.
    assert record.state_changed_at is not None
    at = max(at, record.state_changed_at)
    connection.execute(
        update(rows).where(rows.c.id == alert_id).values(state=state, note=note, state_changed_at=at)
    )
    return replace(record, state=state, note=note, state_changed_at=at)
