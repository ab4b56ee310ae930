"""Holes of evaluations: what was asked for and has no figures, with its reason.

Revision: 0014. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "task_hole",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('failed', 'skipped')", name=op.f("ck_task_hole_status")),
        sa.ForeignKeyConstraint(
            ["run_key"], ["evaluation.run_key"], name=op.f("fk_task_hole_run_key_evaluation")
        ),
        sa.PrimaryKeyConstraint("run_key", "task", name=op.f("pk_task_hole")),
    )
