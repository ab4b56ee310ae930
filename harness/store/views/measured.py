"""What was measured: the newest figures of each series, its history, runs, raw samples."""

from __future__ import annotations

from harness.store.views import figures
from harness.store.views.parts import CELL, JOIN_RUN, SESSION, WHERE, View, ViewColumn, columns, is_, of


def runs() -> View:
    """Runs with their own figures."""
    return View(
        "v_runs",
        "Every run of every kind and attempt, with its own figures: medians over its repetitions, warm-ups left out.",
        columns(
            is_("run_id", "run.id", "its id, for `edgebench show`"),
            is_("session_id", "run.session_id", "its session"),
            WHERE,
            is_("cell_id", "run.cell_id", "its cell"),
            CELL,
            of("run", "kind run_index attempt status reason phase validity flags"),
            is_(
                "in_figures",
                figures.is_in_figures("run"),
                "whether it is behind its cell's figures: timed, ok, the last attempt, and not suspect where the cell "
                "has a run in this session that is not",
            ),
            of("run", "framework_version threads started_at duration_s"),
            SESSION,
            of("run", "environment_id artifact_id"),
            is_(
                "bits_per_weight",
                "(SELECT artifact.bits_per_weight FROM artifact WHERE artifact.id = run.artifact_id)",
                "of its artifact; NULL where it had none, or its size is not known",
            ),
            [is_(one.name, one.of_run("run"), one.what) for one in figures.FIGURES],
            is_("energy_source", figures.energy_source("run"), "meter, domains and method of its joules"),
        ),
        f"FROM run\n{JOIN_RUN}",
    )


def _measured(session_id: str, cell_id: str) -> tuple[ViewColumn, ...]:
    """What one session measured of one cell; the same columns in the history and of the newest session."""
    here = (session_id, cell_id)
    clean = figures.has_run(*here, " AND measured.validity = 'ok'")
    judged = figures.has_run(*here, " AND measured.validity IS NOT NULL")
    return columns(
        WHERE,
        is_("cell_id", cell_id, "its cell; with the machine: its series"),
        CELL,
        is_("session_id", "session.id", "the session that measured"),
        SESSION,
        is_(
            "framework_version",
            figures.versions(*here),
            "as the framework told in these runs; the first and the last where there are several",
        ),
        is_(
            "runs",
            figures.count_runs(*here, figures.is_measured),
            "timed runs that ended as ok, suspect ones included",
        ),
        is_("n", figures.count_runs(*here, figures.is_in_figures), "runs behind the figures"),
        is_(
            "validity",
            f"CASE WHEN {clean} THEN 'ok' WHEN {judged} THEN 'suspect' END",
            "`suspect` where every run is; NULL where nothing judged them, as of an import",
        ),
        [
            is_(one.name, figures.over_runs(one, *here), f"{one.what}; median over runs")
            for one in figures.FIGURES
        ],
        is_(
            "energy_source",
            figures.least(figures.energy_source("one"), *here),
            "meter, domains and method of its joules",
        ),
        of("artifact", "weight_bytes bits_per_weight"),
        is_("artifact_id", "artifact.id", "what was run; NULL where nothing was stored of it"),
        is_("artifact_verdict", "verdict.verdict", "`ok` or `broken`; NULL where it was not scored"),
        [
            is_(name, expression, figures.QUALITY_WORDS[name])
            for name, expression in figures.quality("score.run_key", "score.reference_run_key").items()
        ],
        of("score", "quality_reference corpus window_tokens kld_median kld_p99"),
    )


_NEWEST_ARTIFACT = (
    "(SELECT one.artifact_id FROM run AS one WHERE one.session_id = {session_id} AND one.cell_id = {cell_id}"
    " AND one.kind = 'timed' AND one.artifact_id IS NOT NULL ORDER BY one.run_index DESC, one.attempt DESC LIMIT 1)"
)
_JOIN_MEASURED = (
    "JOIN machine ON machine.id = session.machine_id\n"
    "JOIN cell ON cell.id = {cell_id}\n"
    "LEFT JOIN session_score AS link ON link.session_id = {session_id} AND link.cell_id = {cell_id}\n"
    "LEFT JOIN score ON score.run_key = link.run_key\n"
    "LEFT JOIN verdict ON verdict.run_key = link.run_key\n"
    f"LEFT JOIN artifact ON artifact.id = coalesce({_NEWEST_ARTIFACT}, score.artifact_id)"
)


def history() -> View:
    """Figures by session and cell."""
    here = {"session_id": "planned.session_id", "cell_id": "planned.cell_id"}
    return View(
        "v_history",
        "What each session measured of each cell: medians over the session's runs. A series (one cell on one machine) "
        "in order of `session_started_at` is its history. What a session measured nothing of is in `v_coverage`.",
        _measured(**here),
        "FROM session_cell AS planned\nJOIN session ON session.id = planned.session_id\n"
        + _JOIN_MEASURED.format(**here)
        + f"\nWHERE {figures.has_run(**here)}",
    )


def cells_latest() -> View:
    """Newest figures by series."""
    newest = (
        "(SELECT newer.id FROM session AS newer WHERE newer.machine_id = series.machine_id"
        " AND EXISTS (SELECT 1 FROM session_cell AS planned WHERE planned.session_id = newer.id"
        f" AND planned.cell_id = series.cell_id) AND {figures.has_run('newer.id', 'series.cell_id')}"
        " ORDER BY newer.started_at DESC NULLS LAST, newer.id DESC LIMIT 1)"
    )
    since = (
        "(SELECT count(*) FROM session_cell AS planned JOIN session AS newer ON newer.id = planned.session_id"
        " WHERE planned.cell_id = series.cell_id AND newer.machine_id = series.machine_id"
        " AND newer.started_at > session.started_at)"
    )
    here = {"session_id": "session.id", "cell_id": "series.cell_id"}
    return View(
        "v_cells_latest",
        "One row for each series (one cell on one machine): what the newest session that measured it measured. Two "
        "rows may be of different sessions and versions, and say so.",
        columns(
            _measured(**here),
            is_(
                "sessions_since",
                since,
                "newer sessions on this machine that planned the cell and measured nothing of it: see `v_coverage`",
            ),
        ),
        "FROM (SELECT DISTINCT session.machine_id, session_cell.cell_id FROM session_cell"
        " JOIN session ON session.id = session_cell.session_id) AS series\n"
        f"JOIN session ON session.id = {newest}\n" + _JOIN_MEASURED.format(**here),
    )


def samples() -> View:
    """Raw numbers."""
    return View(
        "v_samples",
        "Every raw number of every repetition, warm-ups included and marked.",
        columns(
            is_("run_id", "run.id", "its run"),
            is_("session_id", "run.session_id", "its session"),
            is_("cell_id", "run.cell_id", "its cell"),
            of("cell", "framework model recipe device workload"),
            of("run", "kind run_index attempt status validity"),
            is_("metric", "metric.name", "what was measured; the name ends in the unit"),
            of("sample", "repetition warmup value"),
        ),
        "FROM sample\nJOIN metric ON metric.key = sample.metric_key\nJOIN run ON run.key = sample.run_key\n"
        "JOIN cell ON cell.id = run.cell_id",
    )
