"""The task files: what lm-eval reads beside the items."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shipped_tasks import TASKS, items, task_file

TASK_FILES = ("arithmetic.yaml", "facts.yaml", "grammar.yaml")


def fields(template: Any) -> set[str]:
    """Fields of an item that a template names."""
    if not isinstance(template, str) or not template:
        return set()
    return set(re.findall(r"\{\{(\w+)\}\}", template)) if "{{" in template else {template}


def test_every_file_is_known() -> None:
    assert {path.name for path in TASKS.iterdir()} == {
        "README.md",
        "edgebench.yaml",
        *TASK_FILES,
        *(name.replace(".yaml", ".jsonl") for name in TASK_FILES),
    }


@pytest.mark.parametrize("name", TASK_FILES)
def test_a_task_reads_the_data_file_beside_it_and_names_its_fields(name: str) -> None:
    task = task_file(name)
    stem = name.removesuffix(".yaml")
    assert task["task"] == f"edgebench_{stem}"
    assert task["dataset_path"] == "json"
    assert task["dataset_kwargs"] == {"data_files": {task["test_split"]: f"{stem}.jsonl"}}
    named = set().union(*(fields(task.get(key)) for key in ("doc_to_text", "doc_to_choice", "doc_to_target")))
    assert named
    for item in items(f"{stem}.jsonl"):
        assert named <= set(item)
    for example in task.get("fewshot_config", {}).get("samples", []):
        assert named == set(example)


def test_only_the_answers_to_word_problems_are_generated() -> None:
    assert {name: task_file(name)["output_type"] for name in TASK_FILES} == {
        "arithmetic.yaml": "generate_until",
        "facts.yaml": "multiple_choice",
        "grammar.yaml": "multiple_choice",
    }


@pytest.mark.parametrize("name", TASK_FILES)
def test_a_task_says_its_version_and_which_way_its_metrics_go(name: str) -> None:
    task = task_file(name)
    assert re.fullmatch(r"\d+\.\d+", str(task["metadata"]["version"]))
    assert all(metric["higher_is_better"] is True for metric in task["metric_list"])


def test_the_minimal_pairs_have_no_context_whatever_a_suite_asks_for() -> None:
    task = task_file("grammar.yaml")
    assert task["doc_to_text"] == ""
    assert task["target_delimiter"] == ""
    assert task["num_fewshot"] == 0


def test_the_group_names_every_task() -> None:
    group = task_file("edgebench.yaml")
    assert group["group"] == "edgebench"
    assert sorted(group["task"]) == [task_file(name)["task"] for name in TASK_FILES]


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (" 42", "42"),
        (" 42.\n", "42"),
        (" The answer is 42 euros, not 43.", "42"),
        (" 1,250 eggs", "1250"),
        ("42.0", "42"),
        ("42.5", "42.5"),
        ("-7", "-7"),
        ("12, 13", "12"),
    ],
)
def test_the_first_number_of_a_reply_is_the_answer(reply: str, number: str) -> None:
    task = task_file("arithmetic.yaml")
    ((filter_,),) = [[f for f in one["filter"] if f["function"] == "regex"] for one in task["filter_list"]]
    found = re.findall(filter_["regex_pattern"], reply)[0]
    for ignored in task["metric_list"][0]["regexes_to_ignore"]:
        found = re.sub(ignored, "", found)
    assert found == number


def test_a_reply_without_a_number_has_no_answer() -> None:
    (one,) = task_file("arithmetic.yaml")["filter_list"]
    assert not re.findall(one["filter"][0]["regex_pattern"], " forty-two")


def test_the_readme_names_every_file() -> None:
    readme = (TASKS / "README.md").read_text(encoding="utf-8")
    for path in TASKS.iterdir():
        assert path.name == "README.md" or path.name in readme
    assert "Apache-2.0" in readme
