"""The shipped texts: long enough to score, clean, and strangers to each other."""

from __future__ import annotations

import re

import pytest

from harness.paths import data_dir

SCORING = "scoring.txt"
CALIBRATION = "calibration.txt"


def read(name: str) -> str:
    return (data_dir("suites") / "text" / name).read_bytes().decode("utf-8")


def paragraphs(name: str) -> list[str]:
    return read(name).rstrip("\n").split("\n\n")


def words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", read(name).lower())


def runs(name: str, length: int) -> set[tuple[str, ...]]:
    sequence = words(name)
    return {tuple(sequence[i : i + length]) for i in range(len(sequence) - length + 1)}


def test_the_scoring_text_has_at_least_three_thousand_words() -> None:
    assert len(read(SCORING).split()) >= 3000


def test_the_calibration_text_has_at_least_fifteen_hundred_words() -> None:
    assert len(read(CALIBRATION).split()) >= 1500


def test_the_two_texts_share_no_paragraph() -> None:
    assert not set(paragraphs(SCORING)) & set(paragraphs(CALIBRATION))


def test_the_two_texts_share_no_run_of_eight_words() -> None:
    assert not runs(SCORING, 8) & runs(CALIBRATION, 8)


@pytest.mark.parametrize("name", [SCORING, CALIBRATION])
def test_a_text_does_not_repeat_itself(name: str) -> None:
    assert len(runs(name, 12)) == len(words(name)) - 11


@pytest.mark.parametrize("name", [SCORING, CALIBRATION])
def test_a_text_is_printable_ascii_with_unix_line_ends(name: str) -> None:
    text = read(name)
    assert text.isascii()
    assert not re.search(r"[^\x20-\x7e\n]", text)
    assert text.endswith("\n")


@pytest.mark.parametrize("name", [SCORING, CALIBRATION])
def test_paragraphs_are_single_lines_parted_by_one_blank_line(name: str) -> None:
    for paragraph in paragraphs(name):
        assert paragraph == paragraph.strip()
        assert paragraph
        assert "\n" not in paragraph
        assert "  " not in paragraph


def test_the_readme_dedicates_both_texts_to_the_public_domain() -> None:
    readme = read("README.md")
    assert "CC0-1.0" in readme
    assert SCORING in readme
    assert CALIBRATION in readme
