from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import make_store_records as make
import pytest

from harness.store import Store

CELL = make.cell()
WHEN = datetime(2026, 11, 23, 6, 20, tzinfo=UTC)


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as made:
        yield made


def begin(store: Store) -> str:
    """A session, and what its runs refer to."""
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    store.record_environment(make.environment())
    store.record_cells([CELL])
    return store.start_session(make.session(store.record_machine(make.machine())))


def batch(session: str, indexes: range = range(3), first_key: int = 70) -> dict[str, dict[str, list[Any]]]:
    """Runs with two samples and a memory reading each, under keys that mean nothing here."""
    runs = [make.run(session, CELL.id, index) for index in indexes]
    keys = [first_key + index for index in indexes]
    both = [key for key in keys for _ in range(2)]
    return {
        "metric": {"key": [9, 4], "name": ["decode_s", "prefill_s"]},
        "run": {
            "key": keys,
            "id": [one.id for one in runs],
            "session_id": [session] * len(runs),
            "cell_id": [CELL.id] * len(runs),
            "kind": ["timed"] * len(runs),
            "run_index": list(indexes),
            "attempt": [1] * len(runs),
            "status": ["ok"] * len(runs),
            "artifact_id": [make.artifact().id] * len(runs),
            "versions": [{"framework": "0.3.36"}] * len(runs),
            "hints": [{}] * len(runs),
            "started_at": [WHEN] * len(runs),
            "phases_s": [{"load": 0.25}] * len(runs),
            "validity": ["ok"] * len(runs),
            "flags": [[]] * len(runs),
            "machine_state": [{"steal": 0.0}] * len(runs),
            "details": [{}] * len(runs),
        },
        "sample": {
            "run_key": both,
            "metric_key": [9, 4] * len(runs),
            "repetition": [0] * len(both),
            "warmup": [False] * len(both),
            "value": [float(key) for key in both],
        },
        "memory_reading": {
            "run_key": keys,
            "position": [0] * len(runs),
            "phase": ["load"] * len(runs),
            "peak_rss_bytes": [key * 1000 for key in keys],
            "method": ["VmHWM"] * len(runs),
        },
    }


def samples(store: Store, run_id: str) -> dict[str, float]:
    return {one["metric"]: one["value"] for one in store.describe("run", run_id)["samples"]}


def test_keys_of_a_batch_are_translated(store: Store) -> None:
    session = begin(store)
    other = make.run(session, CELL.id, 90)
    assert store.record_run(other)
    assert store.import_rows(batch(session)) == 3
    described = store.describe("run", make.run(session, CELL.id, 1).id)
    assert samples(store, described["id"]) == {"decode_s": 71.0, "prefill_s": 71.0}
    assert [one["peak_rss_bytes"] for one in described["memory"]] == [71_000]
    assert described["started_at"] == WHEN.isoformat()
    assert described["versions"] == {"framework": "0.3.36"}
    # What was there before has all that it had, and no more.
    assert len(store.describe("run", other.id)["samples"]) == 40


def test_a_batch_twice_adds_nothing(store: Store) -> None:
    session = begin(store)
    assert store.import_rows(batch(session)) == 3
    before = store.info()["rows"]
    assert store.import_rows(batch(session, first_key=0)) == 0
    assert store.info()["rows"] == before
    assert store.import_rows(batch(session, range(5))) == 2
    assert store.info()["rows"]["sample"] == 10


def test_nothing_is_mixed_into_a_run_that_is_stored(store: Store) -> None:
    session = begin(store)
    store.import_rows(batch(session, range(1)))
    more = batch(session, range(2))
    more["sample"]["repetition"] = [5] * 4
    assert store.import_rows(more) == 1
    run = make.run(session, CELL.id, 0).id
    assert [one["repetition"] for one in store.describe("run", run)["samples"]] == [0, 0]


def test_a_verdict_that_came_later_is_added_to_a_run_that_is_stored(store: Store) -> None:
    session = begin(store)
    score = make.score(make.artifact().id, verdict=None)
    run = make.run(session, CELL.id, kind="score", samples=(), score=score)
    store.record_run(run)
    later = batch(session, range(1))
    for name, value in (("id", run.id), ("kind", "score")):
        later["run"][name] = [value]
    del later["sample"], later["memory_reading"]
    later["verdict"] = {
        "run_key": [70],
        "artifact_id": [make.artifact().id],
        "verdict": ["broken"],
        "reason": ["no"],
    }
    assert store.import_rows(later) == 0
    assert store.describe("run", run.id)["score"]["verdict"] == {"verdict": "broken", "reason": "no"}


def change(table: str, column: str, value: Any) -> Any:
    def make_worse(made: dict[str, dict[str, list[Any]]]) -> None:
        length = len(next(iter(made[table].values())))
        made[table].setdefault(column, [None] * length)[-1] = value

    return make_worse


def drop(table: str, column: str) -> Any:
    def make_worse(made: dict[str, dict[str, list[Any]]]) -> None:
        del made[table][column]

    return make_worse


@pytest.mark.parametrize(
    ("worsen", "words"),
    [
        (change("sample", "value", math.nan), "sample: value cannot be nan"),
        (change("sample", "value", math.inf), "sample: value cannot be inf"),
        (change("sample", "value", "12"), "sample: value cannot be '12'"),
        (change("sample", "value", None), "sample"),
        (change("sample", "repetition", 40_000), "sample: repetition cannot be 40000"),
        (change("sample", "warmup", 1), "sample: warmup cannot be 1"),
        (change("memory_reading", "peak_rss_bytes", True), "memory_reading: peak_rss_bytes cannot be True"),
        (change("run", "status", "perhaps"), "run: a row breaks the schema"),
        (change("run", "cell_id", "nowhere"), "a row breaks the schema|FOREIGN KEY|foreign key"),
        (change("run", "started_at", WHEN.replace(tzinfo=None)), "run: started_at cannot be"),
        (change("run", "reason", "a\0b"), "run: reason cannot be"),
        (change("run", "details", {"x": math.nan}), "run: a value is no JSON"),
        (change("run", "details", {"x": object()}), "run: a value is no JSON"),
        (drop("run", "status"), "run: without status"),
        (drop("sample", "value"), "sample: without value"),
        (change("run", "run_index", 1), "is stored under another id"),
    ],
)
def test_what_the_schema_does_not_take_is_refused_with_the_whole_batch(
    store: Store, worsen: Any, words: str
) -> None:
    session = begin(store)
    before = store.info()["rows"]
    made = copy.deepcopy(batch(session))
    worsen(made)
    with pytest.raises(ValueError, match=words):
        store.import_rows(made)
    assert store.info()["rows"] == before


def test_a_row_of_a_run_that_is_not_in_the_batch_is_refused(store: Store) -> None:
    session = begin(store)
    made = batch(session)
    made["sample"]["run_key"][0] = 1
    with pytest.raises(LookupError, match="sample: run_key 1 is no run of this batch"):
        store.import_rows(made)
    assert store.info()["rows"]["run"] == 0


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"samples": {"value": [1.0]}}, "no table samples"),
        ({"model": {"colour": ["red"]}}, "model has no column colour"),
        ({"model": {"id": ["a"], "name": []}}, "columns of 0 and 1 values"),
        ({"model": {}}, "model: no columns"),
    ],
)
def test_a_batch_of_another_shape_is_refused(store: Store, made: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        store.import_rows(made)
