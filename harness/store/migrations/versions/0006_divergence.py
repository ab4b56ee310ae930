"""Scores in more detail: how the divergence was computed, percentiles of delta-p, and the figures of every position.

Revision: 0006. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds three columns and a table."""
    # Only SQLite needs a copy; where others change a table in place, what refers to it would stand in the way.
    sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("score", recreate="always" if sqlite else "never") as batch:
        batch.add_column(sa.Column("method", sa.String(), nullable=True))
        batch.add_column(sa.Column("delta_p", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("errors", sa.JSON(), nullable=True))
    op.create_table(
        "score_positions",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("window_index", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_key"], ["score.run_key"], name=op.f("fk_score_positions_run_key_score")
        ),
        sa.PrimaryKeyConstraint("run_key", "window_index", name=op.f("pk_score_positions")),
    )
