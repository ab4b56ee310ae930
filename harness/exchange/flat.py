"""Two wide tables for people: `runs` with one line per run, `samples` with one per raw number.

Owns their columns. Imports the reader. Contract: nothing is defined anew: a figure of a run is the median of its
stored samples, warm-ups excluded, under the sample's own name; suspect and failed runs are there and say so. Nothing
is averaged over runs.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.exchange.reading import RUNS_AT_ONCE, Reader, RunKey
from harness.exchange.shape import Kind, TableShape
from harness.exchange.values import Row
from harness.store.batches import batches


@dataclass(frozen=True, slots=True)
class Part:
    """One table of an export.

    Attributes:
        name: also of its file.
        columns: name and kind of each.
        rows: some at a time.
    """

    name: str
    columns: tuple[tuple[str, Kind], ...]
    rows: Iterator[Sequence[Row]]


# (table, its column, name here), in order. A table's row is the one that the run refers to.
_RUN_COLUMNS = (
    ("run", "id", "run_id"), ("run", "session_id", "session_id"), ("session", "suite", "suite"),
    ("session", "trigger", "trigger"), ("session", "commit_sha", "commit_sha"), ("run", "started_at", "started_at"),
    ("session", "machine_id", "machine_id"), ("machine", "name", "machine"), ("cell", "framework", "framework"),
    ("run", "framework_version", "framework_version"), ("cell", "model", "model"), ("cell", "precision", "precision"),
    ("cell", "recipe", "recipe"), ("cell", "device", "device"), ("cell", "api", "api"),
    ("cell", "workload", "workload"), ("cell", "prompt_tokens", "prompt_tokens"),
    ("cell", "decode_tokens", "decode_tokens"), ("cell", "depth", "depth"), ("cell", "batch", "batch"),
    ("run", "kind", "kind"), ("run", "run_index", "run_index"), ("run", "attempt", "attempt"),
    ("run", "status", "status"), ("run", "reason", "reason"), ("run", "validity", "validity"),
    ("run", "flags", "flags"), ("run", "artifact_id", "artifact_id"), ("artifact", "weight_bytes", "weight_bytes"),
    ("artifact", "bits_per_weight", "bits_per_weight"), ("run", "duration_s", "duration_s"),
)  # fmt: skip
_SAMPLE_COLUMNS = (
    "run_id", "session_id", "started_at", "machine", "framework", "framework_version", "model", "precision", "recipe",
    "device", "api", "workload", "kind", "run_index", "status", "validity",
)  # fmt: skip


def parts(reader: Reader) -> list[Part]:
    """The two tables of what a reader gives."""
    metrics = sorted(reader.local_keys("metric"))
    kinds = {name: _kind(reader, table, column) for table, column, name in _RUN_COLUMNS}
    taken = {*kinds, "peak_rss_bytes"}
    figures = [(name, name if name not in taken else f"{name}.median") for name in metrics]
    runs: tuple[tuple[str, Kind], ...] = (
        *kinds.items(), ("peak_rss_bytes", "int"), *((column, "float") for _, column in figures),
    )  # fmt: skip
    samples: tuple[tuple[str, Kind], ...] = (
        *((name, kinds[name]) for name in _SAMPLE_COLUMNS),
        ("metric", "text"), ("repetition", "int"), ("warmup", "bool"), ("value", "float"),
    )  # fmt: skip
    return [
        Part("runs", runs, _runs(reader, metrics)),
        Part("samples", samples, _samples(reader)),
    ]


def _kind(reader: Reader, table: str, column: str) -> Kind:
    shape = reader.shape[table]
    return shape.fields[shape.at(column)].kind


def _told(reader: Reader, runs: Sequence[RunKey]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each run with the values of `_RUN_COLUMNS`."""
    tables = reader.shape
    rows = [_named(tables["run"], row) for row in reader.of_runs(tables["run"], runs)]
    found: dict[str, dict[Any, dict[str, Any]]] = {}
    sessions = {row["session_id"] for row in rows}
    found["session"] = _look_up(reader, "session", sessions)
    found["machine"] = _look_up(reader, "machine", {row["machine_id"] for row in found["session"].values()})
    found["cell"] = _look_up(reader, "cell", {row["cell_id"] for row in rows})
    found["artifact"] = _look_up(reader, "artifact", {row["artifact_id"] for row in rows} - {None})
    for row in rows:
        session = found["session"][row["session_id"]]
        beside: dict[str, dict[str, Any]] = {
            "run": row,
            "session": session,
            "machine": found["machine"][session["machine_id"]],
            "cell": found["cell"][row["cell_id"]],
            "artifact": found["artifact"].get(row["artifact_id"], {}),
        }
        yield row["id"], {name: beside[table].get(column) for table, column, name in _RUN_COLUMNS}


def _named(shape: TableShape, row: Row) -> dict[str, Any]:
    return dict(zip(shape.names, row, strict=True))


def _look_up(reader: Reader, table: str, ids: set[Any]) -> dict[Any, dict[str, Any]]:
    shape = reader.shape[table]
    rows = reader.with_keys(shape, [(one,) for one in sorted(ids)]) if ids else {}
    return {key[0]: _named(shape, row) for key, row in rows.items()}


def _runs(reader: Reader, metrics: Sequence[str]) -> Iterator[Sequence[Row]]:
    samples, readings = reader.shape["sample"], reader.shape["memory_reading"]
    at = {name: samples.at(name) for name in samples.names}
    peak_at = readings.at("peak_rss_bytes")
    for runs in batches(reader.runs(reader.sessions()), RUNS_AT_ONCE):
        timed: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in reader.of_runs(samples, runs):
            if not row[at["warmup"]]:
                timed[row[at["run_id"]], row[at["metric_name"]]].append(row[at["value"]])
        peaks: dict[str, int] = {}
        for row in reader.of_runs(readings, runs):
            if row[peak_at] is not None:
                run_id = str(row[readings.owner or 0])
                peaks[run_id] = max(row[peak_at], peaks.get(run_id, 0))
        yield [
            (
                *told.values(),
                peaks.get(run_id),
                *(
                    statistics.median(found) if (found := timed.get((run_id, name))) else None
                    for name in metrics
                ),
            )
            for run_id, told in _told(reader, runs)
        ]


def _samples(reader: Reader) -> Iterator[Sequence[Row]]:
    shape = reader.shape["sample"]
    places = [shape.at(name) for name in ("metric_name", "repetition", "warmup", "value")]
    for runs in batches(reader.runs(reader.sessions()), RUNS_AT_ONCE):
        told = {
            run_id: tuple(values[name] for name in _SAMPLE_COLUMNS) for run_id, values in _told(reader, runs)
        }
        yield [
            (*told[row[shape.owner or 0]], *(row[place] for place in places))
            for row in reader.of_runs(shape, runs)
        ]
