"""The tools whose files can be imported: every module of `harness.importing.tools` that has a ``FORMAT``.

Owns the interface of a tool and finding them. Contract: another tool is one new file there; no list names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

from harness.errors import UsageError
from harness.importing import tools
from harness.importing.document import Document, ImportFileError
from harness.importing.result import Contents


class Format(ABC):
    """What a tool writes.

    Attributes:
        tool: its name, which is put before its metrics.
        files: the kinds of files, for people.
    """

    tool: ClassVar[str]
    files: ClassVar[str]

    @abstractmethod
    def recognise(self, document: Document) -> bool:
        """Whether this is a file of the tool, by its content alone; never raises."""

    @abstractmethod
    def read(self, document: Document) -> Contents:
        """What is in it.

        Raises:
            ImportFileError: it cannot be understood.
        """


@cache
def formats() -> dict[str, Format]:
    """Every tool by its name."""
    found = {}
    for module in pkgutil.iter_modules(tools.__path__):
        made = getattr(importlib.import_module(f"{tools.__name__}.{module.name}"), "FORMAT", None)
        if isinstance(made, Format):
            found[made.tool] = made
    return dict(sorted(found.items()))


def format_of(document: Document, name: str | None = None) -> Format:
    """The tool that a file is of: the one that is named, or the one that recognises it.

    Raises:
        UsageError: no such tool, or none or several recognise it.
    """
    known = formats()
    if name is not None:
        if name not in known:
            raise UsageError(f"there is no format {name!r}", next_step=f"use one of: {', '.join(known)}")
        return known[name]
    found = [one for one in known.values() if one.recognise(document)]
    if len(found) == 1:
        return found[0]
    if document.is_json and not found:
        lines = document.data.count(b"\n")
        if document.json_or_none is None and lines <= 1:
            _ = document.json  # says where it is broken
    what = "several tools could have written it" if found else "no known tool's file is recognised in it"
    raise ImportFileError(
        str(document.path),
        "",
        what,
        next_step=f"name its format with --format: {', '.join(one.tool for one in found or known.values())}",
    )
