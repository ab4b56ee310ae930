"""``python -m harness.environment.relock [--upgrade] [FRAMEWORK ...]``: writes the lock files anew.

Owns ``locks/*.txt``. For those who change a backend's pins, in a checkout; needs uv (the extra ``dev``) and a package
index, which uv finds by its own settings (``UV_INDEX_URL``, ``UV_SYSTEM_CERTS``). Contract: each lock holds every
package for every platform and every Python from 3.11 on, with the SHA-256 of each of its files, and no address of
an index. Versions that still fit stay as they are, unless ``--upgrade`` is given.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.environment.pins import LOCKS, parse_lock
from harness.environment.tools import TOOLS
from harness.errors import EdgebenchError, UsageError
from harness.files import write_atomically
from harness.frameworks import frameworks
from harness.worker.api import Requirements

_OLDEST_PYTHON = "3.11"
_HEADER = "# Written by `python -m harness.environment.relock`. Pins of the {framework} backend; change them there.\n"


def locked() -> dict[str, tuple[str, Requirements]]:
    """Every requirement set that has a lock: (framework id, requirements) by the lock's file name."""
    found = {
        tool.requirements.lock: (id_, tool.requirements)
        for id_, tool in TOOLS.items()
        if tool.requirements.lock is not None
    }
    for id_, entry in frameworks().items():
        if entry.error is not None:
            continue
        whole = entry.backend.requirements
        for requirements in (whole, whole.converter):
            if requirements is not None and requirements.lock is not None:
                found[requirements.lock] = (id_, requirements)
    return found


def stale(requirements: Requirements, lock_text: str) -> list[str]:
    """Top-level pins that a lock does not hold as they are, whatever the platform."""
    pins = {(pin.name, str(pin.requirement.specifier)) for pin in parse_lock(lock_text)}
    parsed = (Requirement(text) for text in requirements.packages)
    return [str(pin) for pin in parsed if (canonicalize_name(pin.name), str(pin.specifier)) not in pins]


def relock(name: str, framework: str, requirements: Requirements, *, upgrade: bool) -> None:
    """Write one lock file.

    Raises:
        EdgebenchError: uv is missing or failed.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise EdgebenchError("uv was not found", next_step="install it: pip install 'edgebench[dev]'")
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder, "pins.in"), Path(folder, "pins.txt")
        asked.write_text("\n".join(requirements.packages) + "\n", encoding="utf-8")
        if (LOCKS / name).exists():
            answer.write_text((LOCKS / name).read_text(encoding="utf-8"), encoding="utf-8")
        command = [
            uv, "pip", "compile", "--quiet", "--universal", "--python-version", _OLDEST_PYTHON, "--generate-hashes",
            "--no-annotate", "--no-header", *(["--upgrade"] if upgrade else []), str(asked),
            "--output-file", str(answer),
        ]  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode != 0:
            raise EdgebenchError(
                f"uv could not resolve the pins of {framework}: {done.stderr.strip()}",
                next_step="change the pins in its backend, or point uv at an index with UV_INDEX_URL",
            )
        text = answer.read_text(encoding="utf-8")
    parse_lock(text)  # a lock that the program could not read is not written
    write_atomically(LOCKS / name, _HEADER.format(framework=framework) + text)


def main(words: Sequence[str] | None = None) -> int:
    """Write the lock files of the named frameworks, or of all."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.environment.relock", description="Write lock files anew."
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions that fit the top-level pins"
    )
    parser.add_argument(
        "frameworks", nargs="*", metavar="FRAMEWORK", help="default: every framework with a lock"
    )
    arguments = parser.parse_args(words)
    sets = locked()
    known = {framework for framework, _ in sets.values()}
    unknown = sorted(set(arguments.frameworks) - known)
    try:
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} has no lock file", next_step=f"the locked ones: {', '.join(sorted(known))}"
            )
        for name, (framework, requirements) in sorted(sets.items()):
            if not arguments.frameworks or framework in arguments.frameworks:
                relock(name, framework, requirements, upgrade=arguments.upgrade)
                print(f"wrote {name}: {len(parse_lock((LOCKS / name).read_text(encoding='utf-8')))} pins")
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
