"""Indexes that hold the history of a series and the sessions of a machine: ten years are read without their rows.

Revision: 0013. Everything is written out: what a released revision makes never changes with the models.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds four indexes."""
    op.create_index(op.f("ix_run_environment_id_started_at"), "run", ["environment_id", "started_at"])
    op.create_index(op.f("ix_lineage_environment_id"), "lineage", ["environment_id"])
    op.create_index("ix_session_of_machine", "session", ["machine_id", "started_at", "id"])
    op.create_index(
        "ix_run_of_cell",
        "run",
        [
            "cell_id",
            "kind",
            "session_id",
            "run_index",
            "attempt",
            "status",
            "validity",
            "framework_version",
        ],
    )
