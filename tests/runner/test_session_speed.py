"""A session's speed protocol end to end: repeated runs, warm-up, prompts, tokenizers, threads and depth as axes."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from typing import Any

import pytest
from fake_lab import SUITE, Lab, finish, wait_until

from harness.errors import EdgebenchError
from harness.runner.setup import TokenFile, Workshop

pytestmark = pytest.mark.stocked

ONE = SUITE.replace("[fp16, int4]", "fp16").replace(
    "runs: 2", "{runs}\nrepetitions: 1\nwarmups: 0\nscoring: null\ncheck: null"
)
ONE = ONE[: ONE.index("scoring: {")] + ONE[ONE.index("models:") :]

#: Half the interval of a cell of the scripted framework is never narrower than this.
IMPOSSIBLE = "runs: {auto: {width: 0.0000001, min: 2, max: 4}}"
EASY = "runs: {auto: {width: 100 %, min: 2, max: 9}}"
#: Takes so long that runs differ by little, whatever the machine does beside it.
SLOW = json.dumps({"prefill": [{"do": "wait", "seconds": 0.1}], "decode": [{"do": "wait", "seconds": 0.05}]})


def _suite(runs: str, more: str = "", script: str = "{}") -> str:
    return ONE.replace("{runs}", runs) + f"options: {{fake: {{script: {json.dumps(script)}}}}}\n{more}"


def _stops(lab: Lab) -> list[tuple[Any, ...]]:
    return lab.query("SELECT ended_by, runs, clean_runs, min_runs, max_runs, widths FROM cell_stop")


@pytest.fixture(autouse=True)
def _no_run_is_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine marks runs as suspect: what these count for is tested without one."""
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("ok", []))


def test_a_cell_whose_interval_is_narrow_ends_by_its_width(lab: Lab) -> None:
    lab.suite(_suite(EASY, script=SLOW))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    ((ended_by, runs, clean, least, most, widths),) = _stops(lab)
    assert (ended_by, least, most) == ("width", 2, 9)
    assert runs == clean == len(lab.runs())
    assert set(json.loads(widths)) == {"prefill_tps", "decode_tps"}
    (row,) = lab.rows()
    assert (row["stopped_by"], row["runs"], row["flags"]) == ("width", runs, [])


def test_a_cell_that_never_gets_narrow_ends_by_its_cap_and_says_so(lab: Lab) -> None:
    lab.suite(_suite(IMPOSSIBLE))
    result = lab.run("run", "fake.yaml")
    assert result.status == 0, result.err
    assert result.err.count("another round: 1 cell not narrow enough") == 2
    assert "[4/4]" in result.err
    ((ended_by, runs, clean, *_),) = _stops(lab)
    assert (ended_by, runs, clean) == ("cap", 4, 4)
    (row,) = lab.rows()
    assert row["stopped_by"] == "cap"
    (flag,) = row["flags"]
    assert re.fullmatch(
        r"stopped at the cap of 4 runs, not within ±1e-05 %: prefill_tps ±[\d.]+ %, decode_tps ±[\d.]+ %",
        flag,
    )
    shown = lab.run("show", "--json").json
    assert (shown["cells"][0]["stop"]["ended_by"], shown["missing"], shown["not_stopped"]) == ("cap", 0, [])
    planned = lab.query("SELECT position, run_index, seed FROM planned_run ORDER BY position")
    assert [(position, index) for position, index, _ in planned] == [(i, i) for i in range(4)]
    assert len({seed for _, _, seed in planned}) == 4, "every run has prompts of its own"


def test_suspect_runs_count_towards_the_cap_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runner.record.verdict", lambda _window, **_: ("suspect", ["a hog"]))
    lab.suite(_suite(EASY.replace("9", "3"), script=SLOW))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    assert _stops(lab) == [("cap", 3, 0, 2, 3, "{}")]


def test_a_cell_that_fails_is_not_repeated_until_the_cap(lab: Lab) -> None:
    script = json.dumps({"prefill": [{"do": "raise", "message": "broken"}]})
    lab.suite(_suite(EASY, script=script))
    assert lab.run("run", "fake.yaml", "-q").status == 1
    assert _stops(lab) == [("failed", 2, 0, 2, 9, "{}")]


def test_rounds_hold_the_cells_that_go_on_and_no_others(lab: Lab) -> None:
    text = _suite(IMPOSSIBLE).replace("workload: pp8+tg4", "workload: [pp8+tg4, pp8+tg2]")
    lab.suite(text + "include:\n  - {workload: pp8+tg2, runs: 3}\n")
    assert lab.run("run", "fake.yaml", "-q").status == 0
    by_cell: dict[str, int] = {}
    for cell, *_ in lab.runs():
        by_cell[cell] = by_cell.get(cell, 0) + 1
    assert sorted(by_cell.values()) == [3, 4]
    assert len(_stops(lab)) == 1, "a fixed number of runs has no stop"
    assert sorted(str(row["stopped_by"]) for row in lab.rows()) == ["None", "cap"]


def test_runs_auto_may_be_asked_for_on_the_command_line(lab: Lab) -> None:
    lab.suite(_suite("runs: 2"))
    planned = lab.run("run", "fake.yaml", "--runs", "auto", "--dry-run", "--json")
    assert planned.json["runs"] == {"auto": {"width": 0.02, "min": 6, "max": 30}}
    assert "at least 6 timed runs" in lab.run("run", "fake.yaml", "--runs", "auto", "--dry-run").out
    lab.suite(_suite(IMPOSSIBLE))
    assert (
        lab.run("run", "fake.yaml", "--runs", "auto", "--dry-run", "--json").json["runs"]["auto"]["max"] == 4
    )
    assert "not from 1 to" not in lab.run("run", "fake.yaml", "--runs", "3", "--dry-run").err
    assert "auto" in lab.run("run", "--help").out
    for word in ("many", "0"):
        refused = lab.run("run", "fake.yaml", "--runs", word)
        assert refused.status == 2
        assert f"Invalid value for '--runs': {word!r}".replace("'0'", "0") in refused.err


def test_an_interrupted_repeating_is_resumed_where_it_stood(lab: Lab) -> None:
    """Ended between two rounds too: then nothing that is planned is missing, and yet the session is not complete."""
    lab.suite(_suite(IMPOSSIBLE.replace("max: 4", "max: 6"), script=SLOW))
    process = lab.start("run", "fake.yaml", "-q")
    wait_until(lambda: len(lab.runs()) >= 3, "a run of the second round")
    process.send_signal(signal.SIGINT)
    assert finish(process).status == 130
    before = lab.runs()
    assert 3 <= len(before) < 6
    again = lab.run("run", "fake.yaml", "--resume", "-q")
    assert again.status == 0, again.err
    assert lab.runs()[: len(before)] == before
    assert [run[2] for run in lab.runs() if run[4] == "ok"] == list(range(6))
    assert [stop[:2] for stop in _stops(lab)] == [("cap", 6)]
    assert "nothing to resume" in lab.run("run", "fake.yaml", "--resume", "-q").err


def test_what_was_killed_between_rounds_goes_on(lab: Lab) -> None:
    """All that was planned is stored, the stop is not."""
    lab.suite(_suite(IMPOSSIBLE))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    with sqlite3.connect(lab.database) as connection:
        connection.execute("DELETE FROM cell_stop")
        connection.execute("DELETE FROM trace WHERE run_key IN (SELECT key FROM run WHERE run_index > 1)")
        for name in ("sample", "memory_reading", "energy_reading"):
            connection.execute(
                f"DELETE FROM {name} WHERE run_key IN (SELECT key FROM run WHERE run_index > 1)"
            )
        connection.execute("DELETE FROM run WHERE run_index > 1")
        connection.execute("DELETE FROM planned_run WHERE run_index > 1")
    connection.close()
    assert len(lab.run("show", "--json").json["not_stopped"]) == 1
    assert lab.run("run", "fake.yaml", "--resume", "-q").status == 0
    assert [run[2] for run in lab.runs()] == [0, 1, 2, 3]
    assert [stop[:2] for stop in _stops(lab)] == [("cap", 4)]


# -- what a run stores -------------------------------------------------------------------------------------------------


def _shown(lab: Lab) -> list[dict[str, Any]]:
    ids = [run for (run,) in lab.query("SELECT id FROM run WHERE kind = 'timed' ORDER BY key")]
    return [lab.run("show", run, "--json").json for run in ids]


def test_warm_up_by_rule_is_stored_with_what_ended_it(lab: Lab) -> None:
    text = _suite("runs: 1").replace("warmups: 0", "warmups: {auto: {max: 4, change: 100 %}}")
    lab.suite(text)
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (run,) = _shown(lab)
    warmup = run["details"]["warmup"]
    passes = {sample["repetition"] for sample in run["samples"] if sample["warmup"]}
    assert warmup["passes"] == len(passes) <= 4
    assert warmup["ended_by"] in ("stable", "passes")


def test_a_run_that_was_not_warm_in_time_is_told_in_its_row(lab: Lab) -> None:
    seconds = [0.2, 0.1, 0.05, 0.02]
    script = json.dumps({"prefill": [{"do": "wait", "seconds": seconds}]})
    text = _suite("runs: 1", script=script).replace("warmups: 0", "warmups: {auto: {max: 3, change: 10 %}}")
    lab.suite(text)
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (row,) = lab.rows()
    (flag,) = row["flags"]
    assert flag.startswith("1 of 1 runs not stable after 3 warm-up passes (the last ")


def test_tokenizing_detokenizing_and_sampling_have_figures_of_their_own(lab: Lab) -> None:
    lab.suite(_suite("runs: 1"))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (row,) = lab.rows()
    for name in ("tokenize_tps", "detokenize_tps", "sampling_s_per_token"):
        assert row[name] > 0, name
    (run,) = _shown(lab)
    values = {sample["metric"]: sample["value"] for sample in run["samples"]}
    assert row["tokenize_tps"] == pytest.approx(values["text_tokens"] / values["tokenize_s"])
    assert row["sampling_s_per_token"] == pytest.approx(values["sampling_s"] / 5)
    assert run["details"]["text"]["round_trip"] is True


def test_a_framework_without_a_tokenizer_has_a_hole_with_its_reason(lab: Lab) -> None:
    script = json.dumps(
        {"tokenizer": [{"do": "raise", "type": "Unsupported", "message": "none in this artifact"}]}
    )
    lab.suite(_suite("runs: 1", script=script))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (row,) = lab.rows()
    assert (row["status"], row["tokenize_tps"], row["detokenize_tps"]) == ("ok", None, None)
    table = lab.run("table", "--columns", "tokenize_tps,decode_tps").out
    assert "none in this artifact" in table


def test_the_frameworks_own_counters_stand_beside_ours(lab: Lab) -> None:
    lab.suite(_suite("runs: 1", script=SLOW))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (run,) = _shown(lab)
    compared = {one["metric"]: one for one in run["counters"]}
    assert set(compared) == {"prefill_s", "decode_s"}
    for one in compared.values():
        assert -50 < one["difference_percent"] <= 0, "the framework's clock is inside of ours"
    text = lab.run("show", run["id"]).out
    assert "counters (2)" in text
    assert "difference_percent" in text


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_prompts_of_text_are_cut_from_the_calibration_text_and_are_a_cell_of_their_own(lab: Lab) -> None:
    (lab.folder / "own.txt").write_text("calibrating with these words. " * 20, encoding="utf-8")
    text = _suite("runs: 1").replace("workload: pp8+tg4", "workload: [pp8+tg4, pp8+tg4@text]")
    lab.suite(text + "calibration: own.txt\n")
    result = lab.run("run", "fake.yaml", "-q")
    assert result.status == 0, result.err
    runs = {run["details"]["prompt"]["kind"]: run for run in _shown(lab)}
    assert set(runs) == {"random", "text"}
    assert runs["text"]["details"]["prompt"]["text"] == "own.txt"
    assert runs["text"]["cell_id"] != runs["random"]["cell_id"]
    assert [row["workload"] for row in lab.rows()] == ["pp8+tg4", "pp8+tg4@text"]


def test_a_suites_prompt_is_that_of_all_its_cells(lab: Lab) -> None:
    lab.suite(_suite("runs: 1", "prompt: text\n"))
    (cell,) = lab.run("run", "fake.yaml", "--dry-run", "--json").json["cells"]
    lab.suite(_suite("runs: 1").replace("workload: pp8+tg4", "workload: pp8+tg4@text"))
    (other,) = lab.run("run", "fake.yaml", "--dry-run", "--json").json["cells"]
    assert cell["workload"] == other["workload"] == "pp8+tg4@text"
    assert cell["id"] == other["id"]


def test_a_text_that_cannot_be_tokenised_fails_the_cell_before_anything_is_timed(lab: Lab) -> None:
    lab.suite(_suite(EASY, "prompt: text\n"))
    lab.script({"tokenize": [{"do": "raise", "message": "no vocabulary"}]})
    assert lab.run("run", "fake.yaml", "-q").status == 1
    (run,) = lab.query("SELECT status, phase, reason FROM run")
    assert run[:2] == ("failed", "set-up")
    assert "no vocabulary" in run[2]
    lab.script(None)
    assert lab.run("run", "fake.yaml", "--resume", "-q").status == 0
    assert [stop[0] for stop in _stops(lab)] == ["width"]


def test_prompts_that_are_gone_when_a_run_comes_fail_that_run_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were there at the set-up: a cache that somebody emptied meanwhile ends no session."""
    lab.suite(_suite("runs: 2", "prompt: text\n"))
    there = Workshop.prompt_tokens
    asked: list[str] = []

    def prompt_tokens(workshop: Workshop, model: str) -> TokenFile:
        asked.append(model)
        if len(asked) == 2:  # the first is the set-up's
            raise EdgebenchError("the tokens are gone", next_step="run it again")
        return there(workshop, model)

    monkeypatch.setattr(Workshop, "prompt_tokens", prompt_tokens)
    result = lab.run("run", "fake.yaml", "-q")
    assert result.status == 1
    assert "the tokens are gone" in result.err
    assert lab.query("SELECT run_index, status, phase FROM run WHERE kind = 'timed' ORDER BY key") == [
        (0, "failed", "set-up"),
        (1, "ok", None),
    ]
    assert lab.run("run", "fake.yaml", "--resume", "-q").status == 0
    assert lab.query("SELECT count(*) FROM run WHERE kind = 'timed' AND status = 'ok'") == [(2,)]


# -- axes of the workload ----------------------------------------------------------------------------------------------


def test_threads_and_depth_are_axes_that_are_read_back(lab: Lab) -> None:
    axes = "workload: [pp8+tg4@t1, pp8+tg4@t2, pp8+tg4@d16@t2]"
    lab.suite(_suite("runs: 1").replace("workload: pp8+tg4", axes))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    found = lab.query(
        "SELECT c.workload, c.depth, r.threads, r.kv_cache_bytes, r.validity FROM run r "
        "JOIN cell c ON c.id = r.cell_id ORDER BY c.workload"
    )
    assert found == [
        ("pp8+tg4@d16@t2", 16, 2, 8 * 28, "ok"),
        ("pp8+tg4@t1", 0, 1, 8 * 12, "ok"),
        ("pp8+tg4@t2", 0, 2, 8 * 12, "ok"),
    ]
    assert len(lab.rows()) == 3, "rows of several numbers of threads are not pooled"


def test_other_threads_than_asked_for_make_a_run_suspect(lab: Lab) -> None:
    script = json.dumps({"load": [{"do": "threads", "threads": 7}]})
    lab.suite(_suite("runs: 1", script=script).replace("workload: pp8+tg4", "workload: pp8+tg4@t2"))
    assert lab.run("run", "fake.yaml", "-q").status == 0
    (row,) = lab.rows()
    assert (row["validity"], row["flags"]) == ("suspect", ["2 threads were asked for, 7 are in force"])
