"""Finding backends: the project's own and those of other distributions.

Owns the list of frameworks; there is one, the entry points of the group ``edgebench.backends`` (of a checkout that is
not installed, its ``pyproject.toml`` is read). Never imports a framework; a backend's module is imported when its class
is asked for. Contract: one broken distribution never hides the others; it is listed with its error.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from harness.declared import DISTRIBUTION, of_checkout
from harness.errors import EdgebenchError, UsageError
from harness.worker.api import Backend

GROUP = "edgebench.backends"
#: Set to 1, the scripted test backend is known as ``fake``.
FAKE_VARIABLE = "EDGEBENCH_FAKE"

_PACKAGE = Path(__file__).resolve().parent


@dataclass(slots=True)
class FrameworkEntry:
    """One framework, not imported yet.

    Attributes:
        id: its name everywhere: ``llamacpp``.
        value: ``module:Class``.
        distribution: who declares it.
    """

    id: str
    value: str
    distribution: str
    _backend: type[Backend] | None = field(default=None, repr=False, compare=False)
    _error: EdgebenchError | None = field(default=None, repr=False, compare=False)

    @property
    def backend(self) -> type[Backend]:
        """The backend's class.

        Raises:
            EdgebenchError: it cannot be imported or is no backend; names the distribution.
        """
        if self._error is not None:
            raise self._error
        if self._backend is None:
            try:
                self._backend = self._load()
            except EdgebenchError as error:
                self._error = error
                raise
        return self._backend

    @property
    def error(self) -> EdgebenchError | None:
        """Why `backend` cannot be had, None where it can."""
        try:
            _ = self.backend
        except EdgebenchError as error:
            return error
        return None

    @property
    def hidden(self) -> bool:
        """True for test backends, which are never part of ``all``. A broken backend is shown."""
        return self.error is None and self.backend.hidden

    @property
    def packages(self) -> dict[str, Path]:
        """Top-level packages that a worker must be able to import, with where they are."""
        top_level = self.value.partition(":")[0].partition(".")[0]
        found = {"harness": _PACKAGE}
        if top_level not in found:
            found[top_level] = self._location(top_level)
        return found

    def _location(self, top_level: str) -> Path:
        spec = importlib.util.find_spec(top_level)
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))).resolve()
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).resolve()
        raise self._broken(f"there is no package {top_level!r}")

    def _load(self) -> type[Backend]:
        module_name, _, class_name = self.value.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), class_name)
        except Exception as error:  # foreign code may raise anything while it is imported
            raise self._broken(f"{type(error).__name__}: {error}") from error
        if not (isinstance(found, type) and issubclass(found, Backend)):
            raise self._broken(f"{self.value} is not a subclass of harness.worker.api.Backend")
        if getattr(found, "framework", None) != self.id:
            raise self._broken(f"{self.value} says it is {getattr(found, 'framework', None)!r}")
        return found

    def _broken(self, why: str) -> EdgebenchError:
        return EdgebenchError(
            f"The backend {self.id!r} of the distribution {self.distribution!r} cannot be used: {why}",
            next_step=f"Update or uninstall {self.distribution!r}; the other frameworks are not affected.",
        )


def frameworks(include_hidden: bool = False) -> dict[str, FrameworkEntry]:
    """Every known framework by id, in order of id.

    Args:
        include_hidden: also test backends; the project's own ``fake`` only while ``EDGEBENCH_FAKE=1``.
    """
    entries = _all()
    return {id_: entry for id_, entry in entries.items() if include_hidden or not entry.hidden}


def framework(id_: str) -> FrameworkEntry:
    """The framework of this id, hidden or not.

    Raises:
        UsageError: there is none; says what was probably meant.
    """
    entries = _all()
    if id_ in entries:
        return entries[id_]
    known = [name for name, entry in entries.items() if not entry.hidden]
    close = difflib.get_close_matches(id_, known, n=1)
    raise UsageError(
        f"There is no framework {id_!r}." + (f" Did you mean {close[0]!r}?" if close else ""),
        next_step=f"Use one of: {', '.join(known)}.",
    )


def _all() -> dict[str, FrameworkEntry]:
    found = [FrameworkEntry(*each) for each in _declared()]
    if not any(entry.distribution == DISTRIBUTION for entry in found):
        found.extend(_of_checkout())
    if os.environ.get(FAKE_VARIABLE) == "1":
        found.append(FrameworkEntry("fake", "harness.backends.fake:Fake", DISTRIBUTION))
    return _one_of_each(found)


def _declared() -> Iterable[tuple[str, str, str]]:
    """Id, ``module:Class`` and distribution of every backend that is declared by an installed one."""
    return _declared_on(tuple(sys.path))


@lru_cache(maxsize=1)
def _declared_on(path: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    # Asked before each run of a session; the answer takes reading files of every distribution on this path.
    del path
    return tuple(
        (point.name, point.value, point.dist.name if point.dist is not None else "unknown")
        for point in entry_points(group=GROUP)
    )


def _of_checkout() -> list[FrameworkEntry]:
    return [FrameworkEntry(each.name, each.value, DISTRIBUTION) for each in of_checkout(GROUP, _PACKAGE)]


def _one_of_each(found: list[FrameworkEntry]) -> dict[str, FrameworkEntry]:
    """By id; where two distributions claim one id, the project's own wins, and of two others neither is guessed."""
    entries: dict[str, FrameworkEntry] = {}
    for entry in sorted(found, key=lambda entry: (entry.id, entry.distribution != DISTRIBUTION)):
        first = entries.setdefault(entry.id, entry)
        if first is not entry and first.distribution != DISTRIBUTION:
            first._error = EdgebenchError(
                f"The distributions {first.distribution!r} and {entry.distribution!r} both declare the "
                f"framework {entry.id!r}",
                next_step="Uninstall one of them.",
            )
    return entries
