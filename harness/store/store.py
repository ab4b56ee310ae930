"""`Store`: the one door to the results database, for the runner that writes and the tables that read.

Owns when transactions begin and end, and that a file still is the one that was opened. Imports the store's other
modules. Contract: records in, plain data out; a call that returned has its facts on disk (WAL, full synchronisation);
a call that failed stored nothing and says in a sentence why.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine

from harness.errors import EdgebenchError, UsageError
from harness.store import (
    alerts,
    bulk,
    evaluations,
    facts,
    gates,
    imports,
    looking,
    origins,
    records,
    schema,
    writing,
)
from harness.store import engine as engines
from harness.store.accuracy_history import AccuracyPoint, accuracy_history
from harness.store.alerts import AlertRecord, AlertState
from harness.store.gates import GateRecord
from harness.store.history import HistoryPoint, history
from harness.store.tables import metadata
from harness.store.versions import Surroundings, surroundings

#: Of many faults of one kind, `check` tells so many.
_TOLD_AT_MOST = 100


def _nothing(session_id: str) -> tuple[()]:
    del session_id
    return ()


class Store:
    """An open results database. Make one with `Store.open`; it is a context manager.

    Safe to use from several threads and beside other processes. Methods raise `EdgebenchError` where the database
    cannot be used, and LookupError where a record names something that is not stored.

    Attributes:
        place: where it is; as text, without a password.
        upgraded: what opening it changed, in a sentence for people; None where nothing.
    """

    def __init__(
        self, engine: Engine, place: engines.Place, *, read_only: bool, upgraded: str | None
    ) -> None:
        self.place = place
        self.read_only = read_only
        self.upgraded = upgraded
        self._engine = engine
        self._metrics: dict[str, int] = {}
        self._identity = _identity(place.path)

    @classmethod
    def open(
        cls, target: str | Path, *, read_only: bool = False, busy_timeout_s: float = engines.BUSY_TIMEOUT_S
    ) -> Store:
        """Opens a database; a new file is made, an old one upgraded after a backup.

        Args:
            target: path of an SQLite file, or an SQLAlchemy URL of SQLite or PostgreSQL.
            read_only: change nothing, make nothing; works on read-only files and folders.
            busy_timeout_s: how long to wait for another process that is writing.

        Raises:
            UsageError: the URL cannot be understood or names a database that is not supported.
            EdgebenchError: it cannot be used, with the reason and the next step.
        """
        place = engines.locate(target)
        if place.path is not None:
            _check_path(place.path, read_only=read_only)
        engine = engines.connect(place, read_only=read_only, busy_timeout_s=busy_timeout_s)
        try:
            upgraded = schema.prepare(engine, place, read_only=read_only)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, place, read_only=read_only, upgraded=upgraded)

    def close(self) -> None:
        """Ends all connections. SQLite then folds its journal into the file."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    def record_machine(self, record: records.MachineRecord) -> str:
        """Stores a machine; gives its id."""
        with self._writing() as connection:
            writing.machine(connection, record)
        return record.id

    def record_machine_bench(self, record: records.MachineBenchRecord) -> str:
        """Stores what was measured of a machine, which must be stored; gives its id."""
        with self._writing() as connection:
            writing.machine_bench(connection, record)
        return record.id

    def record_environment(self, record: records.EnvironmentRecord) -> str:
        """Stores an environment with its packages; gives its id."""
        with self._writing() as connection:
            writing.environment(connection, record)
        return record.id

    def record_model(self, record: records.ModelRecord) -> str:
        """Stores a model; gives its id."""
        with self._writing() as connection:
            writing.model(connection, record)
        return record.id

    def record_artifact(self, record: records.ArtifactRecord) -> str:
        """Stores an artifact and the way it was made; gives its id. Its model and source must be stored."""
        with self._writing() as connection:
            writing.artifact(connection, record)
        return record.id

    def record_preparation(self, record: records.PreparationRecord) -> str:
        """Stores an attempt to make an artifact; gives its id. What it names must be stored."""
        with self._writing() as connection:
            writing.preparation(connection, record)
        return record.id

    def record_cells(self, cells: Iterable[records.CellRecord]) -> None:
        """Stores cells outside of any plan, such as the quality reference's."""
        with self._writing() as connection:
            writing.cells(connection, cells)

    def start_session(
        self,
        record: records.SessionRecord,
        cells: Sequence[records.PlannedCellRecord] = (),
        plan: Sequence[records.PlannedRunRecord] = (),
        skipped: Callable[[str], Iterable[records.RunRecord]] = _nothing,
    ) -> str:
        """Stores a session with its plan, all or nothing, and gives its id. Its machine must be stored.

        Args:
            record: the session.
            cells: those of its plan.
            plan: its runs in their order.
            skipped: the runs that will never be started, given the session's id.
        """
        with self._writing() as connection:
            session_id = writing.session(connection, record)
            writing.session_cells(connection, session_id, cells)
            writing.plan(connection, session_id, plan)
            for run in skipped(session_id):
                writing.run(connection, run, self._metrics)
        return session_id

    def record_plan(
        self,
        session_id: str,
        cells: Sequence[records.PlannedCellRecord] = (),
        plan: Sequence[records.PlannedRunRecord] = (),
    ) -> None:
        """Adds to the plan of a session. Positions and runs that are planned already stay as they are."""
        with self._writing() as connection:
            writing.session_cells(connection, session_id, cells)
            writing.plan(connection, session_id, plan)

    def extend_plan(
        self, session_id: str, runs: Sequence[records.PlannedRunRecord]
    ) -> list[records.PlannedRunRecord]:
        """Plans more runs, behind those that are planned; gives them with their positions, in the same order."""
        with self._writing() as connection:
            return writing.extend_plan(connection, session_id, runs)

    def record_stop(self, session_id: str, record: records.CellStopRecord) -> None:
        """Stores what ended the repeating of a cell's runs; what is stored already stays."""
        with self._writing() as connection:
            writing.cell_stop(connection, session_id, record)

    def resume_session(self, session_id: str) -> list[records.PlannedRunRecord]:
        """Marks a session as taken up again, and gives its missing runs in the planned order."""
        with self._writing() as connection:
            writing.resume_session(connection, session_id)
            return looking.missing_runs(connection, session_id)

    def end_session(self, session_id: str, status: records.SessionStatus) -> None:
        """Stores how and when a session ended."""
        with self._writing() as connection:
            writing.change_session(connection, session_id, {"status": status, "ended_at": datetime.now(UTC)})

    def record_run(self, record: records.RunRecord) -> bool:
        """Stores a run with its samples, traces, readings and score in one transaction.

        Returns:
            False where this run was stored before; then nothing is added.
        """
        with self._writing() as connection:
            added = writing.run(connection, record, self._metrics)
        if any(name not in self._metrics for one in record.samples for name in one.values):
            with self._reading() as connection:
                self._metrics = looking.metrics(connection)
        return added

    def import_rows(self, batch: bulk.Batch) -> int:
        """Stores many runs, and what they need, in one transaction: for programs that write whole databases.

        No command does; `benchmarks/make_database.py` and the tests do.
        Some thousand runs make a good batch: it is held in memory, and another writer waits for it.

        Args:
            batch: table -> column -> values, keys being the sender's own numbers: see `harness.store.bulk`.

        Returns:
            How many runs were not stored before.

        Raises:
            ValueError: the schema does not take a table, column or value; nothing is stored.
            LookupError: a row refers to a run or metric that is not in the batch; nothing is stored.
        """
        with self._writing() as connection:
            return bulk.import_rows(connection, batch)

    def record_import(self, record: imports.ImportRecord) -> bool:
        """Stores a file of another tool with all that is in it, in one transaction.

        Returns:
            False where it was stored before; then nothing is added.
        """
        with self._writing() as connection:
            added = imports.store(connection, record, dict(self._metrics))
        if added:
            with self._reading() as connection:
                self._metrics = looking.metrics(connection)
        return added

    def record_verdict(self, run_id: str, artifact_id: str, verdict: records.VerdictRecord) -> None:
        """Stores the verdict on an artifact that rests on the score of a run; the first verdict on it stays."""
        with self._writing() as connection:
            writing.verdict(connection, writing.run_key(connection, run_id), artifact_id, verdict)

    def link_score(self, session_id: str, cell_ids: Sequence[str], run_id: str) -> None:
        """Says that an earlier score stands for cells of a session; their planned scoring is then not missing."""
        with self._writing() as connection:
            writing.link_score(connection, session_id, cell_ids, writing.run_key(connection, run_id))

    def link_evaluation(self, session_id: str, cell_ids: Sequence[str], run_id: str) -> None:
        """Says that an earlier evaluation stands for cells of a session; theirs is then not missing."""
        with self._writing() as connection:
            writing.link_evaluation(connection, session_id, cell_ids, writing.run_key(connection, run_id))

    def record_alerts(self, found: Sequence[AlertRecord]) -> list[AlertRecord]:
        """Stores alerts; gives those that were not stored before. What they name must be stored."""
        with self._writing() as connection:
            return alerts.store(connection, found)

    def change_alert(self, alert_id: str, state: AlertState, note: str, at: datetime) -> AlertRecord | None:
        """Gives an alert another state; None, and nothing is changed, where it is resolved.

        Raises:
            LookupError: no such alert.
        """
        with self._writing() as connection:
            return alerts.change(connection, alert_id, state, note, at)

    def record_gate(self, record: GateRecord) -> None:
        """Stores a gate with its verdicts, all or nothing. Its sessions and cells must be stored."""
        with self._writing() as connection:
            gates.store(connection, record)

    # -- reading ------------------------------------------------------------------------------------------------

    def gates(self, session_id: str) -> list[GateRecord]:
        """The gates that a session was a side of, oldest first."""
        with self._reading() as connection:
            return gates.gates(connection, session_id)

    def alerts(
        self, machine_id: str | None = None, states: Sequence[AlertState] | None = None
    ) -> list[AlertRecord]:
        """Alerts of a machine (None: of all), in some states (None: in any), in the order of their raising."""
        with self._reading() as connection:
            return alerts.alerts(connection, machine_id=machine_id, states=states)

    def sessions_of_file(self, file_sha256: str) -> list[tuple[str, str]]:
        """``(session, name of its machine)`` of every import of a file."""
        with self._reading() as connection:
            return imports.sessions_of_file(connection, file_sha256)

    def files_imported_twice(self) -> list[str]:
        """Files of other tools of which there are several sessions, each with their ids."""
        with self._reading() as connection:
            return imports.files_imported_twice(connection)

    def machines_named(self, name: str) -> list[records.MachineRecord]:
        """Every stored machine of a name, or whose id it is."""
        with self._reading() as connection:
            return imports.machines_named(connection, name)

    def find_evaluation(self, evaluation_key: str) -> evaluations.EvaluationFacts | None:
        """The newest evaluation of tasks under a key, from whichever session."""
        with self._reading() as connection:
            return evaluations.find_evaluation(connection, evaluation_key)

    def find_score(self, scoring_key: str) -> facts.ScoreFacts | None:
        """The newest score under a key, from whichever session."""
        with self._reading() as connection:
            return looking.find_score(connection, scoring_key)

    def missing_runs(self, session_id: str) -> list[records.PlannedRunRecord]:
        """Planned less stored, in the planned order; what only failed in its set-up is missing still."""
        with self._reading() as connection:
            return looking.missing_runs(connection, session_id)

    def attempts(self, session_id: str, cell_id: str, kind: records.RunKind, index: int) -> int:
        """How many attempts of one run are stored; the next one is this number plus 1."""
        with self._reading() as connection:
            return looking.attempts(connection, session_id, cell_id, kind, index)

    def newest_session(
        self,
        suite: str | None = None,
        machine: str | None = None,
        *,
        unfinished: bool = False,
        trigger: str | None = None,
    ) -> str | None:
        """Id of the measured session that began last; ``unfinished``: among those that lack runs or never ended.

        A cell whose runs are to be repeated until a rule ends them lacks runs until it has a stop.
        """
        with self._reading() as connection:
            return looking.newest_session(
                connection, suite=suite, machine=machine, unfinished=unfinished, trigger=trigger
            )

    def session_state(self, session_id: str) -> dict[str, Any]:
        """``status``, ``started_at``, ``ended_at``, ``resumed`` and ``settings`` of a session.

        Raises:
            LookupError: no such session.
        """
        with self._reading() as connection:
            return looking.session_state(connection, session_id)

    def began_at(self, session_id: str) -> datetime | None:
        """When a session began; None where an imported one does not tell, or there is no such session."""
        with self._reading() as connection:
            return looking.began_at(connection, session_id)

    def sessions(self, limit: int = 20) -> list[dict[str, Any]]:
        """The newest sessions first, each with how its runs ended; ready for JSON."""
        with self._reading() as connection:
            return looking.sessions(connection, limit)

    def run_in_cell(self, run_id: str) -> facts.CellFacts | None:
        """One run with its cell, artifact and model's shape; None where its session did not plan the cell.

        Raises:
            LookupError: no such run.
        """
        with self._reading() as connection:
            return facts.run_in_cell(connection, run_id)

    def session_facts(self, session_id: str) -> facts.SessionFacts:
        """All of one session that tables and verdicts need."""
        with self._reading() as connection:
            return facts.session_facts(connection, session_id)

    def machine_bench(self, machine_id: str) -> records.MachineBenchRecord | None:
        """What counts of a machine's benches: the newest that nothing spoiled, else the newest; None without one."""
        with self._reading() as connection:
            return facts.machine_bench(connection, machine_id)

    def history(
        self,
        cell_id: str,
        machine_id: str,
        metrics: Sequence[str] = ("prefill_tps", "decode_tps"),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tried: bool = True,
    ) -> list[HistoryPoint]:
        """A series over its sessions: a cell on one machine, a point a session and framework version.

        Args:
            cell_id: the cell.
            machine_id: the machine.
            metrics: names in `harness.store.history.DERIVED`, or of samples, such as `ttft_s`.
            since: sessions that began then or later.
            until: sessions that began before.
            tried: sessions of gates too, which try what may be wrong.

        Raises:
            LookupError: no such cell.
        """
        with _collector_paused(), self._reading() as connection:
            return history(connection, cell_id, machine_id, metrics, since=since, until=until, tried=tried)

    def accuracy_history(self, cell_id: str, machine_id: str) -> dict[str, list[AccuracyPoint]]:
        """What sessions say of a cell's divergence and tasks on one machine, by metric, in the order of time."""
        with self._reading() as connection:
            return accuracy_history(connection, cell_id, machine_id)

    def surroundings(
        self, cell_id: str, session_ids: Sequence[str]
    ) -> dict[tuple[str, str | None], Surroundings]:
        """What surrounded a cell's timed runs, by session and framework version: packages, drivers, the program ..."""
        with self._reading() as connection:
            return surroundings(connection, cell_id, session_ids)

    def timed_cells(self, machine_id: str | None = None) -> list[tuple[records.CellRecord, str]]:
        """``(cell, machine id)`` of every series: what has timed runs, on one machine or any."""
        with self._reading() as connection:
            return looking.timed_cells(connection, machine_id)

    def last_measured(self, machine_id: str) -> dict[str, str]:
        """Cell id -> the newest session of a machine that tried to measure it; no skipped run, no gate."""
        with self._reading() as connection:
            return looking.last_measured(connection, machine_id)

    def cells(self, ids: Collection[str]) -> dict[str, records.CellRecord]:
        """Stored cells by their ids."""
        with self._reading() as connection:
            return looking.cells(connection, ids)

    def durations(self, machine_id: str, cell_ids: Collection[str]) -> dict[tuple[str, str], float]:
        """Seconds a run took on a machine, by ``(cell id, kind)``: the median of the newest five that were ok."""
        with self._reading() as connection:
            return looking.durations(connection, machine_id, cell_ids)

    def preparation_peaks(self) -> dict[tuple[str, str, str], int]:
        """The most memory that making took, by (model, framework, recipe), over all attempts, failed ones too."""
        with self._reading() as connection:
            return looking.preparation_peaks(connection)

    def find(self, prefix: str) -> list[tuple[str, str]]:
        """``(kind, id)`` of everything whose id begins so; kinds as in `looking.KINDS`."""
        with self._reading() as connection:
            return looking.find(connection, prefix)

    def describe(self, kind: str, row_id: str) -> dict[str, Any]:
        """All that is known of one thing, down to samples; ready for JSON."""
        with self._reading() as connection:
            return looking.describe(connection, kind, row_id)

    def origins(self, run_ids: Collection[str]) -> origins.Origins:
        """What runs come from: sessions, machines, environments, and their artifacts' way back to the model."""
        with self._reading() as connection:
            return origins.origins(connection, run_ids)

    def suite_text(self, session_id: str) -> str | None:
        """The suite file of a session as it was; None of an imported one.

        Raises:
            LookupError: no such session.
        """
        with self._reading() as connection:
            return looking.suite_text(connection, session_id)

    # -- care ---------------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Where it is, its schema, its size in bytes (None for a server) and rows by table; ready for JSON."""
        with self._reading() as connection:
            counted = looking.counts(connection, sorted(metadata.tables))
        size = self.place.path.stat().st_size if self.place.path else None
        return {"place": str(self.place), "schema": schema.newest(), "size_bytes": size, "rows": counted}

    def check(self) -> list[str]:
        """What is wrong with an SQLite file, a sentence each: damage, and rows that refer to nothing; 100 of each."""
        if not self.place.is_sqlite:
            return []
        with self._reading() as connection:
            damage = connection.exec_driver_sql("PRAGMA integrity_check").scalars().fetchmany(_TOLD_AT_MOST)
            loose = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_TOLD_AT_MOST)
        return [str(one) for one in damage if one != "ok"] + [
            f"{row[0]}: a row refers to nothing in {row[2]}" for row in loose
        ]

    def backup(self, target: Path) -> None:
        """Copies an SQLite file while others use it; the copy is whole or is not made.

        Raises:
            UsageError: the target exists, or the database is not a file.
        """
        if self.place.path is None:
            raise UsageError(
                f"{self.place} is not a file", next_step="use the server's own tool, such as pg_dump"
            )
        if target.exists():
            raise UsageError(f"{target} exists already", next_step="name a file that does not exist")
        with engines.explained(self.place):
            schema.copy_file(self.place.path, target)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around what is made of values that this gave: what no version of edgebench stored is an error of the file.

        Raises:
            EdgebenchError: a value is of another type or shape than it has to be.
        """
        with engines.computing(self.place):
            yield

    # -- transactions -------------------------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view, for rooms that move whole tables (`harness.exchange`) and ask their own questions."""
        return self._reading()

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction that writes, for the same rooms: all of it is stored, or nothing."""
        return self._writing()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self.read_only:
            raise EdgebenchError(
                f"{self.place} was opened for reading only", next_step="name a database to write to with --db"
            )
        self._check_identity()
        with engines.writing(self._engine, self.place) as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._check_identity()
        with engines.reading(self._engine, self.place) as connection:
            yield connection

    def _check_identity(self) -> None:
        # SQLite would go on writing into a file that no folder names any more, and it would be lost at the end.
        if self._identity is not None and _identity(self.place.path) != self._identity:
            raise EdgebenchError(
                f"{self.place} was deleted or replaced while it was open",
                next_step="put it back, or start again with another --db",
            )


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What tells one file from another in the same place; None where there is none."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None


def _check_path(path: Path, *, read_only: bool) -> None:
    """Refuses early what SQLite would refuse at the first write, in its own short words."""
    if path.is_dir():
        raise EdgebenchError(f"{path} is a folder", next_step="name a file in it: --db FOLDER/edgebench.db")
    if read_only:
        if not path.exists():
            raise EdgebenchError(
                f"there is no database at {path}", next_step="run a suite first: edgebench run quickstart"
            )
        return
    place = engines.locate(path)
    with engines.explained(place):
        path.parent.mkdir(parents=True, exist_ok=True)
    if any(one.exists() and not os.access(one, os.W_OK) for one in (path, path.parent)):
        raise EdgebenchError(
            f"{path} is read-only",
            next_step="make the file and its folder writable, or name another database with --db",
        )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without the collector of garbage in cycles: thousands of new rows make none and have it search all that lives."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            # What was made counts as old from here on. As young it would be searched at once, which takes a tenth of
            # the time of finding it. The two calls move lists from one generation to another and look at nothing.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
