"""A cell's history out of a database: rows, sides, versions, and the command that shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_store_records as make
import numpy as np
import pytest
from make_store_series import steady, stepped, store_nights

from harness.cli import main
from harness.history import change_points
from harness.history.stored import cell_series, coincidences
from harness.store import Store

CELL = make.cell()
OTHER = make.cell("Q8_0", "int8")
MACHINE = make.machine()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty nights of two cells; one is slower since the framework's package was updated after the fifteenth."""
    path = tmp_path_factory.mktemp("history") / "lab.db"
    with Store.open(path) as store:
        store_nights(
            store,
            [(CELL, stepped(30, 15, 1.2)), (OTHER, steady(30))],
            machine=MACHINE,
            version=lambda night: "0.3.36" if night < 15 else "0.3.37",
            session=lambda night: {
                "system": {"kernel": "6.1" if night < 4 else "6.2", "battery_percent": night}
            },
        )
    return path


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database, read_only=True) as opened:
        yield opened


def history(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["history", *words])
    answer = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, answer.out, answer.err


def test_the_runs_of_a_session_are_repeats_and_sessions_are_builds(store: Store) -> None:
    series = cell_series(store, CELL.id, MACHINE.id, ["decode_tps"])["decode_tps"]
    analysis = series.analysis()
    assert (len(series.series.values), analysis.units, series.holes) == (60, 30, 0)
    (change,) = analysis.changes
    before, after = series.sides(change)
    assert (series.points.index(before), series.points.index(after)) == (14, 15)
    assert change.direction == "down"
    assert change.ratio == pytest.approx(1 / 1.2, rel=0.01)


def test_what_a_gate_only_tried_is_no_part_of_a_series(tmp_path: Path) -> None:
    """A wheel that is a fifth slower, tried in a third of the sessions, is no step of the machine."""
    with Store.open(tmp_path / "lab.db") as made:
        nights = store_nights(
            made,
            [(CELL, stepped(30, 20, 1.2))],
            session=lambda night: {"trigger": "gate" if night >= 20 else "nightly"},
        )
        series = cell_series(made, CELL.id, MACHINE.id, ["decode_tps"])["decode_tps"]
        assert [point.session_id for point in series.points] == nights[:20]
        assert series.analysis().changes == ()
        every = made.history(CELL.id, MACHINE.id, ["decode_tps"])
        assert [point.session_id for point in every] == nights, "a stored baseline still has them"


def test_a_metric_that_nothing_has_is_an_empty_series_with_its_holes(store: Store) -> None:
    series = cell_series(store, CELL.id, MACHINE.id, ["peak_rss_bytes"])["peak_rss_bytes"]
    assert (series.points, series.holes) == ((), 30)
    assert series.analysis().changes == ()


def test_what_changed_with_a_change_is_told_and_nothing_that_changed_elsewhere(store: Store) -> None:
    series = cell_series(store, CELL.id, MACHINE.id, ["decode_tps"])["decode_tps"]
    (found,) = coincidences(store, series, series.analysis().changes)
    assert [str(one.what) for one in found] == ["package llama-cpp-python 0.3.36 -> 0.3.37"]
    assert found[0].at_place
    assert found[0].session_id == series.points[15].session_id


def test_a_change_in_the_interval_is_told_behind_those_at_the_place(tmp_path: Path) -> None:
    """A small step in noise: its place is not sure, and a kernel that changed beside it may be the cause."""
    noisy = [
        np.random.default_rng(seed).normal(1.0, 0.02, 60) + 0.06 * (np.arange(60) >= 30) for seed in range(20)
    ]
    values, change = next(
        (one, changes[0])
        for one in noisy
        if len(changes := change_points(one).changes) == 1 and changes[0].first_row < changes[0].last_row
    )
    first, place, last = change.first_row, change.row, change.last_row
    beside = first if first < place else last
    with Store.open(tmp_path / "lab.db") as store:
        store_nights(
            store,
            [(CELL, [[float(value)] for value in values])],
            version=lambda night: "2" if night > place else "1",
            session=lambda night: {"system": {"drivers": {"cuda GPU": "551" if night > beside else "550"}}},
        )
        series = cell_series(store, CELL.id, MACHINE.id, ["decode_s"])["decode_s"]
        (found,) = coincidences(store, series, series.analysis().changes)
    assert [(str(one.what), one.at_place) for one in found] == [
        ("package llama-cpp-python 1 -> 2", True),
        ("driver cuda GPU 550 -> 551", False),
    ]


def test_the_command_prints_the_picture_the_changes_and_the_packages(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = history(capsys, "Q4_K_M", "--db", str(database))
    assert status == 0
    assert "decode_tps on Example CPU" in out
    assert "ratio" in out
    assert "down between session 20261207" in out
    assert "package llama-cpp-python 0.3.36 -> 0.3.37" in out


@pytest.mark.parametrize("words", [CELL.id, CELL.id[:6], CELL.id.upper(), "llamacpp and Q4_K_M"])
def test_a_cell_is_meant_by_id_beginning_or_words(
    database: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    status, out, _ = history(capsys, words, "--db", str(database), "--json")
    answer: dict[str, Any] = json.loads(out)
    assert status == 0
    assert answer["cell"]["id"] == CELL.id
    (change,) = answer["changes"]
    assert (change["index"], change["session_before"]) == (14, answer["points"][14]["session_id"])
    assert change["session_after"] == answer["points"][15]["session_id"]
    assert [one["name"] for one in change["changed"]] == ["llama-cpp-python"]
    assert len(answer["points"]) == 30


def test_the_name_that_the_answer_has_means_its_cell(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = json.loads(history(capsys, OTHER.id, "--db", str(database), "--json")[1])["cell"]["name"]
    again = json.loads(history(capsys, name, "--db", str(database), "--json")[1])
    assert (again["cell"]["id"], again["changes"]) == (OTHER.id, [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("llamacpp",), (f"{CELL.id} ", f"{OTHER.id} ", "means 2 cells")),
        (("mlx",), ("chooses none of the 2 cells",)),
        (("Q4_K_M", "--metric", "peak_rss_bytes"), ("none of the 30 sessions", "decode_tps")),
        (("Q4_K_M", "--metric", "nonsense"), ("no value of nonsense", "prefill_tps, decode_tps")),
        (("Q4_K_M", "--machine", "nowhere"), ("no machine is called 'nowhere'",)),
        ((), ("a cell or of a file",)),
        (("Q4_K_M", "--csv", "x.csv"), ("both a cell and a file",)),
        (("--csv", "x.csv", "--metric", "decode_s"), ("--metric and --machine are of a cell",)),
        (("Q4_K_M", "--out", "x.txt"), ("no known format",)),
    ],
)
def test_words_that_mean_no_series_are_refused(
    database: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    status, _, err = history(capsys, *words, "--db", str(database))
    assert status == 2
    for one in told:
        assert one in err


def test_the_plot_is_of_every_run(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plot.json"
    assert (
        history(capsys, "Q4_K_M", "--db", str(database), "--machine", MACHINE.id[:5], "--out", str(out))[0]
        == 0
    )
    chart = json.loads(out.read_text(encoding="utf-8"))
    assert "decode_tps" in json.dumps(chart)
    (line,) = chart["title"]["subtitle"]
    assert line.startswith("down with session 20261208")
    assert line.endswith(": package llama-cpp-python 0.3.36 -> 0.3.37")
    data = chart["layer"][1]["data"]
    dots = data["values"] if "values" in data else chart["datasets"][data["name"]]
    assert [one["index"] for one in dots] == [night for night in range(30) for _ in range(2)]
