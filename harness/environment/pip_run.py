"""Running pip for an environment, and turning its failures into words.

Owns pip's command line and the reading of its report and its complaints. Never imports pip or a framework.
Contract: the user's pip configuration (indexes, find-links, constraints, certificates) is in force; what would put
packages anywhere else than where they are asked for is not.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.environment import supervised
from harness.errors import EdgebenchError

#: Settings that would install elsewhere, something else, or nothing; and Python's own that leak into a child.
_DROPPED = (
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_REPORT", "PIP_REQUIREMENT",
    "PIP_EDITABLE", "PIP_NO_DEPS", "PIP_QUIET", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH",
    "VIRTUAL_ENV", "__PYVENV_LAUNCHER__",
)  # fmt: skip

#: Seconds are pip's to decide (``PIP_TIMEOUT``, retries); these only make its output a stream of lines.
_ADDED = {"PIP_USER": "0", "PIP_PROGRESS_BAR": "off", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


@dataclass(frozen=True, slots=True)
class Package:
    """One installed distribution: canonical name, version, SHA-256 of the file that it came from (None: a folder)."""

    name: str
    version: str
    sha256: str | None


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for pip or an environment's Python."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, **_ADDED, **(extra or {})}


def pip(
    *words: str | Path,
    python: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path,
    on_line: Callable[[str], None],
) -> int:
    """Run the project's own pip; its exit status. Relative paths in the user's configuration are to the working folder.

    Args:
        words: pip's command and its arguments.
        python: the environment to work on, None: the one that runs this.
        env: variables on top of the cleaned ones.
        log: file to append the output to.
        on_line: called with each line.
    """
    target = () if python is None else ("--python", python)
    # -P: a folder named pip in the working folder is not pip.
    command = (
        sys.executable,
        "-P",
        "-m",
        "pip",
        *target,
        words[0],
        "--no-input",
        "--disable-pip-version-check",
    )
    return supervised.run([*command, *words[1:]], env=clean_environment(env), log=log, on_line=on_line)


def read_report(path: Path) -> tuple[Package, ...]:
    """The packages of pip's installation report, in order of name."""
    report = json.loads(path.read_text(encoding="utf-8"))
    packages = []
    for item in report["install"]:
        archive = item["download_info"].get("archive_info", {})
        sha256 = archive.get("hashes", {}).get("sha256")
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        packages.append(Package(name, item["metadata"]["version"], sha256))
    return tuple(sorted(packages, key=lambda package: package.name))


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What pip says (a pattern), what happened, and what to do.

    ``{line}`` is the last line that matched; ``{index}``, ``{package}`` and ``{conflict}`` are looked for elsewhere.
    """

    pattern: str
    what: str
    next_step: str


#: The most telling first: a retried connection may precede any other failure.
_COMPLAINTS = (
    _Complaint(
        r"No space left on device|Disk quota exceeded",
        what="the disk is full ({line})",
        next_step="free space, or put the cache elsewhere with EDGEBENCH_CACHE_DIR",
    ),
    _Complaint(
        r"DO NOT MATCH THE HASHES",
        what="the package index serves another file than the one that is pinned ({package})",
        next_step="use an index that mirrors PyPI's own files (`pip config list` shows yours), or name the version "
        "that yours has with --with 'NAME==VERSION': pins with an override are not hash-checked",
    ),
    _Complaint(
        r"[Ii]n --require-hashes mode",
        what="pip is configured to demand hashes (PIP_REQUIRE_HASHES or require-hashes in pip.conf), which this set "
        "of pins has not: {line}",
        next_step="unset PIP_REQUIRE_HASHES for this command; frameworks with a lock file are hash-checked anyway, "
        "unless --with is given",
    ),
    _Complaint(
        r"ResolutionImpossible|conflicting dependencies|The user requested \(constraint\)",
        what="the packages asked for cannot be installed together: {conflict}",
        next_step="change or add --with so that they agree; a constraint that is not a pin of this framework is your "
        "own (PIP_CONSTRAINT or pip.conf)",
    ),
    _Complaint(
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Max retries exceeded|Name or service not known"
        r"|Temporary failure in name resolution|Connection refused|Network is unreachable|ProxyError|SSLError"
        r"|CERTIFICATE_VERIFY_FAILED|\b(?:401|403|407|5\d\d) (?:Client|Server) Error",
        what="the package index ({index}) cannot be reached: {line}",
        next_step="check the network, or point pip at a mirror (`pip config set global.index-url URL`, or "
        "PIP_FIND_LINKS for a folder of wheels)",
    ),
    _Complaint(
        r"No matching distribution found",
        what="no index offers the pinned file: {line}",
        next_step="see with `pip config list` whether your index is complete for this Python and platform, and "
        "whether no-index, only-binary or no-binary exclude it",
    ),
    _Complaint(
        r"is not a supported wheel on this platform",
        what="{line}",
        next_step="give a wheel that was built for this Python and platform",
    ),
    _Complaint(
        r"No module named pip",
        what="the Python that runs edgebench has no pip",
        next_step="install edgebench again with its dependencies",
    ),
)


def diagnose(output: str, doing: str, log: Path) -> EdgebenchError:
    """The error for a pip that failed.

    Args:
        output: what it printed.
        doing: what was being done, as the beginning of a sentence: ``making the openvino environment``.
        log: where all of the output is.
    """
    lines = [line.strip() for line in output.splitlines()]
    for complaint in _COMPLAINTS:
        hits = [line for line in lines if re.search(complaint.pattern, line)]
        if hits:
            told = complaint.what.format(
                line=_short(hits[-1]),
                package=_mismatched(lines),
                conflict=_conflict(lines),
                index=_index(lines),
            )
            return EdgebenchError(f"{doing} failed: {told} (log: {log})", next_step=complaint.next_step)
    told = " / ".join(_short(line) for line in compiler_errors(lines)) or "it said nothing"
    return EdgebenchError(f"{doing} failed: {told} (log: {log})", next_step=f"read the log: {log}")


def compiler_errors(lines: list[str]) -> list[str]:
    """The last five lines that look like the reason of a failed build, else the last three at all."""
    # pip's closing lines only say that something failed.
    echoes = re.compile(
        r"^(?:error: subprocess-exited-with-error|ERROR: Failed (?:building|to build)|× |╰─>|note:|\[end of output\])"
    )
    telling = [
        line for line in lines if re.search(r"\berror\b\s*[:(]|\bError\b|\bERROR\b|undefined reference", line)
    ]
    telling = [line for line in telling if not echoes.match(line)]
    return list(dict.fromkeys(telling))[-5:] or [line for line in lines if line][-3:]


def _mismatched(lines: list[str]) -> str:
    """The requirement whose file has another hash: pip names it in the line after its explanation."""
    for line in lines:
        if line.endswith(":") and re.match(r"[\w.-]+(==| from |\[| @ )", line):
            return _short(line.rstrip(":"))
    return "see the log for its name"


def _index(lines: list[str]) -> str:
    """The configured indexes, which pip names only where they are not the default."""
    begin = "Looking in indexes: "
    named = [line.removeprefix(begin) for line in lines if line.startswith(begin)]
    return _short(named[-1]) if named else "PyPI"


def _conflict(lines: list[str]) -> str:
    begin = next(
        (number for number, line in enumerate(lines) if line.startswith("The conflict is caused by")), None
    )
    told = lines[begin + 1 :] if begin is not None else lines
    found = [line for line in told if re.search(r"depends on|The user requested", line)]
    return "; ".join(dict.fromkeys(_short(line) for line in found[:6])) or "see the log"


def _short(line: str) -> str:
    line = re.sub(r"^(?:ERROR|WARNING): ", "", line)
    line = re.sub(r"://[^/@\s]+@", "://", line)  # credentials of an index
    line = re.sub(
        r"^Retrying .*<.* object at 0x[0-9a-f]+>: (.*)'\)'.*", r"\1", line
    )  # urllib3's words for itself
    return line if len(line) <= 240 else f"{line[:240]}…"
