"""Cells that repeat until a rule ends them: the plan that grows, and the stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import make_store_records as make
import pytest
from sqlalchemy.exc import IntegrityError

from harness.store import Store, records
from harness.store.tables import table

RULE = {"runs": 6, "runs_width": 0.02, "runs_max": 30}
FIXED = {"runs": 3, "runs_width": None, "runs_max": None}


def _stop(cell_id: str, ended_by: records.StopReason = "width", runs: int = 7) -> records.CellStopRecord:
    return records.CellStopRecord(
        cell_id, ended_by, 0.02, 6, 30, runs, runs, {"prefill_tps": 0.01, "decode_tps": None}
    )


def _begin(store: Store, *settings: Mapping[str, object]) -> tuple[str, list[str]]:
    cells = [make.cell(device=f"gpu:{index}") for index in range(len(settings))]
    planned = [
        records.PlannedCellRecord(cell, place, settings=each)
        for place, (cell, each) in enumerate(zip(cells, settings, strict=True))
    ]
    plan = [records.PlannedRunRecord(cell.id, "timed", 0, place, 5) for place, cell in enumerate(cells)]
    session = store.start_session(make.session(store.record_machine(make.machine())), planned, plan)
    return session, [cell.id for cell in cells]


def test_a_stop_is_kept_as_it_was_first_said(any_database: str) -> None:
    with Store.open(any_database) as store:
        session, (cell, other) = _begin(store, RULE, FIXED)
        store.record_stop(session, _stop(cell))
        store.record_stop(session, _stop(cell, "cap", 30))
        facts = {one.cell.id: one.stop for one in store.session_facts(session).cells}
        assert facts == {cell: _stop(cell), other: None}
        shown = store.describe("cell", cell)["stops"]
        assert [(one["session_id"], one["ended_by"], one["runs"]) for one in shown] == [(session, "width", 7)]


def test_what_is_planned_later_comes_behind_and_in_its_order(any_database: str) -> None:
    with Store.open(any_database) as store:
        session, cells = _begin(store, RULE, RULE)
        more = [
            records.PlannedRunRecord(cell, "timed", 1, place, 6) for place, cell in enumerate(cells[::-1])
        ]
        added = store.extend_plan(session, more)
        assert [(one.cell_id, one.position) for one in added] == [(cells[1], 2), (cells[0], 3)]
        assert [one.position for one in store.missing_runs(session)] == [0, 1, 2, 3]
        assert store.missing_runs(session)[2:] == added


def test_a_session_is_unfinished_until_every_rule_has_ended(any_database: str) -> None:
    with Store.open(any_database) as store:
        session, cells = _begin(store, RULE, FIXED)
        for cell in cells:
            store.record_run(make.run(session, cell, artifact_id=None, environment_id=None))
        store.end_session(session, "interrupted")
        assert store.missing_runs(session) == []
        assert store.newest_session(unfinished=True) == session
        assert store.describe("session", session)["not_stopped"] == [cells[0]]
        store.record_stop(session, _stop(cells[0]))
        assert store.newest_session(unfinished=True) is None


def test_a_reason_that_nobody_knows_is_refused_by_the_database(any_database: str) -> None:
    with Store.open(any_database) as store:
        session, (cell,) = _begin(store, RULE)
        row = {"session_id": session, **asdict(_stop(cell)), "ended_by": "bored"}
        with pytest.raises(IntegrityError, match="ended_by"), store.writing() as connection:
            connection.execute(table("cell_stop").insert(), [row])


def test_a_width_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_tps is nan"):
        records.CellStopRecord("c", "cap", 0.02, 6, 30, 30, 30, {"decode_tps": float("nan")})
