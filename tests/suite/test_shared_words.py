"""Texts that share more than strangers do are told from those that do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.paths import data_dir
from harness.suite.shared_words import LIMIT, RUN_WORDS, Shared, shared_words


def shipped(name: str) -> str:
    return (data_dir("suites") / "text" / name).read_text(encoding="utf-8")


def strange(count: int, seed: int) -> str:
    """Words out of a small vocabulary, in an order of their own."""
    chosen = random.Random(seed)
    return " ".join(f"w{chosen.randrange(200)}" for _ in range(count))


def test_the_shipped_texts_share_nothing() -> None:
    assert shared_words(shipped("scoring.txt"), shipped("calibration.txt")) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.upper(),
        lambda text: text.replace(",", "").replace(" ", "  "),
        lambda text: text[len(text) // 2 :],
        lambda text: strange(20_000, 1) + text,
        lambda text: strange(20_000, 1) + text[: len(text) // 10],
    ],
    ids=[
        "newline",
        "line-ends",
        "case",
        "punctuation",
        "excerpt",
        "within another",
        "excerpt within another",
    ],
)
def test_a_copy_is_found_however_it_is_disguised(change: Callable[[str], str]) -> None:
    text = shipped("calibration.txt")
    for pair in ((text, change(text)), (change(text), text)):
        found = shared_words(*pair)
        assert found is not None
        assert found.share > LIMIT
        assert len(found.words.split()) == RUN_WORDS


def test_the_share_is_of_the_text_that_has_more_of_the_other_and_the_words_are_in_both() -> None:
    small = "One two three four five six seven eight nine."
    found = shared_words(small, f"{strange(500, 2)} {small} {strange(500, 3)}")
    assert found == Shared(1.0, "one two three four five six seven eight")
    half = shared_words(small, f"{strange(500, 2)} {small.replace('nine', 'ten')} {strange(500, 3)}")
    assert half == Shared(0.5, "one two three four five six seven eight")


def test_a_sentence_in_common_is_no_copy() -> None:
    sentence = "This file may be copied by anybody for any purpose without asking."  # 12 words: 5 runs
    assert shared_words(f"{strange(300, 4)} {sentence}", f"{sentence} {strange(300, 5)}") is None
    assert shared_words(f"{strange(50, 4)} {sentence}", f"{sentence} {strange(50, 5)}") is not None


def test_short_texts_are_compared_as_a_whole() -> None:
    assert shared_words("a b", "a b\n") == Shared(1.0, "a b")
    assert shared_words("a b", "a b c") is None
    assert shared_words("?!", "?!") == Shared(1.0, "?!")
    assert shared_words("", " ") is None


@given(st.text(max_size=200))
def test_every_text_with_something_in_it_is_its_own_copy(text: str) -> None:
    assert (shared_words(text, f" {text}\n") is not None) == bool(text.split())


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_order_of_the_texts_does_not_matter(one: str, other: str) -> None:
    assert (shared_words(one, other) is None) == (shared_words(other, one) is None)
