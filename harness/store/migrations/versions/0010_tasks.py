"""Evaluations of tasks: results by metric, values by item, what the model said, and which one stands for a cell.

Revision: 0010. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds five tables."""
    op.create_table(
        "evaluation",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("evaluation_key", sa.String(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("chat_template", sa.Boolean(), nullable=False),
        sa.Column("items_limit", sa.Integer(), nullable=True),
        sa.Column("max_length", sa.Integer(), nullable=False),
        sa.Column("environment_id", sa.String(), nullable=False),
        sa.Column("lm_eval_version", sa.String(), nullable=False),
        sa.Column("truncated", sa.Integer(), nullable=False),
        sa.Column("reference_run_key", sa.Integer(), nullable=True),
        sa.Column("quality_reference", sa.String(), nullable=True),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_evaluation_artifact_id_artifact")
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_evaluation_environment_id_environment")
        ),
        sa.ForeignKeyConstraint(
            ["reference_run_key"], ["run.key"], name=op.f("fk_evaluation_reference_run_key_run")
        ),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_evaluation_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_evaluation")),
    )
    op.create_index(op.f("ix_evaluation_artifact_id"), "evaluation", ["artifact_id"])
    op.create_index(op.f("ix_evaluation_evaluation_key"), "evaluation", ["evaluation_key"])
    op.create_table(
        "task_result",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("stderr", sa.Float(), nullable=True),
        sa.Column("num_fewshot", sa.Integer(), nullable=True),
        sa.Column("higher_is_better", sa.Boolean(), nullable=True),
        sa.Column("corpus_sha256", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_key"], ["evaluation.run_key"], name=op.f("fk_task_result_run_key_evaluation")
        ),
        sa.PrimaryKeyConstraint("run_key", "position", name=op.f("pk_task_result")),
        sa.UniqueConstraint("run_key", "task", "metric", name=op.f("uq_task_result_run_key_task_metric")),
    )
    op.create_table(
        "task_item",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_key"], ["evaluation.run_key"], name=op.f("fk_task_item_run_key_evaluation")
        ),
        sa.PrimaryKeyConstraint("run_key", "position", "item", name=op.f("pk_task_item")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task_answer",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("item_sha256", sa.String(), nullable=False),
        sa.Column("loglikelihoods", sa.LargeBinary(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_key"], ["evaluation.run_key"], name=op.f("fk_task_answer_run_key_evaluation")
        ),
        sa.PrimaryKeyConstraint("run_key", "task", "item", name=op.f("pk_task_answer")),
    )
    op.create_table(
        "session_evaluation",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_session_evaluation_cell_id_cell")),
        sa.ForeignKeyConstraint(
            ["run_key"], ["evaluation.run_key"], name=op.f("fk_session_evaluation_run_key_evaluation")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_session_evaluation_session_id_session")
        ),
        sa.PrimaryKeyConstraint("session_id", "cell_id", name=op.f("pk_session_evaluation")),
        sqlite_with_rowid=False,
    )
