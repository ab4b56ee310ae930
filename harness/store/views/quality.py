"""Quality and what it is of: scores, tasks, artifacts and how they were made."""

from __future__ import annotations

from harness.store.views import figures
from harness.store.views.parts import CELL, JOIN_RUN, WHERE, View, columns, is_, of


def scores() -> View:
    """Scores with their figures."""
    return View(
        "v_scores",
        "Every score: the quality of one artifact on one text, against the quality reference. It may stand for several "
        "cells and sessions; these are in `v_history`.",
        columns(
            is_("run_id", "run.id", "the run that scored"),
            is_("session_id", "run.session_id", "its session"),
            WHERE,
            is_("cell_id", "run.cell_id", "the cell that it was made for"),
            CELL,
            of("run", "kind status validity started_at framework_version"),
            of("score", "artifact_id corpus corpus_sha256 window_tokens stride_tokens score_from positions"),
            [
                is_(name, expression, figures.QUALITY_WORDS[name])
                for name, expression in figures.quality("score.run_key", "score.reference_run_key").items()
            ],
            of("score", "kld_median kld_p99 kld_p999 kld_max finite method quality_reference"),
            is_("artifact_verdict", "verdict.verdict", "`ok` or `broken`; NULL where none was given"),
            is_("verdict_reason", "verdict.reason", "what was out of which limit; NULL where ok"),
        ),
        f"FROM score\nJOIN run ON run.key = score.run_key\n{JOIN_RUN}\n"
        "LEFT JOIN verdict ON verdict.run_key = score.run_key",
    )


def tasks() -> View:
    """Metrics of tasks; flips as in `harness.table.flips`."""
    items = (
        "FROM task_item AS own LEFT JOIN task_item AS other ON other.run_key = reference.run_key"
        " AND other.position = reference.position AND other.item = own.item"
        " WHERE own.run_key = task_result.run_key AND own.position = task_result.position"
    )
    asked = (
        "(SELECT count(*) FROM task_item AS asked WHERE asked.run_key = reference.run_key"
        " AND asked.position = reference.position)"
    )
    all_right_or_wrong = (
        "sum(CASE WHEN own.value IN (0, 1) AND other.value IN (0, 1) THEN 1 ELSE 0 END) = count(*)"
    )
    flips = (
        f"(SELECT CASE WHEN count(*) = {asked} AND {all_right_or_wrong}"
        " THEN CAST(sum(CASE WHEN own.value <> other.value THEN 1 ELSE 0 END) AS DOUBLE PRECISION)"
        f" / NULLIF(count(*), 0) END {items})"
    )
    return View(
        "v_tasks",
        "Every metric of every evaluated task, beside the quality reference's on the very same questions.",
        columns(
            is_("run_id", "run.id", "the run that evaluated"),
            is_("session_id", "run.session_id", "its session"),
            WHERE,
            is_("cell_id", "run.cell_id", "the cell that it was made for"),
            CELL,
            of("run", "status started_at framework_version"),
            of("evaluation", "artifact_id chat_template items_limit"),
            of("task_result", "task metric version n value stderr num_fewshot higher_is_better"),
            is_(
                "reference_value",
                "reference.value",
                "the quality reference's; NULL where it was asked otherwise",
            ),
            is_(
                "flips",
                flips,
                "share of items whose correctness differs from the reference's; NULL where they are not right or wrong",
            ),
            of("evaluation", "quality_reference lm_eval_version"),
        ),
        "FROM task_result\nJOIN evaluation ON evaluation.run_key = task_result.run_key\n"
        f"JOIN run ON run.key = task_result.run_key\n{JOIN_RUN}\n"
        "LEFT JOIN task_result AS reference ON reference.run_key = evaluation.reference_run_key"
        " AND reference.task = task_result.task AND reference.metric = task_result.metric"
        " AND (reference.corpus_sha256 = task_result.corpus_sha256"
        " OR (reference.corpus_sha256 IS NULL AND task_result.corpus_sha256 IS NULL))",
    )


def artifacts() -> View:
    """Artifacts by the ways in which they were made."""
    newest = (
        "(SELECT judged.run_key FROM verdict AS judged JOIN run ON run.key = judged.run_key"
        " WHERE judged.artifact_id = artifact.id ORDER BY run.started_at DESC, run.id LIMIT 1)"
    )
    return View(
        "v_artifacts",
        "Every artifact by each way in which it was made, with the newest verdict on it.",
        columns(
            is_("artifact_id", "artifact.id", "SHA-256 of its content"),
            is_("model", "model.name", "the model it is of, by its id in the model list"),
            of("lineage", "framework recipe precision"),
            of("artifact", "weight_bytes parameters bits_per_weight"),
            of(
                "lineage",
                "tool tool_version made_at made_s made_peak_bytes source_artifact_id environment_id",
            ),
            is_(
                "artifact_verdict", "verdict.verdict", "the newest: `ok` or `broken`; NULL where never scored"
            ),
            is_("verdict_reason", "verdict.reason", "what was out of which limit; NULL where ok"),
            of("model", "licence architecture"),
        ),
        "FROM artifact\nJOIN lineage ON lineage.artifact_id = artifact.id\nJOIN model ON model.id = lineage.model_id\n"
        f"LEFT JOIN verdict ON verdict.run_key = {newest}",
    )


def lineage() -> View:
    """Steps of making. A database from elsewhere could hold a circle, so they are counted."""
    before = (
        "WITH RECURSIVE chain(artifact_id, step, lineage_id) AS (\n"
        "    SELECT artifact_id, 0, id FROM lineage\n"
        "    UNION\n"
        "    SELECT chain.artifact_id, chain.step + 1, earlier.id FROM chain\n"
        "    JOIN lineage AS made ON made.id = chain.lineage_id\n"
        "    JOIN lineage AS earlier ON earlier.artifact_id = made.source_artifact_id\n"
        "    WHERE chain.step < 16\n"
        ")\n"
    )
    return View(
        "v_lineage",
        "How each artifact came to be, step by step back to the model's own file.",
        columns(
            is_("artifact_id", "chain.artifact_id", "whose lineage it is"),
            is_(
                "step",
                "chain.step",
                "0: how it was made itself; 1: how its source was; and so on, 16 at most",
            ),
            is_("made_id", "lineage.artifact_id", "what this step made"),
            is_("model", "model.name", "the model, by its id in the model list"),
            of("lineage", "framework recipe precision tool tool_version"),
            of("lineage", "parameters made_at made_s source_artifact_id environment_id"),
            is_("model_source", "model.source", "package, path, or repository and revision"),
        ),
        "FROM chain\nJOIN lineage ON lineage.id = chain.lineage_id\nJOIN model ON model.id = lineage.model_id",
        before,
    )
