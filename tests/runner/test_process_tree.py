"""Resident sets and out-of-memory counters, on recorded files and on this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.runner.tree import TreeMemory, oom_kills


def _host(tmp_path: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, cgroups


def test_version_two_counts_in_memory_events(tmp_path: Path) -> None:
    events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
    proc, cgroups = _host(tmp_path, "0::/user.slice/bench\n", {"user.slice/bench/memory.events": events})
    assert oom_kills(proc, cgroups) == 2


def test_version_one_counts_in_oom_control(tmp_path: Path) -> None:
    cgroup = "9:name=systemd:/\n4:cpu,cpuacct:/\n3:memory:/docker/abc\n0::/\n"
    control = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"
    proc, cgroups = _host(tmp_path, cgroup, {"memory/docker/abc/memory.oom_control": control})
    assert oom_kills(proc, cgroups) == 7


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/\n", {}),
        ("", {}),
        ("0::/x\n", {"x/memory.events": "low 0\n"}),
        ("5:cpu:/x\n", {"memory/x/memory.oom_control": "oom_kill 7\n"}),
    ],
)
def test_where_nothing_is_counted_the_count_is_unknown_and_not_zero(
    tmp_path: Path, cgroup: str, files: dict[str, str]
) -> None:
    proc, cgroups = _host(tmp_path, cgroup, files)
    assert oom_kills(proc, cgroups) is None


def test_a_system_without_cgroups_is_no_error(tmp_path: Path) -> None:
    assert oom_kills(tmp_path, tmp_path) is None


def test_the_resident_set_counts_descendants() -> None:
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        process = psutil.Process(parent.pid)
        (child,) = process.children()
        both = process.memory_info().rss + child.memory_info().rss
        tree = TreeMemory(parent.pid)
        assert tree.rss_bytes() == pytest.approx(both, rel=0.1)
        parent.communicate(b"\n")
    assert tree.rss_bytes() == 0
    tree.close()


def test_a_process_that_is_gone_has_no_resident_set() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert TreeMemory(process.pid).rss_bytes() == 0
