"""Results of other tools: where they come from, and NULL for what a file does not tell.

Revision: 0012. Everything is written out: what a released revision makes never changes with the models.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two tables and two columns, and lets be NULL what only an imported file leaves open."""
    # Only SQLite needs a copy; where others change a table in place, what refers to it would stand in the way.
    copied: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    _relax("machine", ("cpu_model", "arch", "logical_cores", "memory_bytes"))
    with op.batch_alter_table("cell", recreate=copied) as batch:
        batch.add_column(sa.Column("source", sa.String(), nullable=True))
    _relax("session", ("suite_text", "seed", "started_at"))
    # Copied as a whole, so that an upgraded table reads like a new one.
    with op.batch_alter_table("session", recreate=copied) as batch:
        batch.add_column(
            sa.Column("origin", sa.String(), nullable=False, server_default=sa.text("'measured'"))
        )
    with op.batch_alter_table("session") as batch:
        batch.create_check_constraint(op.f("ck_session_origin"), "origin IN ('measured', 'imported')")
    _relax("run", ("started_at", "validity"))
    _relax("evaluation", ("artifact_id", "max_length", "environment_id", "lm_eval_version", "truncated"))
    op.create_table(
        "session_import",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("tool_version", sa.String(), nullable=True),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("file_sha256", sa.String(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("other_files", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("definitions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("document", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_session_import_session_id_session")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_import")),
    )
    op.create_index(op.f("ix_session_import_file_sha256"), "session_import", ["file_sha256"])
    op.create_table(
        "statistic",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("statistic", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("stddev", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "statistic IN ('mean', 'median', 'minimum', 'maximum', 'value')",
            name=op.f("ck_statistic_statistic"),
        ),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_statistic_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", "position", name=op.f("pk_statistic")),
    )


def _relax(name: str, columns: tuple[str, ...]) -> None:
    """Lets columns be NULL. SQLite copies the table."""
    with op.batch_alter_table(name) as batch:
        for column in columns:
            batch.alter_column(column, nullable=True)
