"""The word problems: the shipped file is the generator's, and its answers are those that the texts ask for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from shipped_tasks import examples, items, likeness, scoring_and_calibration_text, words

from harness.suite import arithmetic_items

ITEMS = items("arithmetic.jsonl")
MULTIPLES = {"twice": 2, "three times": 3, "four times": 4, "five times": 5, "six times": 6}


def exact(total: int, parts: int) -> int:
    assert total % parts == 0
    return total // parts


def minus(whole: int, part: int) -> int:
    assert 0 < part < whole
    return whole - part


#: Worked out again from the text alone: what a question says, and the answer from its numbers in the order of the text.
SOLUTIONS: tuple[tuple[str, Callable[..., int]], ...] = (
    (r"(\w+) has # (\w+) and finds # more\. How many \2 does \1 have now\?", lambda a, b: a + b),
    (
        (
            r"A shop had # (\w+) in the morning and sold # of them during the day\. "
            r"How many \1 were left in the evening\?"
        ),
        minus,
    ),
    (r"Each (\w+) holds # (\w+)\. How many \2 do # full \1e?s hold\?", lambda a, b: a * b),
    (r"# (\w+) are shared equally among # children\. How many \1 does each child get\?", exact),
    (
        r"(\w+) is # years old and (\w+) is # years old\. By how many years is \1 older than \2\?",
        minus,
    ),
    (
        r"A book has # pages, and (\w+) has read # of them\. How many pages does \1 still have to read\?",
        minus,
    ),
    (r"(\w+) runs # kilometres every day\. How many kilometres does \1 run in # days\?", lambda a, b: a * b),
    (r"\w+ has # (\w+), and (\w+) has @ as many\. How many \1 does \2 have\?", lambda a, times: a * times),
    (
        r"(\w+) buys # pens at # euros each and one book for # euros\. How many euros does \1 pay in total\?",
        lambda pens, price, book: pens * price + book,
    ),
    (
        r"(\w+) buys # tickets at # euros each and pays with # euros\. How many euros does \1 get back\?",
        lambda tickets, price, note: minus(note, tickets * price),
    ),
    (
        (
            r"There are # people on a bus\. At the next stop # people get off and # people get on\. "
            r"How many people are on the bus now\?"
        ),
        lambda aboard, off, on: minus(aboard, off) + on,
    ),
    (
        r"# eggs are packed into cartons of # until no further carton can be filled\. How many eggs are left over\?",
        lambda eggs, size: eggs % size,
    ),
    (r"A journey takes # hours and # minutes\. How many minutes is that\?", lambda h, m: h * 60 + m),
    (
        r"A hall has # rows of # chairs, and # of the chairs are broken\. How many chairs are not broken\?",
        lambda rows, chairs, broken: minus(rows * chairs, broken),
    ),
    (
        r"(\w+) has # (\w+), and \w+ has # more than \1\. How many \2 do they have together\?",
        lambda few, more: few + (few + more),
    ),
    (
        (
            r"(\w+) bakes # rolls, keeps # of them and shares the rest equally among # neighbours\. "
            r"How many rolls does each neighbour get\?"
        ),
        lambda rolls, kept, neighbours: exact(minus(rolls, kept), neighbours),
    ),
    (
        (
            r"A farmer has # hens, and each hen lays # eggs a week\. In # weeks # of the eggs break\. "
            r"How many whole eggs does the farmer have after that time\?"
        ),
        lambda hens, eggs, weeks, broken: minus(hens * eggs * weeks, broken),
    ),
    (
        (
            r"(\w+) earns # euros an hour and works # hours a day for # days\. Then \1 spends # euros\. "
            r"How many euros are left of the wages\?"
        ),
        lambda wage, hours, days, spent: minus(wage * hours * days, spent),
    ),
    (
        (
            r"A train has # carriages with # seats each\. It leaves with # seats empty and nobody standing\. "
            r"At the first stop # passengers get off and nobody gets on\. How many passengers are on the train now\?"
        ),
        lambda cars, seats, empty, off: minus(minus(cars * seats, empty), off),
    ),
    (
        (
            r"A tank holds # litres of water\. Every minute # litres flow in and # litres flow out\. "
            r"How many litres are in the tank after # minutes\?"
        ),
        lambda held, filled, drained, minutes: held + minus(filled, drained) * minutes,
    ),
)


def solve(question: str) -> int:
    fitting = []
    for text, answer in SOLUTIONS:
        pattern = text.replace("#", r"\d+").replace("@", f"(?:{'|'.join(MULTIPLES)})")
        if re.fullmatch(pattern, question):
            fitting.append(answer)
    (answer,) = fitting
    said = re.findall(rf"\d+|{'|'.join(MULTIPLES)}", question)
    return answer(*(MULTIPLES.get(number) or int(number) for number in said))


def test_there_are_a_hundred_items_of_three_grades_of_difficulty() -> None:
    assert len(ITEMS) == 100
    assert Counter(item["steps"] for item in ITEMS) == {1: 40, 2: 40, 3: 20}
    assert [item["id"] for item in ITEMS] == [f"arithmetic-{number:03d}" for number in range(1, 101)]


def test_the_first_items_are_of_every_template_in_turn() -> None:
    for start in range(0, 100, 20):
        assert Counter(item["steps"] for item in ITEMS[start : start + 20]) == {1: 8, 2: 8, 3: 4}


def test_the_shipped_file_is_what_the_generator_writes() -> None:
    assert arithmetic_items.shipped_file().read_bytes() == arithmetic_items.file_text().encode("ascii")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["id"])
def test_an_answer_is_what_the_text_asks_for(item: dict[str, str]) -> None:
    assert item["answer"] == str(solve(item["question"]))


def test_any_seed_makes_right_answers() -> None:
    for seed in range(200):
        for item in arithmetic_items.items(seed):
            assert item["answer"] == str(solve(str(item["question"])))


def test_another_seed_makes_other_items() -> None:
    other = {item["question"] for item in arithmetic_items.items(arithmetic_items.SEED + 1)}
    assert len(other & {item["question"] for item in ITEMS}) <= 2


def test_every_kind_of_question_is_asked_five_times() -> None:
    kinds = Counter(
        next(text for text, _ in SOLUTIONS if re.fullmatch(
            text.replace("#", r"\d+").replace("@", f"(?:{'|'.join(MULTIPLES)})"), item["question"]
        ))
        for item in ITEMS
    )  # fmt: skip
    assert set(kinds.values()) == {5}
    assert len(kinds) == len(SOLUTIONS) == 20


def test_no_question_is_asked_twice_even_with_another_name() -> None:
    assert len({re.sub(r"\b[A-Z]\w+", "", item["question"]) for item in ITEMS}) == 100


def test_echoing_a_number_of_the_question_is_wrong() -> None:
    for item in ITEMS:
        assert item["answer"] not in re.findall(r"\d+", item["question"])


def test_no_single_answer_is_right_often() -> None:
    assert max(Counter(item["answer"] for item in ITEMS).values()) <= 5


def test_the_examples_are_right_and_none_of_them_is_an_item() -> None:
    shown = examples("arithmetic.yaml")
    assert [example["answer"] for example in shown] == [
        str(n) for n in (5 + 8, 7 * 6, 20 - 3 * 4, 9 + 31, 54 // 6)
    ]
    for example in shown:
        assert example["question"] not in {item["question"] for item in ITEMS}
        assert max(likeness(example["question"], item["question"]) for item in ITEMS) < 0.8


def test_no_item_is_in_the_texts_that_are_scored_or_calibrated_on() -> None:
    text = scoring_and_calibration_text()
    assert not [item["question"] for item in ITEMS if " ".join(words(item["question"])) in text]
