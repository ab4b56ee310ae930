"""The scores and the other methods of ``benchmarks/change_points.py``, on cases that can be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from change_point_tools.others import e_divisive, nothing
from change_point_tools.scoring import f1, hits, read_labelled


@pytest.mark.parametrize(
    ("marked", "found", "count"),
    [
        ((), (1, 2), 0),
        ((10,), (), 0),
        ((10,), (5,), 1),
        ((10,), (4,), 0),
        ((1, 10, 20, 23), (3, 8, 20), 3),  # 20 counts for one of 20 and 23
        ((1, 10, 20, 23), (1, 3, 8, 20), 3),
        ((50,), (49, 51), 1),
    ],
)
def test_a_found_point_counts_once(marked: tuple[int, ...], found: tuple[int, ...], count: int) -> None:
    assert hits(marked, found) == count


def test_f1_takes_precision_from_all_marks_and_recall_from_each_person() -> None:
    # Found: the beginning and 30. Everybody: 0, 30, 60. Recall: 2/2 and 1/2.
    assert f1([(30,), (60,)], (30,)) == pytest.approx(2 * 1.0 * 0.75 / 1.75)
    # Of three answers two are right.
    assert f1([(30,)], (30, 90)) == pytest.approx(2 * (2 / 3) * 1.0 / (5 / 3))
    assert f1([(), ()], ()) == 1.0


def test_no_change_anywhere_scores_by_the_beginning_alone() -> None:
    assert f1([(30,), ()], nothing(np.zeros(100))) == pytest.approx(2 * 1.0 * 0.75 / 1.75)


def test_labelled_series_are_read_with_every_persons_marks(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps({"a": {"6": [2], "7": []}, "elsewhere": {}}))
    (tmp_path / "a.json").write_text(json.dumps({"series": [{"raw": [1, 2.5, 3]}]}))
    (series,) = read_labelled(tmp_path)
    assert (series.name, list(series.values), series.marks) == ("a", [1, 2.5, 3], ((2,), ()))


def test_e_divisive_finds_two_steps_and_none_in_noise() -> None:
    values = np.random.default_rng(1).normal(0, 1, 120)
    assert e_divisive(values, permutations=39) == []
    values[40:80] += 5
    first, second = e_divisive(values, permutations=39)
    assert abs(first - 40) <= 1
    assert abs(second - 80) <= 1
