"""Recipes of every kind through a whole session: further sources, calibration, static shapes, synthetic models."""

from __future__ import annotations

import json

import pytest
from fake_lab import SUITE, Lab

MADE = """\
name: fake
model: made
framework: fake
precision: [fp32, int4]
workload: pp8+tg4
runs: 1
models:
  made:
    source:
      synthetic: {hidden_size: 64, intermediate_size: 96, layers: 2, heads: 4, kv_heads: 2, vocab_size: 100,
                  context_tokens: 128}
"""


def descriptions(lab: Lab) -> dict[str, dict[str, object]]:
    """What the scripted framework wrote, by recipe."""
    read = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in lab.cache.glob("artifacts/objects/*/fake.json")
    ]
    return {str(one["recipe"]): one for one in read}


def test_a_recipe_gets_its_further_sources_and_they_the_calibration_text(lab: Lab) -> None:
    lab.suite(SUITE.replace("precision: [fp16, int4]", "recipe: [INT4, INT4_STATISTICS]"))
    (lab.folder / "mine.txt").write_text("Some other text to calibrate with.", encoding="utf-8")
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    first = descriptions(lab)
    assert first["INT4_STATISTICS"]["fake:STATISTICS"] == first["STATISTICS"]
    assert "calibration_sum" in first["STATISTICS"]
    lineage = lab.query("SELECT recipe FROM lineage ORDER BY recipe")
    assert [recipe for (recipe,) in lineage] == ["FP32", "INT4", "INT4_STATISTICS", "STATISTICS"]
    # Another text gives other statistics, and so another artifact; what does not read it stays.
    lab.suite(
        SUITE.replace("precision: [fp16, int4]", "recipe: [INT4, INT4_STATISTICS]")
        + "calibration: mine.txt\n"
    )
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    made = {(one.name, one.stat().st_mtime_ns) for one in lab.cache.glob("artifacts/requests/*.json")}
    assert len(made) == 6, "statistics and what needs them are made again, FP32 and INT4 are not"


def test_an_intermediate_recipe_is_no_cell_and_cannot_be_named(lab: Lab) -> None:
    lab.suite(SUITE.replace("precision: [fp16, int4]", "recipe: all"))
    plan = lab.run("run", "fake.yaml", "--dry-run", "--json").json
    assert "STATISTICS" not in {cell["recipe"] for cell in plan["cells"]}
    assert "INT4_STATISTICS" in {cell["recipe"] for cell in plan["cells"]}
    lab.suite(SUITE.replace("precision: [fp16, int4]", "recipe: STATISTICS"))
    assert 'unknown recipe "STATISTICS"' in lab.run("run", "fake.yaml").one_message()


@pytest.mark.parametrize("scored", ["{}", "{}\n", "Some words come before it, then: {}"])
def test_the_text_that_is_scored_does_not_calibrate(lab: Lab, scored: str) -> None:
    text = "The same text, which is never the same twice in two tests of two texts. " * 9
    (lab.folder / "one.txt").write_text(text, encoding="utf-8")
    (lab.folder / "two.txt").write_text(scored.format(text), encoding="utf-8")
    suite = SUITE.replace("scoring: {", "calibration: one.txt\nscoring: {corpus: two.txt, ")
    lab.suite(suite)
    result = lab.run("run", "fake.yaml")
    assert result.status == 2
    assert "both scored and calibrated with: 100.0 %" in result.one_message()
    assert 'such as "the same text which is never the same"' in result.one_message()


def test_a_static_graph_is_scored_at_its_own_window_against_the_reference_there(lab: Lab) -> None:
    lab.suite(SUITE.replace("precision: [fp16, int4]", "recipe: [INT8, INT8_STATIC]"))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    scores = lab.query(
        "SELECT window_tokens, stride_tokens, score_from, kind FROM score JOIN run ON run.key = score.run_key "
        "ORDER BY window_tokens, kind"
    )
    assert scores == [
        (48, 48, 0, "reference"), (48, 48, 0, "score"), (64, 64, 32, "reference"), (64, 64, 32, "score"),
    ]  # fmt: skip
    assert all(row["kld_mean"] is not None for row in lab.rows())


def test_a_workload_that_a_static_graph_has_no_room_for_is_skipped_with_the_reason(lab: Lab) -> None:
    suite = SUITE.replace("precision: [fp16, int4]", "recipe: INT8_STATIC")
    lab.suite(suite.replace("pp8+tg4", "[pp8+tg4, pp45+tg4]"))
    cells = lab.run("run", "fake.yaml", "--dry-run", "--json").json["cells"]
    reasons = {cell["workload"]: cell["reason"] for cell in cells}
    assert reasons["pp8+tg4"] is None
    assert reasons["pp45+tg4"] == (
        "INT8_STATIC is a graph of static shape for 48 tokens, the workload takes 49"
    )


def test_a_synthetic_model_is_timed_and_never_scored(lab: Lab) -> None:
    lab.suite(MADE)
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    assert {kind for _, kind, *_ in lab.runs()} == {"timed"}
    for row in lab.rows():
        assert row["status"] == "ok"
        assert row["decode_tps"] > 0
        assert row["kld_mean"] is None
        assert row["bits_per_weight"] == pytest.approx({"fp32": 32, "int4": 4}[row["precision"]])


def test_an_artifact_is_checked_even_where_nothing_is_scored(lab: Lab) -> None:
    base = SUITE.replace("precision: [fp16, int4]", "recipe: [INT4, INT4_BROKEN]")
    nothing = "scoring: null\ncheck: {max_kld: {low: 0.9}}\n"
    lab.suite(base.replace("scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}\n", nothing))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    good, broken = lab.rows()
    assert (good["artifact_verdict"], broken["artifact_verdict"]) == ("ok", "broken")
    assert "nats (limit for low precision: 0.9)" in broken["reason"]
    assert broken["decode_tps"] is None
    assert lab.query("SELECT DISTINCT window_tokens, score_from FROM score") == [(256, 0)]
    # Another limit is another verdict, however often the artifact was looked at.
    lab.suite(
        base.replace(
            "scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}\n",
            "scoring: null\ncheck: {max_kld: {low: 50}}\n",
        )
    )
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    assert [(row["status"], row["artifact_verdict"]) for row in lab.rows()] == [("ok", "ok")] * 2


def test_check_null_looks_at_nothing(lab: Lab) -> None:
    scored = "scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}\n"
    lab.suite(SUITE.replace(scored, "scoring: null\ncheck: null\n"))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    assert {kind for _, kind, *_ in lab.runs()} == {"timed"}


def test_an_include_gives_slow_cells_fewer_runs_and_fewer_scored_windows(lab: Lab) -> None:
    lab.suite(SUITE + "include:\n  - {precision: int4, runs: 1, max_windows: 1}\n")
    assert lab.run("run", "fake.yaml").status == 0
    assert [row["runs"] for row in lab.rows()] == [2, 1]
    windows = lab.query(
        "SELECT kind, COUNT(*) FROM score_window JOIN run ON run.key = score_window.run_key "
        "GROUP BY run.key ORDER BY 2, 1"
    )
    assert windows == [("reference", 1), ("score", 1), ("reference", 2), ("score", 2)]
