"""Writing: many runs at once, one run beside readers, and what a sample takes on disk.

Owns these measurements. Contract: every figure is of whole runs with all that belongs to them, on disk when the clock
stops (write-ahead log, `synchronous=FULL`), on both sides alike.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.paths import data_dir
from harness.store import Store, records
from lab_years import nights
from lab_years.world import Size, make_world
from scale_tools import plain
from scale_tools.figure import Figure, middle

#: Of one batch of the comparison: a real batch of an import, not a toy.
_RUNS = 20_000
_READERS = 2
_READER = """
import sys
from harness.store import Store
with Store.open(sys.argv[1], read_only=True) as store:
    session = store.newest_session()
    machine = store.session_facts(session).machine.id
    print("reading", flush=True)
    while True:
        for cell in store.session_facts(session).cells:
            store.history(cell.cell.id, machine)
"""


def _batches(samples_per_run: int, seed: int) -> list[Mapping[str, Any]]:
    """What does not change, and one large batch of runs."""
    size = Size(runs=_RUNS, samples_per_run=samples_per_run, machines=4, years=1.0, seed=seed)
    made = nights.Nights(make_world(size), traced_nights=0, runs_a_batch=2 * _RUNS)
    return list(made.batches())


def bulk(folder: Path, size: Size, rounds: int, rng: random.Random) -> Figure:
    """Samples a second of an import into a new file, against `executemany` of the same rows, readily encoded."""
    lasting, batch = _batches(size.samples_per_run, size.seed)
    count = len(batch["sample"]["value"])
    schema = (data_dir("results") / "schema.sql").read_text(encoding="utf-8")
    taken: dict[str, list[float]] = {"ours": [], "plain": []}
    rows = _stored(folder / "rows.db", lasting, batch)
    for number in range(rounds):
        for side in rng.sample(sorted(taken), 2):
            path = folder / f"{side}{number}.db"
            if side == "ours":
                with Store.open(path) as store:
                    store.import_rows(lasting)
                    began = time.perf_counter()
                    store.import_rows(batch)
                    taken[side].append(time.perf_counter() - began)
            else:
                connection = plain.make(path, schema)
                plain.insert(connection, rows["lasting"])
                began = time.perf_counter()
                plain.insert(connection, rows["batch"])
                taken[side].append(time.perf_counter() - began)
                connection.close()
            _remove(path)
    return Figure(
        "bulk import into a new file",
        "samples/s",
        count / middle(taken["ours"]),
        count / middle(taken["plain"]),
        50_000,
        higher_is_better=True,
        note=f"{len(batch['run']['id']):,} runs with all readings in one transaction, {rounds} times in turn",
    )


def _stored(path: Path, lasting: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, plain.Rows]:
    """Both batches as the rows that they become."""
    with Store.open(path) as store:
        store.import_rows(lasting)
        connection = plain.connect(path)
        first = {
            name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in plain.tables(connection)
        }
        store.import_rows(batch)
        second = {
            name: connection.execute(f"SELECT * FROM {name}").fetchall()
            for name in first
            if not first[name] or name == "metric"
        }
        connection.close()
    _remove(path)
    # What both batches add to: the artifacts' tables come with the second one only, the rest is lasting.
    return {"lasting": first, "batch": second}


def one_run(path: Path, runs: int, rng: random.Random) -> Figure:
    """Milliseconds until a run is on disk, beside two processes that read without a pause."""
    ours: list[float] = []
    by_hand: list[float] = []
    with Store.open(path) as store, _readers(path):
        newest = store.newest_session()
        if newest is None:
            raise ValueError(f"{path} holds no session")
        facts = store.session_facts(newest)
        cell = facts.cells[0]
        template = next(run for run in cell.runs if run.kind == "timed" and run.status == "ok")
        session_id = store.start_session(
            _session(facts.machine.id), [records.PlannedCellRecord(cell.cell, 0)]
        )
        connection = plain.connect(path)
        for index in range(runs):
            record = _run(session_id, cell.cell.id, index, template)
            copy = replace(record, index=runs + index)
            for side in rng.sample(("ours", "plain"), 2):
                if side == "ours":
                    began = time.perf_counter()
                    store.record_run(record)
                    ours.append(time.perf_counter() - began)
                    stored = _rows_of(connection, record.id)
                elif index:
                    [free] = connection.execute('SELECT max("key") + 1 FROM run').fetchone()
                    rows = _another(stored, copy, free)
                    began = time.perf_counter()
                    plain.insert(connection, rows)
                    by_hand.append(time.perf_counter() - began)
        connection.close()
        store.end_session(session_id, "ok")
    ordered = sorted(ours)
    return Figure(
        "one run stored beside two readers",
        "ms",
        1e3 * middle(ours),
        1e3 * middle(by_hand),
        10.0,
        note=f"of {runs} runs: 95 % within {1e3 * ordered[int(0.95 * (runs - 1))]:.1f} ms, all within"
        f" {1e3 * ordered[-1]:.1f} ms",
    )


def _session(machine_id: str) -> records.SessionRecord:
    return records.SessionRecord(
        machine_id,
        "scale",
        "0" * 64,
        "name: scale\n",
        ["scale.py"],
        "0.1.0",
        0,
        datetime.now(UTC),
        trigger="benchmark",
    )


def _run(session_id: str, cell_id: str, index: int, like: Any) -> records.RunRecord:
    return records.RunRecord(
        session_id=session_id, cell_id=cell_id, kind="timed", index=index, status="ok", started_at=datetime.now(UTC),
        artifact_id=like.artifact_id, environment_id=like.environment_id, framework_version=like.framework_version,
        versions={"framework": like.framework_version}, device=like.device, hints=like.hints, threads=like.threads,
        seed=index, duration_s=like.duration_s, phases_s=like.phases_s, harness_s=like.harness_s,
        vocab_size=like.vocab_size, kv_cache_bytes=like.kv_cache_bytes, samples=like.samples, memory=like.memory,
        energy=like.energy, machine_state={"window": {"cpu_pressure_share": 0.003, "foreign_cores": 0.008}},
    )  # fmt: skip


_BELOW = ("sample", "trace", "memory_reading", "energy_reading")


def _rows_of(connection: sqlite3.Connection, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    found = {"run": connection.execute("SELECT * FROM run WHERE id = ?", (run_id,)).fetchall()}
    key = found["run"][0][0]
    for name in _BELOW:
        found[name] = connection.execute(f"SELECT * FROM {name} WHERE run_key = ?", (key,)).fetchall()
    return found


def _another(
    stored: Mapping[str, Sequence[tuple[Any, ...]]], record: records.RunRecord, key: int
) -> plain.Rows:
    """The rows of the run that was stored last, as those of another run."""
    [row] = stored["run"]
    # key, id, session, cell, kind, index: the first columns of `run`.
    rows: dict[str, Sequence[tuple[Any, ...]]] = {
        "run": [(key, record.id, *row[2:5], record.index, *row[6:])],
    }
    return rows | {name: [(key, *one[1:]) for one in stored[name]] for name in _BELOW}


@contextmanager
def _readers(path: Path) -> Iterator[None]:
    words = [sys.executable, "-c", _READER, str(path)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(_READERS)]
    try:
        for one in running:
            assert one.stdout is not None
            if one.stdout.readline().strip() != "reading":
                raise RuntimeError(f"a reader of {path} ended with status {one.wait()}")
        yield
        if any(one.poll() is not None for one in running):
            raise RuntimeError(f"a reader of {path} ended while runs were stored")
    finally:
        for one in running:
            one.kill()
            one.wait()


def space(folder: Path, path: Path, size: Size) -> list[Figure]:
    """Bytes of a sample: of a file with samples less one without, over their number; and all pages of the file."""
    lasting, batch = _batches(size.samples_per_run, size.seed)
    sizes = []
    for name in ("with", "without"):
        kept = batch if name == "with" else {key: one for key, one in batch.items() if key != "sample"}
        with Store.open(folder / f"{name}.db") as store:
            store.import_rows(lasting)
            store.import_rows(kept)
        sizes.append((folder / f"{name}.db").stat().st_size)
        _remove(folder / f"{name}.db")
    count = len(batch["sample"]["value"])
    connection = plain.connect(path)
    total = connection.execute("SELECT count(*) FROM sample").fetchone()[0]
    runs = connection.execute("SELECT count(*) FROM run").fetchone()[0]
    whole = path.stat().st_size
    figures = [
        Figure(
            "a sample on disk, the file with it less the file without", "bytes", (sizes[0] - sizes[1]) / count, None,
            60.0,
        ),
        Figure(
            "the whole file over its samples", "bytes", whole / total,
            note=f"{whole / 1e9:.2f} GB: {runs:,} runs of {(whole / runs):,.0f} bytes with plans, readings and scores",
        ),
    ]  # fmt: skip
    pages = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
    try:
        by_name = connection.execute(pages).fetchall()
    except sqlite3.OperationalError:
        pass  # a build of SQLite without that table; the figures above stand
    else:
        own = dict(by_name)["sample"] / total
        most = ", ".join(f"{name} {taken / runs:.0f}" for name, taken in by_name[:8])
        figures.append(
            Figure(
                "a sample on disk, all pages of its table", "bytes", own, None, 60.0, note=f"a run: {most}"
            )
        )
    finally:
        connection.close()
    return figures


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
