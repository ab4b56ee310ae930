"""The newest releases of the frameworks' packages, as overrides of their pins, tried before the night rests on them.

Owns asking the package index and falling back. Imports the environment machinery. Contract: a release is used only
after an environment with it was made and its framework imported; whatever fails is told in a sentence, and the pins (or
what the user named with --with) stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.environment import Override
from harness.environment.pins import exact_version, top_level
from harness.environment.releases import newest_release, parsed_version
from harness.environment.tools import Tenant
from harness.errors import EdgebenchError


class Trial(Protocol):
    """Makes the environments of a framework with overrides; raises EdgebenchError where that fails."""

    def __call__(self, framework: str, overrides: Sequence[Override]) -> None: ...


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What came of asking for newest releases.

    Attributes:
        overrides: that are used, as typed with --with.
        used: sentences of what is newer than its pin.
        failed: sentences of what could not be had, and what is used instead.
    """

    overrides: tuple[str, ...]
    used: tuple[str, ...]
    failed: tuple[str, ...]


def newest_releases(
    backends: Iterable[Tenant],
    given: Sequence[Override],
    trial: Trial,
    tell: Callable[[str], None],
    *,
    ask: Callable[[str], str] = newest_release,
) -> Upgrade:
    """Overrides for everything that has a newer release than its pin.

    All newer packages of a framework are tried together, then its first one alone, then it stays with its pins.

    Args:
        backends: frameworks.
        given: overrides of the user's: what they name is left alone.
        trial: makes environments.
        tell: a line for people.
        ask: gives the newest release of a name.
    """
    answers: dict[str, str | EdgebenchError] = {}
    overrides: list[str] = []
    used: list[str] = []
    failed: list[str] = []
    for backend in backends:
        newer: dict[str, str] = {}
        pins = _pins(backend)
        for name, pin in pins.items():
            if any(one.name == name and one.framework in (None, backend.framework) for one in given):
                continue
            if name not in answers:
                tell(f"looking for the newest release of {name}")
                try:
                    answers[name] = ask(name)
                except EdgebenchError as error:
                    answers[name] = error
            answer = answers[name]
            if isinstance(answer, EdgebenchError):
                failed.append(f"{backend.framework}: {answer.what}; {_text(pin)} is used")
            elif _is_newer(answer, pin):
                newer[name] = answer
        names = list(newer)
        for some in [names, names[:1]] if len(names) > 1 else [names]:
            if not some:
                break
            words = [f"{backend.framework}={name}=={newer[name]}" for name in some]
            try:
                trial(backend.framework, [*given, *(Override.parse(word) for word in words)])
            except EdgebenchError as error:
                failed.append(f"{backend.framework}: not with {_listed(some, newer)}: {error.what}")
                continue
            overrides += words
            used += [f"{backend.framework}: {name} {_text(pins[name])} -> {newer[name]}" for name in some]
            break
    return Upgrade(tuple(overrides), tuple(used), tuple(dict.fromkeys(failed)))


def _pins(backend: Tenant) -> Mapping[str, Requirement]:
    """What is asked for at the top level, in the order of the backend, which names its framework first."""
    whole = backend.requirements
    found: dict[str, Requirement] = {}
    for requirements in (whole, whole.converter):
        for requirement in () if requirements is None else top_level(requirements):
            if requirement.url is None:
                found.setdefault(canonicalize_name(requirement.name), requirement)
    return found


def _exact(pin: Requirement) -> Version | None:
    exact = exact_version(pin)
    return None if exact is None else parsed_version(exact)


def _is_newer(release: str, pin: Requirement) -> bool:
    """Beyond an exact pin; of a range whatever is in it, since nobody knows what an environment of before took."""
    exact = _exact(pin)
    return Version(release) > exact if exact is not None else pin.specifier.contains(release)


def _text(pin: Requirement) -> str:
    exact = _exact(pin)
    return str(pin.specifier) or "any version" if exact is None else str(exact)


def _listed(names: Sequence[str], newer: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {newer[name]}" for name in names)
