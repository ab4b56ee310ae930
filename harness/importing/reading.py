"""From a path to a record: reading, recognising, and the errors of both.

Owns the order of the steps. Contract: an `ImportRecord`, or an `ImportFileError`; nothing is stored here.
"""

from __future__ import annotations

from pathlib import Path

from harness.importing.document import Document
from harness.importing.records import import_record
from harness.importing.registry import format_of
from harness.store.imports import ImportRecord
from harness.store.records import MachineRecord


def read_file(
    path: Path,
    *,
    format_name: str | None = None,
    machine: MachineRecord | None = None,
    model: str | None = None,
) -> ImportRecord:
    """One file as the store keeps it.

    Args:
        path: the file.
        format_name: the tool that wrote it; None: told by its content.
        machine: what measured; None: what the file tells.
        model: the model, where the file does not tell.

    Raises:
        UsageError: no such tool, or a file that cannot be read or understood.
    """
    document = Document(path)
    tool = format_of(document, format_name)
    return import_record(document, tool.tool, tool.read(document), machine=machine, model=model)
