"""What goes wrong in one cell stays in that cell: it is a row with its reason, and the session goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from fake_lab import SUITE, Lab

from harness.paths import data_dir

pytestmark = pytest.mark.stocked


def scripted_suite(script: Mapping[str, Any], settings: str = "") -> str:
    """Two cells, the second of which does what the script says."""
    option = json.dumps(json.dumps(script))
    lines = f"include:\n  - {{precision: int4, options: {{fake: {{script: {option}}}}}}}\n{settings}"
    return SUITE.replace("runs: 2\n", f"runs: 1\n{lines}")


GARBAGE = [{"do": "print", "text": "GARBAGE\\x00{]}", "fd": True}]

#: name -> script, settings of the cell, status of its row, part of its reason.
ENDS: dict[str, tuple[dict[str, Any], str, str, str | None]] = {
    "crash": ({"decode": [{"do": "crash", "how": "segv"}]}, "", "failed", "SIGSEGV"),
    "hang": ({"decode": [{"do": "hang"}]}, ", timeout: 5s", "timeout", "time-out of 5 s"),
    "oom": (
        {"decode": [{"do": "allocate", "bytes": 2_000_000_000}]},
        ", memory_limit: 300MB",
        "oom",
        "its limit is 300000000 bytes",
    ),
    "raise": ({"prefill": [{"do": "raise", "message": "no such kernel"}]}, "", "failed", "no such kernel"),
    "pipe": ({"decode": [{"do": "pipe", "text": "not a message\n"}]}, "", "failed", "not a message"),
    "unsupported": (
        {"load": [{"do": "raise", "type": "Unsupported", "message": "this model has no such layer here"}]},
        "",
        "skipped",
        "this model has no such layer here",
    ),
    "garbage": ({"load": GARBAGE, "decode": GARBAGE}, "", "ok", None),
}


def test_a_run_that_fails_is_a_row_with_its_reason_and_the_others_go_on(lab: Lab) -> None:
    entries = "".join(
        f"  - {{precision: int4, options: {{fake: {{script: {json.dumps(json.dumps(script))}}}}}{settings}}}\n"
        for script, settings, _, _ in ENDS.values()
    )
    suite = SUITE.replace("[fp16, int4]", "fp16").replace("runs: 2\n", f"runs: 1\ninclude:\n{entries}")
    lab.suite(re.sub("scoring: .*", "scoring: null", suite))
    result = lab.run("run", "fake.yaml")
    assert result.status == 1
    assert result.err.count("failed: fake-tiny-int4") == 5
    good, *rows = lab.rows()
    assert (good["status"], good["runs"]) == ("ok", 1)
    for (name, (_, _, status, reason)), row in zip(ENDS.items(), rows, strict=True):
        assert row["status"] == status, f"{name}: {row['reason']}"
        assert row["reason"] == reason or (reason or "") in row["reason"]
        assert (row["decode_tps"] is not None) == (status == "ok")
    assert any("GARBAGE" in log.read_text(errors="replace") for log in lab.cache.rglob("*.log"))
    # A failure of the measurement is a result: it is not repeated unasked.
    assert "nothing to resume" in lab.run("run", "fake.yaml", "--resume").err


def test_a_broken_artifact_is_found_by_scoring_and_not_timed(lab: Lab) -> None:
    suite = SUITE.replace("precision: [fp16, int4]", "recipe: [FP16, INT4_BROKEN]")
    lab.suite(suite.replace("runs: 2", "runs: 1"))
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    good, bad = lab.rows()
    assert (good["status"], good["artifact_verdict"]) == ("ok", "ok")
    assert (bad["status"], bad["artifact_verdict"]) == ("skipped", "broken")
    assert bad["reason"].startswith("not timed: the artifact is broken: ")
    assert bad["perplexity_ratio"] > 10
    assert bad["decode_tps"] is None
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'timed' AND status = 'skipped'") == [(1,)]


def test_a_scoring_run_that_fails_leaves_its_cell_failed_and_timed(lab: Lab) -> None:
    lab.suite(scripted_suite({"logits": [{"do": "crash", "how": "abort"}]}))
    assert lab.run("run", "fake.yaml").status == 1
    good, bad = lab.rows()
    assert good["status"] == "ok"
    assert bad["status"] == "failed"
    assert bad["reason"].startswith("scoring: ")
    assert bad["decode_tps"] > 0
    assert bad["kld_mean"] is None


def test_an_artifact_with_another_tokenizer_is_not_scored_and_the_first_token_is_named(lab: Lab) -> None:
    lab.suite(scripted_suite({"tokenizer": [{"do": "other", "of": ord("e"), "is": ord("f")}]}))
    assert lab.run("run", "fake.yaml").status == 1
    first = (data_dir("suites") / "text" / "scoring.txt").read_text(encoding="utf-8").index("e")
    good, bad = lab.rows()
    assert good["status"] == "ok"
    assert bad["status"] == "failed"
    assert f"token {first} of the text is 102 for it and 101 for the model" in bad["reason"]
    assert bad["decode_tps"] > 0
    assert bad["kld_mean"] is None
    ((details,),) = lab.query(
        "SELECT s.details FROM score s JOIN run r ON r.key = s.run_key WHERE r.kind = 'score'"
    )
    assert json.loads(details)["own_tokens_compared"] > 1000


@pytest.mark.parametrize("window", [0, 1])
def test_an_artifact_whose_logits_are_no_numbers_is_broken_with_the_first_position(
    lab: Lab, window: int
) -> None:
    lab.suite(scripted_suite({"logits": [{"do": "nan", "positions": [40, 50], "at": window}]}))
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    good, bad = lab.rows()
    assert (good["status"], good["artifact_verdict"]) == ("ok", "ok")
    assert (bad["status"], bad["artifact_verdict"]) == ("skipped", "broken")
    assert bad["reason"] == (
        "not timed: the artifact is broken: some logits are not finite numbers, first at token 40 of window "
        f"{window}"
    )


@pytest.mark.stocked(False)
def test_an_artifact_that_cannot_be_made_fails_its_cells_once_and_resume_tries_again(lab: Lab) -> None:
    # The reference and the half precision are made first; only the third conversion fails.
    assert lab.run("run", "fake.yaml", "-k", "fp16", "--runs", "1").status == 0
    lab.script({"make": [{"do": "raise", "message": "tool is out of order"}]})
    result = lab.run("run", "fake.yaml")
    assert result.status == 1
    assert result.err.count("tool is out of order") == 2  # once where it happened, once at the end
    assert "next: see" in result.err
    good, bad = lab.rows()
    assert (good["status"], good["runs"]) == ("ok", 2)
    assert bad["status"] == "failed"
    assert bad["reason"].startswith("set-up failed: ")
    assert "tool is out of order" in bad["reason"]
    assert lab.query("SELECT kind, phase, attempt FROM run WHERE status = 'failed'") == [
        ("timed", "set-up", 1)
    ]

    again = lab.run("run", "fake.yaml", "--resume")  # still out of order
    assert again.status == 1
    lab.script(None)
    stored = len(lab.runs())
    assert lab.run("run", "fake.yaml", "--resume").status == 0
    assert [row["status"] for row in lab.rows()] == ["ok", "ok"]
    added = lab.runs()[stored:]
    assert [(kind, index, attempt, status) for _, kind, index, attempt, status in added] == [
        ("score", 0, 1, "ok"),
        ("timed", 0, 3, "ok"),
        ("timed", 1, 1, "ok"),
    ]
    assert "nothing to resume" in lab.run("run", "fake.yaml", "--resume").err


@pytest.mark.parametrize("stage", ["tokenize", "logits"])
def test_without_a_quality_reference_cells_are_timed_and_resume_scores_them(lab: Lab, stage: str) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1"))
    lab.script({stage: [{"do": "raise", "message": "no words"}]})
    result = lab.run("run", "fake.yaml")
    assert result.status == 1
    assert "Traceback" not in result.err
    for row in lab.rows():
        assert row["status"] == "failed"
        assert "no quality reference" in row["reason"]
        assert "no words" in row["reason"]
        assert row["decode_tps"] > 0
    # The reference was tried once, not once for every artifact.
    assert len([run for run in lab.runs() if run[1] == "reference"]) <= 1
    lab.script(None)
    before = len(lab.runs())
    assert lab.run("run", "fake.yaml", "--resume").status == 0
    assert [run[1] for run in lab.runs()[before:]] == ["reference", "score", "score"]
    assert all(row["status"] == "ok" and row["kld_mean"] is not None for row in lab.rows())


@pytest.mark.stocked(False)
def test_a_damaged_artifact_is_noticed_and_made_again(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1"))
    assert lab.run("run", "fake.yaml", "-k", "fp16").status == 0
    weights = max(lab.cache.glob("artifacts/objects/*/weights.bin"), key=lambda path: path.stat().st_size)
    whole = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(b"\x01" + whole[1:])
    result = lab.run("run", "fake.yaml", "-k", "fp16")
    assert result.status == 0, result.err
    assert "warning: the cached fake" in result.err
    assert "is damaged" in result.err
    assert weights.read_bytes() == whole
