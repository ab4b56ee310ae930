"""How planned cells ended, and what came to nothing."""

from __future__ import annotations

from harness.store.views import figures
from harness.store.views.parts import CELL, SESSION, WHERE, View, columns, is_, of

#: As in `harness.store.records`, which stands above the views.
_SETUP_PHASE = "set-up"

_SEVERITY = (
    "CASE ended.status WHEN 'ok' THEN 0 WHEN 'skipped' THEN 1"
    " WHEN 'timeout' THEN 2 WHEN 'oom' THEN 3 ELSE 4 END"
)
#: The run that decides how a cell ended: of the worst, the first; timed ones before the scoring and the tasks.
_WORST = (
    "(SELECT ended.key FROM run AS ended WHERE ended.session_id = planned.session_id"
    " AND ended.cell_id = planned.cell_id"
    f" AND ((ended.kind = 'timed' AND {figures.is_last_attempt('ended')})"
    " OR (ended.kind IN ('score', 'tasks') AND ended.status NOT IN ('ok', 'skipped')"
    " AND NOT EXISTS (SELECT 1 FROM run AS newer WHERE newer.session_id = ended.session_id"
    " AND newer.cell_id = ended.cell_id AND newer.kind = ended.kind"
    " AND (newer.run_index > ended.run_index"
    " OR (newer.run_index = ended.run_index AND newer.attempt > ended.attempt)))))"
    f" ORDER BY {_SEVERITY} DESC, CASE ended.kind WHEN 'timed' THEN 0 WHEN 'score' THEN 1 ELSE 2 END,"
    " ended.run_index LIMIT 1)"
)
_STATUS = "CASE WHEN planned.reason IS NOT NULL OR worst.key IS NULL THEN 'skipped' ELSE worst.status END"
_TOLD = "coalesce(worst.reason, 'no reason was stored')"
_REASON = (
    "CASE WHEN planned.reason IS NOT NULL THEN planned.reason"
    " WHEN worst.key IS NULL THEN 'not run: the session ended before it'"
    " WHEN worst.status = 'ok' THEN NULL"
    f" WHEN worst.kind = 'score' THEN 'scoring: ' || {_TOLD}"
    f" WHEN worst.kind = 'tasks' THEN 'tasks: ' || {_TOLD}"
    f" WHEN worst.phase = '{_SETUP_PHASE}' THEN 'set-up failed: ' || {_TOLD}"
    f" ELSE {_TOLD} END"
)


def coverage() -> View:
    """Planned cells; status and reason as in `harness.table.rows.status_of`."""
    here = ("planned.session_id", "planned.cell_id")
    planned_runs = (
        "(SELECT count(*) FROM planned_run WHERE planned_run.session_id = planned.session_id"
        " AND planned_run.cell_id = planned.cell_id AND planned_run.kind = 'timed')"
    )
    return View(
        "v_coverage",
        "Every planned cell of every session and how it ended, holes and failures included.",
        columns(
            is_("session_id", "planned.session_id", "its session"),
            WHERE,
            SESSION,
            is_("cell_id", "planned.cell_id", "its cell"),
            CELL,
            of("session_cell", "position", "planned"),
            is_(
                "status",
                _STATUS,
                "`ok` if all its runs are; else the worst of `skipped`, `timeout`, `oom`, `failed`",
            ),
            is_("reason", _REASON, "why the status is not `ok`"),
            is_("phase", "worst.phase", "where the run that decides ended; NULL where none does"),
            is_("run_id", "worst.id", "the run that decides; NULL where the cell was not run"),
            is_("runs_planned", planned_runs, "timed runs in the plan, those that a rule added included"),
            is_(
                "runs",
                figures.count_runs(*here, figures.is_measured),
                "timed runs that ended as ok, suspect ones included",
            ),
            is_("n", figures.count_runs(*here, figures.is_in_figures), "runs behind the figures"),
        ),
        "FROM session_cell AS planned\nJOIN session ON session.id = planned.session_id\n"
        "JOIN machine ON machine.id = session.machine_id\nJOIN cell ON cell.id = planned.cell_id\n"
        f"LEFT JOIN run AS worst ON worst.key = {_WORST}",
    )


def failures() -> View:
    """Cells, runs and preparations that came to nothing."""
    no_text, no_number = "CAST(NULL AS VARCHAR)", "CAST(NULL AS INTEGER)"
    head = columns(
        is_(
            "what",
            "'plan'",
            "`plan`: a cell that cannot run there; `run`; `preparation`: an artifact not made",
        ),
        is_("session_id", "planned.session_id", "its session; NULL where an artifact was made ahead of any"),
        is_("machine_id", "session.machine_id", "where"),
        is_("happened_at", "session.started_at", "when it began, UTC"),
        is_("cell_id", "planned.cell_id", "its cell; NULL of a preparation"),
        of("cell", "framework model recipe device workload"),
        is_("kind", no_text, "of a run: `timed`, `score`, `reference` or `tasks`"),
        is_("run_index", no_number, "of a run: which of this cell and kind, from 0"),
        is_("attempt", no_number, "of a run: from 1"),
        is_("status", "'skipped'", "`skipped`, `failed`, `timeout` or `oom`"),
        is_("phase", no_text, "of a run: where it ended"),
        is_("reason", "planned.reason", "why, in a sentence"),
        is_("error", no_text, "the worker's or maker's own error text"),
        is_("id", no_text, "of the run or preparation, for `edgebench show`"),
    )
    runs = (
        "SELECT 'run', run.session_id, session.machine_id, run.started_at, run.cell_id, cell.framework, cell.model,"
        " cell.recipe, cell.device, cell.workload, run.kind, run.run_index, run.attempt, run.status, run.phase,"
        " run.reason, run.error, run.id\nFROM run\nJOIN session ON session.id = run.session_id\n"
        "JOIN cell ON cell.id = run.cell_id\nWHERE run.status <> 'ok'"
    )
    made = (
        "SELECT 'preparation', preparation.session_id, preparation.machine_id, preparation.started_at,"
        f" {no_text}, preparation.framework, preparation.model, preparation.recipe, {no_text}, {no_text}, {no_text},"
        f" {no_number}, {no_number}, preparation.status, {no_text}, preparation.reason, preparation.error,"
        " preparation.id\nFROM preparation\nWHERE preparation.status <> 'ok'"
    )
    return View(
        "v_failures",
        "What did not run and why: cells that a plan left out, runs of any kind and attempt, artifacts not made.",
        head,
        "FROM session_cell AS planned\nJOIN session ON session.id = planned.session_id\n"
        "JOIN cell ON cell.id = planned.cell_id\nWHERE planned.reason IS NOT NULL\n"
        f"UNION ALL\n{runs}\nUNION ALL\n{made}",
    )
