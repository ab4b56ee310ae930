"""`harness.machine.identity`, `state` and `accelerators` on recorded trees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.machine import describe_machine, describe_session_state, find_accelerators, host, physical_cores
from harness.machine.identity import cgroup_cpus, machine_id, round_memory_gib

GIB = 1 << 30


class NoNvml:
    """NVML without a library."""

    class NVMLError(Exception):
        """Any failure."""

    @classmethod
    def nvmlInit(cls) -> None:  # noqa: N802
        raise cls.NVMLError("no library")


def put(root: Path, path: str, text: str = "") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("seen", "gib"),
    [(7.6, 8), (15.4, 16), (15.62, 16), (23.54, 24), (31.2, 32), (62.5, 64), (125.6, 128), (251, 256)],
)
def test_memory_is_rounded_to_what_is_installed(seen: float, gib: float) -> None:
    assert round_memory_gib(round(seen * GIB)) == gib


@given(st.floats(0.5, 4096))
def test_memory_rounding_stays_within_an_eighth(size: float) -> None:
    assert round_memory_gib(round(size * GIB)) == pytest.approx(size, rel=0.126)


def test_the_id_is_of_the_hardware_and_of_nothing_else() -> None:
    this = machine_id("CPU", 1, 2, 4, 8.0, ("10de:1", "8086:2"))
    assert this == machine_id("CPU", 1, 2, 4, 8.0, ("8086:2", "10de:1"))
    assert len({this, machine_id("CPU2", 1, 2, 4, 8.0, ()), machine_id("CPU", 1, 2, 4, 16.0, ())}) == 3


def test_this_machine_describes_itself_the_same_twice_without_a_name_or_serial() -> None:
    first, second = describe_machine(), describe_machine()
    assert first == second
    assert len(first.id) == 16
    assert first.threads >= 1
    import platform

    node = platform.node()
    if len(node) > 3:
        assert node not in json.dumps(first.to_dict())


def test_every_state_has_a_value_or_a_reason() -> None:
    state = describe_session_state(nvml=NoNvml)
    assert set(state["reasons"]) == {key for key, value in state.items() if value is None}
    json.dumps(state)


def test_a_recorded_laptop_tells_its_state(tmp_path: Path) -> None:
    put(tmp_path, "etc/os-release", 'PRETTY_NAME="Test OS 1"')
    put(tmp_path, "proc/cpuinfo", "model name : X\nmicrocode : 0x2f\nflags : fpu")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    put(tmp_path, "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance")
    put(tmp_path, "sys/devices/system/cpu/intel_pstate/no_turbo", "1")
    put(tmp_path, "sys/firmware/acpi/platform_profile", "balanced")
    put(tmp_path, "sys/class/power_supply/AC/type", "Mains")
    put(tmp_path, "sys/class/power_supply/AC/online", "0")
    put(tmp_path, "sys/class/power_supply/BAT0/type", "Battery")
    put(tmp_path, "sys/class/power_supply/BAT0/capacity", "83")
    put(tmp_path, "sys/class/power_supply/hid-mouse/type", "Battery")
    put(tmp_path, "sys/class/power_supply/hid-mouse/scope", "Device")
    put(tmp_path, "sys/class/dmi/id/bios_version", "1.23")
    put(tmp_path, "sys/devices/system/cpu/smt/active", "1")
    state = describe_session_state(tmp_path, system="linux", nvml=NoNvml)
    assert state["os"] == "Test OS 1"
    assert state["governor"] == "performance+powersave"
    assert state["boost"] is False
    assert state["power_mode"] == "balanced"
    assert state["microcode"] == "0x2f"
    assert state["power_source"] == "battery"
    assert state["battery_percent"] == 83.0
    assert state["hypervisor"] == "none"
    assert state["firmware"] == "1.23"
    assert state["smt"] is True
    assert set(state["reasons"]) == {"energy_preference"}


def test_hyper_threads_of_a_core_are_one_core(tmp_path: Path) -> None:
    for cpu, (package, core) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (0, 0), (0, 1), (1, 0), (1, 1)]):
        put(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/core_id", str(core))
        put(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", str(package))
    assert physical_cores(tmp_path, affinity=frozenset(range(8))) == 4
    assert physical_cores(tmp_path, affinity=frozenset({0, 4})) == 1
    put(tmp_path, "proc/self/cgroup", "0::/a/b")
    put(tmp_path, "sys/fs/cgroup/a/b/cpu.max", "max 100000")
    assert physical_cores(tmp_path, affinity=frozenset(range(8))) == 4
    put(tmp_path, "sys/fs/cgroup/a/cpu.max", "250000 100000")
    assert cgroup_cpus(tmp_path) == 2.5
    assert physical_cores(tmp_path, affinity=frozenset(range(8))) == 2
    put(tmp_path, "sys/fs/cgroup/a/b/cpu.max", "50000 100000")
    assert physical_cores(tmp_path, affinity=frozenset(range(8))) == 1


def test_quotas_of_the_first_cgroup_version_count_too(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "2:cpu,cpuacct:/box")
    put(tmp_path, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "300000")
    put(tmp_path, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000")
    assert cgroup_cpus(tmp_path) == 3.0


def test_a_bare_tree_has_no_accelerator_and_every_api_its_reason(tmp_path: Path) -> None:
    found = find_accelerators(tmp_path, system="linux", nvml=NoNvml)
    assert found.accelerators == ()
    assert found.hardware == ()
    apis = {each.api for each in found.absent}
    assert apis == {"cuda", "rocm", "metal", "vulkan", "opencl", "sycl", "npu", "qnn-htp", "directml"}
    assert all(each.reason and each.next_step for each in found.absent)


def intel_laptop(root: Path) -> None:
    put(root, "dev/dri/renderD128")
    put(root, "sys/class/drm/renderD128/device/vendor", "0x8086")
    put(root, "sys/class/drm/renderD128/device/device", "0x7d55")
    put(root, "dev/accel/accel0")
    put(root, "sys/class/accel/accel0/device/vendor", "0x8086")
    put(root, "sys/class/accel/accel0/device/device", "0x7d1d")
    for slot, kind, device in (("00:02.0", "0x030000", "0x7d55"), ("00:0b.0", "0x120000", "0x7d1d")):
        put(root, f"sys/bus/pci/devices/0000:{slot}/class", kind)
        put(root, f"sys/bus/pci/devices/0000:{slot}/vendor", "0x8086")
        put(root, f"sys/bus/pci/devices/0000:{slot}/device", device)
    put(root, "sys/bus/pci/devices/0000:00:1f.0/class", "0x060100")


def test_a_gpu_without_user_space_drivers_is_hardware_but_no_api(tmp_path: Path) -> None:
    intel_laptop(tmp_path)
    put(tmp_path, "usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "{}")
    found = find_accelerators(tmp_path, system="linux", nvml=NoNvml)
    assert {each.api for each in found.accelerators} == {"npu"}
    assert found.hardware == ("8086:7d1d", "8086:7d55")
    reasons = {each.api: each.reason for each in found.absent}
    assert "no hardware Vulkan driver" in reasons["vulkan"], "lavapipe computes on the CPU"
    assert "no OpenCL driver" in reasons["opencl"]
    assert "no Level Zero driver" in reasons["sycl"]


def test_a_gpu_with_its_drivers_is_there_through_each(tmp_path: Path) -> None:
    intel_laptop(tmp_path)
    put(tmp_path, "usr/share/vulkan/icd.d/intel_icd.x86_64.json", "{}")
    put(tmp_path, "etc/OpenCL/vendors/intel.icd", "libigdrcl.so")
    put(tmp_path, "usr/lib/x86_64-linux-gnu/libze_intel_gpu.so.1")
    found = find_accelerators(tmp_path, system="linux", nvml=NoNvml)
    assert {(each.api, each.name) for each in found.accelerators} == {
        ("vulkan", "Intel 0x7d55"),
        ("opencl", "Intel 0x7d55"),
        ("sycl", "Intel 0x7d55"),
        ("npu", "Intel 0x7d1d"),
    }


def test_an_amd_board_and_a_hexagon_are_found(tmp_path: Path) -> None:
    put(tmp_path, "dev/kfd")
    put(tmp_path, "sys/class/kfd/kfd/topology/nodes/0/properties", "simd_count 0\ncpu_cores_count 8")
    put(tmp_path, "sys/class/kfd/kfd/topology/nodes/1/properties", "simd_count 120\ncpu_cores_count 0")
    put(tmp_path, "sys/class/kfd/kfd/topology/nodes/1/name", "navi31")
    put(tmp_path, "dev/fastrpc-cdsp")
    put(tmp_path, "sys/devices/soc0/machine", "QCS8550")
    found = find_accelerators(tmp_path, system="linux", nvml=NoNvml)
    assert {(each.api, each.name) for each in found.accelerators} == {
        ("rocm", "navi31"),
        ("qnn-htp", "Hexagon of QCS8550"),
    }


def test_the_host_names_apis_and_platform() -> None:
    here = host(nvml=NoNvml)
    assert here.system == sys.platform
    assert "cuda" not in here.accelerators


def test_an_rpc_server_that_is_named_is_an_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_LLAMACPP_RPC", raising=False)
    assert "rpc" not in host(nvml=NoNvml).accelerators
    monkeypatch.setenv("EDGEBENCH_LLAMACPP_RPC", "192.0.2.1:50052")
    assert "rpc" in host(nvml=NoNvml).accelerators


def test_the_package_imports_nothing_heavy() -> None:
    probe = "import sys, harness.machine; print(sorted({'pandas', 'sqlmodel', 'rich', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
