"""``pytest suite.yaml``: the cells of a suite as test items, through the same runner and database."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from fake_lab import SUITE, Lab

import harness

pytestmark = pytest.mark.stocked

CELL = "fake-tiny-{}-cpu-pp8+tg4"


@pytest.fixture
def door(lab: Lab, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose folder is the tested pytest's."""
    monkeypatch.chdir(lab.folder)
    # The tested pytest runs nothing side by side, whatever this one does: pytest-benchmark would measure nothing.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(pytester, "_path", lab.folder)
    source = str(Path(harness.__file__).parents[1])
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([source, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )
    lab.suite(SUITE.replace("runs: 2", "runs: 2\nrepetitions: 2"))
    return lab


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    """pytest in a process of its own, with the plugin as an installation has it."""
    installed = any(one.value == "harness.pytest_plugin" for one in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "harness.pytest_plugin")
    return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *words, timeout=120)


def test_a_suite_that_is_named_has_an_item_for_every_cell_and_k_selects(
    door: Lab, pytester: pytest.Pytester
) -> None:
    result = run(pytester, "fake.yaml", "--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            f"fake.yaml::{CELL.format('fp16-FP16')}",
            f"fake.yaml::{CELL.format('int4-INT4')}",
            "2 tests collected*",
        ]
    )
    result = run(pytester, "fake.yaml", "--collect-only", "-q", "-k", "fake and not int4")
    result.stdout.fnmatch_lines(["*fp16-FP16*", "1/2 tests collected (1 deselected)*"])
    assert not door.database.exists()
    one = run(pytester, f"fake.yaml::{CELL.format('int4-INT4')}", "--collect-only", "-q")
    one.stdout.fnmatch_lines(["*int4-INT4*", "1 test collected*"])


@pytest.mark.usefixtures("door")
def test_a_walk_over_folders_collects_no_suite(pytester: pytest.Pytester) -> None:
    for words in ((), (".",)):
        result = run(pytester, *words, "--collect-only", "-q")
        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
        result.stdout.no_fnmatch_line("*fake.yaml*")


def test_timings_reach_pytest_benchmark_as_they_are_in_the_database(
    door: Lab, pytester: pytest.Pytester
) -> None:
    result = run(pytester, "fake.yaml", "--benchmark-json", "timings.json")
    assert result.ret == 0, result.stderr.str()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*benchmark 'pp8+tg4: seconds per token of the decode'*", "fake-tiny-int4-INT4-cpu-pp8+tg4 *"]
    )
    report = json.loads((door.folder / "timings.json").read_text(encoding="utf-8"))
    assert len(report["benchmarks"]) == 2
    for benchmark in report["benchmarks"]:
        stored = door.query(
            "SELECT sample.value FROM sample JOIN metric ON metric.key = sample.metric_key "
            "JOIN run ON run.key = sample.run_key "
            "WHERE metric.name = 'decode_s' AND NOT sample.warmup AND run.cell_id = ? "
            "ORDER BY run.run_index, sample.repetition",
            benchmark["extra_info"]["cell"],
        )
        assert len(stored) == 4
        assert benchmark["stats"]["data"] == pytest.approx([seconds / 4 for (seconds,) in stored], rel=1e-6)
        assert benchmark["extra_info"]["session"] == door.query("SELECT id FROM session")[0][0]
    assert door.query("SELECT trigger, status FROM session") == [("pytest", "ok")]


def test_seconds_per_token_of_a_batch_are_of_the_tokens_of_all_its_sequences(
    door: Lab, pytester: pytest.Pytester
) -> None:
    door.suite(SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16").replace("tg4", "tg4@b3"))
    assert run(pytester, "fake.yaml", "--benchmark-json", "timings.json").ret == 0
    report = json.loads((door.folder / "timings.json").read_text(encoding="utf-8"))
    (benchmark,) = report["benchmarks"]
    stored: dict[str, list[float]] = {}
    for name, value in door.query(
        "SELECT metric.name, sample.value FROM sample JOIN metric ON metric.key = sample.metric_key "
        "WHERE NOT sample.warmup ORDER BY sample.repetition"
    ):
        stored.setdefault(name, []).append(value)
    assert benchmark["stats"]["data"] == pytest.approx(
        [each / (3 * 4) for each in stored["decode_s"]], rel=1e-6
    )
    assert benchmark["extra_info"]["prefill_tps"] == pytest.approx(
        [3 * 8 / each for each in stored["prefill_s"]], rel=1e-6
    )


@pytest.mark.parametrize("words", [("--benchmark-disable",), ("-p", "no:benchmark")])
def test_without_pytest_benchmark_cells_are_measured_all_the_same(
    door: Lab, pytester: pytest.Pytester, words: tuple[str, ...]
) -> None:
    result = run(pytester, "fake.yaml", "-k", "fp16", *words)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    result.assert_outcomes(passed=1, deselected=1)
    assert door.query("SELECT count(*) FROM run WHERE kind = 'timed' AND status = 'ok'") == [(2,)]


def test_failed_cells_fail_with_one_line_and_skipped_ones_skip_with_the_reason(
    door: Lab, pytester: pytest.Pytester
) -> None:
    script = json.dumps(json.dumps({"decode": [{"do": "raise", "message": "no such kernel"}]}))
    entries = (
        f"include:\n  - {{precision: int4, options: {{fake: {{script: {script}}}}}}}\n"
        "  - {framework: fake, precision: int8, device: npu}\n"
    )
    door.suite(SUITE.replace("runs: 2\n", f"runs: 1\n{entries}"))
    result = run(pytester, "fake.yaml", "-rsf", "--edgebench-db", "own.db")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*failed: *no such kernel* (edgebench show *)",
            "SKIPPED [[]1] fake.yaml*: no machine has a fake NPU",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()
    assert (door.folder / "own.db").is_file()


def test_a_wrong_suite_is_a_collection_error_in_one_sentence(door: Lab, pytester: pytest.Pytester) -> None:
    door.suite(SUITE.replace("framework: fake\n", "framework: fakke\n"))
    result = run(pytester, "fake.yaml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*fake.yaml:3*fakke*"])
    assert "Traceback" not in result.stdout.str()
