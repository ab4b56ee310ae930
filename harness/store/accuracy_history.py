"""Accuracy over the years: a cell's divergence and task figures on one machine, a point a session.

Owns the points and the queries that fill them. Imports SQLAlchemy Core and the tables. Contract: a session's figure is
that of the score or evaluation that stands for the cell there, made in it or earlier; what it was scored or asked on
comes with it, as only equal questions have answers that compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from harness.store.batches import batches
from harness.store.history import TRIED
from harness.store.ids import canonical_json
from harness.store.tables import table

KLD = "kld_mean"
#: A metric, its value, and what was asked.
_Figure = tuple[str, float, str]


class AccuracyPoint(NamedTuple):
    """What one session says of the accuracy of a cell.

    Attributes:
        session_id: the session.
        started_at: when it began; None of an imported one that tells no time.
        framework_version: of its timed runs of the cell; None where none is ok.
        value: the figure.
        asked: equal where figures compare: text, windows and reference, or the task's version and items.
    """

    session_id: str
    started_at: datetime | None
    framework_version: str | None
    value: float
    asked: str


def accuracy_history(connection: Connection, cell_id: str, machine_id: str) -> dict[str, list[AccuracyPoint]]:
    """The points in the order of time, by `KLD` or ``task metric``; metrics without a point are left out."""
    versions = _versions(connection, cell_id, machine_id)
    found: dict[str, list[AccuracyPoint]] = {}
    for links, figures_of in (("session_score", _divergences), ("session_evaluation", _results)):
        # One score stands for many sessions: it is read once.
        linked = _linked(connection, links, cell_id, machine_id)
        figures = figures_of(connection, sorted({row.run_key for row in linked}))
        for row in linked:
            for metric, value, asked in figures.get(row.run_key, ()):
                point = AccuracyPoint(
                    row.session_id, row.started_at, versions.get(row.session_id), value, asked
                )
                found.setdefault(metric, []).append(point)
    return found


def _linked(connection: Connection, links: str, cell_id: str, machine_id: str) -> Sequence[Any]:
    """The sessions of a machine in the order of time, each with the run that stands for the cell's accuracy."""
    sessions, rows = table("session"), table(links)
    query = (
        select(rows.c.session_id, sessions.c.started_at, rows.c.run_key)
        .join(sessions, sessions.c.id == rows.c.session_id)
        .where(rows.c.cell_id == cell_id, sessions.c.machine_id == machine_id, sessions.c.trigger != TRIED)
        .order_by(sessions.c.started_at.asc().nulls_first(), sessions.c.id)
    )
    return connection.execute(query).all()


def _divergences(connection: Connection, run_keys: Sequence[int]) -> dict[int, list[_Figure]]:
    scores, windows = table("score"), table("score_window")
    references = scores.alias("reference")
    shape = [
        scores.c[name] for name in ("corpus_sha256", "window_tokens", "stride_tokens", "score_from", "bos")
    ]
    found = {}
    for some in batches(run_keys):
        sums = (
            select(
                windows.c.run_key,
                func.sum(windows.c.kld_sum).label("kld_sum"),
                func.sum(windows.c.positions).label("counted"),
                func.count(windows.c.kld_sum).label("known"),
                func.count().label("windows"),
            )
            .where(windows.c.run_key.in_(some))
            .group_by(windows.c.run_key)
            .subquery()
        )
        query = select(scores.c.run_key, *shape, references.c.artifact_id, sums).select_from(
            scores.join(sums, sums.c.run_key == scores.c.run_key).outerjoin(
                references, references.c.run_key == scores.c.reference_run_key
            )
        )
        for row in connection.execute(query):
            told = row._mapping
            # A window without a divergence leaves the sum without a meaning.
            if row.known == row.windows and row.counted:
                asked = [told[column] for column in shape] + [row.counted, told[references.c.artifact_id]]
                found[told[scores.c.run_key]] = [
                    (KLD, float(row.kld_sum) / int(row.counted), canonical_json(asked))
                ]
    return found


def _results(connection: Connection, run_keys: Sequence[int]) -> dict[int, list[_Figure]]:
    evaluations, results = table("evaluation"), table("task_result")
    found: dict[int, list[_Figure]] = {}
    for some in batches(run_keys):
        query = (
            select(results, evaluations.c.chat_template)
            .join(evaluations, evaluations.c.run_key == results.c.run_key)
            # A group's items are those of its tasks, and nothing tells whether they are the same ones.
            .where(results.c.run_key.in_(some), results.c.corpus_sha256.is_not(None))
            .order_by(results.c.run_key, results.c.position)
        )
        for row in connection.execute(query):
            asked = canonical_json(
                [row.version, row.corpus_sha256, row.n, row.num_fewshot, row.chat_template]
            )
            found.setdefault(row.run_key, []).append((f"{row.task} {row.metric}", row.value, asked))
    return found


def _versions(connection: Connection, cell_id: str, machine_id: str) -> dict[str, str | None]:
    """The framework's version by session, of the newest timed run that is ok."""
    runs, sessions = table("run"), table("session")
    query = (
        select(runs.c.session_id, runs.c.framework_version)
        .join(sessions, sessions.c.id == runs.c.session_id)
        .where(
            runs.c.cell_id == cell_id,
            runs.c.kind == "timed",
            runs.c.status == "ok",
            sessions.c.machine_id == machine_id,
        )
        .order_by(runs.c.session_id, runs.c.run_index, runs.c.attempt)
    )
    return {row.session_id: row.framework_version for row in connection.execute(query)}
