"""The database in words that Datasette shows: titles, descriptions, units, facets and ready-made queries.

Owns that document. Imports the models and views, whose words it repeats; Datasette itself is no part of it. Contract:
plain data for JSON, in the form that Datasette 0.65 reads; every query runs on any database of the newest schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Numeric, SmallInteger
from sqlalchemy.types import BigInteger, Float, Integer

from harness.store.reference import about
from harness.store.tables import models, table
from harness.store.views import VIEWS

#: What a name's end says of the unit, in the words of Datasette's library of units (pint); the first that fits.
_UNITS = (
    (re.compile(r"joules_per_(prefill|decode)_token$"), "joule / token"),
    (re.compile(r"bytes_per_s$"), "byte / second"),
    (re.compile(r"(^|_)tps$"), "token / second"),
    (re.compile(r"(^|_)flops$|int8(_median)?_ops$"), "operation / second"),
    (re.compile(r"(^|_)bytes$"), "byte"),
    (re.compile(r"(^|_)joules$"), "joule"),
    (re.compile(r"(^|_)watts(_before|_after)?$"), "watt"),
    (re.compile(r"(^|_)tokens$"), "token"),
    (re.compile(r"(_cpu)?_s$|^seconds$"), "second"),
)
#: Units that pint does not know.
_CUSTOM_UNITS = ["token = [token]", "operation = [operation]"]
_NUMBERS = (Integer, BigInteger, SmallInteger, Float, Numeric)

#: What one would narrow down by.
_FACETS = {
    "v_cells_latest": ["framework", "model", "precision", "workload", "machine", "validity"],
    "v_history": ["framework", "recipe", "machine", "framework_version", "validity"],
    "v_runs": ["kind", "status", "framework", "validity"],
    "v_coverage": ["status", "framework", "model"],
    "v_failures": ["what", "status", "phase", "framework"],
    "v_scores": ["framework", "corpus", "artifact_verdict"],
    "v_tasks": ["task", "metric", "framework"],
    "v_artifacts": ["framework", "model", "precision", "artifact_verdict"],
    "session": ["suite", "status", "trigger", "machine_id"],
    "run": ["kind", "status", "validity"],
    "alert": ["state", "metric", "direction", "machine_id"],
    "gate": ["status", "kind"],
    "gate_verdict": ["verdict", "metric"],
}
_NEWEST_FIRST = {
    "v_history": "session_started_at",
    "v_runs": "started_at",
    "v_failures": "happened_at",
    "v_scores": "started_at",
    "session": "started_at",
    "alert": "raised_at",
    "gate": "judged_at",
}


@dataclass(frozen=True, slots=True)
class Query:
    """A ready-made query; what it asks for stands in it as ``:name``, and left empty it means the newest or all."""

    name: str
    title: str
    what: str
    sql: str


_NEWEST = "CASE WHEN :session_id = '' THEN (SELECT max(id) FROM session WHERE origin = 'measured') ELSE :session_id END"

QUERIES: tuple[Query, ...] = (
    Query(
        "newest_figures",
        "Newest figures of every series",
        "One row a cell and machine, of the newest session that measured it. `model` left empty: all.",
        """SELECT machine, model, framework, recipe, device, workload, session_id, framework_version, n, validity,
       decode_tps, prefill_tps, ttft_s, peak_rss_bytes, energy_joules_per_decode_token, perplexity, kld_mean,
       artifact_verdict, sessions_since
FROM v_cells_latest
WHERE :model = '' OR model = :model
ORDER BY machine, model, workload, decode_tps DESC""",
    ),
    Query(
        "history_of_a_cell",
        "History of a cell",
        "What each session measured of one cell, on every machine.",
        """SELECT machine, session_started_at, session_id, framework_version, edgebench_version, n, validity,
       decode_tps, prefill_tps, peak_rss_bytes, kld_mean
FROM v_history
WHERE cell_id = :cell_id
ORDER BY machine, session_started_at""",
    ),
    Query(
        "coverage_of_a_session",
        "Coverage of a session",
        "Every planned cell and how it ended. `session_id` left empty: the newest session.",
        f"""SELECT framework, model, recipe, device, workload, status, reason, runs_planned, runs, n, cell_id
FROM v_coverage
WHERE session_id = {_NEWEST}
ORDER BY position""",
    ),
    Query(
        "runs_of_a_session",
        "Runs of a session",
        "Every timed run with its own figures and whether it counts. `session_id` left empty: the newest session.",
        f"""SELECT framework, recipe, workload, run_index, attempt, status, validity, flags, in_figures, decode_tps,
       prefill_tps, peak_rss_bytes, duration_s, run_id
FROM v_runs
WHERE session_id = {_NEWEST} AND kind = 'timed'
ORDER BY framework, recipe, workload, run_index, attempt""",
    ),
    Query(
        "samples_of_a_run",
        "Samples of a run",
        "Every raw number of one run, warm-ups included.",
        """SELECT repetition, warmup, metric, value
FROM v_samples
WHERE run_id = :run_id
ORDER BY repetition, metric""",
    ),
    Query(
        "failures",
        "What did not run, and why",
        "The newest first. `framework` left empty: all.",
        """SELECT happened_at, what, framework, model, recipe, device, workload, kind, status, phase, reason, id
FROM v_failures
WHERE :framework = '' OR framework = :framework
ORDER BY happened_at DESC LIMIT 500""",
    ),
    Query(
        "broken_artifacts",
        "Broken artifacts",
        "Artifacts that do not compute their model's function, by the newest verdict on them.",
        """SELECT framework, model, recipe, tool, tool_version, verdict_reason, artifact_id
FROM v_artifacts
WHERE artifact_verdict = 'broken'
ORDER BY framework, model, recipe""",
    ),
    Query(
        "lineage_of_an_artifact",
        "Lineage of an artifact",
        "How it came to be, step by step back to the model's own file.",
        """SELECT step, framework, recipe, tool, tool_version, parameters, made_id, source_artifact_id, model_source
FROM v_lineage
WHERE artifact_id = :artifact_id
ORDER BY step""",
    ),
    Query(
        "machines",
        "Machines",
        "What measured here, how many sessions, and when the last.",
        """SELECT machine.name, machine.cpu_model, machine.arch, machine.memory_bytes, count(session.id) AS sessions,
       max(session.started_at) AS newest_session, machine.id
FROM machine LEFT JOIN session ON session.machine_id = machine.id
GROUP BY machine.id
ORDER BY newest_session DESC""",
    ),
)


def metadata(database: str) -> dict[str, Any]:
    """The document for a database that Datasette shows under this name: the file's name without its suffix."""
    described = {view.name: _view(view.name) for view in VIEWS} | {name: _table(name) for name in models()}
    for name, found in described.items():
        if name in _FACETS:
            found["facets"] = _FACETS[name]
        if name in _NEWEST_FIRST:
            found["sort_desc"] = _NEWEST_FIRST[name]
    described["alembic_version"] = {"hidden": True}
    return {
        "title": "edgebench results",
        "description": "Benchmarks of language models on devices: begin with the views, whose names begin with v_, "
        "or with a ready-made query.",
        "custom_units": _CUSTOM_UNITS,
        "databases": {
            database: {
                "description": "Raw facts in tables, figures in views; names end in their unit, times are UTC.",
                "tables": described,
                "queries": {
                    one.name: {"title": one.title, "description": one.what, "sql": one.sql} for one in QUERIES
                },
            }
        },
    }


def unit(name: str) -> str | None:
    """The unit that a column's name ends in, as pint writes it; None where it ends in none."""
    return next((words for pattern, words in _UNITS if pattern.search(name)), None)


def _view(name: str) -> dict[str, Any]:
    view = next(one for one in VIEWS if one.name == name)
    return _described(view.what, {column.name: column.what for column in view.columns})


def _table(name: str) -> dict[str, Any]:
    model = models()[name]
    words = {column.name: model.model_fields[column.name].description or "" for column in table(name).columns}
    # A JSON column may end in a unit too; it is no number.
    numbers = {column.name for column in table(name).columns if isinstance(column.type, _NUMBERS)}
    return _described(about(model), words, numbers)


def _described(what: str, words: dict[str, str], numbers: set[str] | None = None) -> dict[str, Any]:
    units = {
        name: found
        for name in words
        if (found := unit(name)) is not None and (numbers is None or name in numbers)
    }
    return {"description": what, "columns": words, **({"units": units} if units else {})}
