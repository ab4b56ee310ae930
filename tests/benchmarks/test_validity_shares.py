"""`benchmarks/validity.py`: what it counts, and when it is content."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load() -> ModuleType:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "validity.py"
    spec = importlib.util.spec_from_file_location("validity_under_test", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


validity = _load()


def runs(marked: int, of: int) -> list[Any]:
    suspect = validity.Run(True, ("steal time 2 % (limit 1 %)",), 90.0)
    return [suspect] * marked + [validity.Run(False, (), 110.0)] * (of - marked)


@pytest.mark.parametrize(
    ("name", "marked", "passed"),
    [("disturbed", 19, True), ("disturbed", 18, False), ("quiet", 1, True), ("quiet", 2, False)],
)
def test_of_twenty_disturbed_runs_one_may_be_missed_and_of_twenty_quiet_ones_one_marked(
    name: str, marked: int, passed: bool
) -> None:
    part = validity.judge(name, runs(marked, 20))
    assert (part.marked, part.passed) == (marked, passed)


def test_flags_are_counted_by_kind_and_once_a_run() -> None:
    twice = validity.Run(
        True, ("foreign CPU load 90 % of a core (limit 10 %)", "steal time 3 % (limit 1 %)"), None
    )
    part = validity.judge("disturbed", [twice, *runs(1, 2)])
    assert part.flags == {"steal time": 2, "foreign CPU load": 1}
    assert part.decode_tps == 100.0


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        ("involuntary context switches 800 a CPU second (limit 500)", "involuntary context switches"),
        ("memory calibration changed by -31.3 % (limit 25 %)", "memory calibration changed by"),
        ("thermal throttling: 3 events during the run", "thermal throttling"),
    ],
)
def test_a_kind_has_no_figures(flag: str, kind: str) -> None:
    assert validity.kind_of(flag) == kind


def test_a_session_without_runs_is_no_success() -> None:
    with pytest.raises(ValueError, match="no timed run"):
        validity.judge("quiet", [])


@pytest.mark.parametrize("kind", sorted(validity.HOGS))
def test_a_hog_works_as_long_as_it_is_wanted_and_no_longer(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*words: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    with validity.hog(kind):
        assert started[0].poll() is None
    assert started[0].poll() is not None
