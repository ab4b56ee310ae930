from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import make_store_records as make
import pytest
from sqlalchemy.exc import IntegrityError

from harness.errors import EdgebenchError
from harness.exchange import rules
from harness.exchange.source import SHAPE
from harness.exchange.values import Row
from harness.store import Store
from harness.store.alerts import AlertRecord

CELL = make.cell()
RAISED = make.BEGAN + timedelta(days=30)


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as made:
        made.record_cells([CELL])
        yield made


@pytest.fixture
def alert(store: Store) -> AlertRecord:
    machine = store.record_machine(make.machine())
    return make.alert(store.start_session(make.session(machine)), CELL.id, machine)


def test_an_alert_comes_back_as_it_was_and_is_stored_once(store: Store, alert: AlertRecord) -> None:
    assert store.record_alerts([alert]) == [alert]
    later = replace(alert, confidence=0.999999, raised_at=RAISED + timedelta(days=1), id="")
    assert later.id == alert.id
    assert store.record_alerts([later]) == []
    assert store.alerts() == [alert]
    assert alert.state_changed_at == alert.raised_at


def test_what_makes_an_alert_another_one_is_what_was_confirmed_by_which_value(alert: AlertRecord) -> None:
    for changes in ({"place": 1}, {"metric": "prefill_tps"}, {"cell_id": "x"}, {"machine_id": "x"}):
        assert replace(alert, id="", **changes).id != alert.id
    with pytest.raises(ValueError, match="its content has the id"):
        replace(alert, metric="prefill_tps")


def test_an_alert_is_acknowledged_and_resolved_with_a_note_and_then_stays_so(
    store: Store, alert: AlertRecord
) -> None:
    store.record_alerts([alert])
    at = RAISED + timedelta(hours=2)
    assert store.change_alert(alert.id, "acknowledged", "a new compiler", at) == replace(
        alert, state="acknowledged", note="a new compiler", state_changed_at=at
    )
    assert store.alerts(states=["open"]) == []
    assert store.change_alert(alert.id, "resolved", "taken back", at + timedelta(hours=1)) is not None
    assert store.change_alert(alert.id, "acknowledged", "again", at + timedelta(hours=2)) is None
    (stored,) = store.alerts(states=["resolved"])
    assert (stored.note, stored.state_changed_at) == ("taken back", at + timedelta(hours=1))
    with pytest.raises(LookupError, match="no alert nothing"):
        store.change_alert("nothing", "resolved", "", at)


def test_a_clock_that_was_set_back_does_not_make_a_later_state_an_earlier_one(
    store: Store, alert: AlertRecord
) -> None:
    store.record_alerts([alert])
    changed = store.change_alert(alert.id, "acknowledged", "seen", RAISED - timedelta(days=9))
    assert changed is not None
    assert changed.state_changed_at == RAISED


def test_alerts_are_of_a_machine_and_in_the_order_of_their_raising(store: Store, alert: AlertRecord) -> None:
    earlier = replace(alert, id="", place=1, raised_at=RAISED - timedelta(days=1), state_changed_at=None)
    store.record_alerts([alert, earlier])
    assert store.alerts(alert.machine_id) == [earlier, alert]
    assert store.alerts("another") == []
    assert store.find(alert.id[:6]) == [("alert", alert.id)]
    assert store.describe("alert", alert.id)["metric"] == "decode_tps"


@pytest.mark.parametrize(
    "changes", [{"state": "seen"}, {"direction": "worse"}, {"state": "resolved", "note": None}]
)
def test_the_database_refuses_a_state_that_is_none(
    store: Store, alert: AlertRecord, changes: dict[str, str]
) -> None:
    with pytest.raises((EdgebenchError, IntegrityError)):
        store.record_alerts([replace(alert, **changes)])  # type: ignore[arg-type]
    assert store.alerts() == []


def test_of_two_states_of_an_alert_the_later_one_stands_whichever_database_has_it(alert: AlertRecord) -> None:
    shape = SHAPE["alert"]

    def row(record: AlertRecord) -> Row:
        return tuple(getattr(record, name) for name in shape.names)

    states = [
        alert,
        replace(alert, confidence=0.99999),
        replace(alert, state="acknowledged", note="seen"),
        replace(alert, state="resolved", note="gone"),
        replace(alert, state="acknowledged", note="seen", state_changed_at=RAISED + timedelta(days=1)),
        replace(
            alert, state="acknowledged", ratio=None, note="seen", state_changed_at=RAISED + timedelta(days=2)
        ),
    ]
    for earlier, later in itertools.combinations(map(row, states), 2):
        assert rules.joined(shape, earlier, later) == later == rules.joined(shape, later, earlier)
    assert rules.joined(shape, row(alert), row(replace(alert, place=2, id=""))) is None
