"""What other tools measured: how one file of theirs is stored, and what the table gets out.

Owns the record of an imported file, its rows and its facts. Imports SQLAlchemy Core, the tables and the other records.
Contract: one file is one session, stored whole or not at all; its id is derived from the file's content and the
machine, so that importing it again adds nothing; no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from harness.store import ids, records, writing
from harness.store.tables import table

PREFIX = "imported-"
TRIGGER = "import"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """The file that figures came from, and the tool that measured them.

    Attributes:
        tool: its name; the metrics begin with it.
        tool_version: None where the file does not tell.
        format: ``json``, ``jsonl``, ``csv``, ``sql`` or ``text``.
        file_name: without its folder.
        file_sha256: of the file.
        file_bytes: its size.
        other_files: files beside it that were read too: ``name``, ``bytes``, ``sha256``.
        definitions: what each metric means and how it differs from ours, by name.
        document: what else the file holds.
    """

    tool: str
    tool_version: str | None
    format: str
    file_name: str
    file_sha256: str
    file_bytes: int
    other_files: Sequence[Mapping[str, Any]] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One record of the file: its cell, and its run, whose session and cell are set when it is stored."""

    cell: records.CellRecord
    run: records.RunRecord


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One file.

    Attributes:
        source: where it comes from.
        machine: what measured; stored if it is not yet.
        runs: in the file's order.
        edgebench_version: the program that imports; no part of any id.
        started_at: the earliest time in the file; None where it tells none.
        commit_sha: commit under test, None where the file does not tell.
        system: operating system and its like, as far as the file tells.
        model: the name that was given to a model of which the file does not tell; None: none was, or none was needed.
    """

    source: SourceRecord
    machine: records.MachineRecord
    runs: Sequence[ImportedRun]
    edgebench_version: str
    started_at: datetime | None = None
    commit_sha: str | None = None
    system: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None

    @property
    def session_id(self) -> str:
        """Of the session that it becomes."""
        return session_id_of(self.source, self.machine.id, self.model)


def session_id_of(source: SourceRecord, machine_id: str, model: str | None = None) -> str:
    """Derived from the files' content, the tool, the machine and the name that was given to a model."""
    content: dict[str, Any] = {
        "tool": source.tool,
        "file_sha256": source.file_sha256,
        "other_files": sorted(str(one["sha256"]) for one in source.other_files),
        "machine": machine_id,
    }
    if model is not None:
        content["model"] = model
    return PREFIX + ids.content_id("session", content)


# -- writing ----------------------------------------------------------------------------------------------------------


def store(connection: Connection, record: ImportRecord, metrics: dict[str, int]) -> bool:
    """Adds a file with all that is in it; False where it was stored before."""
    sessions = table("session")
    session_id = record.session_id
    if connection.execute(select(sessions.c.id).where(sessions.c.id == session_id)).first() is not None:
        return False
    source = record.source
    writing.machine(connection, record.machine)
    row: dict[str, Any] = {
        "id": session_id,
        "machine_id": record.machine.id,
        "suite": source.tool,
        "suite_sha256": source.file_sha256,
        "suite_text": None,
        "settings": {},
        "trigger": TRIGGER,
        "commit_sha": record.commit_sha,
        "command_line": [],
        "edgebench_version": record.edgebench_version,
        "system": dict(record.system),
        "seed": None,
        "started_at": record.started_at,
        "ended_at": None,
        "status": "ok",
        "resumed": 0,
        "origin": "imported",
    }
    writing.insert_missing(connection, "session", [row])
    kept = {
        **asdict(source),
        "session_id": session_id,
        "other_files": [dict(one) for one in source.other_files],
        "definitions": dict(source.definitions),
        "document": dict(source.document),
    }
    writing.insert_missing(connection, "session_import", [kept])
    cells = list({one.cell.id: one.cell for one in record.runs}.values())
    planned = [records.PlannedCellRecord(cell, position) for position, cell in enumerate(cells)]
    writing.session_cells(connection, session_id, planned)
    for one in record.runs:
        writing.run(connection, replace(one.run, session_id=session_id, cell_id=one.cell.id), metrics)
    return True


# -- reading ----------------------------------------------------------------------------------------------------------


def source_of(connection: Connection, session_id: str) -> SourceRecord | None:
    """The file of an imported session; None of a measured one."""
    rows = table("session_import")
    row = connection.execute(select(rows).where(rows.c.session_id == session_id)).first()
    if row is None:
        return None
    columns = {name: value for name, value in row._mapping.items() if name != "session_id"}
    return SourceRecord(**columns)


def files_imported_twice(connection: Connection) -> list[str]:
    """Files of which there are several sessions: ``NAME (SESSION, SESSION)``."""
    rows = table("session_import")
    several = select(rows.c.file_sha256).group_by(rows.c.file_sha256).having(func.count() > 1)
    query = (
        select(rows.c.file_sha256, rows.c.file_name, rows.c.session_id)
        .where(rows.c.file_sha256.in_(several))
        .order_by(rows.c.file_sha256, rows.c.session_id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for sha256, name, session_id in connection.execute(query):
        found.setdefault(sha256, []).append((name, session_id))
    return [f"{some[0][0]} ({', '.join(session for _, session in some)})" for some in found.values()]


def sessions_of_file(connection: Connection, file_sha256: str) -> list[tuple[str, str]]:
    """``(session, name of its machine)`` of every import of this file."""
    imports, sessions, machines = table("session_import"), table("session"), table("machine")
    query = (
        select(sessions.c.id, machines.c.name)
        .join(imports, imports.c.session_id == sessions.c.id)
        .join(machines, machines.c.id == sessions.c.machine_id)
        .where(imports.c.file_sha256 == file_sha256)
        .order_by(sessions.c.id)
    )
    return [(row.id, row.name) for row in connection.execute(query)]


def machines_named(connection: Connection, name: str) -> list[records.MachineRecord]:
    """Every stored machine of a name, or whose id it is."""
    rows = table("machine")
    query = select(rows).where((rows.c.name == name) | (rows.c.id == name)).order_by(rows.c.id)
    return [records.MachineRecord(**row._mapping) for row in connection.execute(query)]
