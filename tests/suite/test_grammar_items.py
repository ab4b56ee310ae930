"""The minimal pairs: as many as promised, minimal, different from each other, and without a cheap way to be right."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

import pytest
from shipped_tasks import items, likeness, scoring_and_calibration_text, words

PAIRS = items("grammar.jsonl")
PHENOMENA = sorted({pair["phenomenon"] for pair in PAIRS})


def good(pair: dict[str, Any]) -> str:
    return str(pair["sentences"][pair["answer"]])


def bad(pair: dict[str, Any]) -> str:
    return str(pair["sentences"][1 - pair["answer"]])


def of(phenomenon: str) -> list[dict[str, Any]]:
    return [pair for pair in PAIRS if pair["phenomenon"] == phenomenon]


def edits(left: list[str], right: list[str]) -> int:
    """Words to insert, delete or replace to get from one sentence to the other."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def test_there_are_three_hundred_pairs_over_ten_phenomena() -> None:
    assert len(PAIRS) == 300
    assert Counter(pair["phenomenon"] for pair in PAIRS) == dict.fromkeys(PHENOMENA, 30)
    assert len(PHENOMENA) == 10


def test_every_pair_has_the_same_keys_and_an_id_of_its_own() -> None:
    for pair in PAIRS:
        assert list(pair) == ["id", "phenomenon", "sentences", "answer"]
        assert re.fullmatch(rf"{pair['phenomenon']}-\d\d", pair["id"])
        assert len(pair["sentences"]) == 2
    assert len({pair["id"] for pair in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_the_grammatical_sentence_comes_first_in_half_of_the_pairs(phenomenon: str) -> None:
    assert Counter(pair["answer"] for pair in of(phenomenon)) == {0: 15, 1: 15}


def test_the_first_pairs_are_of_every_phenomenon_in_turn() -> None:
    for start in range(0, 300, 10):
        assert {pair["phenomenon"] for pair in PAIRS[start : start + 10]} == set(PHENOMENA)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["id"])
def test_a_pair_differs_minimally(pair: dict[str, Any]) -> None:
    distance = edits(words(good(pair)), words(bad(pair)))
    if pair["phenomenon"] == "word_order":
        assert sorted(words(good(pair))) == sorted(words(bad(pair)))
        assert distance == 2
    else:
        assert distance == 1


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["id"])
def test_both_are_clean_sentences(pair: dict[str, Any]) -> None:
    for sentence in pair["sentences"]:
        assert re.fullmatch(r"[A-Z][A-Za-z',\- ]*[a-z][.?!]", sentence)
        assert "  " not in sentence
        assert " ," not in sentence
        assert 4 <= len(words(sentence)) <= 16
    assert good(pair)[-1] == bad(pair)[-1]


def test_no_sentence_occurs_twice() -> None:
    sentences = [" ".join(words(sentence)) for pair in PAIRS for sentence in pair["sentences"]]
    assert len(set(sentences)) == 600


def test_no_two_pairs_are_nearly_the_same() -> None:
    alike = [
        (good(one), good(other))
        for one, other in itertools.combinations(PAIRS, 2)
        if likeness(good(one), good(other)) > 0.5
    ]
    assert alike == []


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_the_longer_sentence_is_the_grammatical_one_about_half_the_time(phenomenon: str) -> None:
    longer = [
        (len(good(pair)) > len(bad(pair))) + (len(good(pair)) == len(bad(pair))) / 2
        for pair in of(phenomenon)
    ]
    assert 0.4 <= sum(longer) / 30 <= 0.6


@pytest.mark.parametrize("phenomenon", PHENOMENA)
def test_words_alone_do_not_tell_which_sentence_is_grammatical(phenomenon: str) -> None:
    """Counts how often each word is in the good and the bad sentences of the other pairs, and judges by that."""
    right = 0.0
    for pair in of(phenomenon):
        weight: Counter[str] = Counter()
        for other in of(phenomenon):
            if other is not pair:
                weight.update(words(good(other)))
                weight.subtract(words(bad(other)))
        margin = sum(weight[word] for word in words(good(pair))) - sum(
            weight[word] for word in words(bad(pair))
        )
        right += (margin > 0) + (margin == 0) / 2
    assert right / 30 <= 0.65


def test_no_pair_is_in_the_texts_that_are_scored_or_calibrated_on() -> None:
    text = scoring_and_calibration_text()
    assert not [good(pair) for pair in PAIRS if " ".join(words(good(pair))) in text]
