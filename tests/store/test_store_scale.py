"""The store on a made-up laboratory's database: what is in it, and that no question reads a whole table."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from sqlalchemy import event

from harness.report import session_rows
from harness.store import Store
from harness.table import render
from lab_years.world import Size
from make_database import fill

SIZE = Size(runs=1000, machines=2, years=10, seed=3)

#: What grows with every night. A question about one thing never reads one of these from end to end.
LARGE = {
    "run", "sample", "trace", "memory_reading", "memory_timeline", "energy_reading", "planned_run", "session_cell",
    "session_score", "score", "score_window", "verdict", "preparation", "lineage",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A database of a thousand runs in ten years, and what was put in."""
    path = tmp_path_factory.mktemp("lab") / "lab.db"
    with Store.open(path) as store:
        found = fill(store, SIZE)
    return path, found


@pytest.fixture
def store(made: tuple[Path, dict[str, Any]]) -> Iterator[Store]:
    with Store.open(made[0], read_only=True) as opened:
        yield opened


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


# -- the database ---------------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_rows(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    again = tmp_path / "again.db"
    with Store.open(again) as store:
        found = fill(store, SIZE)
    for name in ("making_s", "import_s"):
        assert found.pop(name) > 0
    assert found == {name: made[1][name] for name in found}
    for (name,) in query(again, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
        if name != "schema_revision":
            assert query(made[0], f"SELECT * FROM {name}") == query(again, f"SELECT * FROM {name}"), name


def test_another_seed_gives_other_figures(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with Store.open(other) as store:
        found = fill(store, Size(SIZE.runs, SIZE.samples_per_run, SIZE.machines, SIZE.years, seed=4))
    assert found["steps"] != made[1]["steps"]
    values = "SELECT value FROM sample LIMIT 20"
    assert query(other, values) != query(made[0], values)


def test_it_is_whole_and_holds_what_a_laboratory_has(made: tuple[Path, dict[str, Any]], store: Store) -> None:
    path, found = made
    assert store.check() == []
    rows = store.info()["rows"]
    assert SIZE.runs <= rows["run"] == found["stored_runs"] <= 1.15 * SIZE.runs
    assert rows["sample"] == found["stored_samples"]
    ok = query(path, "SELECT count(*) FROM run WHERE status = 'ok' AND kind = 'timed'")[0][0]
    assert rows["sample"] == ok * SIZE.samples_per_run
    began, ended = query(path, "SELECT min(started_at), max(started_at) FROM session")[0]
    assert (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).days > 365.25 * 9
    for table in (
        "trace",
        "memory_timeline",
        "score_window",
        "verdict",
        "lineage",
        "preparation",
        "machine_bench",
    ):
        assert rows[table] > 0, table
    words: dict[str, set[Any]] = {
        "SELECT DISTINCT status FROM run": {"ok", "failed"},
        "SELECT DISTINCT validity FROM run": {"ok", "suspect"},
        "SELECT DISTINCT kind FROM run": {"timed", "score", "reference"},
        "SELECT DISTINCT warmup FROM sample": {0, 1},
    }
    for statement, least in words.items():
        assert {one for (one,) in query(path, statement)} >= least, statement
    assert (
        len(query(path, "SELECT DISTINCT framework_version FROM run WHERE framework_version NOT NULL")) > 10
    )
    assert query(path, "SELECT count(*) FROM session_cell WHERE reason NOT NULL")[0][0] == rows["session"]
    assert query(path, "SELECT count(*) FROM energy_reading WHERE gross_joules > 0")[0][0] > 0


def test_the_same_again_adds_nothing(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(made[0], copy)
    with Store.open(copy) as store:
        before = store.info()["rows"]
        assert fill(store, SIZE)["stored_runs"] == 0
        assert store.info()["rows"] == before


def test_the_steps_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    with Store.open(tmp_path / "steps.db") as store:
        found = fill(store, Size(runs=8000, machines=2, years=4, seed=1))
        of_series = defaultdict(list)
        for step in found["steps"]:
            of_series[step["machine_id"], step["cell_id"], step["metric"]].append(step)
        looked_at = 0
        for (machine_id, cell_id, metric), steps in of_series.items():
            points = [
                one for one in store.history(cell_id, machine_id, [metric]) if one.values[metric] is not None
            ]
            for step in steps:
                near = [one for one in steps if abs(one["session_index"] - step["session_index"]) < 16]
                if near != [step]:
                    continue
                before = [one for one in points if one.session_id < step["session_id"]][-8:]
                after = [one for one in points if one.session_id >= step["session_id"]][:8]
                if len(before) < 8 or len(after) < 8:
                    continue
                ratio = middle(after, metric) / middle(before, metric)
                assert ratio == pytest.approx(step["ratio"], rel=0.025), step
                looked_at += 1
    assert looked_at >= 10


def middle(points: list[Any], metric: str) -> float:
    return float(statistics.median(point.values[metric] for point in points))


def test_the_newest_table_can_be_shown(store: Store, made: tuple[Path, dict[str, Any]]) -> None:
    newest = store.newest_session()
    assert newest is not None
    rows, about = session_rows(store, newest)
    assert len(rows) == len(made[1]["cells"]) + 1
    shown = render(rows, [about], "markdown")
    assert "llamacpp" in shown
    assert "this machine has no NPU" in shown


def test_every_series_has_a_point_for_nearly_every_night(
    store: Store, made: tuple[Path, dict[str, Any]]
) -> None:
    found = made[1]
    for cell_id in found["cells"]:
        points = store.history(cell_id, found["machines"][0])
        assert len(points) >= 0.9 * found["sessions_a_machine"]
        times = [one.started_at for one in points if one.started_at is not None]
        assert len(times) == len(points)
        assert times == sorted(times)
        assert sum(one.runs for one in points) > 2 * len(points)


# -- questions --------------------------------------------------------------------------------------------------------


def asked(store: Store, question: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements of a question, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        question()
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    return seen


def scans(path: Path, statement: str, parameters: Any) -> list[str]:
    """The large tables that a statement reads from end to end, through an index or not."""
    connection = sqlite3.connect(path)
    try:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    finally:
        connection.close()
    assert plan
    return [detail for *_, detail in plan if detail.startswith("SCAN ") and detail.split()[1] in LARGE]


QUESTIONS = (
    "newest_session", "unfinished session", "session_facts", "history", "durations", "sessions", "find", "missing_runs",
    "attempts", "run_in_cell", "find_score", "show session", "show cell", "show run", "show artifact", "show machine",
    "show environment",
)  # fmt: skip


@pytest.mark.parametrize("what", QUESTIONS)
def test_no_question_reads_a_whole_table(made: tuple[Path, dict[str, Any]], what: str) -> None:
    path = made[0]
    with Store.open(path, read_only=True) as store:
        newest = store.newest_session()
        assert newest is not None
        facts = store.session_facts(newest)
        cell = facts.cells[0]
        run = cell.timed()[0]
        metrics = ["prefill_tps", "decode_tps", "peak_rss_bytes", "energy_joules_per_decode_token"]
        questions: dict[str, Callable[[], object]] = {
            "newest_session": lambda: store.newest_session("nightly", facts.machine.id),
            "unfinished session": lambda: store.newest_session("none", facts.machine.id, unfinished=True),
            "session_facts": lambda: store.session_facts(newest),
            "history": lambda: store.history(cell.cell.id, facts.machine.id, metrics),
            "durations": lambda: store.durations(facts.machine.id, [cell.cell.id]),
            "sessions": store.sessions,
            "find": lambda: store.find(run.id[:6]),
            "missing_runs": lambda: store.missing_runs(newest),
            "attempts": lambda: store.attempts(newest, cell.cell.id, "timed", 0),
            "run_in_cell": lambda: store.run_in_cell(run.id),
            "find_score": lambda: store.find_score(cell.score.scoring_key if cell.score else ""),
            "show session": lambda: store.describe("session", newest),
            "show cell": lambda: store.describe("cell", cell.cell.id),
            "show run": lambda: store.describe("run", run.id),
            "show artifact": lambda: store.describe("artifact", str(run.artifact_id)),
            "show machine": lambda: store.describe("machine", facts.machine.id),
            "show environment": lambda: store.describe("environment", str(run.environment_id)),
        }
        assert questions.keys() == set(QUESTIONS)
        statements = asked(store, questions[what])
    assert statements
    for statement, parameters in statements:
        assert scans(path, statement, parameters) == [], statement


def test_the_look_for_scans_finds_them(made: tuple[Path, dict[str, Any]]) -> None:
    assert scans(made[0], "SELECT count(*) FROM run", ()) != []
    assert scans(made[0], "SELECT sum(value) FROM sample WHERE value > 0", ()) != []


def test_a_history_reads_no_row_of_a_run(made: tuple[Path, dict[str, Any]], store: Store) -> None:
    path, found = made
    statements = asked(store, lambda: store.history(found["cells"][0], found["machines"][0]))
    connection = sqlite3.connect(path)
    try:
        plans = [
            detail
            for statement, parameters in statements
            for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    finally:
        connection.close()
    of_runs = [detail for detail in plans if detail.split()[1] == "run"]
    assert of_runs
    wanted = "COVERING INDEX ix_run_of_cell (cell_id=? AND kind=? AND session_id=?)"
    assert all(wanted in detail for detail in of_runs), plans


def test_what_a_cell_shows_is_limited_however_long_its_history_is(
    store: Store, made: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell_id = made[1]["cells"][0]
    everything = store.describe("cell", cell_id)
    monkeypatch.setattr("harness.store.looking._SHOWN_AT_MOST", 5)
    shown = store.describe("cell", cell_id)
    assert [len(shown[name]) for name in ("sessions", "runs")] == [5, 5]
    newest = sorted((one["session_id"] for one in everything["sessions"]), reverse=True)[:5]
    assert [one["session_id"] for one in shown["sessions"]] == newest[::-1]


def test_a_run_can_be_stored_beside_the_ten_years(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(made[0], copy)
    with Store.open(copy) as store:
        cell = store.session_facts(str(store.newest_session())).cells[0].cell
        machine = made[1]["machines"][0]
        now = datetime(2026, 11, 30, tzinfo=UTC)
        session = store.start_session(make.session(machine, started_at=now))
        run = make.run(session, cell.id, artifact_id=None, environment_id=None, started_at=now)
        assert store.record_run(run)
        assert store.history(cell.id, machine)[-1].session_id == session
        assert store.newest_session() == session
