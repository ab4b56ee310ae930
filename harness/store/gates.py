"""Gates: what was judged of two sessions, with every verdict.

Owns their records, writing and reading them. Imports SQLAlchemy Core and the tables. Contract: a gate is stored whole
or not at all, once, under an id that follows from the sessions that it judged; storing it again changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, or_, select

from harness.store import ids
from harness.store.tables import table
from harness.store.writing import insert_missing

#: The columns that make the id.
IDENTITY = ("session_id", "base_session_id", "kind")


@dataclass(frozen=True, slots=True)
class GateVerdictRecord:
    """The verdict on one metric of one cell; its attributes are the columns of `gate_verdict` but the place.

    Attributes:
        cell: what both sides' cells share, in words.
        base_cell_id: stored cell of base, None where there is none.
        head_cell_id: stored cell of head, None where its plan has none.
        metric: a metric's name, ``task metric``, ``cell`` or ``artifact``.
        verdict: the word.
        reason: in words.
        ratio: head / base, None where nothing was compared.
        ratio_low: lower end of its interval, 95 %.
        ratio_high: upper end.
        pairs: units that both sides have; None where none were paired.
        fresh_pairs: of these, those of the confirmation.
        detectable: the smallest change, as a share, that would have been seen; None where nothing was tested.
        p_value: None likewise.
        details: figures of this kind of gate alone, by name.
    """

    cell: str
    base_cell_id: str | None
    head_cell_id: str | None
    metric: str
    verdict: str
    reason: str
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    pairs: int | None = None
    fresh_pairs: int | None = None
    detectable: float | None = None
    p_value: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("ratio", "ratio_low", "ratio_high", "detectable", "p_value"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{self.metric}: {name} is {value}, and a missing figure is None")


@dataclass(frozen=True, slots=True)
class GateRecord:
    """One gate; its attributes are the columns of `gate`, which `harness.store.tables` describes.

    Attributes:
        session_id: stored session of head.
        base_session_id: stored session of base; None where base is what was stored of several sessions.
        kind: ``change``: measured in pairs; ``baseline``: against what was stored.
        status: the whole of it.
        summary: a line for people.
        edgebench_version: which judged.
        judged_at: aware.
        settings: what was asked: words of the sides, margins, number of pairs.
        details: what else the output tells: pairs and flags of each cell, advice.
        verdicts: each.
        id: derived when left out.
    """

    session_id: str
    base_session_id: str | None
    kind: Literal["change", "baseline"]
    status: Literal["pass", "fail", "inconclusive"]
    summary: str
    edgebench_version: str
    judged_at: datetime
    settings: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Sequence[GateVerdictRecord] = ()
    id: str = ""

    def __post_init__(self) -> None:
        derived = ids.content_id("gate", {name: getattr(self, name) for name in IDENTITY})
        if self.id not in ("", derived):
            raise ValueError(f"gate {self.id}: its content has the id {derived}")
        object.__setattr__(self, "id", derived)


_COLUMNS = tuple(one.name for one in fields(GateRecord) if one.name != "verdicts")
_VERDICT_COLUMNS = tuple(one.name for one in fields(GateVerdictRecord))


def store(connection: Connection, record: GateRecord) -> None:
    """Adds a gate with its verdicts; one that is stored already stays as it is."""
    rows = table("gate")
    if connection.execute(select(rows.c.id).where(rows.c.id == record.id)).first() is not None:
        return
    insert_missing(connection, "gate", [{name: getattr(record, name) for name in _COLUMNS}])
    insert_missing(
        connection,
        "gate_verdict",
        [
            {**asdict(one), "gate_id": record.id, "position": position, "session_id": record.session_id}
            for position, one in enumerate(record.verdicts)
        ],
    )


def gates(connection: Connection, session_id: str) -> list[GateRecord]:
    """The gates that a session was a side of, oldest first."""
    rows, verdicts = table("gate"), table("gate_verdict")
    query = (
        select(*(rows.c[name] for name in _COLUMNS))
        .where(or_(rows.c.session_id == session_id, rows.c.base_session_id == session_id))
        .order_by(rows.c.judged_at, rows.c.id)
    )
    found = []
    for row in connection.execute(query).all():
        own = (
            select(*(verdicts.c[name] for name in _VERDICT_COLUMNS))
            .where(verdicts.c.gate_id == row.id)
            .order_by(verdicts.c.position)
        )
        each = tuple(GateVerdictRecord(**one._mapping) for one in connection.execute(own))
        found.append(GateRecord(**row._mapping, verdicts=each))
    return found
