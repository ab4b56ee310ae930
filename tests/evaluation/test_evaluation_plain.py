"""The parts of lm-eval's process that need no lm-eval: batches, templates, paths, results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.chat import render
from harness.evaluation.exchange import TaskHole, TaskItem, TaskMetric, TaskResult
from harness.evaluation.loading import TaskError, beside
from harness.evaluation.model import BATCH_PAIRS, BATCH_PROMPTS, BATCH_TEXTS, Questions, Tokens, moved_spaces
from harness.evaluation.results import task_results
from harness.evaluation.running import with_figures


class Lab:
    """Answers questions: a text's ids are its bytes, a pair's likelihood tells the pair."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], int, int]] = []

    def __call__(self, name: str, body: dict[str, Any], done: int, total: int) -> dict[str, Any]:
        self.asked.append((name, body, done, total))
        if name == "encode":
            return {"tokens": [list(text.encode()) for text in body["texts"]]}
        if name == "likelihood":
            return {
                "scores": [
                    {"logprob": -float(sum(one["continuation"])), "greedy": len(one["context"]) == 2}
                    for one in body["pairs"]
                ]
            }
        return {"texts": [bytes(one["tokens"]).decode() + " and so on. More" for one in body["prompts"]]}


def test_each_text_is_asked_for_once_and_in_batches() -> None:
    lab = Lab()
    tokens = Tokens(lab, special=True, bos=None)
    texts = [str(number) for number in range(BATCH_TEXTS + 3)]
    tokens.learn([*texts, *texts])
    tokens.learn(texts)
    assert [(len(body["texts"]), body["special"], done, total) for _, body, done, total in lab.asked] == [
        (BATCH_TEXTS, True, 0, BATCH_TEXTS + 3),
        (3, True, BATCH_TEXTS, BATCH_TEXTS + 3),
    ]
    assert tokens.of("12") == list(b"12")


def test_the_bos_that_a_model_wants_stands_before_a_text_once() -> None:
    tokens = Tokens(Lab(), special=False, bos=ord("^"))
    assert tokens.of("a") == list(b"^a")
    assert tokens.of("^a") == list(b"^a")
    assert tokens.of("a", bos=False) == list(b"a")


@given(st.text(alphabet="a \n"), st.text(alphabet="b "))
def test_moving_spaces_changes_no_text(context: str, continuation: str) -> None:
    kept, moved = moved_spaces(context, continuation)
    assert kept + moved == context + continuation
    assert kept == kept.rstrip()


def test_pairs_are_answered_in_their_order_and_equal_ones_asked_once() -> None:
    lab = Lab()
    pairs = [([1, 2], [5]), ([1], [4]), ([1, 2], [5]), ([1, 2], [3])]
    assert Questions(lab, 100).likelihoods(pairs) == [(-5, True), (-4, False), (-5, True), (-3, True)]
    ((_, body, _, _),) = lab.asked
    # Neighbours share their beginning.
    assert [one["context"] + one["continuation"] for one in body["pairs"]] == [[1, 2, 3], [1, 2, 5], [1, 4]]


def test_many_pairs_travel_in_batches() -> None:
    lab = Lab()
    questions = Questions(lab, 100)
    questions.likelihoods([([1], [number]) for number in range(BATCH_PAIRS + 1)])
    assert [(len(body["pairs"]), done, total) for _, body, done, total in lab.asked] == [
        (BATCH_PAIRS, 0, BATCH_PAIRS + 1),
        (1, BATCH_PAIRS, BATCH_PAIRS + 1),
    ]
    assert questions.requests == {"likelihood": BATCH_PAIRS + 1}


def test_what_is_too_long_loses_its_beginning_and_is_counted() -> None:
    lab = Lab()
    questions = Questions(lab, 4)
    questions.likelihoods([([1, 2, 3, 4, 5], [6, 7]), ([1, 2, 3], [4, 5])])
    fitted = [(one["context"], one["continuation"]) for one in lab.asked[0][1]["pairs"]]
    # Five tokens fit, of which the last is only predicted.
    assert fitted == [([1, 2, 3], [4, 5]), ([3, 4, 5], [6, 7])]
    assert questions.truncated == 1
    with pytest.raises(TaskError, match="5 tokens, and 4 fit"):
        questions.likelihoods([([1], [2, 3, 4, 5, 6])])
    with pytest.raises(TaskError, match="it is empty"):
        questions.likelihoods([([1], [])])


def test_generated_text_ends_before_the_first_stop() -> None:
    lab = Lab()
    questions = Questions(lab, 20)
    prompt = ("abc", list(b"abc"))
    assert questions.generations([(*prompt, 5, ["."]), (*prompt, 5, [" so", "and"]), (*prompt, 5, [])]) == [
        "abc and so on",
        "abc ",
        "abc and so on. More",
    ]
    assert [one["text"] for one in lab.asked[0][1]["prompts"]] == ["abc"] * 3
    digits = "0123456789"
    assert questions.generations([(digits, list(digits.encode()), 15, [])])[0].startswith("56789 ")
    assert questions.truncated == 1
    assert lab.asked[-1][1]["prompts"][0]["text"] is None, "these tokens are not that text's"
    with pytest.raises(TaskError, match="wants 20 new tokens, and 20 fit with the question"):
        questions.generations([(*prompt, 20, [])])


def test_prompts_travel_in_batches_longest_first_and_equal_ones_once() -> None:
    lab = Lab()
    questions = Questions(lab, 200)
    prompts = [(str(number), [ord("a")] * (1 + number % 5), 5, ["."]) for number in range(BATCH_PROMPTS + 6)]
    texts = questions.generations([*prompts, prompts[0]])
    assert texts == ["a" * (1 + number % 5) + " and so on" for number in [*range(BATCH_PROMPTS + 6), 0]]
    assert [(len(body["prompts"]), done, total) for _, body, done, total in lab.asked] == [
        (BATCH_PROMPTS, 0, BATCH_PROMPTS + 6),
        (6, BATCH_PROMPTS, BATCH_PROMPTS + 6),
    ]
    lengths = [len(one["tokens"]) for _, body, _, _ in lab.asked for one in body["prompts"]]
    assert lengths == sorted(lengths, reverse=True)
    assert questions.requests == {"generate": BATCH_PROMPTS + 7}


def test_a_task_without_any_finite_figure_is_a_hole_and_a_group_without_figures_is_none() -> None:
    item = TaskItem("00", {}, [-1.0], None)
    nothing = TaskResult("nothing", "1", 1, 0, "ab", [], [item])
    something = TaskResult("something", "1", 1, 0, "ab", [TaskMetric("acc", 1.0, None, True)], [item])
    group = TaskResult("group", "1", 2, 0, None, [])
    kept, holes = with_figures([nothing, something, group])
    assert kept == [something, group]
    assert holes == [TaskHole("nothing", "failed", "none of its metrics is a finite number")]


TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MESSAGES = [{"role": "user", "content": "hi "}, {"role": "assistant", "content": "yes"}]


def test_a_template_ends_where_the_model_answers_or_goes_on() -> None:
    words = {"bos_text": "^", "eos_text": "$"}
    asked = render(TEMPLATE, MESSAGES[:1], add_generation_prompt=True, **words)
    assert asked == "^<user>hi</><assistant>"
    assert render(TEMPLATE, MESSAGES, add_generation_prompt=False, **words) == "^<user>hi</><assistant>yes"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('no system role') }}",
        "{% for %}",
    ],
)
def test_a_template_is_data(template: str) -> None:
    with pytest.raises(ValueError, match="the model's chat template refuses the question"):
        render(template, MESSAGES, bos_text="", eos_text="", add_generation_prompt=True)


def test_data_files_stand_beside_the_task_file(tmp_path: Path) -> None:
    absolute = str(tmp_path / "x.jsonl")
    given_ = {
        "data_files": {
            "test": "a.jsonl",
            "train": ["b.jsonl", absolute],
            "more": "https://example.org/c.jsonl",
        },
        "data_dir": "d",
        "field": "data",
    }
    assert beside(given_, tmp_path) == {
        "data_files": {
            "test": str(tmp_path / "a.jsonl"),
            "train": [str(tmp_path / "b.jsonl"), absolute],
            "more": "https://example.org/c.jsonl",
        },
        "data_dir": str(tmp_path / "d"),
        "field": "data",
    }


def _sample(doc: int, filter_: str, responses: list[Any], **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "doc_hash": f"hash{doc}",
        "arguments": [("question", "answer")],
        "resps": [[one] for one in responses],
        "filter": filter_,
        "metrics": list(metrics),
        **metrics,
    }


def test_results_keep_every_item_and_leave_out_what_is_no_number() -> None:
    scored = [(-1.5, True), (-2.5, False)]
    found = {
        "results": {
            "t": {
                "alias": "t",
                "acc,none": 0.5,
                "acc_stderr,none": 0.5,
                "ppl,none": 3.0,
                "ppl_stderr,none": "N/A",
            },
            "g": {"alias": "g", "exact_match,strict": 1.0, "exact_match,loose": 0.0, "f,none": math.nan},
            "both": {"alias": "both", "acc,none": 0.5, "acc_stderr,none": 0.5},
        },
        "samples": {
            # In no order, and once for each filter.
            "t": [_sample(1, "none", scored, acc=0.0, ppl=(-3.0, 4)), _sample(0, "none", scored, acc=True)],
            "g": [
                _sample(0, "strict", ["four"], exact_match=1.0),
                _sample(0, "loose", ["four"], exact_match=0.0),
            ],
        },
        "versions": {"t": 1.0, "g": "2", "both": None},
        "n-shot": {"t": 0, "g": 5},
        "n-samples": {"t": {"original": 9, "effective": 2}, "g": {"original": 1, "effective": 1}},
        "group_subtasks": {"both": ["t", "g"]},
        "higher_is_better": {"t": {"acc": True}},
    }
    t, g, both = task_results(found)
    assert [(one.metric, one.value, one.stderr, one.higher_is_better) for one in t.metrics] == [
        ("acc", 0.5, 0.5, True),
        ("ppl", 3.0, None, None),
    ]
    assert [(one.values, one.loglikelihoods, one.text) for one in t.items] == [
        ({"acc": 1.0}, [-1.5, -2.5], None),
        ({"acc": 0.0}, [-1.5, -2.5], None),
    ]
    assert t.items[0].sha256 != t.items[1].sha256
    assert (t.version, t.n, t.num_fewshot) == ("1.0", 2, 0)
    assert [one.metric for one in g.metrics] == ["exact_match,strict", "exact_match,loose"]
    assert (g.items[0].values, g.items[0].text) == (
        {"exact_match,strict": 1.0, "exact_match,loose": 0.0},
        "four",
    )
    assert (both.n, both.items, both.sha256, both.version) == (3, [], None, "")
