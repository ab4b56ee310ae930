"""`harness.history.csv_file`: what a file says, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.history.csv_file import Series, read_series


def read(folder: Path, text: str) -> Series:
    path = folder / "series.csv"
    path.write_text(text, encoding="utf-8")
    return read_series(path)


def test_a_series_is_read_with_its_builds_and_times(tmp_path: Path) -> None:
    series = read(tmp_path, "time,index,value,build,else\nmon,3,1.5,a,x\ntue,4,-2e3,b,y\n")
    assert series.index == (3, 4)
    assert list(series.values) == [1.5, -2000.0]
    assert series.builds == series.repeats == ("a", "b")
    assert series.times == ("mon", "tue")


def test_whole_numbers_stay_whole_and_others_do_not(tmp_path: Path) -> None:
    assert [repr(one) for one in read(tmp_path, "index,value\n1,1\n1.5,1\n2,1\n").index] == ["1", "1.5", "2"]


def test_rows_of_one_index_are_repeats_where_there_are_no_builds(tmp_path: Path) -> None:
    series = read(tmp_path, "index,value\n1,5\n1,6\n2,7\n")
    assert series.builds is None
    assert series.repeats == (1, 1, 2)


@pytest.mark.parametrize("empty", ["", "NaN", "nan"])
def test_a_row_without_a_value_is_left_out_and_counted(tmp_path: Path, empty: str) -> None:
    series = read(tmp_path, f"index,value,build\n1,5,a\n2,{empty},a\n3,7,b\n")
    assert (series.index, list(series.values), series.builds) == ((1, 3), [5, 7], ("a", "b"))
    assert series.left_out == 1


def test_a_byte_order_mark_spaces_and_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbfindex , value\r\n1, 2\r\n\r\n3, 4\r\n")
    series = read_series(path)
    assert (series.index, list(series.values)) == ((1, 3), [2, 4])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("no column index and no column value", "nothing")),
        ("index,value\n", ("no row with a value",)),
        ("index,value\n1,\n", ("no row with a value",)),
        ("index;value\n1;2\n", ("no column index", "index;value")),
        ("index,speed\n1,2\n", ("no column value", "index, speed")),
        ("index,value,value\n1,2,3\n", ("value twice",)),
        ("index,value\n1,2\n2,fast\n", ("line 3", "'fast'")),
        ("index,value\n1,2\n2,inf\n", ("line 3", "finite")),
        ("index,value\nmon,2\n", ("line 2", "index 'mon'")),
        ("index,value\n,2\n", ("line 2", "index ''")),
        ("index,value\nnan,2\n", ("line 2", "index 'nan'")),
        ("index,value\n2,2\n1,2\n", ("line 3", "1 comes after 2")),
        (f"index,value\n1,{'9' * 400}\n", ("line 2", "value '999", "1e+150")),
        (f"index,value\n{'9' * 400},1\n", ("line 2", "index '999", "1e+150")),
        ("index,value\n1,-1.7e308\n", ("line 2", "value '-1.7e308'")),
        ("index,value,build\n1,2,\n", ("line 2", "build is empty")),
        ("index,value\n1\n", ("line 2", "cells")),
        ("index,value\n1,2,3\n", ("line 2", "cells")),
        ("index,value,build\n1,2,a\n1,2,b\n", ("line 3", "'a'", "'b'")),
        ('index,value\n1,"2\n', ("unexpected end",)),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert "series.csv" in raised.value.what
    for part in parts:
        assert part in raised.value.what


def test_what_is_no_file_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_series(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="no UTF-8 text file"):
        read_series(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no UTF-8 text file"):
        read_series(tmp_path / "binary.csv")
