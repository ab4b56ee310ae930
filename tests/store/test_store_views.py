"""The views say what the comparison table says, on both kinds of databases, and are answered from indexes."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_store_records as make
import pandas as pd
import pytest
from fake_lab import Lab
from make_store_sessions import CELLS, store_sessions
from sqlalchemy import text

from harness.errors import EdgebenchError
from harness.frameworks import frameworks
from harness.report import session_rows
from harness.store import Store, facts, schema, views
from harness.store.views import figures
from harness.table.facts import RunFacts
from harness.table.rows import own_bytes
from harness.table.stored import run_facts

#: Changes with the views' text: then give the schema a new revision (it may change no table) and correct both.
REVISION, SHA256 = "0017", "1e4fe3fb0c6750a71431137c18baced68e4409c6719ee7ef091b4bbec84b1dff"

FIGURES = [one.name for one in figures.FIGURES if one.name != "own_bytes"]
OTHERS = ["weight_bytes", "bits_per_weight", "runs", "validity", "framework_version", "artifact_verdict"]
OTHERS += ["perplexity", "perplexity_ratio", "bits_per_byte", "kld_mean", "same_top", "kld_median", "kld_p99"]
OTHERS += ["quality_reference"]


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        yield opened


def select(store: Store, statement: str, **values: Any) -> list[dict[str, Any]]:
    with store._reading() as connection:
        return [dict(row._mapping) for row in connection.execute(text(statement), values)]


def same(found: Any, expected: Any, absolute: float = 1e-12) -> bool:
    if isinstance(expected, float) and found is not None:
        return bool(found == pytest.approx(expected, rel=1e-9, abs=absolute))
    return bool(found == expected)


def compare(row: dict[str, Any], expected: dict[str, Any], where: str) -> None:
    for name in (*FIGURES, *OTHERS):
        wanted = expected[name]
        if name.endswith("_bytes") and wanted is not None:
            # The table rounds a median that lies between two bytes.
            assert row[name] == pytest.approx(wanted, abs=0.5), (where, name)
        else:
            assert same(row[name], wanted), (where, name, row[name], wanted)


def by_cell(session: facts.SessionFacts, rows: Any) -> dict[str, dict[str, Any]]:
    return {cell.cell.id: dict(row.values) for cell, row in zip(session.cells, rows, strict=True)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_history_and_coverage_are_what_the_table_of_each_session_shows(store: Store, seed: int) -> None:
    measured = 0
    for session in store_sessions(store, seed):
        stored = store.session_facts(session)
        expected = by_cell(stored, session_rows(store, session)[0])
        found = select(store, "SELECT * FROM v_history WHERE session_id = :session", session=session)
        assert {row["cell_id"] for row in found} == {
            cell for cell, row in expected.items() if row["validity"] is not None
        }
        for row in found:
            compare(row, expected[row["cell_id"]], f"seed {seed}, {session}, {row['cell_id']}")
            measured += 1
        covered = select(store, "SELECT * FROM v_coverage WHERE session_id = :session", session=session)
        assert {row["cell_id"]: (row["status"], row["reason"]) for row in covered} == {
            cell: (row["status"], row["reason"]) for cell, row in expected.items()
        }
        assert {row["cell_id"]: row["runs"] for row in covered} == {
            cell: row["runs"] for cell, row in expected.items()
        }
    assert measured > 8


def test_the_drawn_sessions_hold_every_case(store: Store) -> None:
    """Otherwise the comparison above would compare less than it seems to."""
    for seed in (1, 2, 3):
        store_sessions(store, seed)
    history = pd.DataFrame(select(store, "SELECT * FROM v_history"))
    for name in (*FIGURES, *OTHERS):
        assert history[name].notna().any(), name
    assert set(history["validity"]) == {"ok", "suspect"}
    assert (history["runs"] > history["n"]).any()
    assert (history["n"] % 2 == 0).any()
    assert (history["n"] % 2 == 1).any()
    assert history["framework_version"].str.contains(", ").any()
    assert set(history["artifact_verdict"].dropna()) == {"ok", "broken"}
    coverage = pd.DataFrame(select(store, "SELECT * FROM v_coverage"))
    assert set(coverage["status"]) >= {"ok", "skipped", "timeout", "oom", "failed"}
    reasons = coverage["reason"].dropna()
    for beginning in ("scoring: ", "tasks: ", "set-up failed: ", "not run: ", "no such device"):
        assert reasons.str.startswith(beginning).any(), beginning


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_has_its_own_figures_and_says_whether_it_counts(store: Store, seed: int) -> None:
    for session in store_sessions(store, seed):
        stored = store.session_facts(session)
        found = {
            row["run_id"]: row
            for row in select(store, "SELECT * FROM v_runs WHERE session_id = :session", session=session)
        }
        assert set(found) == {run.id for cell in stored.cells for run in cell.runs}
        for cell in stored.cells:
            done = [run for run in cell.timed() if run.status == "ok"]
            clean = [run for run in done if run.validity == "ok"]
            assert {run.id for run in cell.runs if found[run.id]["in_figures"]} == {
                run.id for run in clean or done
            }
            for run in done:
                shown: RunFacts = run_facts(run, cell, frameworks())
                assert same(found[run.id]["own_bytes"], own_bytes(shown))
                alone = [one.joules_per_token for one in shown.energy if one.phase == "prefill"]
                assert same(found[run.id]["energy_joules_per_prefill_token"], alone[0])


def test_the_newest_row_of_a_series_is_of_the_newest_session_that_measured_it(store: Store) -> None:
    store_sessions(store, 5, 6)
    history = pd.DataFrame(select(store, "SELECT * FROM v_history"))
    latest = pd.DataFrame(select(store, "SELECT * FROM v_cells_latest"))
    coverage = pd.DataFrame(select(store, "SELECT * FROM v_coverage"))
    series = ["machine_id", "cell_id"]
    expected = history.sort_values("session_started_at").groupby(series).tail(1)
    common = [name for name in history.columns if name in latest.columns]
    assert common == list(history.columns)
    pd.testing.assert_frame_equal(
        latest[common].sort_values(series, ignore_index=True),
        expected.sort_values(series, ignore_index=True),
        check_dtype=False,
    )
    assert len(set(latest["session_id"])) > 1
    for row in latest.to_dict("records"):
        of_series = coverage[
            (coverage["cell_id"] == row["cell_id"]) & (coverage["machine_id"] == row["machine_id"])
        ]
        newer = of_series[of_series["session_started_at"] > row["session_started_at"]]
        assert row["sessions_since"] == len(newer)
        assert not newer["runs"].any()
    assert latest["sessions_since"].any()


@pytest.mark.parametrize("timeless", [0, 1])
def test_what_tells_no_time_is_never_newer_than_what_does(store: Store, timeless: int) -> None:
    files = [make.imported(), make.imported()]
    for place, record in enumerate(files):
        source = replace(record.source, file_sha256=make.sha(f"file {place}"))
        began = None if place == timeless else record.started_at
        assert store.record_import(replace(record, source=source, started_at=began))
    [latest] = select(store, "SELECT session_started_at FROM v_cells_latest")
    assert latest["session_started_at"] is not None
    assert [one["started_at"] is None for one in store.sessions()] == [False, True]


def test_tasks_are_beside_the_reference_as_in_the_table(store: Store) -> None:
    seen = []
    for session in store_sessions(store, 4, 4):
        expected = by_cell(store.session_facts(session), session_rows(store, session)[0])
        found = select(
            store,
            "SELECT v_tasks.* FROM v_tasks JOIN run ON run.id = v_tasks.run_id"
            " JOIN session_evaluation ON session_evaluation.run_key = run.key"
            " WHERE session_evaluation.session_id = :session",
            session=session,
        )
        names = (
            "task",
            "metric",
            "value",
            "stderr",
            "n",
            "version",
            "flips",
            "reference_value",
            "num_fewshot",
        )
        for cell, row in expected.items():
            wanted = sorted((tuple(one[name] for name in names) for one in row["tasks"]), key=repr)
            told = sorted(
                (tuple(one[name] for name in names) for one in found if one["cell_id"] == cell), key=repr
            )
            assert told == wanted
            seen += told
    flips = [row[6] for row in seen]
    assert any(flips)
    assert None in flips
    assert any(row[7] is None for row in seen)


def test_scores_samples_failures_and_artifacts_are_all_there(store: Store) -> None:
    store_sessions(store, 6)
    rows = store.info()["rows"]
    counts = {
        view.name: select(store, f"SELECT count(*) AS n FROM {view.name}")[0]["n"] for view in views.VIEWS
    }
    assert counts["v_samples"] == rows["sample"]
    assert counts["v_scores"] == rows["score"]
    assert counts["v_tasks"] == rows["task_result"]
    assert counts["v_coverage"] == rows["session_cell"]
    assert counts["v_artifacts"] == rows["lineage"]
    [failed] = select(store, "SELECT count(*) AS n FROM run WHERE status <> 'ok'")
    [skipped] = select(store, "SELECT count(*) AS n FROM session_cell WHERE reason IS NOT NULL")
    assert counts["v_failures"] == failed["n"] + skipped["n"] > 0
    [sample] = select(
        store, "SELECT * FROM v_samples WHERE metric = 'wall_s' AND NOT warmup ORDER BY value DESC LIMIT 1"
    )
    assert sample["framework"] == "server"


def test_a_lineage_goes_back_to_the_models_file(store: Store) -> None:
    store.record_model(make.model())
    store.record_environment(make.environment())
    recipes = ["F16", "Q8_0", "Q4_K_M"]
    for recipe, source in zip(recipes, [None, *recipes], strict=False):
        store.record_artifact(make.artifact(recipe, source and make.sha(source)))
    steps = select(
        store, "SELECT * FROM v_lineage WHERE artifact_id = :id ORDER BY step", id=make.sha("Q4_K_M")
    )
    assert [(row["step"], row["recipe"]) for row in steps] == [(0, "Q4_K_M"), (1, "Q8_0"), (2, "F16")]
    assert steps[-1]["source_artifact_id"] is None
    assert steps[-1]["model_source"] == make.model().source


def test_what_a_fake_session_measured_is_in_the_view_as_in_the_table(measured_lab: Lab) -> None:
    rows = {row["recipe"]: row for row in measured_lab.rows()}
    connection = sqlite3.connect(measured_lab.database)
    connection.row_factory = sqlite3.Row
    latest = [dict(row) for row in connection.execute("SELECT * FROM v_cells_latest")]
    connection.close()
    assert {row["recipe"] for row in latest} == set(rows)
    for row in latest:
        compare(row, rows[row["recipe"]], row["recipe"])
        assert row["decode_tps"] > 0


# -- their text ------------------------------------------------------------------------------------------------------


def test_views_change_only_with_a_revision() -> None:
    """A database of the newest revision keeps the views that it was given."""
    made = hashlib.sha256("".join(view.statement() for view in views.VIEWS).encode()).hexdigest()
    assert (REVISION in schema.REVISIONS, made) == (True, SHA256)


def test_every_column_has_a_name_of_its_own_and_words() -> None:
    for view in views.VIEWS:
        names = [column.name for column in view.columns]
        assert len(set(names)) == len(names), view.name
        assert all(column.what and "\n" not in column.what for column in view.columns), view.name


def test_the_columns_are_those_that_the_database_shows(store: Store) -> None:
    store_sessions(store, 1, 1)
    for view in views.VIEWS:
        with store._reading() as connection:
            shown = list(connection.execute(text(f"SELECT * FROM {view.name}")).keys())
        assert shown == [column.name for column in view.columns], view.name


def test_no_function_is_used_that_a_plain_sqlite_lacks(tmp_path: Path) -> None:
    """Functions are optional in SQLite, and a view with an unknown one makes the whole file unusable to `ALTER`."""
    used = {
        name.lower()
        for view in views.VIEWS
        for name in re.findall(r"\b([A-Za-z_]+)\(", view.statement())
        if name.upper() not in ("IN", "EXISTS", "OVER", "VALUES", "AS")
    }
    used -= {"series", "exponent", "chain"}
    assert used <= {"avg", "cast", "count", "row_number", "sum", "min", "max", "coalesce", "nullif", "abs"}
    with Store.open(tmp_path / "edgebench.db") as store, store._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
        for view in views.VIEWS:
            assert connection.execute(text(f"SELECT * FROM {view.name}")).all() == []


@pytest.mark.parametrize("exponent", [0.0, 1e-9, 0.5, 2.75, -0.25, 12.0, 350.0, 699.0])
def test_the_power_series_is_the_exponential(store: Store, exponent: float) -> None:
    import math

    query = f"SELECT {figures.exponential(f'CAST({exponent!r} AS DOUBLE PRECISION)')} AS found"
    assert select(store, query)[0]["found"] == pytest.approx(math.exp(exponent), rel=1e-12)


@pytest.mark.parametrize("exponent", ["700.0", "NULL", "1e308 * 10"])
def test_what_has_no_exponential_is_null(tmp_path: Path, exponent: str) -> None:
    with Store.open(tmp_path / "edgebench.db") as store:
        assert select(store, f"SELECT {figures.exponential(exponent)} AS found") == [{"found": None}]


# -- how they are answered -------------------------------------------------------------------------------------------

#: Large: walking through one of them for a single cell would be slow.
LARGE = {"run", "sample", "session_cell", "planned_run", "memory_reading", "energy_reading", "score_window"}
LARGE |= {"score", "task_result", "task_item", "trace", "session"}

FILTERS = {
    "v_runs": ("cell_id", "session_id", "run_id"),
    "v_cells_latest": ("cell_id",),
    "v_history": ("cell_id", "session_id"),
    "v_samples": ("cell_id", "session_id", "run_id"),
    "v_scores": ("run_id", "artifact_id"),
    "v_tasks": ("run_id",),
    "v_coverage": ("cell_id", "session_id"),
}


@pytest.mark.parametrize(
    ("view", "column"), [(view, one) for view, found in FILTERS.items() for one in found]
)
def test_a_condition_reaches_the_indexes(tmp_path: Path, view: str, column: str) -> None:
    with Store.open(tmp_path / "edgebench.db") as store, store._reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE {column} = 'x'")
        steps = [str(row[3]) for row in plan]
    assert any("SEARCH" in step for step in steps)
    walked = [step for step in steps if re.match(r"SCAN (?!CONSTANT)", step)]
    named = {alias for step in walked for alias in re.findall(r"SCAN (\w+)", step)}
    assert not named & LARGE, steps
    # Only what a step before made is walked through.
    assert named <= {"every_value", "ranked", "counted", "told", "series", "exponent", "subquery"}, steps


def test_a_view_of_ones_own_survives_an_upgrade(tmp_path: Path) -> None:
    from old_databases import restore

    path = restore("0001", tmp_path / "edgebench.db")
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIEW my_artifacts AS SELECT id, weight_bytes FROM artifact")
    connection.commit()
    connection.close()
    with Store.open(path) as store:
        assert len(select(store, "SELECT * FROM my_artifacts")) == 2


def test_on_a_server_a_view_that_stands_in_the_way_is_named_as_such(postgresql_database: str) -> None:
    """An SQLite file's own views survive."""
    from old_databases import migrate
    from sqlalchemy import create_engine

    engine = create_engine(postgresql_database)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT run_id FROM v_runs"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
    engine.dispose()
    with pytest.raises(EdgebenchError, match="views that are not edgebench's"):
        Store.open(postgresql_database)


# -- from other tools ------------------------------------------------------------------------------------------------


def test_pandas_reads_a_history(tmp_path: Path) -> None:
    path = tmp_path / "edgebench.db"
    with Store.open(path) as store:
        store_sessions(store, 1)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    history = pd.read_sql(
        "SELECT cell_id, framework, recipe, session_started_at, n, decode_tps FROM v_history",
        connection,
        parse_dates=["session_started_at"],
    )
    connection.close()
    assert history["session_started_at"].dt.year.eq(2026).all()
    assert history["decode_tps"].dtype == float
    assert set(history["cell_id"]) <= {cell.id for cell in CELLS}
