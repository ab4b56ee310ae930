"""Scoring through a whole session: what is stored of positions, texts of one's own, the exact reference, bad texts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from fake_lab import SUITE, Lab

from harness.errors import UsageError
from harness.model.vocabulary import Vocabulary
from harness.paths import data_dir
from harness.runner import setup
from harness.worker.scoring import POSITION

pytestmark = pytest.mark.stocked

DETAILS = (
    "bits_per_byte",
    "kld_median",
    "kld_p99",
    "kld_p999",
    "kld_max",
    "delta_p_rms",
    "delta_p_p1",
    "delta_p_p99",
)


def test_every_position_is_kept_and_gives_the_sums_and_percentiles(lab: Lab) -> None:
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    packed = lab.query(
        "SELECT s.run_key, p.data, w.positions, w.nll_sum, w.kld_sum, w.bytes, s.kld_p99, s.method FROM score s "
        "JOIN score_window w USING (run_key) JOIN score_positions p USING (run_key, window_index) "
        "WHERE s.reference_run_key IS NOT NULL"
    )
    assert len(packed) == 4, "two artifacts, two windows"
    for _, data, positions, nll_sum, kld_sum, size, p99, method in packed:
        found = np.frombuffer(data, dtype=POSITION)
        assert len(found) == positions == size, "the scripted framework's tokens are bytes"
        assert found["nll"].sum(dtype=np.float64) == pytest.approx(nll_sum, rel=1e-5)
        assert found["kld"].sum(dtype=np.float64) == pytest.approx(kld_sum, rel=1e-5)
        assert found["kld"].min() <= p99
        assert method == "sketch-1"
    for row in lab.rows():
        for key in DETAILS:
            assert math.isfinite(row[key]), key
        assert row["bits_per_byte"] == pytest.approx(math.log2(row["perplexity"]), rel=1e-6), (
            "a token is a byte"
        )
        assert row["kld_median"] <= row["kld_p99"] <= row["kld_p999"] <= row["kld_max"]
        for key in ("kld_p99", "bits_per_byte", "delta_p_rms"):
            low, high = row["intervals"][key]
            assert low <= row[key] <= high
    assert not list(lab.cache.glob("scoring-*")), "nothing is left of the work"


def test_show_prints_the_passages_where_an_artifact_diverges_most(lab: Lab) -> None:
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    ((artifact,),) = lab.query("SELECT artifact_id FROM lineage WHERE recipe = 'INT4'")
    shown = lab.run("show", artifact).out
    assert "where it diverges most, in scoring.txt" in shown
    assert "the reference expected [" in shown
    passages = lab.run("show", artifact, "--json").json["passages"]
    means = [one["kld_mean"] for one in passages]
    assert means == sorted(means, reverse=True)
    assert len(passages) > 1


def test_the_exact_reference_gives_the_same_within_the_sketchs_bound(lab: Lab) -> None:
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    sketched = {row["precision"]: row["kld_mean"] for row in lab.rows()}
    lab.suite(SUITE.replace("scoring: {", "scoring: {exact: true, "))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    for row in lab.rows():
        assert row["kld_mean"] == pytest.approx(sketched[row["precision"]], rel=0.02, abs=1e-4)
    kinds = sorted(path.suffix for path in lab.cache.glob("references/*") if path.suffix != ".lock")
    assert kinds == [".npy", ".sketch"]


def test_a_text_and_windows_of_ones_own_replace_the_suites_and_survive_a_resume(lab: Lab) -> None:
    text = lab.folder / "own.txt"
    text.write_text("A text of one's own, long enough for some windows of thirty-two. " * 4, encoding="utf-8")
    words = ("--corpus", "own.txt", "--window", "32", "--max-windows", "3")
    assert lab.run("run", "fake.yaml", "--runs", "1", *words).status == 0
    stored = lab.query("SELECT DISTINCT corpus, window_tokens, stride_tokens, score_from FROM score")
    assert stored == [("own.txt", 32, 32, 16)]
    assert lab.query("SELECT count(*) FROM score_window") == [(9,)], "two artifacts and the reference"
    ((settings,),) = lab.query("SELECT settings FROM session")
    assert json.loads(settings)["scoring"] == {"corpus": str(text), "window": 32, "max_windows": 3}
    refused = lab.run("run", "fake.yaml", "--resume", "--window", "64")
    assert "goes on with a session as it was planned" in refused.one_message()


def test_a_suite_that_scores_nothing_scores_a_text_that_is_asked_for(lab: Lab) -> None:
    lab.suite(
        SUITE.replace("scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}", "scoring: null")
    )
    (lab.folder / "own.txt").write_text("x" * 600, encoding="utf-8")
    assert lab.run("run", "fake.yaml", "--runs", "1", "--corpus", "own.txt").status == 0
    assert lab.query("SELECT DISTINCT window_tokens, score_from FROM score") == [(512, 256)]


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", ("--corpus", "own.txt"), "is empty"),
        ("  \n", ("--corpus", "own.txt"), "is empty"),
        ("short", ("--corpus", "own.txt"), "the text has 5 tokens, a window needs 64"),
        ("fine " * 99, ("--corpus", "missing.txt"), "does not exist"),
        ("fine " * 99, ("--corpus", "own.txt", "--window", "3"), "3 is not in the range"),
    ],
)
def test_a_text_that_cannot_be_scored_says_why(
    lab: Lab, content: str, words: tuple[str, ...], message: str
) -> None:
    (lab.folder / "own.txt").write_text(content, encoding="utf-8")
    result = lab.run("run", "fake.yaml", "--runs", "1", *words)
    assert result.status in (1, 2)
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_data_set_that_recipes_are_calibrated_with_is_not_scored_and_the_runs_go_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = lab.folder / "rows.txt"
    shipped = (data_dir("suites") / "text" / "calibration.txt").read_text(encoding="utf-8")
    text.write_text(" ".join(shipped.split()[500:1000]) + "\n", encoding="utf-8")
    monkeypatch.setattr(setup, "dataset_corpus", lambda *_: text)
    lab.suite(SUITE.replace("scoring: {", "scoring: {corpus: {dataset: some/rows}, "))
    result = lab.run("run", "fake.yaml", "--runs", "1")
    assert result.status == 1
    assert "the data set some/rows would be both scored and calibrated with: 100.0 %" in result.err
    assert "such as" in result.err
    for row in lab.rows():
        assert row["decode_tps"] > 0
        assert row["kld_mean"] is None


def test_a_vocabulary_that_cannot_be_read_fails_the_scores_and_the_runs_go_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> None:
        raise UsageError(f"{path} is not a GGUF file that can be used", next_step="convert it again")

    monkeypatch.setattr(setup, "read_vocabulary", read)
    result = lab.run("run", "fake.yaml", "--runs", "1")
    assert result.status == 1
    assert "is not a GGUF file that can be used" in result.err
    kinds = [(kind, status) for _, kind, _, _, status in lab.runs()]
    assert kinds.count(("score", "failed")) == 2
    assert kinds.count(("timed", "ok")) == 2
    assert ("reference", "ok") not in kinds


def test_tokens_that_the_file_does_not_list_cost_bytes_and_passages_only(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "read_vocabulary", lambda _: Vocabulary((b"a", b"b")))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    for row in lab.rows():
        assert row["bits_per_byte"] is None
        assert row["kld_mean"] is not None


def test_what_the_windows_would_have_shown_stands_beside_the_divergence(lab: Lab) -> None:
    lab.suite(SUITE.replace("max_windows: 2", "max_windows: 6"))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    half, low = lab.rows()
    assert 0 < half["kld_detectable"] < low["kld_detectable"] < low["kld_mean"]
    assert 1 < half["perplexity_ratio_detectable"] < low["perplexity_ratio_detectable"]
    runs = lab.query("SELECT id FROM run WHERE kind = 'score' ORDER BY key")
    for row, (run_id,) in zip((half, low), runs, strict=True):
        shown = {one["metric"]: one for one in lab.run("show", run_id, "--json").json["quality"]}
        assert shown["kld_detectable"]["value"] == row["kld_detectable"]
        assert shown["kld_mean"]["interval"] == row["intervals"]["kld_mean"]
        for name, one in shown.items():
            if not name.endswith("_detectable"):
                assert one["standard_error"] >= 0, name
                assert one["why_not"] is None
        assert shown["kld_max"]["interval"] is None
    assert "perplexity_ratio_detectable" in lab.run("show", run_id).out


def test_one_window_shows_nothing_and_says_so(lab: Lab) -> None:
    lab.suite(SUITE.replace("max_windows: 2", "max_windows: 1"))
    assert lab.run("run", "fake.yaml", "--runs", "1").status == 0
    row = lab.rows()[0]
    assert row["kld_mean"] is not None
    assert (row["kld_detectable"], row["perplexity_ratio_detectable"]) == (None, None)
    ((run_id,),) = lab.query("SELECT id FROM run WHERE kind = 'score' ORDER BY key LIMIT 1")
    for one in lab.run("show", run_id, "--json").json["quality"]:
        assert one["standard_error"] is None
        assert "one window" in one["why_not"], one["metric"]
