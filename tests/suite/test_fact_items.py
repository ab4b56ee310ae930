"""The factual questions: as many as promised, one answer each, and none that its form gives away."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

import pytest
from shipped_tasks import examples, items, likeness, scoring_and_calibration_text, words

FACTS = items("facts.jsonl")
DOMAINS = sorted({fact["domain"] for fact in FACTS})
each_fact = pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["id"])


def answer(fact: dict[str, Any]) -> str:
    return str(fact["choices"][fact["answer"]])


def wrong(fact: dict[str, Any]) -> list[str]:
    return [choice for index, choice in enumerate(fact["choices"]) if index != fact["answer"]]


def form(choice: str) -> str:
    """How a choice begins: its article or preposition, else the kind of its first character."""
    first = choice.split()[0]
    if first in ("the", "in", "on", "it"):
        return first
    if first in ("a", "an"):
        return "a"
    return "digit" if first[0].isdigit() else "capital" if first[0].isupper() else "word"


def test_there_are_two_hundred_questions_over_ten_domains() -> None:
    assert len(FACTS) == 200
    assert len(DOMAINS) == 10
    assert Counter(fact["domain"] for fact in FACTS) == dict.fromkeys(DOMAINS, 20)


def test_every_question_has_the_same_keys_and_an_id_of_its_own() -> None:
    for fact in FACTS:
        assert list(fact) == ["id", "domain", "question", "choices", "answer"]
        assert re.fullmatch(rf"{fact['domain']}-\d\d", fact["id"])
    assert len({fact["id"] for fact in FACTS}) == len(FACTS)


def test_each_position_has_the_answer_fifty_times_and_five_times_in_each_domain() -> None:
    assert Counter(fact["answer"] for fact in FACTS) == {0: 50, 1: 50, 2: 50, 3: 50}
    for domain in DOMAINS:
        positions = Counter(fact["answer"] for fact in FACTS if fact["domain"] == domain)
        assert positions == {0: 5, 1: 5, 2: 5, 3: 5}


def test_the_first_questions_are_of_every_domain_in_turn() -> None:
    for start in range(0, 200, 10):
        assert {fact["domain"] for fact in FACTS[start : start + 10]} == set(DOMAINS)


@each_fact
def test_a_question_has_four_different_choices(fact: dict[str, Any]) -> None:
    assert len({" ".join(words(choice)) for choice in fact["choices"]}) == 4


@each_fact
def test_a_question_and_its_choices_are_clean(fact: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,'\"\-]*\?", fact["question"])
    for text in (fact["question"], *fact["choices"]):
        assert text == text.strip()
        assert "  " not in text
    for choice in fact["choices"]:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 \-]*", choice)


@each_fact
def test_the_answer_has_the_form_of_another_choice(fact: dict[str, Any]) -> None:
    assert form(answer(fact)) in [form(choice) for choice in wrong(fact)]


@each_fact
def test_the_question_shares_no_word_with_the_answer_alone(fact: dict[str, Any]) -> None:
    asked = {word for word in words(fact["question"]) if len(word) > 3}
    of_the_wrong = {word for choice in wrong(fact) for word in words(choice)}
    assert not (asked & set(words(answer(fact)))) - of_the_wrong


def test_the_answer_is_seldom_the_longest_or_the_shortest_choice() -> None:
    longest = [fact for fact in FACTS if len(answer(fact)) > max(map(len, wrong(fact)))]
    shortest = [fact for fact in FACTS if len(answer(fact)) < min(map(len, wrong(fact)))]
    assert len(longest) <= 50
    assert len(shortest) <= 50


def test_no_answer_is_right_more_than_twice() -> None:
    assert max(Counter(answer(fact) for fact in FACTS).values()) <= 2


def test_no_two_questions_are_nearly_the_same() -> None:
    alike = [
        (one["question"], other["question"])
        for one, other in itertools.combinations(FACTS, 2)
        if likeness(one["question"], other["question"]) > 0.7
    ]
    assert alike == []


def test_no_example_is_a_question_of_the_test() -> None:
    shown = examples("facts.yaml")
    assert len(shown) == 5
    for example in shown:
        assert len(set(example["choices"])) == 4
        assert 0 <= example["answer"] < 4
        assert max(likeness(example["question"], fact["question"]) for fact in FACTS) <= 0.7


def test_no_question_is_in_the_texts_that_are_scored_or_calibrated_on() -> None:
    text = scoring_and_calibration_text()
    assert not [fact["question"] for fact in FACTS if " ".join(words(fact["question"])) in text]
