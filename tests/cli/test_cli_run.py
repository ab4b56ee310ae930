"""``edgebench run`` and the commands that read what it stored, from the first word to the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab

from harness.table.metrics import ROW_KEYS


def test_a_session_from_run_to_table_show_and_resume(lab: Lab) -> None:
    ran = lab.run("run", "fake.yaml")
    assert ran.status == 0, ran.err
    assert "fp16" in ran.out
    report = Path(ran.out.splitlines()[-1].removeprefix("report: "))
    assert report.is_file()
    assert report.with_suffix(".md").is_file()

    table = lab.run("table", "--format", "json")
    assert list(table.json) == ["rows"]
    rows = table.json["rows"]
    assert [row["precision"] for row in rows] == ["fp16", "int4"]
    for row in rows:
        assert list(row) == list(ROW_KEYS)
        assert (row["status"], row["reason"], row["runs"]) == ("ok", None, 2)
        figures = [key for key in row if key.endswith(("_tps", "_s", "_p50", "_p99", "_bytes"))]
        assert row["allocator_peak_bytes"] is None, "the scripted framework has no allocator of its own"
        assert row["device_bytes"] is None, "the CPU has no memory but the host's"
        assert row["analytic_kv_bytes"] is row["residual_bytes"] is row["touched_weight_bytes"] is None, (
            "no shape"
        )
        missing = {
            "allocator_peak_bytes",
            "device_bytes",
            "analytic_kv_bytes",
            "residual_bytes",
            "touched_weight_bytes",
        }
        assert all(row[key] > 0 for key in figures if key not in missing), row
        assert row["bits_per_weight"] > 0
        assert row["kld_mean"] >= 0
        assert row["perplexity_ratio"] > 0
        assert row["energy_joules_per_decode_token"] is None or row["energy_joules_per_decode_token"] > 0
        assert row["artifact_verdict"] == "ok"
        assert row["quality_reference"] == "fake FP32"

    session = rows[0]["session"]
    shown = lab.run("show", session, "--json").json
    assert (shown["what"], shown["status"], shown["missing"]) == ("session", "ok", 0)
    timed = [run for run in shown["runs"] if run["kind"] == "timed"]
    assert len(timed) == 4
    run = lab.run("show", timed[0]["id"], "--json").json
    assert {sample["metric"] for sample in run["samples"]} >= {"prefill_s", "decode_s"}
    parts, timeline = run["memory_breakdown"], run["memory_timeline"]
    assert 0 < parts["import_bytes"] <= parts["load_peak_bytes"] <= parts["prefill_peak_bytes"]
    assert parts["prefill_peak_bytes"] <= parts["decode_peak_bytes"] == parts["peak_rss_bytes"]
    assert parts["residual_bytes"] is None
    assert "no plain transformer" in parts["reasons"]["touched_weight_bytes"]
    assert {"import", "load", "warmup", "prefill+decode"} <= {phase for phase, _ in timeline["marks"]}
    assert max(timeline["series"]["time_ns"]) <= timeline["seconds"] * 1e9
    words = lab.run("show", timed[0]["id"]).out
    assert "residual_bytes" in words
    assert "watcher_cpu_s=" in words
    assert run["harness_s"] > 0
    state = run["machine_state"]
    for name in ("calibration", "memory_calibration"):
        assert state[f"{name}_before_s"] > 0
        assert state[f"{name}_after_s"] > 0
    window = state["window"]
    known = {name for name, value in window.items() if value is not None} | set(window["missing"])
    assert known >= {
        "steal_share", "cpu_pressure_share", "memory_pressure_share", "involuntary_switches", "foreign_cores",
        "worker_waited_s", "minor_faults", "major_faults", "swapped_bytes", "worker_swap_bytes",
        "thermal_throttles", "throttles",
    }  # fmt: skip
    assert lab.run("show", timed[0]["cell_id"], "--json").json["what"] == "cell"
    assert lab.run("show", run["artifact_id"], "--json").json["what"] == "artifact"
    assert lab.run("show", session).status == 0
    assert lab.run("show").out.startswith("session")

    stored = lab.runs()
    resumed = lab.run("run", "fake.yaml", "--resume")
    assert resumed.status == 0
    assert "nothing to resume" in resumed.err
    assert lab.runs() == stored


def test_a_second_session_scores_and_makes_nothing_again(lab: Lab) -> None:
    assert lab.run("run", "fake.yaml").status == 0
    again = lab.run("run", "fake.yaml", "--json")
    assert again.status == 0
    assert again.err == ""
    assert [row["status"] for row in again.json["rows"]] == ["ok", "ok"]
    assert all(row["kld_mean"] is not None for row in again.json["rows"])
    assert lab.query("SELECT kind, count(*) FROM run GROUP BY kind ORDER BY kind") == [
        ("reference", 1),
        ("score", 2),
        ("timed", 8),
    ]
    assert lab.query("SELECT count(*) FROM lineage") == [(3,)]


def test_a_dry_run_prints_the_plan_and_creates_nothing(bare_lab: Lab) -> None:
    before = sorted(bare_lab.folder.rglob("*"))
    result = bare_lab.run("run", "fake.yaml", "--dry-run", "--json")
    assert result.status == 0
    assert [cell["recipe"] for cell in result.json["cells"]] == ["FP16", "INT4"]
    wanted = {
        "framework",
        "model",
        "precision",
        "recipe",
        "device",
        "workload",
        "reason",
        "expected_s",
    }
    for cell in result.json["cells"]:
        assert wanted <= cell.keys()
        assert cell["reason"] is None
        assert cell["expected_s"] > 0
    assert bare_lab.run("run", "fake.yaml", "--dry-run").status == 0
    assert sorted(bare_lab.folder.rglob("*")) == before


@pytest.mark.stocked
def test_a_cell_that_cannot_run_here_is_planned_with_its_reason_and_stored_as_skipped(lab: Lab) -> None:
    lab.suite(SUITE.replace("precision: [fp16, int4]", "precision: [fp16, int2]\ndevice: [cpu, npu]"))
    plan = lab.run("run", "fake.yaml", "--dry-run", "--json").json["cells"]
    assert all(cell["recipe"] for cell in plan)
    reasons = {(cell["precision"], cell["device"]): cell["reason"] for cell in plan}
    assert reasons["fp16", "cpu"] is None
    assert reasons["fp16", "npu:0.fake-npu"] == "no machine has a fake NPU"
    assert reasons["int2", "cpu"] == "Fake has no recipe for int2"
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    rows = {(row["precision"], row["device"]): row for row in lab.rows()}
    assert {key: row["status"] for key, row in rows.items()} == {
        ("fp16", "cpu"): "ok",
        ("fp16", "npu:0.fake-npu"): "skipped",
        ("int2", "cpu"): "skipped",
        ("int2", "npu:0.fake-npu"): "skipped",
    }
    assert rows["fp16", "npu:0.fake-npu"]["reason"] == "no machine has a fake NPU"


def test_an_expression_selects_cells(lab: Lab) -> None:
    result = lab.run("run", "fake.yaml", "-k", "fake and not int4", "--dry-run", "--json")
    assert [cell["precision"] for cell in result.json["cells"]] == ["fp16"]
    none = lab.run("run", "fake.yaml", "-k", "mlx", "--dry-run")
    assert none.status == 2
    assert "mlx" in none.one_message()
    malformed = lab.run("run", "fake.yaml", "-k", "int4 and (", "--dry-run")
    assert malformed.status == 2
    malformed.one_message()


@pytest.mark.stocked
def test_runs_seed_and_options_go_into_the_plan(lab: Lab) -> None:
    words = ("fake.yaml", "-k", "fp16", "--runs", "1", "--seed", "7", "--option", "fake.compute=bf16", "-q")
    assert lab.run("run", *words).status == 0
    assert [row["runs"] for row in lab.rows()] == [1]
    assert lab.query("SELECT seed FROM session") == [(7,)]
    assert lab.query("SELECT DISTINCT hints FROM run WHERE kind = 'timed'") == [('{"compute":"bf16"}',)]
    options = [json.loads(text) for (text,) in lab.query("SELECT options FROM cell")]
    assert {"compute": "bf16"} in options


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--option", "compute=bf16"), "FRAMEWORK.NAME=VALUE"),
        (("--option", "fakt.compute=bf16"), "fakt"),
        (("--with", "nosuch==1.0"), "nosuch"),
        (("--with", "./nosuch.whl"), "nosuch.whl"),
        (("--with", "numpy>>1"), "numpy>>1"),
    ],
)
def test_wrong_words_are_told_before_anything_is_made(
    bare_lab: Lab, words: tuple[str, ...], part: str
) -> None:
    result = bare_lab.run("run", "fake.yaml", *words)
    assert result.status == 2
    assert part in result.one_message()
    assert bare_lab.runs() == []
    assert not bare_lab.cache.exists()


@pytest.mark.stocked
def test_an_option_that_the_framework_does_not_know_fails_its_cells_with_the_framework_s_words(
    lab: Lab,
) -> None:
    result = lab.run("run", "fake.yaml", "-k", "fp16", "--runs", "1", "--option", "fake.sped=1")
    assert result.status == 1
    (row,) = lab.rows()
    assert row["status"] == "failed"
    assert "unknown option 'sped'" in row["reason"]


@pytest.mark.parametrize(
    "words", [("rum",), ("run",), ("run", "fake.yaml", "--no-such"), ("table", "--format", "xml")]
)
def test_unknown_words_end_with_status_2_and_a_usage_line(bare_lab: Lab, words: tuple[str, ...]) -> None:
    result = bare_lab.run(*words)
    assert result.status == 2
    assert "Usage: edgebench" in result.err
    assert "Traceback" not in result.err


def test_a_misspelt_command_is_told_what_was_meant(bare_lab: Lab) -> None:
    assert "Did you mean 'table'?" in bare_lab.run("tabel").err


def test_traceback_shows_where_an_error_comes_from_wherever_the_word_stands(bare_lab: Lab) -> None:
    assert "Traceback" not in bare_lab.run("run", "nosuch").err
    for words in (("--traceback", "run", "nosuch"), ("run", "nosuch", "--traceback")):
        assert "Traceback" in bare_lab.run(*words).err


@pytest.mark.stocked
def test_a_batch_is_stored_with_its_size_and_counts_the_tokens_of_all_its_sequences(lab: Lab) -> None:
    suite = (
        SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16").replace("pp8+tg4", "pp8+tg4@b3")
    )
    lab.suite(suite + "repetitions: 1\n")
    ran = lab.run("run", "fake.yaml", "--json")
    assert ran.status == 0, ran.err
    (row,) = ran.json["rows"]
    assert (row["workload"], row["status"], row["kld_mean"] is not None) == ("pp8+tg4@b3", "ok", True)
    values = dict(
        lab.query(
            "SELECT metric.name, sample.value FROM sample JOIN metric ON metric.key = sample.metric_key "
            "WHERE NOT sample.warmup"
        )
    )
    assert row["prefill_tps"] == pytest.approx(3 * 8 / values["prefill_s"])
    assert row["decode_tps"] == pytest.approx(3 * 4 / values["decode_s"])
    assert row["ttft_s"] == pytest.approx(values["ttft_s"])
    assert 1 / row["itl_s_p50"] < row["decode_tps"], "a step gives three tokens"
    [(cell_id, batch)] = lab.query("SELECT cell.id, batch FROM cell JOIN session_cell ON cell_id = cell.id")
    assert batch == lab.run("show", cell_id, "--json").json["batch"] == 3
    [(cache,)] = lab.query("SELECT kv_cache_bytes FROM run WHERE kind = 'timed'")
    assert cache == 3 * 8 * 12, "room for 12 tokens of each sequence"
