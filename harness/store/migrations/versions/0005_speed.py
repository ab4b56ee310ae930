"""What ended the repeating of a cell's runs.

Revision: 0005. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "cell_stop",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("ended_by", sa.String(), nullable=False),
        sa.Column("width", sa.Float(), nullable=False),
        sa.Column("min_runs", sa.Integer(), nullable=False),
        sa.Column("max_runs", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("clean_runs", sa.Integer(), nullable=False),
        sa.Column("widths", sa.JSON(), nullable=False),
        sa.CheckConstraint("ended_by IN ('width', 'cap', 'failed')", name=op.f("ck_cell_stop_ended_by")),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_cell_stop_cell_id_cell")),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_cell_stop_session_id_session")),
        sa.PrimaryKeyConstraint("session_id", "cell_id", name=op.f("pk_cell_stop")),
    )
