"""The first schema.

Revision: 0001. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes all tables in an empty database."""
    op.create_table(
        "artifact",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("weight_bytes", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("bits_per_weight", sa.Float(), nullable=True),
        sa.Column("files", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )
    op.create_table(
        "cell",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("framework", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("precision", sa.String(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("workload", sa.String(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("decode_tokens", sa.Integer(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("options", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cell")),
    )
    op.create_index(op.f("ix_cell_framework_model"), "cell", ["framework", "model"])
    op.create_table(
        "environment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("framework", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("python", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment")),
    )
    op.create_table(
        "machine",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cpu_model", sa.String(), nullable=False),
        sa.Column("arch", sa.String(), nullable=False),
        sa.Column("sockets", sa.Integer(), nullable=True),
        sa.Column("physical_cores", sa.Integer(), nullable=True),
        sa.Column("logical_cores", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("accelerators", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine")),
    )
    op.create_table(
        "metric",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_metric")),
        sa.UniqueConstraint("name", name=op.f("uq_metric_name")),
    )
    op.create_table(
        "model",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=True),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model")),
    )
    op.create_index(op.f("ix_model_name"), "model", ["name"])
    op.create_table(
        "schema_revision",
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("edgebench_version", sa.String(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_schema_revision")),
    )
    op.create_table(
        "environment_package",
        sa.Column("environment_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.id"],
            name=op.f("fk_environment_package_environment_id_environment"),
        ),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_environment_package")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lineage",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("framework", sa.String(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("precision", sa.String(), nullable=False),
        sa.Column("source_artifact_id", sa.String(), nullable=True),
        sa.Column("environment_id", sa.String(), nullable=True),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("tool_version", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("notes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("made_s", sa.Float(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_lineage_artifact_id_artifact")
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_lineage_environment_id_environment")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_lineage_model_id_model")),
        sa.ForeignKeyConstraint(
            ["source_artifact_id"], ["artifact.id"], name=op.f("fk_lineage_source_artifact_id_artifact")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage")),
    )
    op.create_index(op.f("ix_lineage_artifact_id"), "lineage", ["artifact_id"])
    op.create_table(
        "session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("suite", sa.String(), nullable=False),
        sa.Column("suite_sha256", sa.String(), nullable=False),
        sa.Column("suite_text", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("commit_sha", sa.String(), nullable=True),
        sa.Column("command_line", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("edgebench_version", sa.String(), nullable=False),
        sa.Column("system", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("resumed", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "status IN ('running', 'ok', 'failed', 'interrupted')", name=op.f("ck_session_status")
        ),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_session_machine_id_machine")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_started_at"), "session", ["started_at"])
    op.create_table(
        "planned_run",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_planned_run_cell_id_cell")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_planned_run_session_id_session")
        ),
        sa.PrimaryKeyConstraint("session_id", "position", name=op.f("pk_planned_run")),
        sa.UniqueConstraint(
            "session_id",
            "cell_id",
            "kind",
            "run_index",
            name=op.f("uq_planned_run_session_id_cell_id_kind_run_index"),
        ),
    )
    op.create_table(
        "run",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("run_index", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("phase", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("log_tail", sa.Text(), nullable=True),
        sa.Column("artifact_id", sa.String(), nullable=True),
        sa.Column("environment_id", sa.String(), nullable=True),
        sa.Column("framework_version", sa.String(), nullable=True),
        sa.Column("versions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("device", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("hints", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("phases_s", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("harness_s", sa.Float(), nullable=True),
        sa.Column("vocab_size", sa.Integer(), nullable=True),
        sa.Column("kv_cache_bytes", sa.BigInteger(), nullable=True),
        sa.Column("validity", sa.String(), nullable=False),
        sa.Column("flags", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("machine_state", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('ok', 'skipped', 'failed', 'timeout', 'oom')", name=op.f("ck_run_status")
        ),
        sa.CheckConstraint("validity IN ('ok', 'suspect')", name=op.f("ck_run_validity")),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifact.id"], name=op.f("fk_run_artifact_id_artifact")),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_run_cell_id_cell")),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_run_environment_id_environment")
        ),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_run_session_id_session")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_run")),
        sa.UniqueConstraint("id", name=op.f("uq_run_id")),
        sa.UniqueConstraint(
            "session_id",
            "cell_id",
            "kind",
            "run_index",
            "attempt",
            name=op.f("uq_run_session_id_cell_id_kind_run_index_attempt"),
        ),
    )
    op.create_index(op.f("ix_run_artifact_id"), "run", ["artifact_id"])
    op.create_index(op.f("ix_run_cell_id_started_at"), "run", ["cell_id", "started_at"])
    op.create_table(
        "session_cell",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("expected_s", sa.Float(), nullable=True),
        sa.Column("settings", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_session_cell_cell_id_cell")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_session_cell_session_id_session")
        ),
        sa.PrimaryKeyConstraint("session_id", "cell_id", name=op.f("pk_session_cell")),
    )
    op.create_index(op.f("ix_session_cell_cell_id"), "session_cell", ["cell_id"])
    op.create_table(
        "energy_reading",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("gross_joules", sa.Float(), nullable=True),
        sa.Column("net_joules", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=True),
        sa.Column("window_s", sa.Float(), nullable=True),
        sa.Column("idle_watts", sa.Float(), nullable=True),
        sa.Column("idle_watts_before", sa.Float(), nullable=True),
        sa.Column("idle_watts_after", sa.Float(), nullable=True),
        sa.Column("idle_drift", sa.Boolean(), nullable=True),
        sa.Column("meter", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=True),
        sa.Column("resolution_joules", sa.Float(), nullable=True),
        sa.Column("estimate_joules", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_energy_reading_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "position", name=op.f("pk_energy_reading")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memory_reading",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("peak_rss_bytes", sa.BigInteger(), nullable=True),
        sa.Column("rss_bytes", sa.BigInteger(), nullable=True),
        sa.Column("anon_bytes", sa.BigInteger(), nullable=True),
        sa.Column("file_bytes", sa.BigInteger(), nullable=True),
        sa.Column("device_bytes", sa.BigInteger(), nullable=True),
        sa.Column("allocator_peak_bytes", sa.BigInteger(), nullable=True),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_memory_reading_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "position", name=op.f("pk_memory_reading")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sample",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("metric_key", sa.SmallInteger(), nullable=False),
        sa.Column("repetition", sa.SmallInteger(), nullable=False),
        sa.Column("warmup", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["metric_key"], ["metric.key"], name=op.f("fk_sample_metric_key_metric")),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_sample_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "metric_key", "repetition", name=op.f("pk_sample")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "score",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("scoring_key", sa.String(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("corpus_sha256", sa.String(), nullable=False),
        sa.Column("window_tokens", sa.Integer(), nullable=False),
        sa.Column("stride_tokens", sa.Integer(), nullable=False),
        sa.Column("score_from", sa.Integer(), nullable=False),
        sa.Column("bos", sa.Integer(), nullable=True),
        sa.Column("positions", sa.Integer(), nullable=False),
        sa.Column("reference_run_key", sa.Integer(), nullable=True),
        sa.Column("quality_reference", sa.String(), nullable=True),
        sa.Column("kld_median", sa.Float(), nullable=True),
        sa.Column("kld_p99", sa.Float(), nullable=True),
        sa.Column("kld_p999", sa.Float(), nullable=True),
        sa.Column("kld_max", sa.Float(), nullable=True),
        sa.Column("finite", sa.Boolean(), nullable=False),
        sa.Column("vocab_size", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifact.id"], name=op.f("fk_score_artifact_id_artifact")),
        sa.ForeignKeyConstraint(
            ["reference_run_key"], ["run.key"], name=op.f("fk_score_reference_run_key_run")
        ),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_score_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_score")),
    )
    op.create_index(op.f("ix_score_artifact_id"), "score", ["artifact_id"])
    op.create_index(op.f("ix_score_scoring_key"), "score", ["scoring_key"])
    op.create_table(
        "trace",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("repetition", sa.SmallInteger(), nullable=False),
        sa.Column("warmup", sa.Boolean(), nullable=False),
        sa.Column("dtype", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("dtype IN ('int64', 'float64')", name=op.f("ck_trace_dtype")),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_trace_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "name", "repetition", name=op.f("pk_trace")),
    )
    op.create_table(
        "score_window",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("window_index", sa.Integer(), nullable=False),
        sa.Column("positions", sa.Integer(), nullable=False),
        sa.Column("nll_sum", sa.Float(), nullable=False),
        sa.Column("kld_sum", sa.Float(), nullable=True),
        sa.Column("same_top", sa.Integer(), nullable=True),
        sa.Column("delta_p_sq_sum", sa.Float(), nullable=True),
        sa.Column("bytes", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["run_key"], ["score.run_key"], name=op.f("fk_score_window_run_key_score")),
        sa.PrimaryKeyConstraint("run_key", "window_index", name=op.f("pk_score_window")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session_score",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_session_score_cell_id_cell")),
        sa.ForeignKeyConstraint(["run_key"], ["score.run_key"], name=op.f("fk_session_score_run_key_score")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_session_score_session_id_session")
        ),
        sa.PrimaryKeyConstraint("session_id", "cell_id", name=op.f("pk_session_score")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdict",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("verdict IN ('ok', 'broken')", name=op.f("ck_verdict_verdict")),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_verdict_artifact_id_artifact")
        ),
        sa.ForeignKeyConstraint(["run_key"], ["score.run_key"], name=op.f("fk_verdict_run_key_score")),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_verdict")),
    )
    op.create_index(op.f("ix_verdict_artifact_id"), "verdict", ["artifact_id"])
