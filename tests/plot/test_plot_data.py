"""The data of each plot, on sessions made by hand: where marks are, what has none and why, what is ranked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plot_facts import cell, session, skipped

from harness.errors import UsageError
from harness.plot.depth import depth_data
from harness.plot.energy import energy_data
from harness.plot.heatmap import heatmap_data
from harness.plot.latency import gaps_data, ttft_data
from harness.plot.memory import memory_data
from harness.plot.quality import Quality, quality_data
from harness.plot.registry import PLOTS, plot_data, session_plots
from harness.plot.subjects import names
from harness.table.facts import CellFacts, SessionFacts
from harness.table.rows import Row, comparison_rows


def with_rows(*cells: CellFacts) -> tuple[SessionFacts, list[Row]]:
    facts = session(*cells)
    return facts, comparison_rows(facts)


def quality(*cells: CellFacts, against: str = "decode_tps") -> Quality:
    return quality_data(*with_rows(*cells), against)  # type: ignore[arg-type]  # one of the two


def test_a_quality_mark_lies_at_its_speed_and_divergence_with_both_intervals() -> None:
    (mark,) = quality(cell(token_ms=10, kld=0.1)).marks
    assert mark.value == pytest.approx((100 + 100 / 1.02) / 2)
    assert mark.kld == pytest.approx(0.1)
    assert mark.low is not None
    assert mark.high is not None
    assert mark.low < mark.value < mark.high
    assert mark.kld_low is not None
    assert mark.kld_high is not None
    assert mark.kld_low < mark.kld < mark.kld_high
    assert (mark.subject.runs, mark.subject.version, mark.subject.standing) == (2, "1.0", "measured")


def test_the_frontier_is_what_nothing_measured_beats_in_both_the_most_accurate_first() -> None:
    data = quality(
        cell(recipe="slow-exact", token_ms=20, kld=0.01),
        cell(recipe="beaten", token_ms=20, kld=0.02),
        cell(recipe="fast", token_ms=5, kld=0.3),
    )
    assert [(mark.subject.precision, mark.frontier) for mark in data.marks] == [
        ("int4 (slow-exact)", True), ("int4 (fast)", True), ("int4 (beaten)", False),
    ]  # fmt: skip


def test_of_memory_less_is_better() -> None:
    data = quality(
        cell(recipe="small", peak_mb=80, kld=0.3),
        cell(recipe="beaten", peak_mb=200, kld=0.3),
        cell(recipe="exact", peak_mb=150, kld=0.1),
        against="peak_rss_bytes",
    )
    assert [mark.subject.precision for mark in data.marks if mark.frontier] == [
        "int4 (exact)",
        "int4 (small)",
    ]
    assert data.marks[0].value == 150e6


@pytest.mark.parametrize(
    ("change", "standing", "why"),
    [
        ({"validity": "suspect"}, "suspect", "steal time 9 %"),
        ({"emulated": True}, "emulated", "emulated"),
        ({"positions": 50}, "not comparable", "150 positions"),
        ({"workload": "pp8+tg4"}, "not comparable", "tiny pp8+tg4, of most rows tiny pp32+tg4"),
    ],
)
def test_what_may_not_be_ranked_has_a_mark_apart_and_is_never_on_the_frontier(
    change: dict[str, object], standing: str, why: str
) -> None:
    best = cell("olive", "X", token_ms=1, kld=0.001, **change)  # type: ignore[arg-type]
    data = quality(cell(recipe="A"), cell(recipe="B", token_ms=20, kld=0.2), best)
    (mark,) = (mark for mark in data.marks if mark.subject.framework == "olive")
    assert mark.subject.standing == standing
    assert why in (mark.subject.unranked or "")
    assert not mark.frontier
    assert [mark.subject.precision for mark in data.marks if mark.frontier] == ["int4 (A)"]


def test_what_has_no_mark_is_named_with_its_reason() -> None:
    broken = cell(recipe="Q1", kld=9.0)

    assert broken.artifact is not None
    broken = replace(broken, artifact=replace(broken.artifact, verdict="broken", verdict_reason="noise"))
    data = quality(cell(), cell(recipe="unscored", kld=None), skipped(), broken)
    assert data.missing == {
        "llamacpp int4 (unscored) cpu": "no quality reference was computed",
        "mlx int4 (Q4_0) cpu": "needs a Mac",
        "llamacpp int4 (Q1) cpu": "the artifact is broken: noise",
    }


def test_without_a_single_mark_the_reasons_are_told_the_most_frequent_first() -> None:
    with pytest.raises(
        UsageError, match=r"no cell has both .*: needs a Mac; no quality reference was computed"
    ):
        quality(skipped(), skipped(recipe="B"), cell(kld=None))


def test_names_tell_rows_apart_by_what_differs() -> None:
    rows = comparison_rows(
        session(cell(), cell(workload="pp8+tg4"), cell(workload="pp8+tg4", options={"a": "1"}))
    )
    assert names(rows) == [
        "llamacpp int4 (Q4_0) cpu pp32+tg4",
        "llamacpp int4 (Q4_0) cpu pp8+tg4",
        "llamacpp int4 (Q4_0) cpu pp8+tg4 a=1",
    ]
    assert names(rows[:1]) == ["llamacpp int4 (Q4_0) cpu"]
    assert len(set(names([rows[0], rows[0]]))) == 2


def test_memory_parts_add_up_to_the_peak_and_the_smallest_stands_first() -> None:
    data = memory_data(*with_rows(cell(peak_mb=100), cell(recipe="tiny", peak_mb=60), skipped()))
    assert [bar.total_bytes for bar in data.marks] == [60_000_000, 100_000_000]
    assert data.marks[1].parts_bytes == (40_000_000, 30_000_000, 2_000_000, 28_000_000)
    # Weights that were mapped and never read leave less than nothing.
    assert data.marks[0].parts_bytes[-1] == -12_000_000
    assert all(sum(bar.parts_bytes) == bar.total_bytes for bar in data.marks)
    assert data.missing == {"mlx int4 (Q4_0) cpu": "needs a Mac"}


def test_gaps_have_the_tables_percentiles() -> None:
    facts, rows = with_rows(cell(token_ms=10), cell(recipe="fast", token_ms=2))
    fast, slow = gaps_data(facts, rows).marks
    assert fast.subject.precision == "int4 (fast)"
    assert slow.seconds[0] == pytest.approx(rows[0]["itl_s_p50"])
    assert slow.seconds[2] == pytest.approx(rows[0]["itl_s_p99"])
    assert slow.gaps == 8


def test_speed_by_depth_joins_cells_that_differ_in_nothing_else() -> None:
    data = depth_data(
        *with_rows(
            cell(workload="pp32+tg4"),
            cell(workload="pp32+tg4@d512", token_ms=20),
            cell(workload="pp32+tg4@d512", recipe="once"),
        )
    )
    assert [(mark.line, mark.at_tokens) for mark in data.marks] == [
        ("llamacpp tiny Q4_0 cpu pp32+tg4", 0), ("llamacpp tiny Q4_0 cpu pp32+tg4", 512),
    ]  # fmt: skip
    assert data.marks[0].value > data.marks[1].value
    assert data.missing == {"llamacpp int4 (once) cpu pp32+tg4@d512": "measured with one depth, 512 tokens"}
    with pytest.raises(UsageError, match="every configuration was measured with one depth"):
        depth_data(*with_rows(cell(), cell(recipe="B")))


def test_the_first_token_by_length_of_the_prompt() -> None:
    data = ttft_data(*with_rows(cell(ttft_s=0.5), cell(workload="pp512+tg4", ttft_s=4.0)))
    assert [(mark.line, mark.at_tokens, mark.value) for mark in data.marks] == [
        ("llamacpp tiny Q4_0 cpu tg4", 32, 0.5), ("llamacpp tiny Q4_0 cpu tg4", 512, 4.0),
    ]  # fmt: skip


def test_energy_has_its_meter_and_without_one_its_reason() -> None:
    data = energy_data(*with_rows(cell(joules=0.5), cell(recipe="B", joules=0.2), cell(recipe="C")))
    assert [(mark.subject.precision, mark.joules) for mark in data.marks] == [
        ("int4 (B)", 0.2), ("int4 (Q4_0)", 0.5),
    ]  # fmt: skip
    assert "powercap package-0" in data.marks[0].meter
    assert data.missing == {"llamacpp int4 (C) cpu": "no energy meter"}
    with pytest.raises(UsageError, match="no energy meter"):
        energy_data(*with_rows(cell()))


def test_a_field_of_the_heat_map_is_one_row_that_may_be_ranked_and_never_a_mean() -> None:
    data = heatmap_data(
        *with_rows(
            cell(recipe="slow", token_ms=20, kld=0.01),
            cell(recipe="fast", token_ms=5, kld=0.3),
            cell(recipe="doubtful", token_ms=1, kld=0.3, validity="suspect"),
            cell(precision="int8", recipe="Q8_0"),
            cell("openvino", "INT4", kld=None),
            skipped(),
            skipped("openvino", "no such recipe", precision="int8", recipe="INT8"),
        )
    )
    assert (data.lines, data.columns) == (("llamacpp cpu", "openvino cpu"), ("int8", "int4"))
    found = {(one.line, one.column): one for one in data.fields}
    best = found["llamacpp cpu", "int4"]
    assert (best.recipe, best.of) == ("fast", 3)
    assert best.figures["kld_mean"] == pytest.approx(0.3)
    assert found["openvino cpu", "int4"].reasons == {"kld_mean": "no quality reference was computed"}
    assert found["openvino cpu", "int8"].reasons["decode_tps"] == "no such recipe"
    assert data.missing == {"mlx int4 (Q4_0) cpu": "needs a Mac"}


def test_every_plot_of_a_session_is_there_or_says_why_not() -> None:
    facts, rows = with_rows(cell(), cell(recipe="B", kld=0.2))
    found = {one.name: one for one in session_plots(facts, rows)}
    assert list(found) == list(PLOTS)
    drawn = {name for name, one in found.items() if one.chart is not None}
    assert drawn == {"quality-speed", "quality-memory", "heatmap", "roofline", "memory", "itl"}
    for name, one in found.items():
        assert (one.why_not is None) == (one.figures is not None) == (name in drawn)
        if one.figures is not None:
            assert all(len(line) == len(one.figures.heads) for line in one.figures.lines)
            assert one.figures.lines
            assert one.figures.summary.endswith(".")
    assert "no energy meter" in (found["energy"].why_not or "")


def test_an_empty_session_has_reasons_alone() -> None:
    found = session_plots(*with_rows(skipped()))
    assert [one.chart for one in found] == [None] * len(PLOTS)
    assert all(one.why_not for one in found)


def test_an_imported_session_has_no_plots() -> None:

    from harness.table.facts import SourceFacts

    facts, rows = with_rows(cell())
    imported = replace(facts, source=SourceFacts("llama-bench", "1", "a.json", "0"))
    with pytest.raises(UsageError, match="llama-bench measured this session by its own definitions"):
        plot_data("memory", imported, rows)
