"""Small databases of each released schema, as SQL text in `old/`: what the tests upgrade.

``python tests/store/old_databases.py`` in a checkout writes those of revisions that have none yet, with rows in every
table; what it wrote before is never written again, as a released schema never changes.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_store_records as make
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from harness.model.configuration import ModelConfiguration
from harness.store import Store, records, schema
from harness.store.evaluation_records import (
    EvaluationRecord,
    TaskHoleRecord,
    TaskItemRecord,
    TaskMetricRecord,
    TaskRecord,
)

FOLDER = Path(__file__).resolve().parent / "old"

#: What 0009 no longer takes: joules without their source, a method of another name, an estimate beside a measurement.
UNSOUND_ENERGY = """
INSERT INTO energy_reading (run_key, position, phase, gross_joules, net_joules, tokens, window_s, meter, domain, method,
    estimate_joules, reason) VALUES
    (1, 2, 'decode', 4.5, 3.5, 100, 2.0, NULL, NULL, NULL, NULL, NULL),
    (1, 3, 'decode', 5.5, NULL, 100, 2.0, 'battery', 'battery', 'power-integral', NULL, NULL),
    (1, 4, 'decode', 6.5, NULL, 100, 2.0, 'nvml', 'gpu:0', 'counter', 30.0, NULL),
    (1, 5, 'decode', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


def migrate(engine: Engine, revision: str = "head") -> None:
    """Has nothing but the migrations bring a database to a revision."""
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def migrated(path: Path, revision: str = "head") -> Path:
    """An SQLite file that only the migrations made."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    migrate(engine, revision)
    engine.dispose()
    return path


def restore(revision: str, path: Path) -> Path:
    """The database of a revision as a file, with the journal that edgebench leaves."""
    connection = sqlite3.connect(path)
    connection.executescript((FOLDER / f"{revision}.sql").read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return path


def fill(store: Store) -> None:
    """Rows in every table of the newest schema: what two sessions of a machine would leave."""
    shape = ModelConfiguration("llama", 30, 576, 1536, 9, 3, 64, 64, 49152, True, 134_515_008, 28_311_552)
    store.record_model(replace(make.model(), configuration=shape.to_dict()))
    for recipe, source in (("F16", None), ("Q4_K_M", "F16")):
        store.record_artifact(make.artifact(recipe, source and make.sha(source)))
    for version in ("0.3.36", "0.3.37"):
        store.record_environment(make.environment(version))
    machine = store.record_machine(make.machine())
    store.record_machine_bench(make.machine_bench())
    store.record_preparation(
        records.PreparationRecord(
            machine_id=machine, model=make.model().name, framework="llamacpp", recipe="Q4_K_M", tool="llama-cpp-python",
            tool_version="0.3.36", seconds=2.5, threads=2, jobs=1, started_at=make.BEGAN, status="oom",
            reason="killed: out of memory", environment_id=make.environment().id,
        )
    )  # fmt: skip
    cell, skipped = make.cell(), make.cell(device="npu:0", api="qnn-htp")
    planned = [records.PlannedCellRecord(cell, 0), records.PlannedCellRecord(skipped, 1, "no NPU here")]
    base = None
    for later_s in (0.0, 86_400.0):
        plan = [records.PlannedRunRecord(cell.id, "timed", index, index, seed=7) for index in range(2)]
        session = store.start_session(make.session(machine, later_s=later_s), planned, plan)
        for index in range(2):
            store.record_run(_timed(session, cell.id, index, spoiled=index == 1))
        store.record_run(
            make.run(
                session, cell.id, 2, status="failed", reason="the worker crashed", phase="load", samples=(), memory=(),
                energy=(), timeline=None,
            )
        )  # fmt: skip
        _score(store, session, cell.id)
        _evaluate(store, session, cell.id)
        store.record_stop(
            session, records.CellStopRecord(cell.id, "cap", 0.02, 2, 3, 3, 1, {"decode_tps": None})
        )
        store.end_session(session, "ok")
        store.record_alerts([make.alert(session, cell.id, machine)])
        store.record_gate(make.gate(session, base, cell.id))
        base = session
    store.record_import(make.imported())


def _timed(session: str, cell_id: str, index: int, *, spoiled: bool) -> records.RunRecord:
    changes = {"validity": "suspect", "flags": ["steal 4 %"]} if spoiled else {}
    return make.run(
        session, cell_id, index, samples=make.samples(2, traced_tokens=2), timeline=make.timeline(2),
        energy=[records.EnergyRecord("prefill", reason="no meter here"), make.energy()], **changes,
    )  # fmt: skip


def _score(store: Store, session: str, cell_id: str) -> None:
    windows = [
        records.WindowRecord(index, 2, 5.5 + index, 0.25, 1, 0.01, 9, data=b"\0" * 40) for index in range(2)
    ]
    reference = make.score(make.sha("F16"), windows=windows, scoring_key=f"reference of {session}")
    first = make.run(session, cell_id, 1, kind="reference", samples=(), energy=(), score=reference)
    store.record_run(first)
    own = make.score(
        make.artifact().id,
        (cell_id,),
        windows=windows,
        reference_run_id=first.id,
        scoring_key=f"own of {session}",
    )
    store.record_run(
        make.run(session, cell_id, kind="score", samples=(), energy=(), timeline=None, score=own)
    )


def _evaluate(store: Store, session: str, cell_id: str) -> None:
    def evaluation(name: str, correct: list[int], **more: Any) -> EvaluationRecord:
        items = [TaskItemRecord(make.sha(str(index))[:16], {"acc": value}, [-1.5, -2.5], None)
                 for index, value in enumerate(correct)]  # fmt: skip
        metrics = [TaskMetricRecord("acc", sum(correct) / len(correct), 0.1, True)]
        tasks = [
            TaskRecord("grammar", "1.0", len(correct), 0, make.sha("grammar"), metrics, items),
            TaskRecord("group", "", len(correct), None, None, metrics),
        ]
        return EvaluationRecord(
            f"{name} of {session}", make.artifact().id, {"names": ["grammar"]}, False, None, 512,
            make.environment().id, "0.4.13", 0, tasks, **more,
        )  # fmt: skip

    first = make.run(
        session, cell_id, 5, kind="tasks", samples=(), memory=(), energy=(), timeline=None,
        evaluation=evaluation("reference", [1, 1, 0]),
    )  # fmt: skip
    store.record_run(first)
    own = evaluation(
        "own",
        [1, 0, 0],
        reference_run_id=first.id,
        cells=(cell_id,),
        quality_reference="llamacpp F32",
        holes=(TaskHoleRecord("arc_easy", "failed", "no hub"),),
    )
    store.record_run(
        make.run(
            session, cell_id, kind="tasks", samples=(), memory=(), energy=(), timeline=None, evaluation=own
        )
    )


def tables_of(connection: sqlite3.Connection, name: str = "main") -> dict[str, list[str]]:
    """Tables of a database with the names of their columns."""
    found = connection.execute(f"SELECT name FROM {name}.sqlite_master WHERE type = 'table' ORDER BY name")
    return {
        table: [column[1] for column in connection.execute(f"PRAGMA {name}.table_info('{table}')")]
        for (table,) in found.fetchall()
    }


def dump(revision: str, full: Path, folder: Path) -> str:
    """A database of a revision as SQL: what it can hold of a full one of the newest."""
    connection = sqlite3.connect(migrated(folder / f"{revision}.db", revision))
    connection.execute("ATTACH ? AS newest", (str(full),))
    newest = tables_of(connection, "newest")
    for table, columns in tables_of(connection).items():
        if table == "alembic_version":
            continue
        common = ", ".join(f'"{one}"' for one in columns if one in newest[table])
        where = f" WHERE revision <= '{revision}'" if table == "schema_revision" else ""
        connection.execute(f"INSERT INTO main.{table} ({common}) SELECT {common} FROM newest.{table}{where}")
        assert connection.execute(f"SELECT count(*) FROM main.{table}").fetchone() > (0,), table
    if revision < "0010":
        connection.execute(
            "DELETE FROM memory_reading WHERE run_key IN (SELECT key FROM run WHERE kind = 'tasks')"
        )
        connection.execute("DELETE FROM run WHERE kind = 'tasks'")
    if revision < "0009":
        connection.execute("DELETE FROM energy_reading WHERE run_key = 1 AND position > 1")
        connection.executescript(UNSOUND_ENERGY)
    # Their text is not frozen with a revision: whatever comes after it makes them anew.
    for (view,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
        connection.execute(f"DROP VIEW {view}")
    connection.commit()
    connection.execute("DETACH newest")
    text = "\n".join(connection.iterdump()) + "\n"
    connection.close()
    return text


def main() -> None:
    """Writes the databases that are missing."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "full.db") as store:
            fill(store)
        for revision in schema.REVISIONS:
            path = FOLDER / f"{revision}.sql"
            if not path.exists():
                path.write_text(dump(revision, folder / "full.db", folder), encoding="utf-8")
                sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
