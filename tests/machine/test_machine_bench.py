"""`harness.machine.bench`: which figures count, what is doubted, and the kernels themselves, briefly."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import EdgebenchError
from harness.machine import bench_numpy
from harness.machine.bench import Answer, measure, run_kernels
from harness.machine.caches import last_level_cache_bytes

KERNELS = {
    "dot": {"best": 20e9, "median": 19e9, "lowest": 15e9, "repetitions": 30, "in_cache": 60e9},
    "sum": {"best": 18e9, "median": 17e9, "lowest": 15e9, "repetitions": 30, "in_cache": 19e9},
    "copy": {"best": 25e9, "median": 24e9, "lowest": 15e9, "repetitions": 30, "in_cache": 90e9},
}
PRODUCTS = {
    "sgemm 512": {"best": 90e9, "median": 80e9, "lowest": 10e9, "repetitions": 9},
    "sgemm 1024": {"best": 110e9, "median": 100e9, "lowest": 90e9, "repetitions": 9},
}
INT8 = {"4 int8 products 2048": {"best": 400e9, "median": 390e9, "lowest": 300e9, "repetitions": 9}}


class Script:
    """Kernels that say what they were told to."""

    def __init__(self, memory: Mapping[str, Any] = KERNELS, int8: Mapping[str, Any] | None = None) -> None:
        self.bodies: dict[str, Mapping[str, Any]] = {
            "memory": {"kernels": memory, "array_bytes": 268_435_456, "numpy": "2.4.6"},
            "compute": {"kernels": PRODUCTS},
            "int8": int8 or {"kernels": INT8, "openvino": "2026.4.1"},
        }
        self.flags: dict[str, tuple[str, ...]] = {}
        self.asked: list[tuple[str, Path, int]] = []

    def __call__(self, what: str, python: Path, words: Mapping[str, Any], blas_threads: int) -> Answer:
        self.asked.append((what, python, blas_threads))
        return Answer(self.bodies[what], self.flags.get(what, ()))


def cache(root: Path, size: str = "32768K", cpus: int = 2) -> Path:
    """A tree in which some CPUs share one last-level cache."""
    for cpu in range(cpus):
        for index, (level, kind, text, shared) in enumerate(
            ((1, "Data", "32K", str(cpu)), (1, "Instruction", "999M", str(cpu)), (3, "Unified", size, "0-1"))
        ):
            folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            folder.mkdir(parents=True)
            for name, value in (
                ("level", level),
                ("type", kind),
                ("size", text),
                ("shared_cpu_list", shared),
            ):
                (folder / name).write_text(f"{value}\n", encoding="ascii")
    return root


def test_a_shared_cache_counts_once_and_two_caches_count_twice(tmp_path: Path) -> None:
    assert last_level_cache_bytes(cache(tmp_path)) == (32 * 2**20, None)
    second = tmp_path / "sys/devices/system/cpu/cpu1/cache/index2/shared_cpu_list"
    second.write_text("1\n", encoding="ascii")
    assert last_level_cache_bytes(tmp_path) == (64 * 2**20, None)


def test_where_no_cache_is_described_there_is_the_reason(tmp_path: Path) -> None:
    size, reason = last_level_cache_bytes(tmp_path)
    assert size is None
    assert "no cache is described" in str(reason)
    bench = measure(int8_python=None, int8_reason="none made", root=tmp_path, ask=Script())
    assert bench.last_level_cache_bytes is None
    assert bench.reasons["last_level_cache_bytes"] == reason


def test_the_best_kernel_counts_and_copying_is_no_reading(tmp_path: Path) -> None:
    script, said = Script(), list[str]()
    bench = measure(int8_python=Path("/ov/python"), root=cache(tmp_path), ask=script, say=said.append)
    assert (bench.read.best, bench.read.median, bench.read.repetitions) == (20e9, 19e9, 30)
    assert bench.software["read_kernel"] == "dot"
    assert bench.copy.best == 25e9
    assert bench.fp32.best == 110e9
    assert bench.int8 is not None
    assert bench.int8.best == 400e9
    assert (bench.reasons, bench.validity) == ({}, "ok")
    assert [text[:5] for text in said] == ["[1/3]", "[2/3]", "[3/3]"]
    # Threads of the kernels share the memory's work: a BLAS of several threads would share it again.
    assert script.asked[0] == ("memory", Path(sys.executable), 1)
    assert script.asked[1][2] == bench.threads
    assert script.asked[2][1] == Path("/ov/python")


def test_without_int8_there_is_no_figure_but_the_reason(tmp_path: Path) -> None:
    bench = measure(int8_python=None, int8_reason="none made", root=cache(tmp_path), ask=Script())
    assert (bench.int8, bench.reasons) == (None, {"int8": "none made"})
    refused = Script(int8={"reason": "OpenVINO computes the quantised products in f32"})
    bench = measure(int8_python=Path("/ov"), root=tmp_path, ask=refused)
    assert bench.int8 is None
    assert bench.reasons["int8"].endswith("in f32")


def test_a_kernel_that_is_no_faster_in_a_cache_does_not_show_the_memory(tmp_path: Path) -> None:
    slow = {**KERNELS, "sum": {**KERNELS["sum"], "best": 22e9, "in_cache": 23e9}}
    bench = measure(int8_python=None, int8_reason="-", root=cache(tmp_path), ask=Script(slow))
    assert bench.read.best == 22e9
    assert "fastest kernel (sum) is no faster" in bench.reasons["read"]


def test_arrays_that_a_cache_could_hold_are_doubted(tmp_path: Path) -> None:
    bench = measure(int8_python=None, int8_reason="-", root=cache(tmp_path, "262144K"), ask=Script())
    assert "free memory allows arrays of 268 MB only" in bench.reasons["read"]


def test_what_spoiled_a_part_makes_the_bench_suspect(tmp_path: Path) -> None:
    script = Script()
    script.flags["memory"] = ("foreign CPU load 120 % of a core (limit 10 %)",)
    bench = measure(int8_python=None, int8_reason="-", root=cache(tmp_path), ask=script)
    assert bench.validity == "suspect"
    assert bench.flags == ("memory: foreign CPU load 120 % of a core (limit 10 %)",)


@pytest.mark.parametrize("name", [*bench_numpy.READ_KERNELS, *bench_numpy.COPY_KERNELS])
def test_a_kernel_reads_all_of_its_array_and_copies_it_where_it_says_so(name: str) -> None:
    source, target = np.zeros(8192, dtype=np.float32), np.zeros(8192, dtype=np.float32)
    source[8000] = 3.0
    result = (bench_numpy.READ_KERNELS | bench_numpy.COPY_KERNELS)[name](source, target)
    if name == "copy":
        assert target[8000] == 3.0
    else:
        expected = {"dot": 9.0, "max": 3.0, "sum": 3.0, "gemv": 3.0}[name]
        assert float(np.sum(np.asarray(result))) == expected


def test_the_kernels_run_in_a_process_of_their_own_and_are_watched() -> None:
    answer = run_kernels(
        "memory", Path(sys.executable), {"threads": 2, "array_bytes": 4 * 2**20, "seconds": 0.001}, 1
    )
    kernels = answer.body["kernels"]
    assert set(kernels) == {"dot", "max", "sum", "gemv", "copy"}
    for one in kernels.values():
        assert 0 < one["lowest"] <= one["median"] <= one["best"]
        assert one["repetitions"] >= 5
        assert one["in_cache"] > 0
    assert answer.body["array_bytes"] == 4 * 2**20


def test_a_python_without_the_packages_is_told_by_its_last_words() -> None:
    with pytest.raises(EdgebenchError, match="openvino"):
        run_kernels("int8", Path(sys.executable), {"threads": 1, "seconds": 0.01}, 1)
