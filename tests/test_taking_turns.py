"""Tests side by side, and those that are alone meanwhile."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import taking_turns

pytest.importorskip(
    "xdist", reason="pytest-xdist is not installed; without it tests run one after another anyway"
)

TESTS = """
import time
from pathlib import Path

import pytest

def note(name):
    begin = time.monotonic()
    time.sleep(0.05)
    Path(f"{name}.span").write_text(f"{begin} {time.monotonic()}")

@pytest.mark.parametrize("number", range(10))
def test_beside(number):
    note(f"beside{number}")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(2))
def test_alone(number):
    note(f"alone{number}")

@pytest.mark.parametrize("number", range(10, 20))
def test_beside_too(number):
    note(f"beside{number}")
"""


def test_who_has_to_be_alone_is_and_the_others_are_not(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    here = str(Path(__file__).resolve().parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    pytester.makeconftest('pytest_plugins = ["taking_turns"]')
    pytester.makeini("[pytest]\nmarkers = alone")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-n", "2", "--dist", "worksteal", timeout=120)
    result.assert_outcomes(passed=22)
    spans = {}
    for path in pytester.path.glob("*.span"):
        begin, end = (float(word) for word in path.read_text(encoding="ascii").split())
        spans[path.stem] = (begin, end)
    assert len(spans) == 22
    together = [
        {one, other}
        for one, other in combinations(spans, 2)
        if spans[one][0] < spans[other][1] and spans[other][0] < spans[one][1]
    ]
    assert together, "two processes are at work"
    assert [pair for pair in together if pair & {"alone0", "alone1"}] == []


@pytest.mark.parametrize(("asked", "more"), [("auto", 1), ("logical", None), (2, None)])
def test_a_test_that_waits_leaves_its_core_to_another(
    monkeypatch: pytest.MonkeyPatch, asked: str | int, more: int | None
) -> None:
    config: Any = SimpleNamespace(option=SimpleNamespace(numprocesses=asked))
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    cores = psutil.cpu_count() or 1
    assert taking_turns.pytest_xdist_auto_num_workers(config) == (None if more is None else cores + more)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert taking_turns.pytest_xdist_auto_num_workers(config) is None
