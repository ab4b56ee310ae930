"""`benchmarks/sketch.py`: the promise that it holds figures against."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sketch_under_test", ROOT / "benchmarks" / "sketch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sketch = _load()


@pytest.mark.parametrize(
    ("exact", "estimate", "kept"),
    [
        (1.0, 1.019, True),
        (1.0, 0.979, False),
        (1e-3, 1.09e-3, True),
        (1e-3, 1.11e-3, False),
        (0.0, 9e-5, True),
        (0.0, -1.1e-4, False),
    ],
)
def test_a_sketch_may_be_off_by_the_larger_of_both_limits(exact: float, estimate: float, kept: bool) -> None:
    assert sketch.within(exact, estimate) == kept


def test_the_limits_are_those_of_the_documentation() -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert f"within {sketch.RELATIVE:.0%}".replace(
        "%", " %"
    ) + f" or {sketch.ABSOLUTE_NATS:.4f} nats" in " ".join(text.split())
