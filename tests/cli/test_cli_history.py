"""`edgebench history`: its JSON, its text and its plots, from files as a user has them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main

KEYS = {"index", "before", "after", "ratio", "confidence", "direction"}


def write(path: Path, values: list[float], *, first: int = 0, **columns: list[Any]) -> Path:
    lines = [",".join(["index", "value", *columns])]
    for at, value in enumerate(values):
        lines.append(
            ",".join([str(first + at), repr(value), *(str(column[at]) for column in columns.values())])
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def stepped() -> list[float]:
    values = np.random.default_rng(1).normal(100, 2, 80)
    values[40:] *= 1.2
    return [float(value) for value in values]


def history(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["history", *words])
    answer = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, answer.out, answer.err


def changes(capsys: pytest.CaptureFixture[str], path: Path) -> list[dict[str, Any]]:
    status, out, _ = history(capsys, "--csv", str(path), "--json")
    assert status == 0
    answer = json.loads(out)
    assert isinstance(answer, list)
    return answer


def test_the_answer_is_a_list_with_the_last_row_before_each_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (change,) = changes(capsys, write(tmp_path / "s.csv", stepped(), first=1000))
    assert change.keys() >= KEYS
    assert change["index"] == 1039
    assert change["interval"] == [1039, 1039]
    assert change["ratio"] == pytest.approx(1.2, rel=0.02)
    assert change["ratio_interval"][0] < 1.2 < change["ratio_interval"][1]
    assert change["direction"] == "up"
    assert 0.99 <= change["confidence"] <= 1


def test_other_index_values_only_relabel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = changes(capsys, write(tmp_path / "one.csv", stepped()))
    (other,) = changes(capsys, write(tmp_path / "other.csv", stepped(), first=-500))
    assert other == one | {"index": one["index"] - 500, "interval": [at - 500 for at in one["interval"]]}


def test_a_series_without_a_change_is_an_empty_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changes(capsys, write(tmp_path / "s.csv", [5.0] * 100)) == []


def test_two_rows_are_an_empty_list_and_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = history(capsys, "--csv", str(write(tmp_path / "s.csv", [1.0, 2.0])), "--json")
    assert (status, json.loads(out)) == (0, [])
    assert "too few" in err


def test_builds_are_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [float(value) for value in np.repeat(np.random.default_rng(3).normal(100, 5, 20), 5)]
    builds = [f"v{row // 5}" for row in range(100)]
    assert changes(capsys, write(tmp_path / "s.csv", values, build=builds)) == []


def test_a_wrong_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.csv"
    path.write_text("index,value\n1,fast\n", encoding="utf-8")
    status, out, err = history(capsys, "--csv", str(path))
    assert (status, out) == (2, "")
    assert "line 2" in err
    assert "next:" in err


def test_rows_without_a_value_are_counted_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.csv"
    path.write_text("index,value\n1,\n2,3\n", encoding="utf-8")
    status, _, err = history(capsys, "--csv", str(path))
    assert status == 0
    assert "1 of" in err


@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".json"])
def test_a_plot_is_written_in_the_format_of_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    out = tmp_path / f"plot{ending}"
    status, _, _ = history(capsys, "--csv", str(write(tmp_path / "s.csv", stepped())), "--out", str(out))
    assert status == 0
    assert out.stat().st_size > 1000


def test_an_unknown_format_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = history(capsys, "--csv", str(tmp_path / "none.csv"), "--out", "plot.bmp")
    assert status == 2
    assert "plot.bmp" in err


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(4).normal(100, 2, 100_000)
    values[60_000:] *= 1.05
    path = write(tmp_path / "s.csv", [float(value) for value in values])
    begun = time.process_time()
    found = changes(capsys, path)
    assert time.process_time() - begun < 60
    assert min(abs(change["index"] - 59_999) for change in found) <= 5
    assert len(found) <= 3
