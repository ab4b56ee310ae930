"""What this machine has, and for each thing missing, why and what would bring it; and what harms measurements here.

Owns `doctor` and its report; the command line renders it. Imports the meters and the backends' declarations, no
framework. Contract: nothing is created or changed; every entry that is not there has a reason and a next step.
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.machine.accelerators import find_accelerators
from harness.machine.harms import Harm, find_harms, watch_load
from harness.machine.identity import Machine, describe_machine, physical_cores
from harness.machine.state import describe_session_state
from harness.worker import api

#: Room for the environments, builds and artifacts of the built-in suites together.
_DISK_WANTED_BYTES = 6_000_000_000


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """What is known of a framework's environment.

    Attributes:
        made: it exists and was verified.
        versions: version by distribution, empty where it is not made.
        path: where it is.
        reason: why it is not made or not usable.
        next_step: what to type.
    """

    made: bool
    versions: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    reason: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is there, or not.

    Attributes:
        name: what.
        present: whether it is there and usable.
        detail: name, version or figure, as a person reads it.
        reason: why it is not.
        next_step: what would bring it.
    """

    name: str
    present: bool
    detail: str | None = None
    reason: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class FrameworkEntry:
    """One framework on this machine.

    Attributes:
        devices: its known devices as ``gpu:0 (opencl)``, with why each cannot be used.
        available: at least one device can be tried.
        environment: whether its environment is made, with versions.
    """

    framework: str
    title: str
    available: bool
    devices: tuple[Entry, ...]
    environment: Entry
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything that the doctor saw."""

    machine: Machine
    state: Mapping[str, Any]
    devices: tuple[Entry, ...]
    meters: tuple[Entry, ...]
    frameworks: tuple[FrameworkEntry, ...]
    host: tuple[Entry, ...]
    harms: tuple[Harm, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "machine": self.machine.to_dict(),
            "state": dict(self.state),
            "devices": [dataclasses.asdict(each) for each in self.devices],
            "meters": [dataclasses.asdict(each) for each in self.meters],
            "frameworks": [
                {**dataclasses.asdict(each), "versions": dict(each.versions)} for each in self.frameworks
            ],
            "host": [dataclasses.asdict(each) for each in self.host],
            "harms": [dataclasses.asdict(each) for each in self.harms],
        }


def doctor(
    frameworks: Mapping[str, type[api.Backend]],
    environments: Mapping[str, EnvironmentFacts],
    *,
    cache: Path,
    root: Path = Path("/"),
    nvml: Any = None,
    watch_s: float = 0.5,
) -> DoctorReport:
    """Looks at everything once.

    Args:
        frameworks: backend class by framework id.
        environments: what is known of each framework's environment; one that is not named is not made.
        cache: folder of models, artifacts and environments; it need not exist.
        root: where ``proc``, ``sys`` and ``dev`` are.
        nvml: module with NVML's functions; ``pynvml`` by default.
        watch_s: how long the background load is watched.
    """
    found = find_accelerators(root, nvml=nvml)
    here = api.Host(sys.platform, platform.machine(), frozenset(each.api for each in found.accelerators))
    machine = describe_machine(root, nvml=nvml)
    state = describe_session_state(root, nvml=nvml)
    devices = [Entry("cpu", True, f"{machine.cpu_model}, {physical_cores(root)} cores usable")]
    devices += [Entry(each.api, True, _device_text(each.name, each.driver)) for each in found.accelerators]
    devices += [Entry(each.api, False, None, each.reason, each.next_step) for each in found.absent]
    return DoctorReport(
        machine=machine,
        state=state,
        devices=tuple(devices),
        meters=_meters(root, nvml),
        frameworks=tuple(
            _framework(name, backend, here, environments.get(name)) for name, backend in frameworks.items()
        ),
        host=(
            Entry("python", True, f"{platform.python_version()} at {sys.executable}"),
            _compiler(),
            _disk(cache),
            _memory(),
        ),
        harms=find_harms(state, watch_load(watch_s, root), root),
    )


def _device_text(name: str, driver: str | None) -> str:
    return f"{name}, driver {driver}" if driver else name


def _meters(root: Path, nvml: Any) -> tuple[Entry, ...]:
    from harness.meter import Sources, find_meters

    meters, missing = find_meters(Sources(root / "sys", modules={} if nvml is None else {"pynvml": nvml}))
    entries = [
        Entry(
            each.name,
            True,
            f"{', '.join(each.domains)}; {each.method}, updated every {each.resolution_s:g} s",
        )
        for each in meters
    ]
    return tuple(entries + [Entry(each.name, False, None, each.reason, each.next_step) for each in missing])


def _framework(
    name: str, backend: type[api.Backend], here: api.Host, environment: EnvironmentFacts | None
) -> FrameworkEntry:
    devices = []
    for device, device_api in backend.known_devices:
        reason = backend.unavailable(here, device, device_api)
        step = None if reason is None else "see the devices of this machine above"
        devices.append(Entry(f"{device} ({device_api})", reason is None, None, reason, step))
    available = any(each.present for each in devices)
    make = f"edgebench env make {name}"
    if environment is None:
        environment = EnvironmentFacts(False, reason="not made yet; it is made on first use", next_step=make)
    if environment.made:
        packages = ", ".join(
            f"{package} {version}" for package, version in sorted(environment.versions.items())
        )
        made = Entry("environment", True, packages or environment.path)
    elif not available:
        made = Entry(
            "environment", False, None, "not wanted: no device of it is on this machine", devices[0].next_step
        )
    else:
        made = Entry(
            "environment", False, None, environment.reason or "not made yet", environment.next_step or make
        )
    return FrameworkEntry(name, backend.title, available, tuple(devices), made, environment.versions)


def _compiler() -> Entry:
    for name in ("c++", "g++", "clang++", "cl"):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            told = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Entry(
                "compiler", False, None, f"{path} does not run: {error}", "reinstall the C++ compiler"
            )
        first = (told.stdout or told.stderr).strip().splitlines()
        return Entry("compiler", True, first[0] if first else path)
    return Entry(
        "compiler",
        False,
        None,
        "no C++ compiler on PATH: llama-cpp-python is built from source",
        "install one: apt install g++, xcode-select --install, or Visual Studio's C++ build tools",
    )


def _disk(cache: Path) -> Entry:
    folder = cache
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free for {cache}"
    if free >= _DISK_WANTED_BYTES:
        return Entry("disk", True, detail)
    return Entry(
        "disk",
        False,
        detail,
        f"less than {_DISK_WANTED_BYTES / 1e9:.0f} GB free for environments and artifacts",
        "free some, or set EDGEBENCH_CACHE_DIR to a larger disk",
    )


def _memory() -> Entry:
    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} GB of {memory.total / 1e9:.1f} GB available"
    if memory.available >= 2e9:
        return Entry("memory", True, detail)
    return Entry("memory", False, detail, "less than 2 GB available", "close other programs before measuring")
