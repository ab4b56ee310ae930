"""What an export says of itself: its form, and the program and schema that wrote it.

Owns these words, for the forms that this program reads back. Contract: an export of another version of its form, or of
a schema that this program does not know, is refused with the version of the program that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import EdgebenchError
from harness.store import schema

#: Its value is the version of the form.
MARK = "edgebench_export"


def header(version: int) -> dict[str, Any]:
    """What an export says that is written now, in a version of its form."""
    return {MARK: version, "edgebench_version": __version__, "schema": schema.newest()}


def schema_of(told: Mapping[str, Any], version: int, path: Path, *, otherwise: str = "") -> str:
    """The revision that an export's rows have.

    Args:
        told: what it says of itself; from anywhere.
        version: of its form, as this program reads it.
        path: of the export.
        otherwise: what else may be done where it cannot be read, beside an upgrade of this program.

    Raises:
        EdgebenchError: this program cannot read it.
    """
    revision = told.get("schema")
    if told.get(MARK) != version or not isinstance(revision, str) or revision not in schema.REVISIONS:
        raise EdgebenchError(
            f"{path} was written by edgebench {told.get('edgebench_version')} (schema {revision}), which this version "
            "cannot read",
            next_step=f"pip install --upgrade edgebench{otherwise}",
        )
    return revision
