from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import make_store_records as make
import pytest
from make_store_records import evaluation

from harness.store import Store, records
from harness.store.evaluation_records import (
    EvaluationRecord,
    TaskHoleRecord,
    TaskItemRecord,
    TaskMetricRecord,
)
from harness.table.flips import flips


def run(session: str, index: int, made: EvaluationRecord, cell: str) -> records.RunRecord:
    return make.run(session, cell, index, kind="tasks", samples=[], memory=[], energy=[], evaluation=made)


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        opened.record_model(make.model())
        opened.record_artifact(make.artifact())
        opened.record_environment(make.environment())
        yield opened


def test_an_evaluation_comes_back_with_its_items_and_its_reference(store: Store) -> None:
    cell = make.cell()
    session = store.start_session(
        make.session(store.record_machine(make.machine())),
        [records.PlannedCellRecord(cell, 0)],
        [records.PlannedRunRecord(cell.id, "tasks", 0, 0)],
    )
    reference = run(session, 5, evaluation("reference", [1, 1, 0]), cell.id)
    assert store.record_run(reference)
    assert [one.kind for one in store.missing_runs(session)] == ["tasks"]
    own = evaluation("own", [1, 0, 0], reference_run_id=reference.id, cells=(cell.id,))
    assert store.record_run(run(session, 0, own, cell.id))
    assert store.missing_runs(session) == []
    (found,) = store.session_facts(session).cells
    assert found.evaluation is not None
    acc, perplexity, group = found.evaluation.tasks
    assert (acc.task, acc.metric, acc.n, acc.items, acc.version) == ("grammar", "acc", 3, (1, 0, 0), "1.0")
    assert (perplexity.value, perplexity.stderr, perplexity.items) == (12.5, None, ())
    assert (group.task, group.num_fewshot, group.corpus_sha256) == ("group", None, None)
    assert found.evaluation.reference is not None
    between = flips(acc.items, found.evaluation.reference.tasks[0].items)
    assert between is not None
    assert (between.lost, between.won) == (1, 0)


def test_flips_are_a_query(store: Store) -> None:
    cell = make.cell()
    session = store.start_session(make.session(store.record_machine(make.machine())))
    store.record_cells([cell])
    reference = run(session, 0, evaluation("reference", [1, 1, 0, 0]), cell.id)
    store.record_run(reference)
    store.record_run(run(session, 1, evaluation("own", [0, 1, 1, 0], reference_run_id=reference.id), cell.id))
    text = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    query = text.partition("```sql\n")[2].partition("```")[0]
    with store.reading() as connection:
        rows = connection.exec_driver_sql(query).all()
    # task, metric, items, lost, won: one row, for the one evaluation that has a reference.
    assert [row[-5:] for row in rows] == [("grammar", "acc", 4, 1, 1)]


def test_an_earlier_evaluation_stands_for_a_cell_of_a_later_session(store: Store) -> None:
    cell = make.cell()
    machine = store.record_machine(make.machine())
    first = store.start_session(make.session(machine), [records.PlannedCellRecord(cell, 0)])
    done = run(first, 0, evaluation("own", [1, 0]), cell.id)
    store.record_run(done)
    second = store.start_session(
        make.session(machine, later_s=60),
        [records.PlannedCellRecord(cell, 0)],
        [records.PlannedRunRecord(cell.id, "tasks", 0, 0)],
    )
    found = store.find_evaluation("own")
    assert found is not None
    assert found.run_id == done.id
    store.link_evaluation(second, (cell.id,), found.run_id)
    assert store.missing_runs(second) == []
    assert store.session_facts(second).cells[0].evaluation == found
    assert store.find_evaluation("another") is None


def test_holes_come_back_in_their_order_with_their_reasons(store: Store) -> None:
    cell = make.cell()
    session = store.start_session(make.session(store.record_machine(make.machine())))
    store.record_cells([cell])
    holes = (TaskHoleRecord("zeta", "failed", "no hub"), TaskHoleRecord("alpha", "skipped", "no logits"))
    done = run(session, 0, evaluation("own", [1, 0], holes=holes), cell.id)
    assert store.record_run(done)
    assert not store.record_run(done), "the same again adds nothing"
    found = store.find_evaluation("own")
    assert found is not None
    assert found.holes == holes
    shown = store.describe("run", done.id)["evaluation"]
    assert [one["task"] for one in shown["holes"]] == ["zeta", "alpha"]


def test_a_run_shows_what_the_model_said(store: Store) -> None:
    cell = make.cell()
    session = store.start_session(make.session(store.record_machine(make.machine())))
    store.record_cells([cell])
    done = run(session, 0, evaluation("own", [1, 0]), cell.id)
    store.record_run(done)
    shown = store.describe("run", done.id)["evaluation"]
    assert [one["loglikelihoods"] for one in shown["answers"]] == [[-1.5, -2.25], [-1.5, -3.25]]
    assert shown["reference_run_id"] is None


def test_a_figure_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        TaskMetricRecord("acc", float("nan"))
    with pytest.raises(ValueError, match="left out"):
        TaskItemRecord("00", {"acc": float("inf")})
    with pytest.raises(ValueError, match="no reason"):
        TaskHoleRecord("arc", "failed", "")
