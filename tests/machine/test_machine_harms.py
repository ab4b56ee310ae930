"""`harness.machine.harms`: what is said of a machine, on recorded trees and states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.machine.harms import Harm, Load, find_harms, watch_load

#: A machine on which nothing is known to harm.
STATE: dict[str, Any] = {
    "governor": "performance",
    "energy_preference": None,
    "boost": False,
    "smt": False,
    "power_mode": "performance",
    "power_source": "AC",
    "battery_percent": None,
    "hypervisor": "none",
    "reasons": {},
}
IDLE = Load(2.0, 0.02, 0.0)


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A quiet machine's tree."""
    put(tmp_path, "proc/stat", "cpu  100 0 100 9000 0 0 0 10 0 0\n")
    put(tmp_path, "proc/pressure/cpu", "some avg10=0.40 avg60=0.00 avg300=0.00 total=99\n")
    put(tmp_path, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
    put(tmp_path, "proc/self/cgroup", "0::/lab\n")
    put(tmp_path, "sys/fs/cgroup/lab/cpu.max", "max 100000\n")
    return tmp_path


def harm(root: Path, name: str, load: Load = IDLE, **state: Any) -> Harm:
    return next(one for one in find_harms({**STATE, **state}, load, root) if one.name == name)


def test_a_quiet_machine_has_no_harm(root: Path) -> None:
    assert [one for one in find_harms(STATE, IDLE, root) if one.harmful is not False] == []


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("cpu governor", {"governor": "powersave"}, "cpupower"),
        ("turbo", {"boost": True}, "no_turbo"),
        ("SMT siblings", {"smt": True}, "smt/control"),
        ("power mode", {"power_mode": "low-power"}, "powerprofilesctl"),
        ("power source", {"power_source": "battery", "battery_percent": 41.0}, "plug it in"),
    ],
)
def test_a_state_that_harms_has_its_reason_and_its_fix(
    root: Path, name: str, change: dict[str, Any], word: str
) -> None:
    found = harm(root, name, **change)
    assert found.harmful is True
    assert found.reason
    assert word in str(found.next_step)


def test_a_saving_governor_that_prefers_performance_is_intels_fast_setting(root: Path) -> None:
    assert harm(root, "cpu governor", governor="powersave", energy_preference="performance").harmful is False
    both = harm(root, "cpu governor", governor="powersave", energy_preference="balance_power")
    assert both.detail == "powersave, energy preference balance_power"
    assert both.harmful is True


def test_background_load_names_who_works(root: Path) -> None:
    found = harm(root, "background load", Load(2.0, 0.8, 0.0, ("chrome (70 %)",)))
    assert found.harmful is True
    assert found.detail == "80 % of a core in 2.0 s: chrome (70 %)"


@pytest.mark.parametrize(
    ("now", "since_boot", "harmful"), [(0.0, 10, False), (0.03, 10, True), (0.0, 900, True)]
)
def test_a_hypervisor_harms_where_it_steals(root: Path, now: float, since_boot: int, harmful: bool) -> None:
    put(root, "proc/stat", f"cpu  100 0 100 9000 0 0 0 {since_boot} 0 0\n")
    assert harm(root, "hypervisor steal", Load(2.0, 0.0, now), hypervisor="KVM").harmful is harmful


def test_limits_of_a_container_are_found_in_its_cgroup(root: Path) -> None:
    put(root, "sys/fs/cgroup/lab/cpu.max", "50000 100000\n")
    put(root, "sys/fs/cgroup/lab/memory.max", "1000000000\n")
    assert str(harm(root, "cpu quota").detail).startswith("0.5 CPUs of")
    assert harm(root, "memory limit").harmful is True
    put(root, "sys/fs/cgroup/lab/memory.max", f"{psutil.virtual_memory().total * 2}\n")
    assert harm(root, "memory limit").harmful is False


def test_swap_harms_where_it_is_in_use(root: Path) -> None:
    put(root, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 8388604 0 -2\n")
    put(root, "proc/meminfo", "SwapTotal:  8388604 kB\nSwapFree:  8380000 kB\n")
    assert harm(root, "swap").harmful is False
    put(root, "proc/meminfo", "SwapTotal:  8388604 kB\nSwapFree:  5388604 kB\n")
    found = harm(root, "swap")
    assert (found.harmful, found.detail) == (True, "1 area, 3072 MB used")


def test_pressure_and_throttling_of_the_moment_are_told(root: Path) -> None:
    put(root, "proc/pressure/cpu", "some avg10=42.50 avg60=0.00 avg300=0.00 total=99\n")
    put(root, "sys/devices/platform/soc/soc:firmware/get_throttled", "1\n")
    assert harm(root, "cpu pressure").detail == "42.5 % of the last 10 s"
    assert harm(root, "throttling").detail == "firmware: under-voltage"


def test_what_is_not_told_is_not_known_and_has_its_reason(tmp_path: Path) -> None:
    keys = ("governor", "boost", "smt", "power_mode", "power_source", "hypervisor")
    blind = {**STATE, **dict.fromkeys(keys), "reasons": {key: f"no {key} here" for key in keys}}
    found = {one.name: one for one in find_harms(blind, Load(1.0, None, None), tmp_path)}
    unknown = {name for name, one in found.items() if one.harmful is None}
    assert unknown == {
        "cpu governor", "turbo", "SMT siblings", "background load", "cpu pressure", "swap", "power mode",
        "power source", "hypervisor steal",
    }  # fmt: skip
    assert all(found[name].reason for name in unknown)
    assert found["turbo"].reason == "no boost here"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_works_is_seen_and_named() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            load = watch_load(0.5)
        finally:
            busy.kill()
    assert load.busy_cores is not None
    assert load.busy_cores > 0.3
    assert load.names
