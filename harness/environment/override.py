"""``--with``: another version, or a wheel of one's own, in a framework's environment for one session.

Owns the words of an override and which frameworks it is for. Never imports a framework. Contract: an override is
exact (one version, or one file by its SHA-256), so an environment made with it can be found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from harness.environment.pins import distributions
from harness.environment.tools import Tenant
from harness.errors import UsageError
from harness.files import file_sha256
from harness.worker.api import Requirements

#: ``llamacpp=./x.whl``, and neither ``openvino==2026.5.0`` nor ``openvino<=2026``.
_PREFIXED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(?!=)(.*)", re.DOTALL)

_FORMS = (
    "write --with 'NAME==VERSION' or --with ./FILE.whl, with FRAMEWORK= before it to mean one framework only"
)


@dataclass(frozen=True, slots=True)
class Override:
    """One distribution that takes the place of a framework's pin.

    Attributes:
        text: as the user wrote it.
        name: canonical name of the distribution.
        version: exact version.
        extras: extras asked for, besides those of the pin.
        framework: the one framework that it is for, None: every one that has the distribution.
        wheel: absolute path of the file, None: from the package index.
        sha256: of the file.
    """

    text: str
    name: str
    version: str
    extras: tuple[str, ...] = ()
    framework: str | None = None
    wheel: Path | None = None
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> Override:
        """Read ``NAME==VERSION``, ``./FILE.whl``, or either after ``FRAMEWORK=``.

        Raises:
            UsageError: neither of these, no such file, or a wheel for another Python or platform.
        """
        framework, rest = split_framework(text)
        if names_file(rest):
            return _of_file(text, framework, rest)
        return _of_version(text, framework, rest)

    @property
    def identity(self) -> str:
        """What it is, however it was written: ``openvino==2026.5.0``, with the file's SHA-256 if it is one."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        file = f" sha256:{self.sha256}" if self.sha256 else ""
        return f"{self.name}{extras}=={self.version}{file}"

    def requirement(self, extras: Iterable[str] = ()) -> str:
        """The requirement line for pip, with a pin's extras."""
        both = sorted({*self.extras, *extras})
        name = f"{self.name}[{','.join(both)}]" if both else self.name
        return f"{name} @ {self.wheel.as_uri()}" if self.wheel else f"{name}=={self.version}"


def split_framework(text: str) -> tuple[str | None, str]:
    """The framework before ``=``, None where there is none, and the rest."""
    prefixed = _PREFIXED.fullmatch(text.strip())
    return (prefixed[1].lower(), prefixed[2].strip()) if prefixed else (None, text.strip())


def names_file(rest: str) -> bool:
    """Whether a word without its framework is taken for a file rather than a requirement."""
    return rest.endswith((".whl", ".tar.gz", ".zip", ".git")) or "/" in rest or "\\" in rest


def _wrong(text: str, why: str, next_step: str = _FORMS) -> UsageError:
    return UsageError(f"--with {text!r}: {why}", next_step=next_step)


def _of_file(text: str, framework: str | None, rest: str) -> Override:
    if "://" in rest:
        raise _wrong(
            text, "an address is not followed, its content may change", "download the wheel and give the file"
        )
    if not rest.endswith(".whl"):
        raise _wrong(
            text, "not a wheel", "build one with `pip wheel --no-deps SOURCE` and give the .whl file"
        )
    wheel = Path(rest).expanduser().absolute()
    if not wheel.is_file():
        raise _wrong(text, f"there is no file {wheel}", "check the path")
    try:
        name, version, _, tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise _wrong(text, str(error), "keep the name that the wheel was built with") from error
    if tags.isdisjoint(sys_tags()):
        raise _wrong(
            text,
            "this wheel is for another Python or platform",
            "build it with the Python that runs edgebench",
        )
    return Override(text, name, str(version), (), framework, wheel, file_sha256(wheel))


def _of_version(text: str, framework: str | None, rest: str) -> Override:
    try:
        requirement = Requirement(rest)
    except InvalidRequirement as error:
        raise _wrong(text, "neither a requirement nor a wheel") from error
    name = canonicalize_name(requirement.name)
    exact = [spec.version for spec in requirement.specifier if spec.operator == "=="]
    if requirement.url or requirement.marker:
        raise _wrong(text, "only a name and a version can be given here")
    if len(requirement.specifier) != 1 or not exact or exact[0].endswith("*"):
        hint = (
            f"write --with '{framework}=={rest}'" if framework and re.fullmatch(r"\d[\w.]*", rest) else _FORMS
        )
        raise _wrong(text, "the version must be exact, so that the environment can be found again", hint)
    return Override(text, name, exact[0], tuple(sorted(requirement.extras)), framework)


def _roles(requirements: Requirements) -> list[Requirements]:
    return [requirements] if requirements.converter is None else [requirements, requirements.converter]


def applicable(
    overrides: Sequence[Override], framework: str, requirements: Requirements, *, converter: bool
) -> tuple[Override, ...]:
    """The overrides that change one environment, in order of name.

    An override is for the environments that have its distribution. One that names this framework, of which none of
    its environments has the distribution, is added to the runtime environment: it was asked for by name.

    Raises:
        UsageError: two of them are of one distribution.
    """
    roles = _roles(requirements)
    wanted = roles[-1] if converter else requirements
    chosen: dict[str, Override] = {}
    for override in overrides:
        if override.framework not in (None, framework):
            continue
        known = [role for role in roles if override.name in distributions(role)]
        if wanted in known or (override.framework and not known and wanted is requirements):
            other = chosen.get(override.name)
            if other is not None and other.identity != override.identity:
                raise _wrong(
                    override.text, f"{other.text!r} is of the same distribution", "give one of the two"
                )
            chosen[override.name] = override
    return tuple(chosen[name] for name in sorted(chosen))


def check_overrides(overrides: Sequence[Override], backends: Iterable[Tenant]) -> None:
    """Whether each override changes at least one of the frameworks.

    Raises:
        UsageError: one names an unknown framework, changes none, or contradicts another.
    """
    known = {backend.framework: backend.requirements for backend in backends}
    for override in overrides:
        if override.framework is not None and override.framework not in known:
            raise _wrong(
                override.text,
                f"no framework of this session is called {override.framework!r}",
                f"the frameworks are: {', '.join(sorted(known)) or 'none'}",
            )
    for override in overrides:
        if not any(
            applicable([override], framework, requirements, converter=converter)
            for framework, requirements in known.items()
            for converter in (False, True)
        ):
            raise _wrong(
                override.text,
                f"none of {', '.join(sorted(known)) or 'no frameworks'} has the distribution {override.name!r}",
                f"to add it to one of them, write its name before: --with 'FRAMEWORK={override.text}'",
            )
    for framework, requirements in known.items():
        for converter in (False, True):
            applicable(overrides, framework, requirements, converter=converter)
