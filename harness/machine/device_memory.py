"""How much memory of an accelerator a process holds, asked by the parent between requests.

Owns NVML's per-process figures and the label of devices that have no memory of their own. Imports NVML only when it is
asked about a card of NVIDIA's. Contract: bytes with the way they were read, or None with the reason; never an estimate,
and nothing is asked while passes are timed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine.accelerators import load_nvml, nvml_reason
from harness.machine.files import read_text

#: APIs whose processors always share the host's memory: Apple's GPU, and the NPUs of systems on a chip.
_SHARED_APIS = {"metal": "Apple's GPU", "qnn-htp": "the Hexagon NPU", "npu": "the NPU"}
_INTEL = "0x8086"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory of a device that processes hold.

    Attributes:
        device_bytes: None where it is not known or there is none of its own.
        note: how it was read, or why it is None.
        shared: the device shares the host's memory, which the resident set counts; False: it has its own; None: not
            known.
    """

    device_bytes: int | None
    note: str
    shared: bool | None


def device_memory(
    pids: Collection[int], device: Mapping[str, Any], *, root: Path = Path("/"), nvml: Any = None
) -> DeviceMemory:
    """What these processes hold of a device.

    Args:
        pids: the worker, and what it started.
        device: `harness.worker.api.Device` as a mapping, read back after loading.
        root: where ``proc`` and ``sys`` are.
        nvml: module with NVML's functions; ``pynvml`` by default.
    """
    shared = shares_host_memory(device, root)
    if shared is not None:
        return DeviceMemory(None, shared, shared=True)
    nvidia = device.get("api") == "cuda" or "nvidia" in str(device.get("name", "")).lower()
    if not nvidia:
        note = f"no counter of a process's memory on {device.get('id')} ({device.get('api')}) is read here"
        return DeviceMemory(None, note, shared=None)
    if nvml is None:
        nvml, reason = load_nvml()
        if nvml is None:
            return DeviceMemory(None, str(reason), shared=False)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return DeviceMemory(None, nvml_reason(error), shared=False)
    try:
        return _of_processes(nvml, frozenset(pids))
    except nvml.NVMLError as error:
        return DeviceMemory(None, nvml_reason(error), shared=False)
    finally:
        nvml.nvmlShutdown()


def shares_host_memory(device: Mapping[str, Any], root: Path = Path("/")) -> str | None:
    """Why a device has no memory of its own; None where it has, or where that is not known."""
    if device.get("emulated"):
        return "emulated: the host's memory stands for the device's"
    if str(device.get("id", "")).partition(":")[0] == "cpu":
        return "the CPU has no memory but the host's"
    who = _SHARED_APIS.get(str(device.get("api")))
    if who is None and "nvidia,tegra" in (read_text(root / "proc/device-tree/compatible") or ""):
        who = "Jetson's GPU"
    if who is None and _only_integrated_intel(root):
        who = "Intel's integrated GPU"
    return None if who is None else f"{who} shares the host's memory: the resident set counts it"


def _only_integrated_intel(root: Path) -> bool:
    """Whether the one GPU is Intel's of the processor: it is always device 2 of the first bus."""
    cards = [
        (place.name, (read_text(place / "vendor") or "").strip())
        for place in (root / "sys/bus/pci/devices").glob("*")
        if (read_text(place / "class") or "").startswith("0x03")
    ]
    return cards == [("0000:00:02.0", _INTEL)]


def _of_processes(nvml: Any, pids: frozenset[int]) -> DeviceMemory:
    """Sum over all cards: a process is in a card's list only where it holds something of it."""
    held: list[int] = []
    untold = False
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        # A process that computes and draws is in both lists, with the same figure.
        of_card: dict[int, int | None] = {}
        for listing in (
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
            nvml.nvmlDeviceGetComputeRunningProcesses,
        ):
            of_card |= {process.pid: process.usedGpuMemory for process in listing(handle)}
        for pid in pids & of_card.keys():
            used = of_card[pid]
            untold = untold or used is None
            held += [] if used is None else [int(used)]
    if untold:
        note = "NVML lists the process without its memory (Windows' display driver model keeps it to itself)"
        return DeviceMemory(None, note, shared=False)
    if not held:
        note = "NVML lists none of the run's processes (in a container it may count by the host's numbers)"
        return DeviceMemory(None, note, shared=False)
    return DeviceMemory(sum(held), "NVML, of the run's processes, after the phase", shared=False)
