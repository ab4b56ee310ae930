"""Gates in the database: stored once and whole, found, shown, and taken along where databases are merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import make_store_records as make
import pytest
from sqlalchemy.exc import IntegrityError

from harness.exchange import merging
from harness.exchange.source import opened
from harness.store import Store, records
from harness.store.gates import GateRecord, GateVerdictRecord


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        yield opened


def stored_gate(store: Store) -> GateRecord:
    """A gate with its two sessions, stored."""
    machine = store.record_machine(make.machine())
    planned = [records.PlannedCellRecord(make.cell(), 0)]
    base, head = (
        store.start_session(make.session(machine, later_s=later_s), planned) for later_s in (0.0, 60.0)
    )
    gate = make.gate(head, base, make.cell().id)
    store.record_gate(gate)
    return gate


def test_a_gate_is_read_as_it_was_stored_and_stored_once(store: Store) -> None:
    gate = stored_gate(store)
    store.record_gate(replace(gate, summary="told otherwise", verdicts=()))
    assert gate.base_session_id is not None
    assert store.gates(gate.session_id) == store.gates(gate.base_session_id) == [gate]
    assert store.find(gate.id[:8]) == [("gate", gate.id)]
    shown = store.describe("gate", gate.id)
    assert [row["verdict"] for row in shown["verdicts"]] == ["regression", "unmeasured"]
    session = store.describe("session", gate.session_id)
    assert [row["summary"] for row in session["gates"]] == [gate.summary]
    assert len(session["gate_verdicts"]) == 2


def test_nothing_of_a_gate_stays_where_one_verdict_cannot_be_stored(store: Store) -> None:
    gate = stored_gate(store)
    wrong = replace(gate.verdicts[0], verdict="perhaps")
    other = replace(gate, kind="baseline", id="", verdicts=(gate.verdicts[0], wrong))
    with pytest.raises(IntegrityError):
        store.record_gate(other)
    assert store.gates(gate.session_id) == [gate]


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="a missing figure is None"):
        GateVerdictRecord("a", None, None, "decode_tps", "pass", "", ratio=float("nan"))
    with pytest.raises(ValueError, match="its content has the id"):
        replace(make.gate("a", "b", "c"), session_id="d")


def test_a_merge_takes_gates_along_and_twice_is_once(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "theirs.db")) as theirs:
        gate = stored_gate(theirs)
    for _ in range(2):
        with opened(tmp_path / "theirs.db") as source, Store.open(str(tmp_path / "ours.db")) as ours:
            merging.merge(source, ours)
            assert ours.gates(gate.session_id) == [gate]


def test_a_second_look_is_never_the_newest_session_and_names_its_gate(any_database: str) -> None:
    with Store.open(any_database) as store:
        gate = stored_gate(store)
        again = {"gate": {"side": "head", "again": gate.session_id}}
        second = store.start_session(make.session(make.machine().id, later_s=9e6, settings=again), [])
        assert store.newest_session() not in (None, second)
        (named,) = store.describe("session", second)["gates"]
        assert named["id"] == gate.id
        first = {"gate": {"side": "head", "base_session": None}}
        newest = store.start_session(make.session(make.machine().id, later_s=8e6, settings=first), [])
        assert store.newest_session() == newest
        assert store.describe("session", newest)["gates"] == []
