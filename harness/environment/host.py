"""What of this machine decides whether an environment or a build can be used again.

Owns the description of the Python, the processor and the compiler that goes into keys. Never imports a framework or
another room. Contract: reads only; each fact is read once a process.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from harness.files import key_of

#: Variables that change what a compiler or CMake makes of a source; those that are set belong to a build's key.
BUILD_VARIABLES = (
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CMAKE_ARGS", "CMAKE_GENERATOR", "CMAKE_PREFIX_PATH",
    "CMAKE_TOOLCHAIN_FILE", "MACOSX_DEPLOYMENT_TARGET", "SKBUILD_CMAKE_ARGS", "SKBUILD_CMAKE_BUILD_TYPE",
)  # fmt: skip


@functools.cache
def python_facts() -> dict[str, str]:
    """Version and ABI of the Python that environments are made with: the one that runs this."""
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "abi": str(sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag),
        "platform": sysconfig.get_platform(),
    }


@functools.cache
def cpu_facts() -> dict[str, str]:
    """Kind of processor: what ``-march=native`` looks at. ``features`` is a hash of the sorted feature names."""
    return {"arch": platform.machine(), "features": key_of(_features())[:16]}


def _features() -> list[str]:
    system = platform.system()
    if system == "Linux":
        return linux_features(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    if system == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string").splitlines()
    return [platform.processor()]


def linux_features(cpuinfo: str) -> list[str]:
    """Sorted names of the features of every core in a ``/proc/cpuinfo``, with the part numbers of Arm cores."""
    found: set[str] = set()
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            found.update(value.split())
        elif name.strip() in ("CPU implementer", "CPU part"):
            found.add(f"{name.strip()} {value.strip()}")
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler: its path (``visual studio`` where CMake finds it itself) and the first line it says of itself."""

    path: str
    version: str


@functools.cache
def compiler() -> Compiler | None:
    """The C++ compiler that a build would use; None where there is none."""
    if platform.system() == "Darwin" and "CXX" not in os.environ and not _output("xcode-select", "-p"):
        return None  # /usr/bin/c++ is there all the same, and opens a window
    for name in filter(None, (os.environ.get("CXX"), "c++", "g++", "clang++")):
        path = shutil.which(name.split()[0])
        if path is not None:
            return Compiler(path, _output(path, "--version").partition("\n")[0])
    return _visual_studio() if platform.system() == "Windows" else None


def _visual_studio() -> Compiler | None:
    installer = Path(
        os.environ.get("PROGRAMFILES(X86)", "C:/Program Files (x86)"), "Microsoft Visual Studio/Installer"
    )
    component = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    version = _output(
        str(installer / "vswhere.exe"), "-latest", "-products", "*", "-requires", component,
        "-property", "installationVersion",
    )  # fmt: skip
    return Compiler("visual studio", version) if version else None


def _output(*command: str) -> str:
    """What a command prints, stripped; empty where it fails or is missing."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def no_compiler_next_step() -> str:
    """How to get a C++ compiler on this platform."""
    if platform.system() == "Darwin":
        return "install one with `xcode-select --install`, then run the same command again"
    if platform.system() == "Windows":
        return (
            "install the Visual Studio Build Tools with the workload `Desktop development with C++`, then run the "
            "same command again"
        )
    return (
        "install one with `sudo apt install build-essential` (Debian, Ubuntu) or `sudo dnf install gcc-c++` (Fedora), "
        "then run the same command again"
    )


def build_variables() -> dict[str, str]:
    """The variables of `BUILD_VARIABLES` that are set, and their values."""
    return {name: os.environ[name] for name in BUILD_VARIABLES if name in os.environ}
