"""Every measured figure has a definition, and the page of definitions is the generated one."""

from __future__ import annotations

import re
from pathlib import Path

from harness.table.definitions import COMPOUND, DEFINITIONS, with_definitions
from harness.table.metrics import METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "method.md"


def test_every_measured_column_has_one_definition_and_nothing_else_has() -> None:
    measured = {name for name, metric in METRICS.items() if metric.kind == "metric"} - COMPOUND
    assert set(DEFINITIONS) == measured


def test_the_page_is_the_generated_one() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_definitions(text) == text, "run: python -m harness.table.definitions"


def test_a_definition_names_only_columns_that_exist() -> None:
    for name, found in DEFINITIONS.items():
        for word in re.findall(r"`(\w+_(?:bytes|tps|p50|p99))`", found.formula + found.source):
            assert word in METRICS, f"{name} speaks of {word}"
