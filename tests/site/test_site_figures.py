"""Figures with their uncertainty, the mark of the best, names of files, and how long tables are split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.names import why_no_name
from harness.site.figures import best_figures, why_unranked
from harness.site.grid import Shown, make_grid
from harness.site.names import slug
from harness.site.paging import grid_pages, page_names, text_pages
from harness.site.samples import Text
from harness.table.metrics import (
    ROW_KEYS,
    as_bytes,
    as_factor,
    as_number,
    as_percent,
    as_seconds,
    significant,
)
from harness.table.rows import BASELINE_SUSPECT, Row
from harness.table.uncertainty import uncertain_text, with_half

Basis = Mapping[str, Mapping[str, float]]


def row(
    value: float | None, interval: tuple[float, float] | None, key: str = "decode_tps", basis: Basis | None = None,
    baseline: int | None = None, **more: Any,
) -> Row:  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(ROW_KEYS)
    values |= {
        "framework": "llamacpp", "model": "m", "precision": "int4", "recipe": "Q4", "device": "cpu",
        "workload": "pp8+tg8", "precision_class": "low", "session": "s", "machine": "x", "status": "ok",
        "validity": "ok", "flags": [], "emulated": False, "synthetic": False, "runs": 5, key: value,
        "intervals": {} if interval is None else {key: list(interval)}, **more,
    }  # fmt: skip
    return Row(values, basis=basis or {}, baseline=baseline)


@pytest.mark.parametrize(
    ("formatter", "value", "half", "text"),
    [
        (as_number, 121.3, 2.04, "121 ± 2"),
        (as_number, 121.34, 1.4, "121.3 ± 1.4"),
        (as_number, 62.83, 0.14, "62.83 ± 0.14"),
        (as_bytes, 351_234_567.0, 1_400_000.0, "351.2 ± 1.4 MB"),
        (as_bytes, 351_234_567.0, 3.0, "351.23 ± <0.01 MB"),
        (as_percent, 0.6234, 0.011, "62.3 ± 1.1 %"),
        (as_factor, 1.58, 0.03, "1.58 ± 0.03×"),
        (as_seconds, 0.0331, 0.0004, "33.1 ± 0.4 ms"),
        (significant, 0.0482, 0.0031, "0.048 ± 0.003"),
        (significant, 2.99e-06, 1e-7, "2.99e-06 ± 1e-07"),
        (as_number, 3.0, 7.0, "3 ± >100 %"),
        (as_percent, -0.002, 0.011, "-0.2 ± 1.1 %"),
        (as_percent, -0.0001, 0.002, "0.0 ± 0.2 %"),
    ],
)  # fmt: skip
def test_a_figure_shows_half_its_interval_in_its_own_unit(
    formatter: Callable[[float], str], value: float, half: float, text: str
) -> None:
    assert with_half(formatter, value, half) == text


def test_a_figure_says_how_many_runs_it_rests_on() -> None:
    five = row(121.3, (119.3, 123.3), basis={"decode_tps": {str(at): 121.0 for at in range(5)}})
    assert uncertain_text(five, "decode_tps") == "121 ± 2 (5 runs)"
    one = row(121.3, None, basis={"decode_tps": {"a": 121.3}})
    assert uncertain_text(one, "decode_tps") == "121.3 (1 run)"
    scored = row(0.0482, (0.0452, 0.0512), "kld_mean", scored_positions=8064)
    assert uncertain_text(scored, "kld_mean") == "0.048 ± 0.003 (8,064 positions)"


CLEAR, NEAR = row(200.0, (195.0, 205.0)), row(100.0, (95.0, 105.0))


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([CLEAR, NEAR], {(0, "decode_tps")}),
        ([NEAR, CLEAR, row(90.0, (80.0, 100.0))], {(1, "decode_tps")}),
        ([CLEAR, row(190.0, (180.0, 195.0))], set()),  # they touch
        ([CLEAR, row(100.0, None)], set()),  # nobody knows how sure the other one is
        ([CLEAR], set()),  # nothing to be better than
        ([CLEAR, row(400.0, (390.0, 410.0), validity="suspect"), NEAR], {(0, "decode_tps")}),
        ([CLEAR, row(400.0, (390.0, 410.0), emulated=True), NEAR], {(0, "decode_tps")}),
        ([CLEAR, row(400.0, (390.0, 410.0), artifact_verdict="broken"), NEAR], {(0, "decode_tps")}),
        ([CLEAR, row(400.0, (390.0, 410.0), status="oom"), NEAR], {(0, "decode_tps")}),
        ([CLEAR, row(400.0, (390.0, 410.0), precision_class="medium"), NEAR], {(0, "decode_tps")}),
        ([CLEAR, row(None, None), NEAR], {(0, "decode_tps")}),
    ],
)
def test_the_best_is_marked_only_where_it_lies_apart(rows: list[Row], best: set[tuple[int, str]]) -> None:
    assert best_figures(rows, ["decode_tps"]) == best


def test_less_is_better_where_the_registry_says_so() -> None:
    small, large = row(100.0, (99.0, 101.0), "peak_rss_bytes"), row(200.0, (199.0, 201.0), "peak_rss_bytes")
    assert best_figures([large, small], ["peak_rss_bytes"]) == {(1, "peak_rss_bytes")}


def test_a_speed_up_over_a_suspect_baseline_is_not_ranked() -> None:
    fast = row(2.0, None, "speedup_decode", flags=[BASELINE_SUSPECT])
    slow = row(1.5, None, "speedup_decode")
    assert best_figures([fast, slow], ["speedup_decode"]) == set()
    assert why_unranked(fast) is None


@settings(max_examples=200)
@given(st.lists(st.text(max_size=80), min_size=2, max_size=2, unique=True))
def test_different_texts_have_different_names_that_are_a_files_everywhere(texts: list[str]) -> None:
    names = [slug(text) for text in texts]
    assert all(why_no_name(f"{name}.html") is None and name.isascii() for name in names)
    assert names[0].lower() != names[1].lower()


def test_a_long_table_goes_over_pages_and_loses_no_row() -> None:
    rows = [row(float(place), (place - 1.0, place + 1.0), recipe=f"R{place}") for place in range(6000)]
    shown = [Shown(one, rows[:1], 0, f"sessions/s/c{place}.html") for place, one in enumerate(rows)]
    grid = make_grid(shown, caption="c", anchor="a", link=lambda path: path)
    parts = grid_pages(grid)
    assert len(parts) > 1
    assert sum(part.rows() for part in parts) == 6000 == grid.rows()
    names = [one.name for part in parts for _, _, block in part.blocks for one in block]
    assert len(set(names)) == 6000
    assert [page.name for page in page_names("index", 3)] == ["index.html", "index-2.html", "index-3.html"]
    lines = text_pages([[Text("x" * 1000)] for _ in range(3000)])
    assert [len(part) > 0 for part in lines] == [True] * len(lines)
    assert sum(map(len, lines)) == 3000
    assert len(lines) > 2
    assert text_pages([]) == [[]]
