"""The gate end to end on the scripted framework: sessions, pairs, verdicts, outputs and statuses."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from fake_lab import SUITE, Lab

from harness.backends.fake import Fake
from harness.cli.gate_command import _metrics
from harness.gate.gate import planned
from harness.gate.sides import NAMES, Name, Side
from harness.runner.front import Request

SMALL = (
    SUITE.replace("runs: 2", "runs: 2\nrepetitions: 1\nwarmups: 0")
    .replace("[fp16, int4]", "fp16")
    .replace("pp8+tg4", "pp8+tg1")
)
#: Waits so long that runs differ by little, whatever the machine does beside it: prefill and one token a run.
STEADY = '{"prefill": [{"do": "wait", "seconds": 0.1}], "decode": [{"do": "wait", "seconds": 0.1}]}'
SLOWER = STEADY.replace("0.1}]}", "0.2}]}")


def side(script: str) -> str:
    """The word of a side whose worker does this."""
    return f"option=fake.script={script}"


@pytest.fixture(autouse=True)
def _no_run_is_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine marks runs as suspect: what these count for is tested without one."""
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("ok", []))


@pytest.mark.alone
def test_a_slower_decode_fails_the_gate_and_names_the_metric(lab: Lab) -> None:
    lab.suite(SMALL)
    words = ("--base", side(STEADY), "--head", side(SLOWER), "--max-pairs", "16", "--format", "json", "-q")
    result = lab.run("gate", "fake.yaml", *words, "--write", "junit=gate.xml", "--write", "markdown=gate.md")
    assert result.status == 1, result.err + result.out
    document = result.json
    verdicts = {row["metric"]: row for row in document["verdicts"]}
    assert verdicts["decode_tps"]["verdict"] == "regression"
    assert verdicts["decode_tps"]["ratio"] < 0.85
    assert verdicts["decode_tps"]["fresh"] >= 8
    assert verdicts["prefill_tps"]["verdict"] != "regression"
    assert verdicts["kld_mean"]["verdict"] == "pass"
    assert verdicts["energy_joules_per_decode_token"]["verdict"] == "unmeasured"
    suite = ET.parse(lab.folder / "gate.xml").getroot()
    assert suite.get("failures") == "1"
    assert "regression" in (lab.folder / "gate.md").read_text(encoding="utf-8")
    kept = lab.query("SELECT metric, verdict, ratio, fresh_pairs FROM gate_verdict ORDER BY position")
    assert kept == [
        (row["metric"], row["verdict"], row["ratio"], row["fresh"]) for row in document["verdicts"]
    ]
    base, head = (document["sides"][name]["session"] for name in ("base", "head"))
    for thing in (document["gate"], base, head):
        assert document["summary"] in json.dumps(lab.run("show", thing, "--json").json), thing
    assert lab.run("show", document["gate"]).status == 0
    sessions = lab.query('SELECT suite, "trigger", status FROM session ORDER BY suite')
    assert sessions == [("fake [gate base]", "gate", "ok"), ("fake [gate head]", "gate", "ok")]
    pairs = lab.query(
        "SELECT run_index, count(*), count(DISTINCT seed) FROM run WHERE kind = 'timed' GROUP BY run_index"
    )
    assert all((count, seeds) == (2, 1) for _, count, seeds in pairs), "a pair shares its prompts"
    assert lab.run("run", "fake.yaml", "--resume").status == 2, "a gate's session is no session to resume"


@pytest.mark.alone
def test_the_same_side_twice_does_not_fail(lab: Lab) -> None:
    lab.suite(SMALL)
    words = ("--base", side(STEADY), "--same", "--max-pairs", "8", "--format", "json", "-q")
    result = lab.run("gate", "fake.yaml", *words)
    assert result.status in (0, 3), result.err + result.out
    assert result.json["counts"]["regression"] == 0


def test_a_head_that_crashes_is_missing_and_can_be_allowed(lab: Lab) -> None:
    lab.suite(SMALL)
    crash = json.dumps({"prefill": [{"do": "exit", "code": 3}]})
    words = ("gate", "fake.yaml", "--base", side(STEADY), "--head", side(crash), "--format", "json", "-q")
    result = lab.run(*words)
    assert result.status == 1, result.err
    (row,) = [row for row in result.json["verdicts"] if row["verdict"] == "missing"]
    assert row["metric"] == "cell"
    allowed = lab.run(
        *words, "--allow-missing", *(f"--write={name}=out/{name}" for name in ("junit", "github", "gitlab"))
    )
    assert allowed.status == 0
    suite = ET.parse(lab.folder / "out" / "junit").getroot()
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1"), "what is allowed fails in no output"
    assert "::error" not in (lab.folder / "out" / "github").read_text(encoding="utf-8")
    (issue,) = json.loads((lab.folder / "out" / "gitlab").read_text(encoding="utf-8"))
    assert (issue["severity"], issue["location"]["path"]) == ("minor", "fake.yaml")


def test_two_sides_that_both_crash_are_no_pass(lab: Lab) -> None:
    lab.suite(SMALL.replace("scoring:", "# scoring:"))
    crash = json.dumps({"prefill": [{"do": "exit", "code": 3}]})
    result = lab.run("gate", "fake.yaml", "--base", side(crash), "--same", "--format", "json", "-q")
    words = {row["metric"]: row["verdict"] for row in result.json["verdicts"]}
    assert words["decode_tps"] == "unmeasured"
    assert (result.status == 3) == (set(words.values()) == {"unmeasured"})
    (cell,) = result.json["cells"]
    assert cell["failed"] == {"base": 2, "head": 2}, "more pairs would tell nothing new"


def test_what_keeps_a_gate_from_its_verdict_is_no_regression(lab: Lab) -> None:
    lab.suite(SMALL)
    (lab.folder / "file").write_text("", encoding="utf-8")
    words = ("--base", side(STEADY), "--same", "--with-suspect", "--max-pairs", "8", "-q")
    result = lab.run("gate", "fake.yaml", *words, "--write", "junit=file/gate.xml")
    assert result.status == 2
    assert "cannot be written" in result.err
    assert "decode" in result.out, "the verdict is printed before it is written"


def test_a_wide_margin_is_taken_as_it_is() -> None:
    for percent in (5, 43, 60, 99):
        found = _metrics((f"decode_tps={percent}", f"peak_rss_bytes={percent}"))
        for one in found.values():
            assert 0 < -one.log_margin <= one.log_wanted
        assert found["decode_tps"].margin == percent / 100


def test_a_cell_that_nothing_is_planned_of_is_measured_beside_those_that_are_scored(lab: Lab) -> None:
    """Synthetic weights are not scored: before its first pair such a cell has no run in the plan."""
    text = SMALL.replace("model: tiny", "model: [tiny, synthetic-llama-1b]")
    lab.suite(text)
    words = ("--base", side(STEADY), "--same", "--with-suspect", "--max-pairs", "8", "--format", "json", "-q")
    result = lab.run("gate", "fake.yaml", *words)
    assert result.status in (0, 3), result.err + result.out
    cells = {row["cell"].split()[1]: row for row in result.json["cells"]}
    assert set(cells) == {"tiny", "synthetic-llama-1b"}
    assert all(row["pairs"] >= 6 for row in cells.values()), result.json["verdicts"]


def test_suspect_pairs_decide_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("suspect", ["a hog"]))
    lab.suite(SMALL)
    words = ("gate", "fake.yaml", "--base", side(STEADY), "--head", side(SLOWER), "--max-pairs", "8", "-q")
    result = lab.run(*words)
    assert result.status == 3, result.err
    assert "a hog" in result.out
    assert "left out" in result.out


def test_a_machine_that_spoils_every_pair_is_told_what_harms_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("suspect", ["a hog"]))
    monkeypatch.setattr(
        "harness.gate.gate._advice", lambda: ["the governor is powersave: choose performance"]
    )
    lab.suite(SMALL)
    words = ("--base", side(STEADY), "--same", "--max-pairs", "8", "--format", "json", "-q")
    result = lab.run("gate", "fake.yaml", *words)
    assert result.status == 3, result.err
    assert [cell["pairs"] for cell in result.json["cells"]] == [0], "a pair that was left out is no pair"
    assert result.json["advice"] == ["the governor is powersave: choose performance"]


@pytest.mark.parametrize(("answers", "absent"), [("yn yy", 0), ("ny yy", 0), ("yn yn", 1), ("yy", 0)])
def test_a_device_that_does_not_answer_once_is_asked_again_before_its_cell_is_missing(
    bare_lab: Lab, monkeypatch: pytest.MonkeyPatch, answers: str, absent: int
) -> None:
    bare_lab.suite(SMALL)
    left = list(answers.replace(" ", ""))
    monkeypatch.setattr(Fake, "unavailable", lambda *_: None if left.pop(0) == "y" else "no answer")
    sides: dict[Name, Side] = {name: Side.parse(name, ()) for name in NAMES}
    _, cells = planned(Request("fake.yaml"), sides, bare_lab.cache)
    assert (len(cells.pairs), len(cells.absent), cells.added) == (1 - absent, absent, [])
    assert not left


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "the same"),
        (("--head", "recipe=NONE"), "NONE"),
        (("--head", "recipe=A", "--head", "recipe=B"), "two recipes"),
        (("--head", "option=fake"), "not a framework's option"),
        (("--head", "git=no-such-revision"), "no such revision"),
        (("--head", "fake.whl"), "no file"),
        (("--same", "--head", "recipe=FP32"), "contradict"),
        (("--head", "recipe=FP32", "--margin", "decode_tps=x"), "--margin"),
        (("--head", "recipe=FP32", "--write", "pdf=x"), "--write"),
        (("--head", "artifact="), "names nothing"),
        (("--head", "artifact=abc"), "no such file, and no artifact"),
        (("--head", "artifact=fake.yaml"), "fake.json"),
        (("--head", "artifact=a", "--head", "artifact=b"), "two artifacts"),
        (("--head", "artifact=a", "--head", "recipe=FP32"), "a recipe and an artifact"),
    ],
)
def test_wrong_words_are_told_and_leave_no_session(lab: Lab, words: tuple[str, ...], told: str) -> None:
    lab.suite(SMALL)
    result = lab.run("gate", "fake.yaml", *words)
    assert result.status == 2
    assert told in result.one_message()
    assert not lab.database.exists() or lab.query("SELECT count(*) FROM session") == [(0,)]
