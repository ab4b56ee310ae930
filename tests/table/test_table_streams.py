"""Figures of streams: several requests at once, and what a client cannot see."""

from __future__ import annotations

import pytest
from table_facts import cell as facts_of
from table_facts import session

from harness.table.facts import CellFacts, MemoryFacts, RunFacts, SampleFacts
from harness.table.rows import Row, comparison_rows

MS = 1_000_000
#: Two requests: the second is sent 1 ms later and answered once the first has ended.
TWO = SampleFacts(
    {"wall_s": 0.060, "tokens": 6.0, "ttft_s": 0.030},
    requests=((0, 10 * MS, 20 * MS, 30 * MS), (1 * MS, 40 * MS, 50 * MS, 60 * MS)),
)


def cell(*samples: SampleFacts, memory: tuple[MemoryFacts, ...] = ()) -> CellFacts:
    runs = (RunFacts("r", "ok", samples=samples, memory=memory),)
    return facts_of("server", "fp16", "F16", runs=runs)


def row_of(one: CellFacts) -> Row:
    return comparison_rows(session(one))[0]


def test_concurrent_requests() -> None:
    row = row_of(cell(TWO))
    assert row["throughput_tps"] == pytest.approx(6 / 0.060)
    assert row["ttft_s"] == pytest.approx(0.030)
    assert row["ttft_s_p99"] == pytest.approx(0.010 + 0.99 * 0.029)
    assert row["itl_s_p50"] == pytest.approx(0.010), "no gap runs from one request to the other"
    assert row["stream_tps"] == pytest.approx(100)
    for key in ("prefill_tps", "decode_tps"):
        assert row[key] is None
        assert row.notes[key] == "a client of a server sees only the stream, not its prefill and decode"


def test_tokens_that_come_in_unknown_numbers_leave_ttft_and_throughput() -> None:
    row = row_of(cell(SampleFacts({"wall_s": 2.0, "tokens": 9.0, "ttft_s": 0.5})))
    assert (row["throughput_tps"], row["ttft_s"]) == (4.5, 0.5)
    for key in ("itl_s_p50", "itl_s_p99", "stream_tps"):
        assert row[key] is None
        assert row.notes[key] == "the server sends several tokens at once and does not say how many"


def test_a_single_request_of_any_framework_has_a_throughput() -> None:
    row = row_of(cell(SampleFacts({"ttft_s": 0.1, "prefill_s": 0.1}, (), (100 * MS, 200 * MS))))
    assert row["throughput_tps"] == pytest.approx(2 / 0.2)


def test_memory_that_nobody_can_read_has_its_reason() -> None:
    hole = MemoryFacts("load", None, None, "none", "the server is on another machine")
    row = row_of(cell(TWO, memory=(hole,)))
    assert row["peak_rss_bytes"] is None
    assert row.notes["peak_rss_bytes"] == "the server is on another machine"


def test_memory_of_a_tree_is_labelled() -> None:
    row = row_of(cell(TWO, memory=(MemoryFacts("load", 5, 4, "VmHWM(tree)"),)))
    assert row["peak_rss_bytes"] == 5
    assert row.notes["peak_rss_bytes"] == "peak by VmHWM(tree)"
