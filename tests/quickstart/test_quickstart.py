"""The main job, end to end, on the real frameworks: what the README promises of ``edgebench run quickstart``."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.table.metrics import ROW_KEYS

pytestmark = pytest.mark.quickstart

FRAMEWORKS = ("llamacpp", "openvino", "mlx")
PRECISIONS = ("fp16", "int8", "int4")

#: NULL is right for these alone: the machine has no meter and was never benched, no task was asked for, nothing went
#: wrong, the number of runs is fixed. What making took is NULL for an artifact that was made before this database; MLX
#: alone has an allocator to ask, and no tokenizer for artifacts made from GGUF.
MAY_BE_NULL = {
    "energy_joules_per_prefill_token", "energy_joules_per_decode_token", "reason", "prepare_s", "prepare_peak_bytes",
    "allocator_peak_bytes", "device_bytes", "stopped_by", "mbu_decode", "mfu_prefill", "tokenize_tps", "detokenize_tps",
    "source", "imported",  # of what other tools measured
    "kld_detectable", "perplexity_ratio_detectable",  # one window has no spread
}  # fmt: skip


def edgebench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in ``folder``; what it says to people goes to the test's own output."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def table(folder: Path) -> list[dict[str, Any]]:
    done = edgebench(folder, "table", "--format", "json")
    assert done.returncode == 0
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    """The first session: makes everything that is missing."""
    begin = time.monotonic()
    done = edgebench(folder, "run", "quickstart")
    print(f"\nfirst session: {time.monotonic() - begin:.0f} s\n{done.stdout}")
    return done


def test_the_first_session_ends_with_the_table_and_the_report(
    folder: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0
    report = first.stdout.strip().splitlines()[-1].removeprefix("report: ")
    assert (folder / report).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    for framework in FRAMEWORKS:
        assert framework in first.stdout


@pytest.mark.usefixtures("first")
def test_all_nine_cells_are_ok_with_every_figure_but_energy(folder: Path) -> None:
    rows = table(folder)
    # Grouped by the precision's class.
    assert [(row["framework"], row["precision"]) for row in rows] == [
        (framework, precision) for precision in PRECISIONS for framework in FRAMEWORKS
    ]
    for row in rows:
        assert list(row) == list(ROW_KEYS)
        assert row["status"] == "ok", row
        assert row["artifact_verdict"] == "ok"
        assert row["runs"] == 3
        assert {key for key, value in row.items() if value is None} <= MAY_BE_NULL, row
        assert 0 < row["prefill_tps"] < 1e5
        assert 0 < row["decode_tps"] < 1e4
        assert row["weight_bytes"] < row["peak_rss_bytes"] * 1.05


@pytest.mark.usefixtures("first")
def test_the_half_precision_cells_compute_the_same_function(folder: Path) -> None:
    rows = [row for row in table(folder) if row["precision"] == "fp16"]
    divergence = {row["framework"]: row["kld_mean"] for row in rows}
    print(f"KLD of fp16 with defaults: {divergence}")
    assert max(divergence.values()) < 5e-3
    assert len({row["quality_reference"] for row in rows}) == 1


@pytest.mark.usefixtures("first")
def test_more_bits_are_stored_as_more_bits(folder: Path) -> None:
    rows = table(folder)
    for framework in FRAMEWORKS:
        bits = {row["precision"]: row["bits_per_weight"] for row in rows if row["framework"] == framework}
        assert bits["fp16"] > bits["int8"] > bits["int4"]
        assert 15.5 < bits["fp16"] < 17


@pytest.mark.usefixtures("first")
def test_told_to_compute_in_f32_openvino_agrees_with_the_reference(folder: Path) -> None:
    words = ("INFERENCE_PRECISION_HINT=f32", "KV_CACHE_PRECISION=f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE=0")
    options = [word for hint in words for word in ("--option", f"openvino.{hint}")]
    done = edgebench(
        folder, "run", "quickstart", "-k", "openvino and fp16", "--runs", "1", "--json", *options
    )
    assert done.returncode == 0
    (row,) = json.loads(done.stdout)["rows"]
    print(f"KLD of OpenVINO fp16 in f32: {row['kld_mean']:.2e}")
    assert row["kld_mean"] < 1e-3
    with sqlite3.connect(folder / "results" / "edgebench.db") as database:
        (hints,) = database.execute(
            "SELECT hints FROM run WHERE session_id = ? AND kind = 'timed'", (row["session"],)
        ).fetchone()
    assert json.loads(hints)["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.usefixtures("first")
def test_every_run_names_its_packages_by_hash_and_its_hints(folder: Path) -> None:
    with sqlite3.connect(folder / "results" / "edgebench.db") as database:
        runs = database.execute(
            "SELECT run.id, run.hints, count(environment_package.hash) FROM run"
            " JOIN environment_package ON environment_package.environment_id = run.environment_id"
            " WHERE run.status = 'ok' GROUP BY run.id"
        ).fetchall()
        (ok,) = database.execute("SELECT count(*) FROM run WHERE status = 'ok'").fetchone()
    assert len(runs) == ok
    assert all(packages >= 1 and json.loads(hints) for _, hints, packages in runs)


@pytest.mark.usefixtures("first")
def test_a_killed_session_keeps_its_runs_and_resumes_with_exactly_the_missing_ones(folder: Path) -> None:
    database = folder / "results" / "edgebench.db"
    before = _sessions(database)
    begin = time.monotonic()
    runner = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "quickstart", "--runs", "1", "-q"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        session = _wait_for(lambda: _sessions(database) - before).pop()
        _wait_for(lambda: len(_runs(database, session)) >= 2)
        print(f"two runs of the second session stored {time.monotonic() - begin:.1f} s after its start")
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    kept = _runs(database, session)
    assert len(kept) < 9, "killed too late to show anything"
    done = edgebench(folder, "run", "quickstart", "--resume", "-q")
    assert done.returncode == 0
    after = _runs(database, session)
    assert kept <= after
    assert len(after) == 9
    assert {row["session"] for row in table(folder)} == {session}


def _wait_for(condition: Any) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("waited five minutes in vain")


def _sessions(database: Path) -> set[str]:
    with sqlite3.connect(database) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM session")}


def _runs(database: Path, session: str) -> set[str]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT id FROM run WHERE session_id = ? AND kind = 'timed'", (session,))
        return {row[0] for row in rows}
