"""``edgebench model prepare`` on the scripted framework: real workers, a real cache and database."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_lab import SUITE, Lab, finish, wait_until


def prepared(lab: Lab, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = lab.run("model", "prepare", *words, "--json")
    return result.status, {one["recipe"]: one for one in result.json["prepared"]}


def staging(lab: Lab) -> list[Path]:
    folder = lab.cache / "artifacts" / "staging"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_suites_artifacts_are_made_with_their_cost_and_only_once(lab: Lab) -> None:
    status, made = prepared(lab, "fake.yaml")
    assert status == 0
    assert {name: one["status"] for name, one in made.items()} == dict.fromkeys(
        ("FP32", "FP16", "INT4"), "made"
    )
    for one in made.values():
        assert one["seconds"] > 0
        # A Python with numpy; the tree is sampled and the process itself counts exactly.
        assert 10e6 < one["peak_bytes"] < 2e9
    rows = lab.query(
        "SELECT recipe, status, artifact_id, peak_bytes, jobs, threads, session_id FROM preparation"
    )
    assert {row[0]: row[1:4] for row in rows} == {
        name: ("ok", one["artifact"], one["peak_bytes"]) for name, one in made.items()
    }
    assert all(jobs >= 1 and threads >= 1 and session is None for *_, jobs, threads, session in rows)
    stored = dict(lab.query("SELECT recipe, made_peak_bytes FROM lineage"))
    assert stored == {name: one["peak_bytes"] for name, one in made.items()}
    status, again = prepared(lab, "fake.yaml")
    assert status == 0
    assert {one["status"] for one in again.values()} == {"cached"}
    assert again["INT4"]["expected_peak_bytes"] == made["INT4"]["peak_bytes"]
    assert len(lab.query("SELECT id FROM preparation")) == 3


def test_the_table_and_show_have_what_making_took(lab: Lab) -> None:
    _, made = prepared(lab, "fake.yaml")
    assert lab.run("run", "fake.yaml", "-q").status == 0
    row = next(row for row in lab.rows() if row["recipe"] == "INT4")
    assert row["prepare_peak_bytes"] == made["INT4"]["peak_bytes"]
    assert row["prepare_s"] > 0
    assert row["precision_class"] == "low"
    shown = lab.run("show", made["INT4"]["artifact"][:16], "--json").json
    assert [one["made_peak_bytes"] for one in shown["lineage"]] == [made["INT4"]["peak_bytes"]]
    assert [one["status"] for one in shown["preparations"]] == ["ok"]


def test_a_failure_is_stored_with_the_tools_last_words_and_told(lab: Lab) -> None:
    lab.script(
        {
            "make": [
                {"do": "print", "text": "quantising layer 7"},
                {"do": "raise", "type": "ValueError", "message": "rows of 576"},
            ]
        }
    )
    result = lab.run("model", "prepare", "fake.yaml")
    assert result.status == 1
    assert "rows of 576" in result.err
    assert "not tried: fake FP32" in result.err
    [row] = lab.query(
        "SELECT recipe, status, reason, error, log_tail, artifact_id, seconds > 0 FROM preparation"
    )
    assert row[:2] == ("FP32", "failed")
    assert "rows of 576" in row[2]
    assert "Traceback" in row[3]
    assert "quantising layer 7" in row[4]
    assert row[5:] == (None, 1)
    assert staging(lab) == []


def test_a_session_stores_its_preparations_too(lab: Lab) -> None:
    lab.script({"make": [{"do": "crash", "how": "exit", "status": 3}]})
    assert lab.run("run", "fake.yaml", "-q").status == 1
    rows = lab.query("SELECT recipe, status, reason, session_id FROM preparation")
    [session] = lab.query("SELECT id FROM session")
    assert {row[0] for row in rows} == {"FP32"}
    assert all("exited with status 3" in row[2] and row[3] == session[0] for row in rows)


def test_recipes_by_name_bring_their_sources(lab: Lab) -> None:
    lab.suite(
        "models:\n  tiny: {source: {path: tiny.gguf}, reference: {framework: fake, recipe: FP32}}\n",
        "models.yaml",
    )
    words = (
        "--models",
        "models.yaml",
        "--model",
        "tiny",
        "--framework",
        "fake",
        "--recipe",
        "INT8",
        "--jobs",
        "2",
    )
    status, made = prepared(lab, *words)
    assert status == 0
    assert {name: one["wanted"] for name, one in made.items()} == {"FP32": False, "INT8": True}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nowhere.yaml",),
        ("fake.yaml", "--recipe", "Q9"),
        ("--model", "nobody"),
        ("fake.yaml", "--jobs", "0"),
    ],
)
def test_wrong_words_make_nothing(lab: Lab, words: tuple[str, ...]) -> None:
    result = lab.run("model", "prepare", *words)
    assert result.status == 2
    assert not lab.database.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_leaves_no_worker_and_nothing_half_made(lab: Lab) -> None:
    script = json.dumps({"make": [{"do": "hang"}]})
    process = lab.start("model", "prepare", "fake.yaml", EDGEBENCH_FAKE_SCRIPT=script)
    wait_until(lambda: staging(lab), "something is being made")
    process.send_signal(signal.SIGINT)
    result = finish(process)
    assert result.status == 130, result.err
    assert "Traceback" not in result.err
    assert staging(lab) == []
    assert lab.query("SELECT count(*) FROM preparation") == [(0,)]
    status, made = prepared(lab, "fake.yaml")
    assert status == 0
    assert {one["status"] for one in made.values()} == {"made"}


def test_statistics_are_made_before_what_needs_them_and_a_synthetic_model_at_once(lab: Lab) -> None:
    lab.suite(SUITE.replace("precision: [fp16, int4]", "recipe: [INT4_STATISTICS, INT8_STATIC]"))
    status, made = prepared(lab, "fake.yaml")
    assert status == 0
    assert set(made) == {"FP32", "STATISTICS", "INT4_STATISTICS", "INT8_STATIC"}
    order = [recipe for (recipe,) in lab.query("SELECT recipe FROM preparation ORDER BY started_at")]
    assert order.index("FP32") < order.index("STATISTICS") < order.index("INT4_STATISTICS")
    synthetic = (
        "models:\n  made:\n    source:\n      synthetic: {hidden_size: 64, intermediate_size: 96, layers: 2,"
        " heads: 4, kv_heads: 2, vocab_size: 100, context_tokens: 128}\n"
    )
    head = SUITE.partition("models:")[0].replace("model: tiny", "model: made").partition("scoring:")[0]
    lab.suite(head + synthetic)
    status, made = prepared(lab, "fake.yaml")
    assert status == 0
    # Written straight in each recipe: nothing is made from anything.
    assert {name: one["status"] for name, one in made.items()} == {"FP16": "made", "INT4": "made"}
    assert lab.run("run", "fake.yaml", "-q").status == 0
    assert all(row["synthetic"] and row["kld_mean"] is None for row in lab.rows())
