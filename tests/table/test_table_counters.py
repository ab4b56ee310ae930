"""A framework's own counters beside ours."""

from __future__ import annotations

from typing import Any

import pytest

from harness.table.counters import compare_counters


def _sample(metric: str, value: float, repetition: int = 1, *, warmup: bool = False) -> dict[str, Any]:
    return {"metric": metric, "repetition": repetition, "warmup": warmup, "value": value}


def test_the_difference_is_the_median_over_repetitions_in_per_cent_of_ours() -> None:
    samples = [_sample("prefill_s", 9.0, 0, warmup=True), _sample("framework_prefill_s", 1.0, 0, warmup=True)]
    for repetition, (ours, theirs) in enumerate([(1.0, 1.01), (2.0, 1.90), (4.0, 4.08)], start=1):
        samples += [
            _sample("prefill_s", ours, repetition),
            _sample("framework_prefill_s", theirs, repetition),
        ]
    (found,) = compare_counters(samples)
    assert (found.metric, found.ours, found.framework, found.repetitions) == ("prefill_s", 2.0, 1.90, 3)
    assert found.difference_percent == pytest.approx(1.0)


def test_what_only_the_framework_counts_stands_alone() -> None:
    (found,) = compare_counters([_sample("framework_decode_cycles", 5e6), _sample("decode_s", 1.0)])
    assert (found.metric, found.ours, found.framework, found.difference_percent) == (
        "decode_cycles",
        None,
        5e6,
        None,
    )


def test_a_framework_without_counters_has_no_comparison() -> None:
    assert compare_counters([_sample("prefill_s", 1.0)]) == []
