from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import make_store_records as make
import pytest
from sqlalchemy import text

from harness.store import Store, records

CELL = make.cell()
MACHINE = make.machine()
DAY_S = 86_400.0


def made(store: Store) -> Store:
    """A store that knows what the runs below refer to."""
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    store.record_environment(make.environment())
    store.record_machine(MACHINE)
    store.record_cells([CELL])
    return store


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        yield made(opened)


def night(
    store: Store, day: int, runs: list[dict[str, Any]], machine: records.MachineRecord = MACHINE
) -> str:
    """A session with timed runs; each is given its decode seconds by repetition, or what else is different."""
    session = store.start_session(make.session(machine.id, later_s=day * DAY_S))
    for place, given in enumerate(runs):
        changes = {"index": place, "samples": samples(*given.get("decode_s", (1.0,))), **given}
        changes.pop("decode_s", None)
        store.record_run(make.run(session, CELL.id, changes.pop("index"), **changes))
    return session


def samples(*decode_s: float) -> list[records.SampleRecord]:
    """A warm-up a hundred times slower, and these."""
    return [
        records.SampleRecord(number, number == 0, {"decode_s": value, "prefill_s": 2 * value})
        for number, value in enumerate((100 * decode_s[0], *decode_s))
    ]


def test_a_point_is_the_median_over_runs_of_medians_over_repetitions(store: Store) -> None:
    session = night(
        store, 0, [{"decode_s": (1.0, 2.0, 9.0)}, {"decode_s": (4.0,)}, {"decode_s": (8.0, 8.0, 1.0)}]
    )
    [point] = store.history(CELL.id, MACHINE.id, ("decode_s", "decode_tps", "prefill_tps"))
    assert (point.session_id, point.framework_version, point.runs, point.left_out) == (
        session,
        "0.3.36",
        3,
        0,
    )
    assert point.started_at == make.BEGAN
    assert point.of_runs["decode_s"] == (2.0, 4.0, 8.0)
    assert point.values == {"decode_s": 4.0, "decode_tps": 16 / 4.0, "prefill_tps": 32 / 8.0}


def test_suspect_and_failed_runs_are_left_out_and_counted(store: Store) -> None:
    night(
        store,
        0,
        [
            {"decode_s": (2.0,)},
            {"decode_s": (50.0,), "validity": "suspect", "flags": ["steal"]},
            {"status": "timeout", "reason": "too long", "samples": ()},
        ],
    )
    [point] = store.history(CELL.id, MACHINE.id, ["decode_s"])
    assert (point.runs, point.left_out, point.values) == (1, 2, {"decode_s": 2.0})


def test_a_session_in_which_nothing_counts_is_a_hole_and_not_a_zero(store: Store) -> None:
    night(store, 0, [{"status": "oom", "reason": "no memory", "samples": (), "framework_version": None}])
    [point] = store.history(CELL.id, MACHINE.id)
    assert (point.runs, point.left_out, point.framework_version) == (0, 1, None)
    assert point.values == {"prefill_tps": None, "decode_tps": None}
    assert point.of_runs == {"prefill_tps": (), "decode_tps": ()}


def test_the_last_attempt_counts(store: Store) -> None:
    night(
        store,
        0,
        [
            {"decode_s": (7.0,), "index": 0, "attempt": 1},
            {"decode_s": (3.0,), "index": 0, "attempt": 2},
            {"decode_s": (5.0,), "index": 1, "attempt": 1},
            {"status": "failed", "reason": "why", "index": 1, "attempt": 2, "samples": ()},
        ],
    )
    [point] = store.history(CELL.id, MACHINE.id, ["decode_s"])
    assert (point.of_runs, point.runs, point.left_out) == ({"decode_s": (3.0,)}, 1, 1)


def test_versions_within_a_session_are_points_of_their_own(store: Store) -> None:
    night(store, 0, [{"decode_s": (1.0,)}, {"decode_s": (2.0,), "framework_version": "0.4.0"}])
    points = store.history(CELL.id, MACHINE.id, ["decode_s"])
    assert [(one.framework_version, one.values["decode_s"]) for one in points] == [
        ("0.3.36", 1.0),
        ("0.4.0", 2.0),
    ]


def test_points_are_in_the_order_of_time_and_of_one_machine(store: Store) -> None:
    another = make.machine(cpu_model="another")
    store.record_machine(another)
    sessions = [night(store, day, [{"decode_s": (1.0 + day,)}]) for day in (2, 0, 1)]
    night(store, 1, [{"decode_s": (99.0,)}], another)
    points = store.history(CELL.id, MACHINE.id, ["decode_s"])
    assert [one.session_id for one in points] == [sessions[1], sessions[2], sessions[0]]
    assert [one.values["decode_s"] for one in points] == [1.0, 2.0, 3.0]
    day = timedelta(seconds=DAY_S)
    some = store.history(
        CELL.id, MACHINE.id, ["decode_s"], since=make.BEGAN + day, until=make.BEGAN + 2 * day
    )
    assert [one.session_id for one in some] == [sessions[2]]


def test_points_are_alike_on_every_database(any_database: str) -> None:
    with Store.open(any_database) as opened:
        store = made(opened)
        first = night(
            store,
            0,
            [{"decode_s": (3.0, 4.0)}, {"decode_s": (1.0,), "validity": "suspect", "flags": ["steal"]}],
        )
        second = night(store, 1, [{"decode_s": (2.0,)}])
        with store.writing() as connection:  # only imports write such sessions
            connection.execute(text("UPDATE session SET started_at = NULL WHERE id = :id"), {"id": second})
        points = store.history(CELL.id, MACHINE.id, ["decode_s", "decode_tps"])
        since = store.history(CELL.id, MACHINE.id, ["decode_s"], since=make.BEGAN)
    # A session that tells no time comes first, and is in no span.
    assert [(one.session_id, one.started_at) for one in points] == [(second, None), (first, make.BEGAN)]
    assert [one.session_id for one in since] == [first]
    assert points[1].started_at is not None
    assert points[1].started_at.utcoffset() == timedelta(0)
    assert [one.of_runs["decode_s"] for one in points] == [(2.0,), (3.5,)]
    assert [(one.runs, one.left_out) for one in points] == [(1, 0), (1, 1)]
    assert all(type(value) is float for one in points for value in one.values.values())


def test_other_kinds_of_runs_are_no_points(store: Store) -> None:
    session = store.start_session(make.session(MACHINE.id))
    score = make.score(make.artifact().id, (CELL.id,))
    store.record_run(make.run(session, CELL.id, kind="score", samples=(), score=score))
    assert store.history(CELL.id, MACHINE.id) == []


def test_memory_and_energy_are_figures_of_runs_too(store: Store) -> None:
    night(
        store,
        0,
        [
            {"energy": [make.energy("decode", tokens=tokens), make.energy("prefill", tokens=50)]}
            for tokens in (100, 125, 250)
        ],
    )
    wanted = ["peak_rss_bytes", "energy_joules_per_decode_token", "energy_joules_per_prefill_token"]
    [point] = store.history(CELL.id, MACHINE.id, wanted)
    assert point.values == {
        "peak_rss_bytes": 215_000_000,
        "energy_joules_per_decode_token": 12.5 / 125,
        "energy_joules_per_prefill_token": 0.25,
    }


def test_a_missing_figure_is_none(store: Store) -> None:
    night(store, 0, [{}])
    [point] = store.history(CELL.id, MACHINE.id, ["energy_joules_per_decode_token", "no_such_s"])
    assert point.values == {"energy_joules_per_decode_token": None, "no_such_s": None}
    assert point.runs == 1


def test_a_cell_that_is_not_stored_is_an_error(store: Store) -> None:
    with pytest.raises(LookupError, match="no cell nowhere"):
        store.history("nowhere", MACHINE.id)


def test_a_session_without_a_time_comes_first(store: Store) -> None:
    timed = [night(store, day, [{}]) for day in (2, 1)]
    with store.writing() as connection:
        connection.execute(text("UPDATE session SET started_at = NULL WHERE id = :id"), {"id": timed[0]})
    points = store.history(CELL.id, MACHINE.id, ("decode_s",))
    assert [point.session_id for point in points] == timed
    assert points[0].started_at is None
