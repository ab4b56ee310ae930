"""Accelerators that this machine has, found without loading any framework.

Owns the finding: NVIDIA through NVML, everything else through device nodes, kernel drivers and the loaders' own
registration files, all below a root folder so that recorded trees can be tested. Imports no framework.
Contract: an API is present only where both the hardware and its user-space driver were found; each absent one
has its reason and what would bring it. Whether a framework then really computes there, its own worker checks.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from harness.backends._llamacpp_options import RPC_VARIABLE
from harness.machine.files import read_int, read_text
from harness.worker import api

_PCI_VENDORS = {
    "0x10de": "NVIDIA",
    "0x8086": "Intel",
    "0x1002": "AMD",
    "0x17cb": "Qualcomm",
    "0x1d0f": "Amazon",
}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device behind one API.

    Attributes:
        api: ``cuda``, ``rocm``, ``metal``, ``vulkan``, ``opencl``, ``sycl``, ``npu``, ``qnn-htp``, ``directml``.
        name: as its driver tells it, else vendor and PCI id.
        driver: driver version, None where it tells none.
        memory_bytes: its own memory, None where it shares the host's or tells nothing.
    """

    api: str
    name: str
    driver: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """An API that cannot be used here: why, and what would bring it."""

    api: str
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Found:
    """Everything found: devices, the APIs that are absent, and PCI ids of the hardware whether driven or not."""

    accelerators: tuple[Accelerator, ...]
    absent: tuple[Absent, ...]
    hardware: tuple[str, ...]


def find_accelerators(root: Path = Path("/"), *, system: str | None = None, nvml: Any = None) -> Found:
    """Accelerators of this machine.

    Args:
        root: where ``sys``, ``dev`` and ``etc`` are.
        system: as `sys.platform`; this machine's by default.
        nvml: module with NVML's functions; ``pynvml`` by default.
    """
    system = system or sys.platform
    found: list[Accelerator] = []
    absent: list[Absent] = []
    for result in (
        _cuda(nvml),
        _rocm(root, system),
        _metal(system),
        _vulkan(root, system),
        _opencl(root, system),
        _sycl(root, system),
        _npu(root, system),
        _hexagon(root, system),
        _directml(system),
    ):
        if isinstance(result, Absent):
            absent.append(result)
        else:
            found.extend(result)
    return Found(tuple(found), tuple(absent), pci_hardware(root))


def host(root: Path = Path("/"), *, nvml: Any = None) -> api.Host:
    """What planning may know of this machine."""
    found = find_accelerators(root, nvml=nvml)
    apis = {each.api for each in found.accelerators}
    if os.environ.get(RPC_VARIABLE):
        # No hardware of this machine: a server of llama.cpp elsewhere, which a person names.
        apis.add("rpc")
    return api.Host(
        sys.platform,
        platform.machine(),
        frozenset(apis),
        psutil.virtual_memory().total,
    )


def pci_hardware(root: Path) -> tuple[str, ...]:
    """``vendor:device`` of every display controller and processing accelerator on PCI, sorted, doubles kept."""
    ids: list[str] = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        kind = read_text(device / "class") or ""
        if kind.startswith(("0x03", "0x12")):
            vendor, model = read_text(device / "vendor"), read_text(device / "device")
            if vendor and model:
                ids.append(f"{vendor.removeprefix('0x')}:{model.removeprefix('0x')}")
    return tuple(sorted(ids))


def load_nvml() -> tuple[ModuleType | None, str | None]:
    """NVML's Python module, or why there is none. Does not initialise it."""
    try:
        import pynvml  # its import opens no library; nvmlInit does
    except ImportError:
        return None, "the Python module pynvml (nvidia-ml-py) is not installed"
    module: ModuleType = pynvml
    return module, None


def nvml_text(value: str | bytes) -> str:
    """NVML's strings are bytes in some versions."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def nvml_reason(error: Exception) -> str:
    """Why NVML does not work, for a person."""
    name = type(error).__name__
    if name == "NVMLError_LibraryNotFound":
        return "NVML library not found"
    if name == "NVMLError_DriverNotLoaded":
        return "the NVIDIA driver is not loaded"
    return f"NVML: {error}"


_CUDA_NEXT = (
    "install NVIDIA's driver for the card (it brings libnvidia-ml) and reboot; `nvidia-smi` must list it"
)


def _cuda(nvml: Any) -> list[Accelerator] | Absent:
    if nvml is None:
        nvml, reason = load_nvml()
        if nvml is None:
            return Absent("cuda", str(reason), "pip install nvidia-ml-py")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Absent("cuda", nvml_reason(error), _CUDA_NEXT)
    try:
        driver = nvml_text(nvml.nvmlSystemGetDriverVersion())
        cards = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
            cards.append(Accelerator("cuda", nvml_text(nvml.nvmlDeviceGetName(handle)), driver, int(memory)))
    except nvml.NVMLError as error:
        return Absent("cuda", nvml_reason(error), _CUDA_NEXT)
    finally:
        nvml.nvmlShutdown()
    return cards or Absent("cuda", "NVML enumerates no card", _CUDA_NEXT)


def _rocm(root: Path, system: str) -> list[Accelerator] | Absent:
    step = "install AMD's amdgpu driver with ROCm for a card that it supports, and join the groups render and video"
    if system != "linux":
        return Absent("rocm", f"not looked for on {system}", step)
    if not (root / "dev/kfd").exists():
        return Absent("rocm", "no /dev/kfd: the amdgpu compute driver is not loaded", step)
    driver = read_text(root / "sys/module/amdgpu/version")
    cards = []
    for node in sorted((root / "sys/class/kfd/kfd/topology/nodes").glob("*")):
        properties = dict(
            line.split(None, 1) for line in (read_text(node / "properties") or "").splitlines() if " " in line
        )
        if properties.get("simd_count", "0") != "0":
            cards.append(Accelerator("rocm", read_text(node / "name") or f"AMD node {node.name}", driver))
    return cards or Absent("rocm", "/dev/kfd has no GPU node", step)


def _metal(system: str) -> list[Accelerator] | Absent:
    if system == "darwin" and platform.machine() == "arm64":
        return [Accelerator("metal", "Apple GPU", platform.mac_ver()[0] or None)]
    return Absent(
        "metal", f"Metal exists on Apple silicon only, this is {system}", "run on an Apple-silicon Mac"
    )


def render_nodes(root: Path) -> list[Accelerator]:
    """GPUs with a render node under ``/dev/dri``, by their kernel driver; ``api`` is empty."""
    cards = []
    for node in sorted((root / "dev/dri").glob("renderD*")):
        device = root / "sys/class/drm" / node.name / "device"
        vendor, model = read_text(device / "vendor"), read_text(device / "device")
        name = f"{_PCI_VENDORS.get(vendor or '', vendor or 'GPU')} {model or node.name}"
        cards.append(
            Accelerator("", name, _module_version(root, device), read_int(device / "mem_info_vram_total"))
        )
    return cards


def _module_version(root: Path, device: Path) -> str | None:
    link = device / "driver"
    if not link.exists():
        return None
    name = link.resolve().name
    version = read_text(root / "sys/module" / name / "version")
    return f"{name} {version}" if version else name


def _registered(root: Path, folders: Iterable[str], suffix: str, software: Iterable[str]) -> list[str]:
    """Names of the drivers registered in these folders, without those that compute on the CPU."""
    names = [file.name for folder in folders for file in sorted((root / folder).glob(f"*{suffix}"))]
    return [name for name in names if not any(word in name.lower() for word in software)]


def _vulkan(root: Path, system: str) -> list[Accelerator] | Absent:
    step = "install the GPU's Vulkan driver (Debian: mesa-vulkan-drivers); `vulkaninfo --summary` lists it"
    if system == "win32":
        return Absent("vulkan", "not looked for on Windows", "run the framework's own device list")
    cards = render_nodes(root)
    if not cards:
        return Absent("vulkan", "no GPU render node under /dev/dri", step)
    folders = ("etc/vulkan/icd.d", "usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d")
    if not _registered(root, folders, ".json", ("lvp", "swrast", "swiftshader")):
        return Absent("vulkan", "a GPU, but no hardware Vulkan driver is registered in vulkan/icd.d", step)
    return [Accelerator("vulkan", each.name, each.driver, each.memory_bytes) for each in cards]


def _opencl(root: Path, system: str) -> list[Accelerator] | Absent:
    step = "install the GPU's OpenCL driver (Intel: intel-opencl-icd); `clinfo -l` lists it"
    if system != "linux":
        return Absent("opencl", f"not looked for on {system}", "run the framework's own device list")
    cards = render_nodes(root)
    if not cards:
        return Absent("opencl", "no GPU render node under /dev/dri", step)
    if not _registered(root, ("etc/OpenCL/vendors",), ".icd", ("pocl",)):
        return Absent("opencl", "a GPU, but no OpenCL driver is registered in /etc/OpenCL/vendors", step)
    return [Accelerator("opencl", each.name, each.driver, each.memory_bytes) for each in cards]


def _sycl(root: Path, system: str) -> list[Accelerator] | Absent:
    step = "install Intel's Level Zero driver (libze-intel-gpu1) and the oneAPI compiler that builds for it"
    if system != "linux":
        return Absent("sycl", f"not looked for on {system}", "run the framework's own device list")
    cards = [card for card in render_nodes(root) if card.name.startswith("Intel ")]
    if not cards:
        return Absent("sycl", "no Intel GPU render node under /dev/dri", step)
    if not any((root / "usr").glob("lib*/**/libze_intel_gpu.so*")):
        return Absent("sycl", "an Intel GPU, but no Level Zero driver (libze_intel_gpu.so)", step)
    return [Accelerator("sycl", each.name, each.driver, each.memory_bytes) for each in cards]


def _npu(root: Path, system: str) -> list[Accelerator] | Absent:
    step = (
        "Intel: a Core Ultra with the intel_vpu driver and intel-driver-compiler-npu; AMD: the amdxdna driver"
    )
    if system != "linux":
        return Absent("npu", f"not looked for on {system}", "run the framework's own device list")
    npus = []
    for node in sorted((root / "dev/accel").glob("accel*")):
        device = root / "sys/class/accel" / node.name / "device"
        vendor, model = read_text(device / "vendor"), read_text(device / "device")
        name = f"{_PCI_VENDORS.get(vendor or '', vendor or 'NPU')} {model or node.name}"
        npus.append(Accelerator("npu", name, _module_version(root, device)))
    return npus or Absent("npu", "no accelerator node under /dev/accel", step)


def _hexagon(root: Path, system: str) -> list[Accelerator] | Absent:
    step = "run on a Qualcomm device with its compute DSP driver; this machine may still use QNN's emulator"
    nodes = [
        node
        for node in ("fastrpc-cdsp", "fastrpc-cdsp-secure", "adsprpc-smd")
        if (root / "dev" / node).exists()
    ]
    if system == "linux" and nodes:
        soc = read_text(root / "sys/devices/soc0/machine")
        return [Accelerator("qnn-htp", f"Hexagon{f' of {soc}' if soc else ''}")]
    if system == "win32" and platform.machine().lower() in ("arm64", "aarch64"):
        return [Accelerator("qnn-htp", "Hexagon")]
    return Absent("qnn-htp", "no Hexagon DSP node (/dev/fastrpc-cdsp, /dev/adsprpc-smd)", step)


def _directml(system: str) -> list[Accelerator] | Absent:
    if system == "win32":
        return [Accelerator("directml", "DirectX 12 adapter", platform.version())]
    return Absent(
        "directml", f"DirectML exists on Windows only, this is {system}", "run on Windows 10 or newer"
    )
