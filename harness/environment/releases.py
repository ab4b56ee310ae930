"""Which releases of a distribution a package index has, and an exact word in place of one that leaves a choice.

Owns asking the index. Contract: what is used is exact (one version, or one file), so that an environment made with it
can be found again; a range is settled once, before anything is planned, and what it became is what is stored.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.environment.override import names_file, split_framework
from harness.environment.pins import exact_version
from harness.environment.pip_run import pip
from harness.errors import EdgebenchError

#: What begins pip's answer to `pip index versions`.
_AVAILABLE = "Available versions:"


def newest_release(name: str, within: SpecifierSet | None = None) -> str:
    """The newest release of a distribution that an index has for this Python and platform.

    Args:
        name: the distribution.
        within: only these versions; None: every final one. Pre-releases count only where the specifier names one.

    Raises:
        EdgebenchError: the index cannot be reached, or has none.
    """
    wanted = SpecifierSet() if within is None else within
    early = bool(wanted.prereleases)
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        more = ("--pre",) if early else ()
        status = pip("index", "versions", name, *more, log=Path(folder, "pip.log"), on_line=lines.append)
    for line in lines:
        if status == 0 and line.strip().startswith(_AVAILABLE):
            versions = [parsed_version(word) for word in line.partition(":")[2].split(",")]
            fitting = [one for one in versions if one is not None and wanted.contains(one, prereleases=early)]
            if fitting:
                return str(max(fitting))
            if any(one is not None for one in versions) and str(wanted):
                raise EdgebenchError(
                    f"no release of {name} is {wanted}", next_step=f"see `pip index versions {name}`"
                )
    told = next((line.strip() for line in reversed(lines) if line.strip().startswith("ERROR")), "no release")
    raise EdgebenchError(
        f"no newest release of {name} can be told: {told}",
        next_step="see with `pip config list` which index is asked, or name an exact version",
    )


def parsed_version(word: str) -> Version | None:
    """A version, None where the word is none."""
    try:
        return Version(word.strip())
    except InvalidVersion:
        return None


def settled(word: str, *, ask: Callable[[str, SpecifierSet | None], str] = newest_release) -> str:
    """The same word with one version, or one file: ``openvino>=2026.3`` becomes ``openvino==2026.4.1``.

    A name alone means its newest final release; ``NAME @ file:///...`` the file. Whatever is exact already, or no
    requirement, is given back as it is: `harness.environment.Override` judges it.

    Args:
        word: as typed, maybe with ``FRAMEWORK=`` before it.
        ask: gives the newest release of a name within a specifier.

    Raises:
        EdgebenchError: no release fits.
    """
    framework, rest = split_framework(word)
    try:
        requirement = Requirement(rest)
    except InvalidRequirement:
        return word
    if requirement.url is None and names_file(rest):
        return word
    head = "" if framework is None else f"{framework}="
    if requirement.url is not None:
        address = urlsplit(requirement.url)
        is_file = address.scheme == "file" and not address.fragment and not requirement.extras
        return f"{head}{url2pathname(address.path)}" if is_file and not requirement.marker else word
    if requirement.marker or exact_version(requirement) is not None:
        return word
    if framework is not None and re.fullmatch(r"\d[\w.]*", rest):
        return word
    version = ask(requirement.name, requirement.specifier)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{head}{requirement.name}{extras}=={version}"
