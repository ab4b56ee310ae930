"""Lock files and requirement lines.

Owns reading ``locks/*.txt`` (pip's format: one exact pin a line, its marker, the SHA-256 of every file of it) and
evaluating markers. Never imports a framework. Contract: pure functions of text and of the running Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.worker.api import Requirements

LOCKS = Path(__file__).with_name("locks")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock file: an exact requirement and the hashes of its files (``sha256:...``)."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Canonical name of the distribution."""
        return canonicalize_name(self.requirement.name)

    @property
    def exact(self) -> str:
        """``name==version`` alone, without marker and hashes."""
        return f"{self.name}{self.requirement.specifier}"

    @property
    def line(self) -> str:
        """The line for pip, without the marker (which held) and with the hashes."""
        return " ".join([self.exact, *(f"--hash={value}" for value in self.hashes)])


def parse_lock(text: str) -> tuple[Pin, ...]:
    """The pins of a lock file, whatever their markers.

    Raises:
        ValueError: a line that is no exact pin with at least one hash.
    """
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        words = line.partition("#")[0].strip()
        if not words:
            continue
        requirement, *hashes = (part.strip() for part in words.split(" --hash="))
        pin = Pin(Requirement(requirement), tuple(hashes))
        operators = [spec.operator for spec in pin.requirement.specifier]
        if operators != ["=="] or not hashes or not all(value.startswith("sha256:") for value in hashes):
            raise ValueError(f"not an exact pin with hashes: {line[:100]!r}")
        pins.append(pin)
    return tuple(pins)


def applies(requirement: Requirement) -> bool:
    """Whether a requirement's marker holds for the running Python."""
    return requirement.marker is None or requirement.marker.evaluate()


def lock_of(requirements: Requirements) -> tuple[Pin, ...]:
    """The pins that hold here; empty where the requirements have no lock.

    Raises:
        FileNotFoundError: the named lock file is not in this installation.
    """
    if requirements.lock is None:
        return ()
    pins = parse_lock((LOCKS / requirements.lock).read_text(encoding="utf-8"))
    return tuple(pin for pin in pins if applies(pin.requirement))


def top_level(requirements: Requirements) -> tuple[Requirement, ...]:
    """The packages that hold here."""
    parsed = (Requirement(text) for text in requirements.packages)
    return tuple(requirement for requirement in parsed if applies(requirement))


def exact_version(requirement: Requirement) -> str | None:
    """The one version that ``==`` asks for; None: it asks for several, or for none."""
    exact = [one.version for one in requirement.specifier if one.operator == "=="]
    return exact[0] if len(exact) == 1 and not exact[0].endswith("*") else None


def distributions(requirements: Requirements) -> frozenset[str]:
    """Canonical names of every distribution that is pinned for here, at the top level or in the lock."""
    names = {canonicalize_name(requirement.name) for requirement in top_level(requirements)}
    return frozenset(names | {pin.name for pin in lock_of(requirements)})
