"""`harness.meter.external` with real programs: good ones, and every way in which a bad one disturbs."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_lab import wait_until
from meter_trees import only_meter, only_missing

from harness.meter import external
from harness.meter.base import MeterError, Sources
from harness.meter.external import VARIABLE, ExternalMeter, command_of, find

#: A program that counts 100 W, twenty times a second; what it does besides goes into the hole.
PROGRAM = """\
import os, subprocess, sys, time
begin = time.monotonic()
n = 0
print("# a meter", flush=True)
print("limit 500", flush=True)
while True:
    seconds = time.monotonic() - begin
    joules = 100 * seconds
    line = f"{seconds:.6f} {joules:.6f} J"
    HOLE
    print(line, flush=True)
    n += 1
    time.sleep(0.05)
"""


def program(hole: str = "pass") -> list[str]:
    return [sys.executable, "-I", "-S", "-c", PROGRAM.replace("HOLE", hole)]


def read_for(meter: ExternalMeter, seconds: float) -> tuple[dict[str, float] | None, str | None, float]:
    with meter.window() as window:
        time.sleep(seconds)
    return window.joules, window.reason, window.seconds


@pytest.mark.alone
def test_a_counter_that_prints_joules_is_read_over_a_window() -> None:
    meter = ExternalMeter(program())
    with meter:
        assert (meter.domains, meter.method, meter.limits_watts) == (("wall",), "counter", {"wall": 500.0})
        assert 0.03 < meter.resolution_s < 5.0
        joules, reason, seconds = read_for(meter, 0.5)
    assert joules is not None, reason
    assert joules["wall"] == pytest.approx(100 * seconds, rel=0.2)


@pytest.mark.alone
def test_power_is_integrated_and_labelled_so() -> None:
    meter = ExternalMeter(program('line = f"{seconds:.6f} 100 W gpu:0"'))
    with meter:
        assert (meter.domains, meter.method) == (("gpu:0",), "power")
        joules, reason, seconds = read_for(meter, 0.5)
    assert joules is not None, reason
    assert joules["gpu:0"] == pytest.approx(100 * seconds, rel=0.2)


@pytest.mark.parametrize(
    ("hole", "words"),
    [
        ('if n > 8: sys.exit("the plug is gone")', "it ended with status 1: the plug is gone"),
        ("if n > 8: os.kill(os.getpid(), 9)", "it ended with status -9"),
        ('if n > 8: line = "ERROR 17"', r"none of the protocol: 'ERROR 17'"),
        ('if n > 8: line = f"{seconds:.6f} 0.5 J"', "the energy of wall went back"),
        ('if n > 8: line = f"{seconds:.6f} {joules} J gpu:0"', "gpu:0 was not among its domains"),
        ('line = f"{seconds * (1 if n < 8 else 1000):.6f} {joules} J"', "its clock counted"),
        ("if n > 8: time.sleep(60)", "silent"),
        ("if n > 8: os.close(1); time.sleep(60)", "it closed its output"),
    ],
)
def test_a_program_that_dies_lies_or_prints_garbage_leaves_no_joule_but_the_reason(
    hole: str, words: str
) -> None:
    meter = ExternalMeter(program(hole))
    with meter:
        joules, reason, _ = read_for(meter, 1.0)
        assert joules is None
        with pytest.raises(MeterError, match=words):
            meter.read()
    assert reason is not None


@pytest.mark.parametrize(
    ("hole", "words"),
    [
        ('sys.exit("no such device: /dev/ttyUSB0")', "no such device: /dev/ttyUSB0"),
        ('line = "hello"', "none of the protocol: 'hello'"),
        ('line = f"{seconds:.6f} -4 W"', "tells a power of -4 W"),
        ('line = "# still warming up"', "too few readings in 2 s"),
    ],
)
def test_a_program_that_is_none_is_missing_with_what_it_said(
    hole: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "START_S", 20.0 if "none" not in words and "few" not in words else 2.0)
    missing = only_missing(find(Sources(environment={VARIABLE: json.dumps(program(hole))})))
    assert words in missing.reason
    assert missing.expected


def test_a_program_that_is_not_there_is_missing_with_its_name() -> None:
    missing = only_missing(find(Sources(environment={VARIABLE: "/nowhere/meter --fast"})))
    assert missing.reason == "the external meter '/nowhere/meter' does not start: No such file or directory"


@pytest.mark.parametrize("text", ["'unclosed", "[1, 2]", "[", "[]"])
def test_a_command_that_is_none_is_missing_with_the_reason(text: str) -> None:
    missing = only_missing(find(Sources(environment={VARIABLE: text})))
    assert missing.reason.startswith(f"{VARIABLE} is no command: ")


def test_without_the_variable_it_is_not_asked_for() -> None:
    assert not only_missing(find(Sources(environment={}))).expected


def test_a_command_is_split_into_words_and_no_shell_reads_it(tmp_path: Path) -> None:
    assert command_of("meter --name 'a b' $(touch x); y") == ["meter", "--name", "a b", "$(touch", "x);", "y"]
    assert command_of(r'["C:\\Program Files\\meter.exe", "1"]') == [r"C:\Program Files\meter.exe", "1"]
    target = tmp_path / "made-by-a-shell"
    assert only_missing(find(Sources(environment={VARIABLE: f"true; touch {target}"})))
    assert not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
def test_it_ends_with_its_process_group_even_where_the_group_does_not_want_to(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hole = (
        'if n == 0: child = subprocess.Popen([sys.executable, "-c", "import signal, time;'
        ' signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]);'
        f' open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")'
    )
    meter = ExternalMeter(program(hole))
    with meter:
        processes = [psutil.Process(int(word)) for word in pids.read_text().split()]
        assert os.getpgid(processes[1].pid) == processes[0].pid != os.getpgid(0)
    wait_until(
        lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes),
        "both processes ended",
    )
    meter.close()  # again, without harm


def test_a_program_that_ended_may_be_started_again() -> None:
    meter = ExternalMeter(program())
    for _ in range(2):
        with meter:
            assert meter.read().keys() == {"wall"}
    with pytest.raises(MeterError):
        meter.read()


def test_it_is_found_checked_and_not_left_running() -> None:
    meter = only_meter(find(Sources(environment={VARIABLE: json.dumps(program())})))
    assert (meter.domains, meter.name) == (("wall",), "external")
    assert not [each for each in psutil.Process().children() if "a meter" in " ".join(each.cmdline())]
