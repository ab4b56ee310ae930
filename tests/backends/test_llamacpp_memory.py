"""Invariants of memory on real runs of llama.cpp: SmolLM2-135M, each run in a process of its own, weights mapped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.frameworks import frameworks
from harness.model import ModelConfiguration, check_gguf, load_models
from harness.model.configuration import kv_cache_bytes, touched_weight_bytes
from harness.model.kv_types import kv_cache_bits
from harness.paths import cache_dir
from harness.runner.execute import Execution, Limits, execute
from harness.runner.memory_watch import MemoryWatch
from harness.runner.progress import QuietProgress
from harness.runner.record import memory_records
from harness.runner.setup import Workshop
from harness.store.records import MemoryRecord
from harness.worker.api import LoadSpec
from harness.worker.protocol import TimedSpec

pytestmark = pytest.mark.framework("llamacpp")

MODEL = "smollm2-135m-instruct"
#: Threads that spin at barriers crawl on a busy machine.
THREADS = 1
WORK = TimedSpec(prompt_tokens=32, decode_tokens=8, depth=0, repetitions=2, warmups=1, seed=3)
#: llama.cpp makes a context of a multiple of 256 tokens, and tells its cache to 0.01 MiB.
CONTEXT = 256
STEP_BYTES = 0.01 * 2**20


@dataclass(frozen=True, slots=True)
class Runs:
    """Two runs of the same artifact, and what its own file says."""

    executions: tuple[Execution, Execution]
    memory: tuple[list[MemoryRecord], list[MemoryRecord]]
    shape: ModelConfiguration
    weight_bytes: int


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    workshop = Workshop(
        models=load_models(),
        entries=frameworks(),
        cache_dir=cache_dir(),
        threads=THREADS,
        progress=QuietProgress(),
    )
    artifact = workshop.artifact(MODEL, "llamacpp", "F16").entry
    log = tmp_path_factory.mktemp("memory") / "worker.log"
    load = LoadSpec(artifact, "cpu", "cpu", THREADS, CONTEXT, {"load_mode": "mmap"})
    one, two = (_run(workshop, load, log) for _ in range(2))
    facts = check_gguf(artifact)
    shape = ModelConfiguration.of_gguf(facts)
    assert shape is not None
    assert facts.weight_bytes is not None
    return Runs((one, two), (memory_records(one), memory_records(two)), shape, facts.weight_bytes)


def _run(workshop: Workshop, load: LoadSpec, log: Path) -> Execution:
    done = execute(
        workshop.launch("llamacpp"),
        load,
        WORK,
        Limits(600.0, None),
        log=log,
        on_phase=lambda _: None,
        memory=MemoryWatch(),
    )
    assert done.status == "ok", done.reason
    return done


def _peak(memory: list[MemoryRecord]) -> int:
    peak = memory[-1].peak_rss_bytes
    assert peak is not None
    return peak


def test_the_touched_weights_of_a_mapped_file_are_in_the_peak(runs: Runs) -> None:
    touched = touched_weight_bytes(runs.shape, runs.weight_bytes)
    assert touched > 200_000_000, "SmolLM2 in f16"
    for execution, memory in zip(runs.executions, runs.memory, strict=True):
        assert execution.loaded["hints"]["load_mode"] == "mmap"
        assert touched <= _peak(memory)


def test_the_second_runs_peak_is_the_firsts_within_3_percent(runs: Runs) -> None:
    first, second = map(_peak, runs.memory)
    assert second == pytest.approx(first, rel=0.03)


def test_the_analytic_cache_is_llama_cpps_own_figure(runs: Runs) -> None:
    loaded = runs.executions[0].loaded
    bits = kv_cache_bits(loaded["hints"], CONTEXT)
    assert bits is not None
    assert set(bits) == {16}
    assert loaded["kv_cache_bytes"] == pytest.approx(
        kv_cache_bytes(runs.shape, CONTEXT, *bits), abs=STEP_BYTES
    )


def test_phases_are_in_order_and_their_peaks_never_fall(runs: Runs) -> None:
    for memory in runs.memory:
        assert [one.phase for one in memory] == ["import", "load", "prefill", "warmup", "decode"]
        peaks = [one.peak_rss_bytes or 0 for one in memory]
        assert peaks == sorted(peaks)
        assert (memory[1].device_shared, memory[-1].device_shared) == (True, True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_shares_add_up_and_the_mapped_weights_are_file_backed(runs: Runs) -> None:
    for memory in runs.memory:
        for one in memory:
            assert one.rss_bytes is not None
            assert one.pss_bytes is not None
            assert one.uss_bytes is not None
            shares = (one.anon_bytes or 0) + (one.file_bytes or 0) + (one.shared_bytes or 0)
            assert shares == pytest.approx(one.rss_bytes, rel=0.01)
            # The two files are read one after the other, and counters of pages lag by some hundred kilobytes.
            assert one.uss_bytes <= one.pss_bytes <= 1.02 * one.rss_bytes + 2**20
        assert (memory[-1].file_bytes or 0) >= 0.9 * touched_weight_bytes(runs.shape, runs.weight_bytes)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_timeline_stays_below_the_peak_and_comes_near_it(runs: Runs) -> None:
    for execution, memory in zip(runs.executions, runs.memory, strict=True):
        timeline = execution.timeline
        assert timeline is not None
        assert timeline.reason is None
        series = timeline.series
        sums = [
            sum(shares)
            for shares in zip(series["anon_bytes"], series["file_bytes"], series["shared_bytes"], strict=True)
        ]
        # The worker's last reading comes before its end; what it frees and takes after that is seen here alone.
        assert 0.9 * _peak(memory) <= max(sums) <= 1.01 * _peak(memory)
        assert {"import", "load", "warmup", "prefill+decode"} <= {phase for phase, _ in timeline.marks}
