"""Build llama.cpp's own tools from the source that llama-cpp-python vendors, and print where they are.

    python benchmarks/llama_tools.py                       # llama-bench
    python benchmarks/llama_tools.py --target llama-perplexity

The reference of a parity check must be the same code: the source is taken from the source distribution of exactly
the llama-cpp-python version that the backend pins, and compiled with the same CMake arguments as the backend's
environment (`LlamaCpp.requirements.build`), in the same build type. Whatever the tools do not need (server, tests,
examples, HTTPS) is left out; ggml's own settings are untouched. ccache is used by ggml's build where it is there.

Builds are kept below the cache folder, one per version and variant; a second call builds nothing. The build takes
about eight minutes of CPU for llama-bench and needs cmake and a C++ compiler. Progress goes to stderr; stdout has
one line per target, its path.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.backends.llamacpp import LlamaCpp
from harness.errors import EdgebenchError
from harness.paths import cache_dir

#: What only the tools' build needs to say. Everything that changes generated code comes from the backend.
_TOOLS_ONLY = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DLLAMA_BUILD_COMMON=ON",
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
_TARGETS = ("llama-bench", "llama-perplexity")


def _run(command: list[str], what: str) -> None:
    """Run a step with its output on stderr."""
    result = subprocess.run(command, stdout=sys.stderr, check=False)
    if result.returncode != 0:
        raise EdgebenchError(
            f"{what} failed with status {result.returncode}: {shlex.join(command)}",
            next_step="read the output above; cmake, a C++ compiler and a package index (or --sdist FILE) are needed",
        )


def _pinned_version() -> str:
    """The version of llama-cpp-python that the backend pins."""
    for requirement in LlamaCpp.requirements.packages:
        name, _, version = requirement.partition("==")
        if name == "llama-cpp-python":
            return version
    raise AssertionError("the llama.cpp backend pins llama-cpp-python")


def _fetch_sdist(version: str, folder: Path) -> Path:
    """The source distribution, through pip: the user's mirrors and proxies apply."""
    archive = folder / f"llama_cpp_python-{version}.tar.gz"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        name = "llama-cpp-python"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name]
        _run(
            [*command, "--dest", str(folder), f"{name}=={version}"], "fetching the source of llama-cpp-python"
        )
    return archive


def _unpack(archive: Path, out: Path) -> Path:
    """The vendored llama.cpp below ``out``; half an unpacking is never taken for a whole one."""
    source = out / "source"
    if not source.is_dir():
        half = out / "source.partial"
        shutil.rmtree(half, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(half, filter="data")
        half.rename(source)
    vendored = next(source.glob("*/vendor/llama.cpp"), None)
    if vendored is None:
        raise EdgebenchError(
            f"{archive} holds no vendor/llama.cpp",
            next_step="give a source distribution of llama-cpp-python with --sdist FILE",
        )
    return vendored


def build(targets: list[str], *, variant: str, sdist: Path | None, jobs: int) -> list[Path]:
    """Build the targets where they are not yet; their paths.

    Raises:
        EdgebenchError: no such variant, no source, or the build failed.
    """
    variants = LlamaCpp.requirements.build
    if variant not in variants:
        raise EdgebenchError(f"no build variant {variant!r}", next_step=f"use one of: {', '.join(variants)}")
    version = _pinned_version()
    out = cache_dir() / "tools" / f"llamacpp-{version}-{variant}"
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "build" / "bin" / (target + (".exe" if os.name == "nt" else "")) for target in targets]
    if all(path.is_file() for path in paths):
        return paths
    source = _unpack(sdist or _fetch_sdist(version, out / "sdist"), out)
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    flags = shlex.split(variants[variant].get("CMAKE_ARGS", ""))
    build_dir = out / "build"
    configure = ["cmake", "-S", str(source), "-B", str(build_dir), *generator, *flags, *_TOOLS_ONLY]
    _run(configure, "configuring llama.cpp")
    _run(
        ["cmake", "--build", str(build_dir), "--parallel", str(jobs), "--target", *targets],
        "building llama.cpp",
    )
    return paths


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build llama.cpp's own tools from the vendored source.")
    parser.add_argument("--target", action="append", choices=_TARGETS, help="default: llama-bench")
    parser.add_argument("--variant", default="cpu", help="build variant of the backend (default: cpu)")
    parser.add_argument("--sdist", type=Path, help="source distribution to use instead of fetching it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    try:
        paths = build(
            options.target or ["llama-bench"], variant=options.variant, sdist=options.sdist, jobs=options.jobs
        )
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    for path in paths:
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
