"""Alerts: change points of series that were worth a person's look, and what became of them.

Revision: 0015. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "alert",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("session_before_id", sa.String(), nullable=False),
        sa.Column("session_after_id", sa.String(), nullable=False),
        sa.Column("time_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_session_id", sa.String(), nullable=False),
        sa.Column("last_session_id", sa.String(), nullable=False),
        sa.Column("value_before", sa.Float(), nullable=False),
        sa.Column("value_after", sa.Float(), nullable=False),
        sa.Column("ratio", sa.Float(), nullable=True),
        sa.Column("ratio_low", sa.Float(), nullable=True),
        sa.Column("ratio_high", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("state_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("direction IN ('up', 'down')", name=op.f("ck_alert_direction")),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_alert_state")),
        sa.CheckConstraint("state = 'open' OR note IS NOT NULL", name=op.f("ck_alert_note")),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_alert_session_id_session")),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_alert_cell_id_cell")),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_alert_machine_id_machine")),
        sa.ForeignKeyConstraint(
            ["session_before_id"], ["session.id"], name=op.f("fk_alert_session_before_id_session")
        ),
        sa.ForeignKeyConstraint(
            ["session_after_id"], ["session.id"], name=op.f("fk_alert_session_after_id_session")
        ),
        sa.ForeignKeyConstraint(
            ["first_session_id"], ["session.id"], name=op.f("fk_alert_first_session_id_session")
        ),
        sa.ForeignKeyConstraint(
            ["last_session_id"], ["session.id"], name=op.f("fk_alert_last_session_id_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_cell_id_machine_id_metric"), "alert", ["cell_id", "machine_id", "metric"])
    op.create_index(op.f("ix_alert_session_id"), "alert", ["session_id"])
