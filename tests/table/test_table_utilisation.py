"""MBU, MFU and the measurement that cannot be right, on small facts checked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from table_facts import MB, cell, run, session

from harness.table import render
from harness.table.facts import BenchFacts, CellFacts, RunFacts, WorkFacts
from harness.table.rows import Row, comparison_rows

#: 20 GB/s, 100 GFLOP/s.
BENCH = BenchFacts(20e9, 100e9, 400e9, 10 * MB, "2026-11-26")
WORK = WorkFacts(decode_bytes=100e6, decode_flops=270e6, prefill_bytes=110e6, prefill_flops=8e9)


def worked(
    identity: str = "r", token_ms: int = 10, work: WorkFacts | None = WORK, **more: object
) -> RunFacts:
    """A run with prefill in 0.1 s and these milliseconds a token."""
    changes = {"touched_weight_bytes": 95 * MB, "work": work, **more}
    return replace(run(identity, 0.1, token_ms, 300), **changes)  # type: ignore[arg-type]


def rows_of(*cells: CellFacts, bench: BenchFacts | None = BENCH) -> list[Row]:
    return comparison_rows(replace(session(*cells), bench=bench))


def int4(*runs: RunFacts, **more: object) -> CellFacts:
    return cell("llamacpp", "int4", "Q4_K_M", runs=runs, **more)


def test_mbu_is_bytes_of_a_token_times_tokens_a_second_over_the_bandwidth() -> None:
    (row,) = rows_of(int4(worked()))
    assert row["mbu_decode"] == pytest.approx(100e6 * 100 / 20e9)
    assert row.notes["mbu_decode"] == "against 20 GB/s read and 100 GFLOP/s fp32, measured 2026-11-26"


def test_mfu_is_operations_of_the_prompt_over_its_seconds_over_the_peak() -> None:
    (row,) = rows_of(int4(worked()))
    assert row["mfu_prefill"] == pytest.approx(8e9 / 0.1 / 100e9)


def test_over_runs_the_median_counts_with_its_interval() -> None:
    (row,) = rows_of(int4(worked("a", 10), worked("b", 20), worked("c", 40)))
    assert row["mbu_decode"] == pytest.approx(0.25)
    low, high = row["intervals"]["mbu_decode"]
    assert low < 0.25 < high


@pytest.mark.parametrize(
    ("one", "bench", "reason"),
    [
        (int4(worked()), None, "this machine was never benched: edgebench doctor --bench"),
        (
            int4(worked(), device="gpu:0.cuda"),
            BENCH,
            "the bench measures the CPU and its memory, not gpu:0.cuda",
        ),
        (int4(worked(), emulated=True), BENCH, "emulated: the host's memory says nothing about the device"),
        (int4(worked(work=None, shape_reason="no plain transformer")), BENCH, "no plain transformer"),
        (
            int4(worked(work=replace(WORK, decode_bytes=None), kv_reason="no type of its KV cache")),
            BENCH,
            "no type of its KV cache",
        ),
        (int4(reason="needs Windows"), BENCH, "needs Windows"),
    ],
)
def test_without_what_it_needs_it_is_null_with_the_reason(
    one: CellFacts, bench: BenchFacts | None, reason: str
) -> None:
    (row,) = rows_of(one, bench=bench)
    assert row["mbu_decode"] is None
    assert row.notes["mbu_decode"] == reason


def test_a_variant_of_the_cpu_is_the_cpu() -> None:
    (row,) = rows_of(int4(worked(), device="cpu.auto"))
    assert row["mbu_decode"] == pytest.approx(0.5)


def test_more_bytes_than_the_memory_can_deliver_mark_the_measurement_as_wrong() -> None:
    (row,) = rows_of(int4(worked(token_ms=4)))
    assert row["mbu_decode"] == pytest.approx(1.25)
    assert row["validity"] == "suspect"
    assert row["flags"] == [
        "MBU 1.25 (limit 1.05): more bytes than the memory can deliver, the measurement is wrong"
    ]


def test_a_wrong_run_is_left_out_beside_right_ones_and_counted() -> None:
    (row,) = rows_of(int4(worked("a", 10), worked("b", 4)))
    assert (row["validity"], row["mbu_decode"]) == ("ok", pytest.approx(0.5))
    assert row["flags"][0] == "1 of 2 runs suspect and left out of the figures"


@pytest.mark.parametrize(
    "bench",
    [
        replace(BENCH, last_level_cache_bytes=24 * MB),  # 95 MB are less than four of these
        replace(BENCH, last_level_cache_bytes=None),
        replace(BENCH, doubt="the bench was disturbed (memory: steal time 4 %)"),
    ],
)
def test_where_the_cache_may_have_helped_or_the_bench_is_in_doubt_nothing_is_marked(
    bench: BenchFacts,
) -> None:
    (row,) = rows_of(int4(worked(token_ms=4)), bench=bench)
    assert row["validity"] == "ok"
    assert row["mbu_decode"] == pytest.approx(1.25)
    if bench.doubt:
        assert row.notes["mbu_decode"].endswith(bench.doubt)


def test_at_the_limit_a_measurement_may_be_right() -> None:
    exact = replace(BENCH, read_bytes_per_s=100e6 * 100 / 1.05)
    assert rows_of(int4(worked()), bench=exact)[0]["validity"] == "ok"


def test_the_table_shows_both_beside_the_speeds_where_there_is_a_figure_and_only_there() -> None:
    facts = replace(session(int4(worked())), bench=BENCH)
    text = render(comparison_rows(facts), [facts.about()], "markdown")
    head = next(line for line in text.splitlines() if "Decode t/s" in line)
    names = [name.strip() for name in head.split("|")]
    assert names[names.index("Prefill t/s") + 1] == "MFU"
    assert names[names.index("Decode t/s") + 1] == "MBU"
    assert "MBU: against 20 GB/s read" in text
    without = session(int4(worked()))
    assert "MBU" not in render(comparison_rows(without), [without.about()], "markdown")
