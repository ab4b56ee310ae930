"""The commands around a session: lists, the doctor, environments, models, the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab

from harness.backends.fake import Fake
from harness.frameworks import frameworks
from harness.machine.bench import MachineBench, Rate
from harness.worker.api import PRECISIONS, Recipe, StaticShape


@pytest.mark.parametrize(
    "what", ["suites", "frameworks", "models", "recipes", "precisions", "devices", "metrics"]
)
def test_every_list_is_there_for_people_and_for_programs(bare_lab: Lab, what: str) -> None:
    before = sorted(bare_lab.folder.rglob("*"))
    people, program = bare_lab.run("list", what), bare_lab.run("list", what, "--json")
    assert people.status == program.status == 0, people.err + program.err
    assert people.out.strip()
    (rows,) = program.json.values()
    assert len(rows) > 1
    assert all(isinstance(row, dict) for row in rows)
    assert sorted(bare_lab.folder.rglob("*")) == before


def test_the_doctor_says_for_each_thing_missing_what_would_bring_it(bare_lab: Lab) -> None:
    report = bare_lab.run("doctor", "--json")
    assert report.status == 0, report.err
    assert report.json
    assert bare_lab.run("doctor").out.strip()
    assert not bare_lab.cache.exists()


def test_the_doctor_measures_the_machine_and_stores_it_where_it_may(
    bare_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = MachineBench(
        threads=2,
        array_bytes=268_435_456,
        last_level_cache_bytes=33_554_432,
        read=Rate(21e9, 20e9, 18e9, 30),
        copy=Rate(19e9, 18e9, 17e9, 20),
        fp32=Rate(180e9, 170e9, 90e9, 12),
        int8=None,
        reasons={"int8": "no OpenVINO environment is made"},
        validity="suspect",
        flags=("memory: steal time 3 % (limit 1 %)",),
    )
    monkeypatch.setattr("harness.runner.benching.measure", lambda **_: measured)
    printed = bare_lab.run("doctor", "--bench", "--no-store")
    assert printed.status == 0, printed.err
    assert "memory read: 21 (20) GB/s" in printed.out
    assert "no OpenVINO environment is made" in printed.out
    assert "suspect: memory: steal time" in printed.out
    assert not (bare_lab.folder / "results").exists()

    told = bare_lab.run("doctor", "--bench", "--json").json
    assert told["bench"]["stored"] is True
    assert told["bench"]["read_bytes_per_s"] == 21e9
    assert told["bench"]["int8_ops"] is None
    assert told["bench"]["reasons"] == {"int8_ops": "no OpenVINO environment is made"}
    machine = bare_lab.run("show", told["machine"]["id"], "--json").json
    assert [one["id"] for one in machine["benches"]] == [told["bench"]["id"]]
    assert bare_lab.run("doctor", "--json").json["bench"] is None
    assert bare_lab.run("doctor", "--no-store").status == 2


def test_environments_and_artifacts_are_listed_and_removed(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16"))
    assert lab.run("run", "fake.yaml").status == 0
    (environment,) = lab.run("env", "list", "--json").json["environments"]
    assert environment["framework"] == "fake"
    assert lab.run("env", "list").status == 0
    assert lab.run("env", "verify").status == 0
    artifacts = lab.run("model", "artifacts", "--json").json["artifacts"]
    assert {one["recipe"] for one in artifacts} == {"FP32", "FP16"}
    assert lab.run("model", "artifacts").status == 0
    assert lab.run("model", "remove", artifacts[0]["artifact"]).status == 0
    assert len(lab.run("model", "artifacts", "--json").json["artifacts"]) == 1
    assert lab.run("model", "clean").status == 0
    assert lab.run("model", "list", "--json").status == 0
    # What was removed is made again when it is needed.
    again = lab.run("run", "fake.yaml")
    assert again.status == 0, again.err
    assert [row["status"] for row in lab.rows()] == ["ok"]


@pytest.mark.stocked
def test_the_database_is_described_checked_and_copied(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16"))
    assert lab.run("run", "fake.yaml").status == 0
    (session,) = lab.run("db", "sessions", "--json").json["sessions"]
    assert (session["suite"], session["status"], session["runs"]) == ("fake", "ok", {"ok": 3})
    assert lab.run("db", "sessions").status == 0
    assert lab.run("db", "info", "--json").json["rows"]["run"] == 3
    assert "run" in lab.run("db", "info").out
    assert "is whole" in lab.run("db", "check").out
    assert lab.run("db", "backup", "copy.db").status == 0
    assert lab.run("table", "--json", "--db", "copy.db").json == lab.run("table", "--json").json
    twice = lab.run("db", "backup", "copy.db")
    assert twice.status == 2
    assert "exists already" in twice.one_message()
    assert lab.run("db", "upgrade").status == 0


def test_a_table_is_written_in_every_format_and_selected_by_rows_columns_and_conditions(
    measured_lab: Lab,
) -> None:
    for name, sign in (("markdown", "|"), ("csv", "framework,"), ("html", "<table"), ("latex", "\\begin{")):
        result = measured_lab.run("table", "--format", name)
        assert result.status == 0
        assert sign in result.out
    chosen = measured_lab.run("table", "--format", "json", "--where", "precision=int4")
    assert [row["precision"] for row in chosen.json["rows"]] == ["int4"]
    assert (
        measured_lab.run("table", "--rows", "model,precision", "--columns", "decode_tps,kld_mean").status == 0
    )
    assert measured_lab.run("table", "-o", "table.json", "--json").status == 0
    assert len(json.loads(Path("table.json").read_text(encoding="utf-8"))["rows"]) == 2
    session = chosen.json["rows"][0]["session"]
    assert measured_lab.run("table", "--session", session[:13], "--json").json["rows"]
    for words, part in (
        (("--columns", "decode_tsp"), "decode_tps"),
        (("--where", "precision"), "precision"),
        (("--session", "feedbeef"), "feedbeef"),
        (("--suite", "nosuch"), "nosuch"),
    ):
        wrong = measured_lab.run("table", *words)
        assert wrong.status == 2
        assert part in wrong.one_message()
    unknown = measured_lab.run("show", "feedbeef")
    assert unknown.status == 2
    assert "feedbeef" in unknown.one_message()


def test_recipes_say_what_they_are_made_of_and_intermediate_ones_only_when_asked(
    bare_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = (
        Recipe("FP16", "fp16", "model", "numpy", default=True),
        Recipe("MATRIX", "fp32", "fake:FP16", "numpy", intermediate=True),
        Recipe(
            "W8A8_b16", "w8a8", "fake:FP16", "numpy", passes=("Export", "Quantise"), needs=("fake:MATRIX",),
            calibrated=True, static=StaticShape(64, 16),
        ),
    )  # fmt: skip
    monkeypatch.setattr(Fake, "recipes", recipes)
    words = ("list", "recipes", "--framework", "fake")
    listed = {one["recipe"]: one for one in bare_lab.run(*words, "--json").json["recipes"]}
    assert list(listed) == ["FP16", "W8A8_b16"]
    assert listed["W8A8_b16"] == {
        "framework": "fake", "recipe": "W8A8_b16", "class": "medium", "precision": "w8a8", "default": "",
        "passes": ["Export", "Quantise"], "made_from": "fake:FP16", "needs": ["fake:MATRIX"], "calibrated": "yes",
        "static": "64 tokens, in blocks of 16", "tool": "numpy", "parameters": "",
    }  # fmt: skip
    assert "fake:MATRIX" in bare_lab.run(*words).out, "named as a source"
    everything = bare_lab.run(*words, "--all", "--json").json["recipes"]
    assert [one["recipe"] for one in everything if one["intermediate"]] == ["MATRIX"]
    rows = bare_lab.run("list", "precisions", "--framework", "fake", "--json").json["precisions"]
    assert {one["precision"]: one["fake"] for one in rows if one["fake"]} == {
        "fp16": ["FP16"],
        "w8a8": ["W8A8_b16"],
    }


def test_precisions_come_with_their_class_and_all_recipes_the_default_first(bare_lab: Lab) -> None:
    rows = bare_lab.run("list", "precisions", "--json").json["precisions"]
    assert [one["precision"] for one in rows] == list(PRECISIONS)
    assert {one["precision"]: one["class"] for one in rows}["nf4"] == "low"
    [int4] = [one for one in rows if one["precision"] == "int4"]
    backends = {name: entry.backend for name, entry in frameworks().items()}
    assert set(int4) == {"class", "precision", *backends}
    for name, backend in backends.items():
        own = [one for one in backend.recipes if one.precision == "int4" and not one.intermediate]
        assert sorted(int4[name]) == sorted(one.name for one in own)
        assert int4[name][:1] == [one.name for one in own if one.default][:1] or not any(
            one.default for one in own
        )
