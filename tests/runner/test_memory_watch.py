"""Watching a run's memory from outside."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from harness.runner import memory_watch, tree
from harness.runner.memory_watch import MemoryWatch, PsutilReader, reader_for
from harness.store.records import TimelineRecord

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MB = 2**20

#: Says that it is there, grows by 64 MiB of anonymous memory when it is told to, and ends with its input.
GROWING = """
import sys
print("begun", flush=True)
for line in sys.stdin:
    block = bytearray(b"x") * (64 * 2**20)
    print("grown", flush=True)
"""
#: The same in a child of its own.
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROWING!r}])"


def _start(program: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def _grow(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("grow\n")
    process.stdin.flush()
    assert process.stdout.readline() == "grown\n"


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)


class Scripted:
    """Gives these readings, then None."""

    names = ("rss_bytes",)
    method = "scripted"

    def __init__(self, *readings: tuple[int, ...] | None) -> None:
        self.left = list(readings)
        self.closed = False

    def read(self) -> tuple[int, ...] | None:
        return self.left.pop(0) if self.left else None

    def close(self) -> None:
        self.closed = True


def _watched(reader: Scripted, watch: MemoryWatch | None = None) -> TimelineRecord:
    watch = watch or MemoryWatch(interval_s=0.001)
    watch.start(1, reader)
    deadline = time.monotonic() + 60
    while reader.left and time.monotonic() < deadline:
        time.sleep(0.002)
    record = watch.stop()
    assert record is not None
    assert reader.closed
    return record


@LINUX
def test_growth_shows_as_anonymous_memory_after_its_mark() -> None:
    process = _start(GROWING)
    watch = MemoryWatch(interval_s=0.01)
    watch.start(process.pid)
    time.sleep(0.05)
    watch.mark("grow")
    _grow(process)
    time.sleep(0.05)
    record = watch.stop()
    _end(process)
    assert record is not None
    assert (record.scope, record.method, record.reason) == ("worker", "/proc/PID/status", None)
    times, anon = record.series["time_ns"], record.series["anon_bytes"]
    [(phase, at)] = record.marks
    before = [size for when, size in zip(times, anon, strict=True) if when < at]
    assert phase == "grow"
    assert anon[-1] - before[-1] >= 60 * MB
    assert record.series["file_bytes"][0] > 0
    assert list(times) == sorted(times)
    assert record.readings >= len(times)
    assert 0 < record.watcher_cpu_s < record.seconds


@LINUX
def test_a_client_of_a_server_is_not_counted_but_what_it_started_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LOOK_AGAIN_S", 0.0)
    process = _start(PARENT)
    own, below = reader_for(process.pid, "worker"), reader_for(process.pid, "descendants")
    before = own.read(), below.read()
    _grow(process)
    after = own.read(), below.read()
    _end(process)
    gone = own.read(), below.read()
    assert before[0] is not None
    assert before[1] is not None
    assert after[0] is not None
    assert after[1] is not None
    assert after[0][0] - before[0][0] < 10 * MB
    assert after[1][0] - before[1][0] >= 60 * MB
    assert gone == (None, None)
    own.close()
    below.close()


def test_other_systems_give_the_resident_set() -> None:
    process = _start(GROWING)
    reader = PsutilReader(process.pid)
    before = reader.read()
    _grow(process)
    after = reader.read()
    _end(process)
    assert before is not None
    assert after is not None
    assert after[0] - before[0] >= 60 * MB
    assert reader.read() is None


def test_a_reading_equal_to_the_one_before_is_counted_and_not_kept() -> None:
    record = _watched(Scripted((5,), (5,), (7,), (7,), (5,)))
    assert record.readings == 5
    assert list(record.series["rss_bytes"]) == [5, 7, 5]


def test_a_process_that_is_never_seen_is_missing_with_the_reason() -> None:
    record = _watched(Scripted(None, None))
    assert record.series == {"time_ns": [], "rss_bytes": []}
    assert record.reason == "no reading saw the worker"
    assert record.readings == 0


def test_a_long_run_is_thinned_out_and_keeps_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "KEPT_AT_MOST", 8)
    record = _watched(Scripted(*((size,) for size in range(30))))
    sizes = list(record.series["rss_bytes"])
    assert record.readings == 30
    assert len(sizes) <= 8
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert record.interval_s > 0.001


def test_what_was_never_started_gives_nothing_and_stopping_twice_gives_the_same() -> None:
    assert MemoryWatch().stop() is None
    watch = MemoryWatch(interval_s=0.001)
    assert _watched(Scripted((1,)), watch) == watch.stop()
