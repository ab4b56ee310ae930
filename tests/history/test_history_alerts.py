"""Alerts over many series: raised once, kept, and not withdrawn; few of them false."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from make_store_series import steady, stepped, store_nights

from harness.history.alerts import WATCHED, look
from harness.history.exact import exact_changes
from harness.history.stored import accuracy_series
from harness.history.words import moved, sureness, value_text, worth
from harness.store import Store, records

CELL = make.cell()
OTHERS = [make.cell("Q8_0", "int8"), make.cell("F16", "fp16")]
MACHINE = make.machine()
NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab.db") as made:
        yield made


def test_a_step_is_raised_with_all_that_is_known_of_it(store: Store) -> None:
    nights = store_nights(
        store,
        [(CELL, stepped(24, 12, 1.1)), *((one, steady(24)) for one in OTHERS)],
        version=lambda night: "0.3.36" if night < 12 else "0.3.37",
    )
    found = look(store, MACHINE.id, NOW)
    # Decode and prefill are made of the same seconds here.
    assert {(one.alert.cell_id, one.alert.metric) for one in found.raised} == {
        (CELL.id, "decode_tps"),
        (CELL.id, "prefill_tps"),
    }
    assert (found.series, found.short, found.waiting) == (6, 0, ())
    alert = found.raised[0].alert
    assert (alert.session_before_id, alert.session_after_id) == (nights[11], nights[12])
    assert alert.time_after == make.BEGAN.replace(day=5, month=12)
    assert (alert.direction, alert.state, alert.raised_at) == ("down", "open", NOW)
    assert alert.ratio == pytest.approx(1 / 1.1, rel=0.005)
    assert [str(one.what) for one in found.raised[0].causes] == ["package llama-cpp-python 0.3.36 -> 0.3.37"]
    assert store.alerts(MACHINE.id, ["open"]) == sorted(
        (one.alert for one in found.raised), key=lambda one: one.id
    )


def test_looking_every_night_raises_a_change_once_and_withdraws_nothing(store: Store) -> None:
    values = stepped(30, 14, 1.1)
    raised = []
    store_nights(store, [(CELL, values[:10])])
    for night in range(10, 30):
        store_nights(store, [(CELL, values[night : night + 1])], first=night)
        found = look(store, MACHINE.id, NOW.replace(day=night), metrics=["decode_tps"])
        raised += [(night, one.alert) for one in found.raised]
    ((night, alert),) = raised
    assert 18 <= night <= 22
    assert store.alerts() == [alert]


def test_a_change_back_is_another_alert_and_a_resolved_one_is_not_raised_again(store: Store) -> None:
    there = stepped(40, 12, 1.1)
    store_nights(store, [(CELL, [*there[:26], *steady(14)])])
    found = look(store, MACHINE.id, NOW, metrics=["decode_tps"])
    assert [
        one.alert.direction for one in sorted(found.raised, key=lambda one: str(one.alert.time_after))
    ] == [
        "down",
        "up",
    ]
    for one in found.raised:
        store.change_alert(one.alert.id, "resolved", "wanted", NOW)
    assert look(store, MACHINE.id, NOW, metrics=["decode_tps"]).raised == ()


def test_nights_that_come_in_from_another_database_do_not_raise_it_again(store: Store) -> None:
    """With more before it a change is confirmed earlier: by another value, so under another id."""
    values = stepped(60, 50, 1.02)
    store_nights(store, [(CELL, values[42:])], first=42)
    (first,) = look(store, MACHINE.id, NOW, metrics=["decode_tps"]).raised
    store_nights(store, [(CELL, values[:42])])
    again = look(store, MACHINE.id, NOW, metrics=["decode_tps"])
    assert (again.raised, again.waiting) == ((), ())
    assert store.alerts() == [first.alert]


def test_a_change_that_is_not_sure_enough_among_many_waits_and_is_raised_when_it_is(store: Store) -> None:
    store_nights(store, [(CELL, stepped(24, 12, 1.1))])
    waiting = look(store, MACHINE.id, NOW, metrics=["decode_tps"], rate=1e-9)
    assert (waiting.raised, len(waiting.waiting), store.alerts()) == ((), 1, [])
    raised = look(store, MACHINE.id, NOW, metrics=["decode_tps"])
    assert [one.alert for one in raised.raised] == [one.alert for one in waiting.waiting]


def test_the_more_series_there_are_the_surer_a_change_has_to_be(store: Store) -> None:
    values = stepped(20, 10, 1.02)
    alone = make.machine(cpu_model="alone")
    store_nights(store, [(CELL, values)], machine=alone)
    (seen,) = look(store, alone.id, NOW, metrics=["decode_tps"], rate=1e-9).waiting
    rate = 2 * (1 - seen.alert.confidence)
    assert len(look(store, alone.id, NOW, metrics=["decode_tps"], rate=rate).raised) == 1
    store_nights(store, [(CELL, values), *((one, steady(20)) for one in OTHERS)])
    among = look(store, MACHINE.id, NOW, metrics=["decode_tps"], rate=rate)
    assert (among.raised, among.series) == ((), 3)
    assert [one.alert.cell_id for one in among.waiting] == [CELL.id]


def test_short_series_and_other_machines_are_not_looked_at(store: Store) -> None:
    store_nights(store, [(CELL, steady(9))])
    store_nights(store, [(CELL, stepped(24, 12, 1.2))], machine=make.machine(cpu_model="Other"))
    found = look(store, MACHINE.id, NOW)
    assert (found.raised, found.series, found.short) == ((), 0, 2)


def test_what_is_watched_has_a_way_that_is_better() -> None:
    for metric in WATCHED:
        assert {worth(metric, "up"), worth(metric, "down")} == {"better", "worse"}
    assert worth("decode_tps", "up") == "better"
    assert worth("peak_rss_bytes", "up") == "worse"
    assert worth("nonsense", "up") == "neither"


def test_words_round_a_confidence_down_and_name_the_share() -> None:
    assert sureness(0.99378) == "99.37 %"
    assert sureness(0.999999) == "> 99.99 %"
    assert moved("decode_s", 20.0, 19.0, 0.95) == "20 -> 19 (-5.0 %)"
    assert moved("decode_s", 0.0, 19.0, None) == "0 -> 19"
    assert "MB" in value_text("peak_rss_bytes", 2.5e8)


def test_an_alert_of_the_same_content_has_one_id_whoever_raises_it(store: Store, tmp_path: Path) -> None:
    with Store.open(tmp_path / "other.db") as other:
        for one in (store, other):
            store_nights(one, [(CELL, stepped(24, 12, 1.1))])
        # The other one looks weeks later.
        store_nights(other, [(CELL, stepped(20, 0, 1.1))], first=24)
        (here,) = look(store, MACHINE.id, NOW, metrics=["decode_tps"]).raised
        (there,) = look(other, MACHINE.id, NOW, metrics=["decode_tps"]).raised
    assert here.alert.id == there.alert.id
    assert replace(there.alert, confidence=0) != replace(here.alert, confidence=0)


def scored(store: Store, session: str, artifact: str, kld: float, **changes: Any) -> None:
    """A score of the cell in a session, with this divergence in nats a position."""
    windows = [records.WindowRecord(0, 100, 300.0, 100 * kld, 90, 0.1, 400)]
    score = make.score(
        artifact, (CELL.id,), windows=windows, scoring_key=f"{session} {kld} {changes}", **changes
    )
    store.record_run(
        make.run(session, CELL.id, 0, kind="score", samples=(), energy=(), timeline=None, score=score)
    )


def test_a_step_of_accuracy_is_an_alert_at_once_with_the_version_that_changed(store: Store) -> None:
    nights = store_nights(
        store, [(CELL, steady(4))], version=lambda night: "0.3.36" if night < 2 else "0.3.37"
    )
    artifact = make.artifact().id
    for night, kld in zip(nights, (0.0200, 0.02001, 0.0230, 0.0230), strict=True):
        scored(store, night, artifact, kld)
    found = look(store, MACHINE.id, NOW)
    ((alert, causes),) = [(one.alert, one.causes) for one in found.raised]
    assert (alert.metric, alert.direction, alert.confidence) == ("kld_mean", "up", 1.0)
    assert (alert.session_before_id, alert.session_after_id) == (nights[1], nights[2])
    assert alert.value_after == pytest.approx(0.023)
    assert [str(one.what) for one in causes] == ["package llama-cpp-python 0.3.36 -> 0.3.37"]
    assert worth(alert.metric, alert.direction) == "worse"
    assert look(store, MACHINE.id, NOW).raised == (), "raised once"


def test_a_score_of_another_text_is_not_compared(store: Store) -> None:
    nights = store_nights(store, [(CELL, steady(3))])
    artifact = make.artifact().id
    scored(store, nights[0], artifact, 0.02)
    scored(store, nights[1], artifact, 0.5, corpus_sha256=make.sha("another"))
    scored(store, nights[2], artifact, 0.5, corpus_sha256=make.sha("another"))
    assert look(store, MACHINE.id, NOW).raised == ()
    series = accuracy_series(store, CELL.id, MACHINE.id)["kld_mean"]
    assert [point.values["kld_mean"] for point in series.points] == [0.02, 0.5, 0.5]
    assert "not compared" in str(series.analysis().note)


def test_what_a_gate_only_tried_is_no_part_of_the_history(store: Store) -> None:
    nights = store_nights(
        store, [(CELL, steady(3))], session=lambda night: {"trigger": "gate"} if night == 1 else {}
    )
    for night, kld in zip(nights, (0.02, 0.9, 0.02), strict=True):
        scored(store, night, make.artifact().id, kld)
    assert look(store, MACHINE.id, NOW).raised == ()


@pytest.mark.parametrize(
    ("metric", "values", "rows"),
    [
        ("kld_mean", [0.02, 0.02, 0.02], []),
        ("kld_mean", [0.02, 0.020001, 0.03, 0.03], [1]),
        ("kld_mean", [1e-6, 9e-5, 1e-6], []),
        ("kld_mean", [1.0, 1.006, 1.012, 1.018], [1]),
        ("grammar acc", [0.8, 0.8, 0.7999, 0.8], [1, 2]),
        ("grammar acc", [], []),
    ],
)
def test_a_figure_without_noise_moves_where_it_moves_beyond_rounding(
    metric: str, values: list[float], rows: list[int]
) -> None:
    found = exact_changes(metric, values, ["same"] * len(values))
    assert [change.row for change in found.changes] == rows
    assert len(found.levels) == (len(rows) + 1 if values else 0)


def test_of_a_task_more_right_answers_are_better() -> None:
    assert worth("grammar acc_norm", "up") == "better"
    assert worth("grammar exact_match,strict", "down") == "worse"
    assert worth("wikitext word_perplexity", "up") == "neither"
