"""What exactly is asked of pip for one environment, and the key of that.

Owns the decision between the hash-checked lock, plain pins, and pins with overrides. Never imports a framework;
starts no process but the compiler's ``--version``. Contract: pure apart from that; an equal plan has an equal key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.environment import host
from harness.environment.override import Override, applicable
from harness.environment.pins import Pin, lock_of, top_level
from harness.environment.tools import Tenant
from harness.errors import EdgebenchError, UsageError
from harness.files import key_of
from harness.worker.api import Requirements

Role = Literal["runtime", "converter"]

#: Belongs to every key: raised when a change of this program makes another environment of the same plan.
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A package that is built here.

    Attributes:
        name: canonical name.
        requirement: ``name==version``.
        hashes: of its files, empty where they are not pinned.
        variant_env: the variant's variables for the build.
        extras: extras that the environment wants of it.
    """

    name: str
    requirement: str
    hashes: tuple[str, ...]
    variant_env: Mapping[str, str]
    extras: tuple[str, ...] = ()

    def build_env(self) -> dict[str, str]:
        """Every variable that changes what is built: the user's own, then the variant's."""
        return {**host.build_variables(), **self.variant_env}

    @property
    def key(self) -> str:
        """16 hexadecimal digits over what changes the wheel, apart from the Python: its tag tells that."""
        compiler = host.compiler()
        return key_of(
            {
                "format": FORMAT_VERSION,
                "requirement": self.requirement,
                "hashes": sorted(self.hashes),
                "env": self.build_env(),
                "cpu": host.cpu_facts(),
                "platform": host.python_facts()["platform"],
                "compiler": compiler.version if compiler else None,
            }
        )[:16]


@dataclass(frozen=True, slots=True)
class Plan:
    """One environment as asked for.

    Attributes:
        framework: framework id.
        role: ``runtime`` or ``converter``.
        variant: build variant.
        import_name: module whose import proves that it works.
        lines: requirement lines for pip, without the packages that are built here.
        constraints: constraint lines for pip.
        hashed: True where every file is checked against the lock's hashes.
        sources: packages that are built here.
        overrides: the overrides in it.
    """

    framework: str
    role: Role
    variant: str
    import_name: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...]
    hashed: bool
    sources: tuple[Source, ...]
    overrides: tuple[Override, ...]

    @property
    def key(self) -> str:
        """16 hexadecimal digits over everything that is asked."""
        return key_of(
            {
                "format": FORMAT_VERSION,
                "framework": self.framework,
                "role": self.role,
                "variant": self.variant,
                "python": host.python_facts(),
                "lines": sorted(self.lines),
                "constraints": sorted(self.constraints),
                "hashed": self.hashed,
                "sources": sorted(source.key for source in self.sources),
                "overrides": sorted(override.identity for override in self.overrides),
            }
        )[:16]

    @property
    def name(self) -> str:
        """Name of the environment's folder."""
        return f"{self.framework}-{self.role}-{self.variant}-{self.key}"


def make_plan(backend: Tenant, variant: str, overrides: Sequence[Override], role: Role) -> Plan:
    """What to ask of pip. Where one environment serves both roles, both plans are the runtime's.

    Raises:
        UsageError: the framework has no such variant, or two overrides contradict each other.
        EdgebenchError: no package of the framework is for this platform.
    """
    whole = backend.requirements
    converter = role == "converter" and whole.converter is not None
    requirements = whole.converter if converter and whole.converter is not None else whole
    if variant not in requirements.build:
        raise UsageError(
            f"{backend.framework} has no build variant {variant!r}",
            next_step=f"use one of: {', '.join(sorted(requirements.build))}",
        )
    if not top_level(requirements):
        raise EdgebenchError(
            f"{backend.title} has no packages for {host.python_facts()['platform']}",
            next_step=f"leave {backend.framework} out, or run it on a platform that it supports",
        )
    chosen = applicable(overrides, backend.framework, whole, converter=converter)
    build = _Lines(requirements, variant, chosen)
    return Plan(
        framework=backend.framework,
        role="converter" if converter else "runtime",
        variant=variant,
        import_name=requirements.import_name,
        lines=tuple(build.lines),
        constraints=tuple(build.constraints),
        hashed=build.hashed,
        sources=tuple(build.sources),
        overrides=chosen,
    )


class _Lines:
    """Sorts the pins of one environment into lines for pip, constraints, and packages to build."""

    def __init__(self, requirements: Requirements, variant: str, overrides: Sequence[Override]) -> None:
        self.lines: list[str] = []
        self.constraints: list[str] = []
        self.sources: list[Source] = []
        self._lock: dict[str, Pin] = {pin.name: pin for pin in lock_of(requirements)}
        self._overrides: dict[str, Override] = {override.name: override for override in overrides}
        self._from_source: frozenset[str] = frozenset(
            canonicalize_name(name) for name in requirements.from_source
        )
        self._variant_env = dict(requirements.build[variant])
        self.hashed = bool(self._lock) and not overrides
        if self.hashed:
            for pin in self._lock.values():
                self._add(pin.requirement, pin.line)
        else:
            self._add_unhashed(top_level(requirements))

    def _add_unhashed(self, pins: Sequence[Requirement]) -> None:
        named: set[str] = set()
        for requirement in pins:
            name = canonicalize_name(requirement.name)
            named.add(name)
            override = self._overrides.get(name)
            if override is None:
                bare = Requirement(str(requirement))
                bare.marker = None
                self._add(bare, str(bare))
            else:
                self._add_override(override, requirement.extras)
        for override in self._overrides.values():
            if override.name not in named:
                self._add_override(override, ())
        for pin in self._lock.values():
            if pin.name in self._overrides:
                continue
            if pin.name not in self._from_source:
                self.constraints.append(pin.exact)
            elif pin.name not in named:
                self._add(pin.requirement, pin.exact)

    def _add_override(self, override: Override, extras: Iterable[str]) -> None:
        line = override.requirement(extras)
        if override.wheel is not None:
            self.lines.append(line)
        else:
            self._add(Requirement(line), line)

    def _add(self, requirement: Requirement, line: str) -> None:
        name = canonicalize_name(requirement.name)
        if name not in self._from_source:
            self.lines.append(line)
            return
        pin = self._lock.get(name)
        same = pin is not None and pin.requirement.specifier == requirement.specifier
        self.sources.append(
            Source(
                name=name,
                requirement=f"{name}{requirement.specifier}",
                hashes=pin.hashes if pin is not None and same else (),
                variant_env=self._variant_env,
                extras=tuple(sorted(requirement.extras)),
            )
        )
