"""`harness.table.metrics`: the registry, its formatters, and its page in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.table import METRICS, metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_has_every_metric_as_the_registry_has_it_and_no_other() -> None:
    lines = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    registered = [
        (each.name, each.title, each.unit or "–", each.better or "–", each.description)
        for each in METRICS.values()
    ]
    assert lines == registered


def test_every_metric_has_one_name_and_units_that_its_name_ends_in() -> None:
    assert all(key == metric.name for key, metric in METRICS.items())
    places = [metric.column for metric in METRICS.values() if metric.column is not None]
    assert len(places) == len(set(places))
    for metric in METRICS.values():
        assert metric.description.endswith(".")
        if metric.name.endswith("_bytes"):
            assert metric.unit == "bytes"
        if metric.kind != "metric":
            assert metric.better is None


@pytest.mark.parametrize(
    ("formatter", "value", "text"),
    [
        (metrics.as_bytes, 98_360_000, "98.4 MB"),
        (metrics.as_bytes, 1_500_000_000, "1.5 GB"),
        (metrics.as_bytes, 12, "12 B"),
        (metrics.as_seconds, 0.0331, "33.1 ms"),
        (metrics.as_seconds, 2.5, "2.5 s"),
        (metrics.as_seconds, 4.2e-5, "42 µs"),
        (metrics.as_joules, 0.0125, "12.5 mJ"),
        (metrics.as_percent, 0.62345, "62.3 %"),
        (metrics.as_percent, -0.0001, "0.0 %"),
        (metrics.as_factor, 2.314, "2.31×"),
        (metrics.as_number, 125.456, "125.5"),
        (metrics.as_number, 1234567.0, "1,234,567"),
        (metrics.significant, 2.9e-6, "2.9e-06"),
        (metrics.significant, 0.0513, "0.0513"),
    ],
)
def test_figures_read_as_people_write_them(formatter: object, value: float, text: str) -> None:
    assert callable(formatter)
    assert formatter(value) == text


@given(st.floats(0, 1e15))
def test_no_figure_is_unprintable(value: float) -> None:
    for formatter in (
        metrics.as_bytes, metrics.as_seconds, metrics.as_joules, metrics.as_percent, metrics.as_factor,
        metrics.as_number, metrics.as_count, metrics.significant,
    ):  # fmt: skip
        assert formatter(value)
