"""Tasks in a session: what is run, found again, refused and shown. lm-eval itself is in tests/evaluation."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_lab import SUITE, Lab

import harness
from harness.environment import Environment
from harness.errors import EdgebenchError
from harness.runner import examine, tasks
from harness.runner.launch import Launch
from harness.runner.setup import Workshop

pytestmark = pytest.mark.stocked

TASKS = "tasks: {names: [even], limit: 3, num_fewshot: 0}\n"
SCRIPTED = SUITE.replace("runs: 2\n", "runs: 1\n").replace("pp8+tg4", "[pp8+tg4, pp4+tg2]") + TASKS
#: One workload, and nothing but tasks to tell its artifacts apart.
UNSCORED = SCRIPTED.replace("[pp8+tg4, pp4+tg2]", "pp8+tg4").replace(
    "scoring: {", "scoring: null\ncheck: null\nx-scoring: {"
)


@pytest.fixture
def scripted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in which a small program stands in lm-eval's place, in the scripted framework's environment."""

    def launch(program: str, python: Path, env: Mapping[str, str]) -> Launch:
        assert program == "harness.evaluation.program"
        env = {**env, "EDGEBENCH_TEST_ITEMS": os.environ.get("EDGEBENCH_TEST_ITEMS", "first")}
        packages = {
            "harness": Path(harness.__file__).parent,
            "scripted_evaluator": Path(__file__).with_name("scripted_evaluator.py"),
        }
        return Launch(python, "none:None", packages, dict(env), "scripted_evaluator")

    def tool(workshop: Workshop, _: object) -> Environment:
        return workshop.environment("fake")

    monkeypatch.setattr(tasks, "launch_of_tool", launch)
    monkeypatch.setattr(Workshop, "tool", tool)
    lab.suite(UNSCORED)
    return lab


def kinds(lab: Lab) -> list[tuple[str, str]]:
    """(kind, status) of every stored run, in order."""
    return [(kind, status) for _, kind, _, _, status in lab.runs()]


def test_an_artifact_is_evaluated_once_beside_the_reference_and_stands_for_its_workloads(
    scripted: Lab,
) -> None:
    scripted.suite(SCRIPTED)
    result = scripted.run("run", "fake.yaml", "--json")
    assert result.status == 0, result.err
    # The reference and two artifacts; four cells.
    assert kinds(scripted).count(("tasks", "ok")) == 3
    for row in result.json["rows"]:
        (task,) = row["tasks"]
        assert (task["task"], task["metric"], task["n"], task["limit"]) == ("even", "acc", 3, 3)
        assert (task["version"], task["num_fewshot"], task["chat_template"]) == ("1", 0, False)
        # The scripted model finds a space likelier than a rare letter, whatever its weights' width.
        assert (task["value"], task["reference_value"], task["flips"], task["mcnemar_p"]) == (1, 1, 0, 1)
    assert scripted.query("SELECT count(*) FROM session_evaluation") == [(4,)]
    assert scripted.query("SELECT count(*) FROM task_item") == [(9,)]
    # Of 40 tokens, each of them one byte, in chunks; the scripted model ends none earlier.
    assert {len(row[0]) for row in scripted.query("SELECT text FROM task_answer")} == {40}
    shown = scripted.run("table").out
    assert "even acc (version 1, 3 items, 0-shot; quality reference 1)" in shown


def test_texts_that_are_generated_together_are_those_that_come_one_by_one(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    at_once = examine._Router._at_once

    def counted(router: Any, prompts: Sequence[Mapping[str, Any]]) -> list[str]:
        groups.append(len(prompts))
        return at_once(router, prompts)

    monkeypatch.setattr(examine._Router, "_at_once", counted)
    # Of 120 tokens the longest question needs 57: two sequences share them, and four do not.
    scripted.suite(
        UNSCORED.replace("names: [even]", "names: [ragged]").replace("limit: 3", "context_tokens: 120")
    )
    assert scripted.run("run", "fake.yaml").status == 0
    assert groups == [2, 2] * 3
    monkeypatch.setattr(tasks, "MOST_TOGETHER", 1)
    assert scripted.run("run", "fake.yaml").status == 0
    assert groups == [2, 2] * 3
    assert kinds(scripted).count(("tasks", "ok")) == 6, "another way to generate is another evaluation"
    found = scripted.query(
        "SELECT count(*), count(DISTINCT text), max(length(text)) FROM task_answer "
        "JOIN run ON run.key = task_answer.run_key GROUP BY run.cell_id, item ORDER BY item"
    )
    assert {(times, different) for times, different, _ in found} == {(2, 1)}
    lengths = [length for _, _, length in found]
    assert lengths[:3] == [17] * 3
    assert lengths[6:9] == [1] * 3
    assert lengths[9:] == [33] * 3
    assert max(lengths[3:6]) < 40, "a stop ended it"


@pytest.mark.parametrize(
    ("needs", "most", "number"),
    [([10] * 9, 8, 8), ([10] * 9, 6, 4), ([10] * 3, 8, 4), ([10], 8, 1), ([10, 60], 8, 1), ([50, 10], 8, 2),
     ([100], 8, 1), ([10] * 9, 1, 1), ([25] * 9, 8, 4)],
)  # fmt: skip
def test_so_many_sequences_share_the_room_of_one(needs: list[int], most: int, number: int) -> None:
    assert examine.room_for(needs, 100, most) == number


def test_a_second_session_finds_everything_evaluated(scripted: Lab) -> None:
    assert scripted.run("run", "fake.yaml").status == 0
    before = kinds(scripted).count(("tasks", "ok"))
    again = scripted.run("run", "fake.yaml", "--json")
    assert again.status == 0
    assert kinds(scripted).count(("tasks", "ok")) == before
    assert all(row["tasks"] for row in again.json["rows"])


def test_items_that_changed_are_asked_again_and_then_found(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data on a hub, say: no name, version, setting or file here tells that they are others."""
    assert scripted.run("run", "fake.yaml").status == 0
    before = kinds(scripted).count(("tasks", "ok"))
    monkeypatch.setenv("EDGEBENCH_TEST_ITEMS", "second")
    changed = scripted.run("run", "fake.yaml", "--json")
    assert changed.status == 0
    assert kinds(scripted).count(("tasks", "ok")) == 2 * before
    # The reference was asked the new items too: what is compared is the same.
    assert all(task["flips"] == 0 for row in changed.json["rows"] for task in row["tasks"])
    assert scripted.run("run", "fake.yaml").status == 0
    assert kinds(scripted).count(("tasks", "ok")) == 2 * before
    keys = scripted.query("SELECT count(DISTINCT evaluation_key), count(*) FROM evaluation")
    assert keys == [(before, 2 * before)]
    details = [json.loads(row[0]) for row in scripted.query("SELECT details FROM evaluation")]
    assert {one["data"]["even"]["fingerprint"] for one in details} == {"first", "second"}


def test_nothing_of_before_is_used_where_its_items_cannot_be_looked_at(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scripted.run("run", "fake.yaml").status == 0
    before = kinds(scripted).count(("tasks", "ok"))

    def survey(*_: object, **__: object) -> None:
        raise EdgebenchError("lm-eval hung", next_step="wait")

    monkeypatch.setattr(tasks, "survey", survey)
    again = scripted.run("run", "fake.yaml")
    assert again.status == 0
    assert again.err.count("evaluations of before are not used: lm-eval hung") == 1
    assert kinds(scripted).count(("tasks", "ok")) == 2 * before


PARTIAL = UNSCORED.replace("names: [even]", "names: [missing_data, even]")


def test_one_failing_task_is_a_hole_and_the_others_count(scripted: Lab) -> None:
    scripted.suite(PARTIAL)
    result = scripted.run("run", "fake.yaml", "--json")
    why = "the data of task 'missing_data' cannot be had"
    assert result.status == 1, "something that was asked for is not there"
    assert f"tasks: missing_data: {why}" in result.err
    assert kinds(scripted).count(("tasks", "ok")) == 3
    assert {row[0] for row in scripted.query("SELECT reason FROM run WHERE kind = 'tasks'")} == {
        f"missing_data: {why}"
    }
    for row in result.json["rows"]:
        assert row["status"] == "ok"
        there, hole = row["tasks"]
        assert (there["task"], there["value"], there["reason"]) == ("even", 1, None)
        assert (hole["task"], hole["metric"], hole["value"], hole["n"]) == ("missing_data", None, None, None)
        assert hole["reason"] == why
    assert scripted.query("SELECT task, status, reason FROM task_hole GROUP BY 1, 2, 3") == [
        ("missing_data", "failed", why)
    ]
    table = scripted.run("table").out
    assert "even acc (version 1, 3 items, 0-shot; quality reference 1)" in table
    assert "no figures of missing_data: " in " ".join(table.split())
    run_id = scripted.query("SELECT id FROM run WHERE kind = 'tasks'")[0][0]
    shown = scripted.run("show", run_id, "--json").json
    assert shown["evaluation"]["holes"] == [{"task": "missing_data", "status": "failed", "reason": why}]
    assert "missing_data" in scripted.run("show", run_id).out


def test_what_still_cannot_be_loaded_is_not_tried_again_but_still_said(scripted: Lab) -> None:
    scripted.suite(PARTIAL)
    assert scripted.run("run", "fake.yaml").status == 1
    again = scripted.run("run", "fake.yaml")
    assert again.status == 1
    assert "tasks: missing_data: the data of task 'missing_data' cannot be had" in again.err
    assert kinds(scripted).count(("tasks", "ok")) == 3


def test_a_task_that_a_framework_fails_is_a_hole_that_is_tried_again(scripted: Lab) -> None:
    """The worker refuses one task's questions and lives: the next task has answers."""
    scripted.suite(UNSCORED.replace("names: [even]", "names: [even, written]"))
    scripted.script({"logits": [{"do": "nan", "positions": [8, 9]}]})
    result = scripted.run("run", "fake.yaml", "--json")
    assert result.status == 1
    for row in result.json["rows"]:
        there, hole = row["tasks"]
        assert (there["task"], there["n"]) == ("written", 3)
        assert hole["task"] == "even"
        assert "are not finite" in hole["reason"]
    scripted.script(None)
    healed = scripted.run("run", "fake.yaml", "--json")
    assert healed.status == 0, healed.err
    assert {task["task"]: task["reason"] for row in healed.json["rows"] for task in row["tasks"]} == {
        "even": None,
        "written": None,
    }


def test_a_framework_that_answers_with_text_alone_has_the_tasks_that_want_text(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.backends.fake import Fake

    scripted.suite(UNSCORED.replace("names: [even]", "names: [even, written]"))
    assert scripted.run("run", "fake.yaml").status == 0
    expected = {row[0] for row in scripted.query("SELECT text FROM task_answer WHERE task = 'written'")}
    monkeypatch.setattr(Fake, "capabilities", Fake.capabilities - {"score"})
    scripted.database.unlink()
    result = scripted.run("run", "fake.yaml", "--json")
    assert result.status == 0, "a hole that is in a framework's nature is no failure"
    for row in result.json["rows"]:
        there, hole = row["tasks"]
        assert (there["task"], there["value"], hole["task"]) == ("written", there["value"], "even")
        assert hole["reason"] == "the task asks for log-likelihoods, and a server answers with text alone"
    assert {
        row[0] for row in scripted.query("SELECT text FROM task_answer WHERE task = 'written'")
    } == expected
    assert scripted.query("SELECT DISTINCT status FROM task_hole") == [("skipped",)]
    before = kinds(scripted).count(("tasks", "ok"))
    assert scripted.run("run", "fake.yaml").status == 0
    assert kinds(scripted).count(("tasks", "ok")) == before, "such a hole does not keep it from being found"


def test_where_no_task_can_be_answered_the_run_is_a_hole(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.backends.fake import Fake

    monkeypatch.setattr(Fake, "capabilities", Fake.capabilities - {"score"})
    scripted.run("run", "fake.yaml")
    assert ("tasks", "skipped") in kinds(scripted)
    assert ("tasks", "ok") not in kinds(scripted)


def test_other_settings_are_another_evaluation(scripted: Lab) -> None:
    assert scripted.run("run", "fake.yaml").status == 0
    more = scripted.run("run", "fake.yaml", "--task-limit", "4", "--json")
    assert more.status == 0
    assert kinds(scripted).count(("tasks", "ok")) == 6
    assert {task["n"] for row in more.json["rows"] for task in row["tasks"]} == {4}


def test_a_task_that_cannot_be_evaluated_is_said_once_and_the_runs_go_on(scripted: Lab) -> None:
    scripted.suite(SCRIPTED)
    result = scripted.run("run", "fake.yaml", "--task", "unknown_task")
    assert result.status == 1
    said = "the quality reference has no task results: lm-eval: unknown task 'unknown_task'"
    assert (
        result.err.count(f"failed: fake-tiny-fp16-FP16-cpu-pp8+tg4, fake-tiny-int4-INT4-cpu-pp8+tg4: {said}")
        == 1
    )
    assert kinds(scripted).count(("timed", "ok")) == 4
    # The reference was tried once; its failure is the artifacts', which never had a worker and so can be resumed.
    assert kinds(scripted).count(("tasks", "failed")) == 3
    for row in scripted.rows()[::2]:
        assert (row["status"], row["reason"]) == ("failed", f"tasks: {said}")
        assert row["tasks"] == []
        assert row["decode_tps"] is not None


def test_an_interrupted_session_resumes_with_its_tasks_and_the_command_lines_words(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scripted.folder / "mine"
    folder.mkdir()

    def interrupt(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "examine", interrupt)
        stopped = scripted.run(
            "run",
            "fake.yaml",
            "--task",
            "odd",
            "--task-path",
            "mine",
            "--trust-task-code",
            "--task-limit",
            "2",
        )
    assert stopped.status == 130
    assert ("timed", "ok") not in kinds(scripted)
    refused = scripted.run("run", "fake.yaml", "--resume", "--json")
    assert refused.status == 2
    assert "--trust-task-code" in refused.one_message()
    resumed = scripted.run("run", "fake.yaml", "--resume", "--trust-task-code", "--json")
    assert resumed.status == 0, resumed.err
    assert {(task["task"], task["n"]) for row in resumed.json["rows"] for task in row["tasks"]} == {
        ("odd", 2)
    }
    settings = json.loads(scripted.query("SELECT settings FROM session")[0][0])["tasks"]
    assert settings["code_paths"] == [str(folder.resolve())]


def test_a_broken_artifact_is_asked_nothing(scripted: Lab) -> None:
    suite = SCRIPTED.replace("precision: [fp16, int4]", "recipe: [FP16, INT4_BROKEN]")
    scripted.suite(suite + "check: {max_kld: {low: 0.5}}\n")
    scripted.run("run", "fake.yaml")
    rows = {row["recipe"]: row for row in scripted.rows()}
    assert rows["FP16"]["tasks"]
    assert rows["INT4_BROKEN"]["tasks"] == []
    ended = scripted.query("SELECT reason FROM run WHERE kind = 'tasks' AND status = 'skipped'")
    assert len(ended) == 1
    assert ended[0][0].startswith("not evaluated: the artifact is broken: ")


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ({"load": [{"do": "crash", "how": "segv"}]}, "failed", "SIGSEGV"),
        ({"logits": [{"do": "hang"}]}, "timeout", "time-out of 15 s"),
        ({"logits": [{"do": "nan", "positions": [8, 9]}]}, "failed", "are not finite"),
        ({"decode": [{"do": "raise", "message": "no such kernel"}]}, "failed", "no such kernel"),
    ],
    ids=["crash", "hang", "nan", "raise"],
)
def test_a_framework_that_fails_in_its_tasks_fails_in_its_own_row(
    scripted: Lab, script: dict[str, Any], status: str, reason: str
) -> None:
    option = json.dumps(json.dumps(script))
    include = f"include: [{{precision: int4, options: {{fake: {{script: {option}}}}}}}]\n"
    text = SUITE.replace("runs: 2\n", "runs: 1\n").replace("pp8+tg4", "pp8").replace("[fp16, int4]", "fp16")
    text = text.replace("scoring: {", "scoring: null\ncheck: null\nx-scoring: {")
    # Long enough for the others on a busy machine; what hangs has to be waited for.
    timeout = "15s" if status == "timeout" else "10m"
    scripted.suite(text + include + TASKS.replace("limit: 3", f"limit: 3, timeout: {timeout}"))
    result = scripted.run("run", "fake.yaml")
    assert result.status == 1
    (row,) = scripted.query("SELECT status, reason FROM run WHERE kind = 'tasks' AND status != 'ok'")
    assert row[0] == status
    assert reason in row[1]
    good = next(row for row in scripted.rows() if row["precision"] == "fp16")
    assert good["status"] == "ok"
    assert good["tasks"]


def test_a_framework_without_logits_has_a_hole_with_its_reason(
    scripted: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.backends.fake import Fake

    monkeypatch.setattr(Fake, "capabilities", Fake.capabilities - {"score", "complete"})
    assert scripted.run("run", "fake.yaml").status == 0
    assert [kind for kind, _ in kinds(scripted)] == ["timed"] * 2
    assert all(row["tasks"] == [] for row in scripted.rows())


def test_the_model_gives_the_tokenizers_facts_and_a_static_graph_its_length(scripted: Lab) -> None:
    suite = SCRIPTED.replace("precision: [fp16, int4]", "recipe: INT8_STATIC").replace(
        "[pp8+tg4, pp4+tg2]", "pp8+tg4"
    )
    scripted.suite(suite)
    assert scripted.run("run", "fake.yaml").status == 0
    # The artifact's and the reference's: compared only at equal length.
    assert scripted.query("SELECT max_length, chat_template FROM evaluation") == [(48, 0), (48, 0)]


def test_a_chat_template_that_the_model_lacks_is_said(scripted: Lab) -> None:
    scripted.suite(UNSCORED.replace("num_fewshot: 0", "chat_template: true"))
    result = scripted.run("run", "fake.yaml")
    assert result.status == 1
    assert "the model has no chat template" in result.err


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (["--task-path", "nowhere"], TASKS, "there is no folder nowhere"),
        (["--task-limit", "3"], "", "has no tasks, and none was named"),
        ([], "tasks: {names: [even], paths: [nowhere]}\n", "there is no folder"),
        ([], "tasks: {names: []}\n", "name at least one task"),
        ([], "tasks: {names: [even], limit: 0}\n", "tasks.limit"),
        (["--resume", "--task", "even"], TASKS, "--resume goes on with a session as it was planned"),
    ],
)
def test_wrong_words_are_told_before_anything_begins(
    scripted: Lab, words: list[str], text: str, said: str
) -> None:
    scripted.suite(SCRIPTED.replace(TASKS, text))
    result = scripted.run("run", "fake.yaml", *words)
    assert result.status == 2
    assert said in result.one_message()
    assert not scripted.database.exists()
