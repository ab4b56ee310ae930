"""Imported files in the database: whole or not at all, once, never beside what was measured; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import make_store_records as make
import pytest
from import_files import FILES, document, llama_bench_test

from harness.importing.reading import read_file
from harness.importing.records import named_machine
from harness.report import session_rows
from harness.store import Store, records
from harness.table import render


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    with Store.open(any_database) as opened:
        yield opened


def measured(store: Store) -> str:
    """A session that was measured."""
    machine = store.record_machine(make.machine())
    store.record_environment(make.environment())
    store.record_model(replace(make.model(), configuration=None))
    store.record_artifact(make.artifact())
    session = store.start_session(make.session(machine), [records.PlannedCellRecord(make.cell(), 0)])
    assert store.record_run(make.run(session, make.cell().id))
    store.end_session(session, "ok")
    return session


ALL = sorted(
    path
    for path in FILES.rglob("*.*")
    if path.name not in ("README.md", "benchmark_config.json") and not path.name.startswith("samples_")
)


def test_every_file_is_stored_once_however_often_it_is_imported(store: Store) -> None:
    for path in ALL:
        assert store.record_import(read_file(path))
    before = store.info()["rows"]
    assert before["session"] == before["session_import"] == len(ALL)
    assert before["statistic"] > 0
    assert before["sample"] > 0
    for path in ALL:
        assert not store.record_import(read_file(path))
    assert store.info()["rows"] == before
    assert store.check() == []


def test_what_is_stored_is_what_was_read(store: Store) -> None:
    record = read_file(FILES / "llama_bench.json", machine=named_machine("lab-3"))
    store.record_import(record)
    found = store.describe("session", record.session_id)
    assert (found["origin"], found["suite"]) == ("imported", "llama-bench")
    times = [one.run.started_at for one in record.runs if one.run.started_at is not None]
    assert found["started_at"] == min(times).isoformat()
    assert found["import"]["file_sha256"] == record.source.file_sha256
    assert found["import"]["definitions"]["llama-bench:decode_tps"]
    assert (found["seed"], found["suite_text"], found["missing"]) == (None, None, 0)
    machine = store.describe("machine", record.machine.id)
    assert (machine["name"], machine["cpu_model"], machine["memory_bytes"]) == ("lab-3", None, None)
    run = store.describe("run", found["runs"][0]["id"])
    assert run["validity"] is None
    assert {sample["metric"] for sample in run["samples"]} <= record.source.definitions.keys()
    assert run["details"]["record"]["model_type"] == "llama 256M Q4_K - Medium"


def test_a_mean_is_no_sample(store: Store) -> None:
    record = read_file(FILES / "llama_bench.csv")
    store.record_import(record)
    rows = store.info()["rows"]
    assert (rows["sample"], rows["statistic"]) == (0, 8)
    run = store.describe("run", store.describe("session", record.session_id)["runs"][0]["id"])
    assert [one["statistic"] for one in run["statistics"]] == ["mean", "mean"]
    assert all(one["n"] is None for one in run["statistics"])


def test_a_file_is_stored_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    record = read_file(document(tmp_path, [llama_bench_test(), llama_bench_test(n_gen=8, n_prompt=0)]).path)
    broken = replace(record.runs[1].run, status="of no kind", reason="none")  # type: ignore[arg-type]
    spoiled = replace(record, runs=[record.runs[0], replace(record.runs[1], run=broken)])
    with pytest.raises(Exception, match="ck_run_status"):
        store.record_import(spoiled)
    assert {name for name, count in store.info()["rows"].items() if count} == {"schema_revision"}
    assert store.record_import(record)


def test_the_newest_session_stays_the_newest_measured_one(store: Store, tmp_path: Path) -> None:
    later = document(tmp_path, [llama_bench_test(test_time="2031-01-01T00:00:00Z")])
    store.record_import(read_file(later.path))
    assert store.newest_session() is None
    assert store.newest_session(unfinished=True) is None
    session = measured(store)
    assert store.newest_session() == session
    assert store.newest_session("llama-bench") is None
    store.record_import(read_file(FILES / "mlx_lm.txt"))  # without a time
    assert store.newest_session() == session
    listed = store.sessions()
    assert [one["started_at"] is None for one in listed] == [False, False, True]


def test_measured_and_imported_figures_are_of_no_same_cell_whatever_else_is_equal() -> None:
    cell = make.cell()
    imported = replace(cell, id="", source="llama-bench")
    assert imported.id != cell.id
    assert replace(imported, id="", source=None).id == cell.id  # ids of what was measured are what they were
    assert replace(imported, id="", source="another").id != imported.id


def test_the_machine_of_an_import_may_be_one_that_measured(store: Store) -> None:
    measured(store)
    [machine] = store.machines_named(make.machine().name)
    record = read_file(FILES / "llama_bench.json", machine=machine)
    store.record_import(record)
    assert store.info()["rows"]["machine"] == 1
    assert store.durations(machine.id, [one.cell.id for one in record.runs]) == {}


def test_ids_of_machines_that_measured_are_what_they_were() -> None:
    assert replace(make.machine(), id="", name="another name").id == make.machine().id
    assert named_machine("a").id != named_machine("b").id


@pytest.mark.parametrize("format_", ["table", "markdown", "html", "latex"])
def test_the_table_says_what_measured_and_by_which_definitions(store: Store, format_: str) -> None:
    record = read_file(FILES / "llama_bench.json")
    store.record_import(record)
    rows, about = session_rows(store, record.session_id)
    shown = " ".join(render(rows, [about], format_, width=400).replace("\\", "").split())
    for words in (
        "llama-bench",
        "measured this, not edgebench",
        "prefill",
        "decode",
        "0c1e570",
        "no comparison",
    ):
        assert words in shown
    assert record.source.file_sha256 in shown
    assert "drawing random tokens" in shown


def test_a_row_of_an_import_has_no_figure_of_ours(store: Store) -> None:
    record = read_file(FILES / "llama_bench.json")
    store.record_import(record)
    rows, _ = session_rows(store, record.session_id)
    assert len(rows) == 4
    for row in rows:
        for key in ("prefill_tps", "decode_tps", "speedup_decode", "speed_baseline", "peak_rss_bytes"):
            assert row[key] is None
            assert "imported" in row.notes[key]
        assert row["source"] == "llama-bench"
    samples = sorted(one.values["llama-bench:prefill_s"] for one in record.runs[0].run.samples)
    assert rows[0]["imported"]["llama-bench:prefill_s"] == {
        "value": samples[1], "statistic": "median", "n": 3, "stddev": pytest.approx(_stddev(samples)),
    }  # fmt: skip


def _stddev(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5)


def test_columns_of_an_imported_table_are_the_file_s_own(store: Store) -> None:
    from harness.errors import UsageError

    record = read_file(FILES / "llama_bench.json")
    store.record_import(record)
    rows, about = session_rows(store, record.session_id)
    shown = render(rows, [about], "markdown", columns="llama-bench:decode_tps", where="workload~tg8")
    assert "prefill" not in shown.partition("Definitions")[0]
    with pytest.raises(UsageError, match="no figure 'llama-bench:nonsense'"):
        render(rows, [about], columns="llama-bench:nonsense")


def test_measured_and_imported_rows_stand_in_no_one_table(store: Store) -> None:
    from harness.errors import UsageError

    record = read_file(FILES / "llama_bench.json")
    store.record_import(record)
    mixed = [session_rows(store, one) for one in (record.session_id, measured(store))]
    with pytest.raises(UsageError, match="several origins"):
        render([row for rows, _ in mixed for row in rows], [about for _, about in mixed])


def test_lm_eval_s_results_stand_under_tasks(store: Store) -> None:
    record = read_file(FILES / "lm_eval/results_2026-11-26T19-03-36.611759.json")
    store.record_import(record)
    rows, about = session_rows(store, record.session_id)
    [row] = rows
    assert {task["task"] for task in row["tasks"]} >= {"edgebench_grammar", "edgebench_arithmetic"}
    assert all(task["flips"] is None for task in row["tasks"])
    assert "edgebench_grammar acc" in render(rows, [about], "table", width=300)


def test_json_and_csv_have_the_tool_s_figures_apart(store: Store) -> None:
    import json

    record = read_file(FILES / "genai.csv")
    store.record_import(record)
    rows, about = session_rows(store, record.session_id)
    found = json.loads(render(rows, [about], "json"))["rows"][0]
    assert found["decode_tps"] is None
    assert found["imported"]["onnxruntime-genai:token_generation_tps"] == {
        "value": 40.0, "statistic": "mean", "n": None, "stddev": None,
    }  # fmt: skip
    assert "onnxruntime-genai:token_generation_tps" in render(rows, [about], "csv")
