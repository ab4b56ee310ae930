"""`harness.history.drawing`: the text, letter for letter."""

from __future__ import annotations

import numpy as np

from harness.history import change_points
from harness.history.drawing import changes_table, picture

#: No noise source: a saw of five teeth on two levels, one row far off.
VALUES = np.array([100.0 + row % 5 + 20 * (row >= 30) for row in range(60)])
VALUES[10] = 900.0
INDEX = range(1, 61)

TABLE = """\
index  interval  before  after  ratio          95 %  confidence
   30    30..30  102.07    122  1.195  1.182..1.209    99.999 %
""".removesuffix("\n")
PICTURE = """\
131.33        ▲            │
                           │
                           │
                           │─••─•••─••─••─•••─••
                           │•  •   •  •  •   •
                           │
114.24                     │
                           │
                           │
                           │
        ─••─••──••─••─•••─••
   100  •  •   •  •  •   • │
        1                                     60
""".removesuffix("\n")


def test_the_table_of_changes() -> None:
    assert "\n".join(changes_table(change_points(VALUES), INDEX)) == TABLE


def test_the_picture() -> None:
    assert "\n".join(picture(VALUES, change_points(VALUES), INDEX, width=48)) == PICTURE


def test_a_terminal_without_unicode_gets_the_same_picture_in_ascii() -> None:
    lines = picture(VALUES, change_points(VALUES), INDEX, width=48, unicode=False)
    assert "\n".join(lines) == PICTURE.translate(str.maketrans("•─│▲▼", "o-|^v"))


def test_times_stand_beside_the_index() -> None:
    header, row = changes_table(change_points(VALUES), INDEX, [f"day {at}" for at in INDEX])
    assert header.split()[:2] == ["index", "time"]
    assert row.split()[:3] == ["30", "day", "30"]


def test_without_a_change_one_line_says_so() -> None:
    assert changes_table(change_points([1.0] * 50), range(50)) == ["no change in 50 units"]
    (line,) = changes_table(change_points([1.0, 2.0]), range(2))
    assert "too few" in line


def test_more_rows_than_columns_fit_and_one_row_does_too() -> None:
    many = np.arange(1000.0)
    assert all(len(line) <= 60 for line in picture(many, change_points(many), range(1000), width=60))
    assert len(picture(many[:1], change_points(many[:1]), [0], width=20)) == 13
