"""The gate's benchmarks: rules of other tools, replayed stretches, the slowed wheel."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from gate_live import PATCHED, patched_wheel
from gate_noise import Scenario, between, judged, normal
from gate_power import measure
from gate_replay import stretch
from gate_rules import RULES, others
from harness.gate.design import Rules


def test_the_rules_see_a_plain_slowdown_and_no_speedup() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.01, (2, 30))
    slower, faster = others([noise], 0.4), others([noise], 2.5)
    assert all(slower[name] == (True, True) for name in RULES)
    assert not any(any(answer) for answer in faster.values())


def test_a_factor_hides_a_small_slowdown_from_the_rules_that_have_one() -> None:
    noise = np.random.default_rng(2).normal(0.0, 0.005, (2, 30))
    found = {name for name, (first, _) in others([noise], 0.93).items() if first}
    assert found == {"t-test 0.99", "fixed 5 %", "intervals apart"}


def test_the_others_compare_an_earlier_block_with_a_later_one() -> None:
    # Slower from the middle on, alike within each pair: a step in time, not a difference of the sides.
    step = np.where(np.arange(30) < 15, 0.0, -0.1) + np.random.default_rng(3).normal(0.0, 0.002, (2, 30))
    assert others([step], 1.0)["t-test 0.99"] == (True, True)
    assert judged([step], 1.0, Rules())[1] is False


def test_a_stretch_pairs_neighbours_and_uses_nothing_twice() -> None:
    values = np.arange(100.0)
    both = stretch(values, np.random.default_rng(1), 30)
    assert (np.abs(both[0] - both[1]) == 1).all()
    assert len(set(both.ravel())) == 60
    assert (both[0] < both[1]).any()
    assert (both[0] > both[1]).any()


def test_a_scenario_in_which_nothing_is_found_has_no_median() -> None:
    # Four fresh pairs confirm nothing, whatever the noise.
    row = measure(Scenario("CV 2 %", normal(0.02), 1), 2, 1, Rules(max_pairs=10))
    assert (row["power"], row["pairs_median"]) == (0.0, None)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_the_interval_of_no_alarm_in_300() -> None:
    low, high = between(0, 300)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 300))


def test_the_slow_wheel_differs_in_one_file_and_its_record(tmp_path: Path) -> None:
    wheel = tmp_path / "llama_cpp_python-1-py3-none-any.whl"
    record = "llama_cpp_python-1.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr(PATCHED, "def llama_decode(ctx, batch, /):\n    return ctx + batch\n")
        made.writestr("llama_cpp/lib/libllama.so", b"\0binary")
        made.writestr(record, f"{PATCHED},sha256=x,1\nllama_cpp/lib/libllama.so,sha256=y,7\n{record},,\n")
    (tmp_path / "slow").mkdir()
    with zipfile.ZipFile(patched_wheel(wheel, tmp_path / "slow", 0.0)) as slow:
        assert slow.read("llama_cpp/lib/libllama.so") == b"\0binary"
        rows = {row[0]: row for row in csv.reader(io.StringIO(slow.read(record).decode()))}
        code = slow.read(PATCHED)
    assert rows[PATCHED][2] == str(len(code))
    assert rows["llama_cpp/lib/libllama.so"] == ["llama_cpp/lib/libllama.so", "sha256=y", "7"]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["llama_decode"](2, 3) == 5
