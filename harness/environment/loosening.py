"""Pins that give way to an override.

Owns which pins of an environment stand in an override's way, by what pip says, and the lines without them. Contract:
what the user named, what is built here and what is no pin of the framework never gives way; nothing gives way without
an override.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.environment.pip_run import Package
from harness.environment.plan import Plan

_ASKED = re.compile(r"The user requested (?:\(constraint\) )?([A-Za-z0-9][\w.-]*?)(?:\[|[=<>~! ]|$)")
_CANNOT = re.compile(r"Cannot install (.+) because ")
#: In `engine==1.0, other[fast] and top`.
_NAME = re.compile(r"(?:^|, | and )([A-Za-z0-9][\w.-]*)")
_DEPENDS = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])? \S+ depends on ")


def in_the_way(output: str, plan: Plan, loose: Collection[str]) -> frozenset[str]:
    """Canonical names of the pins that should give way next, by what pip says last; empty: none can, or should.

    First what its explanation of the conflict names; where that gave way already, what asks for it from the top.

    Args:
        output: what pip printed.
        plan: what was asked of it.
        loose: what gave way already.
    """
    overridden = {override.name for override in plan.overrides}
    if not overridden:
        return frozenset()
    before, explained, last = output.rpartition("The conflict is caused by")
    if not explained:
        return frozenset()
    lines = [line.strip() for line in last.partition("\n\n")[0].splitlines()]
    named = [found[1] for line in lines if (found := _ASKED.match(line) or _DEPENDS.match(line)) is not None]
    asking = _CANNOT.findall(before)
    from_top = _NAME.findall(asking[-1]) if asking else []
    pinned = {name for line in (*plan.lines, *plan.constraints) if (name := _pinned(line)) is not None}
    for names in (named, from_top):
        found_names = {str(canonicalize_name(name)) for name in names} & pinned - overridden - set(loose)
        if found_names:
            return frozenset(found_names)
    return frozenset()


def without(lines: Sequence[str], names: Collection[str], *, keep: bool) -> list[str]:
    """Lines for pip with the pins of these names taken off.

    Args:
        lines: requirements or constraints.
        names: canonical.
        keep: the distributions themselves stay asked for, in any version.
    """
    found = []
    for line in lines:
        if _pinned(line) not in names:
            found.append(line)
        elif keep:
            requirement = Requirement(line)
            extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            found.append(f"{requirement.name}{extras}")
    return found


def given_way(plan: Plan, packages: Iterable[Package]) -> tuple[str, ...]:
    """The pins that gave way, for people: what is installed is another version than theirs."""
    installed = {package.name: package.version for package in packages}
    overridden = {override.name for override in plan.overrides}
    found = []
    for line in (*plan.lines, *plan.constraints):
        name = _pinned(line)
        if name is None or name in overridden or name not in installed:
            continue
        if not Requirement(line).specifier.contains(installed[name], prereleases=True):
            found.append(
                f"{name} {installed[name]} in place of the pin {line}, which does not fit the override"
            )
    return tuple(dict.fromkeys(found))


def _pinned(line: str) -> str | None:
    """The canonical name of a line that names a version; None of a file or an address."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    return None if requirement.url else str(canonicalize_name(requirement.name))
