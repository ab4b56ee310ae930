"""Memory: a model's shape (KV cache and touched weights follow from it), shares, the device's, and all of it over time.

Revision: 0004. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns and a table."""
    # Only SQLite needs a copy; where others change a table in place, what refers to it would stand in the way.
    sqlite = op.get_bind().dialect.name == "sqlite"
    # Copied as a whole, so that an upgraded table reads like a new one.
    with op.batch_alter_table("model", recreate="always" if sqlite else "never") as batch:
        batch.add_column(sa.Column("configuration", sa.JSON(), nullable=True))
    with op.batch_alter_table(
        "memory_reading", recreate="always" if sqlite else "never", table_kwargs={"sqlite_with_rowid": False}
    ) as batch:
        batch.add_column(sa.Column("shared_bytes", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("pss_bytes", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("uss_bytes", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("shares_reason", sa.Text(), nullable=True))
        batch.add_column(sa.Column("device_shared", sa.Boolean(), nullable=True))
        batch.add_column(sa.Column("device_note", sa.Text(), nullable=True))
    op.create_table(
        "memory_timeline",
        sa.Column("run_key", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("interval_s", sa.Float(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("watcher_cpu_s", sa.Float(), nullable=False),
        sa.Column("marks", sa.JSON(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_memory_timeline_run_key_run")),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_memory_timeline")),
    )
