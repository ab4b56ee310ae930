"""What a machine can do: measured bandwidth and throughput, for utilisation and rooflines.

Revision: 0007. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "machine_bench",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("machine_id", sa.String(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edgebench_version", sa.String(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("array_bytes", sa.BigInteger(), nullable=False),
        sa.Column("last_level_cache_bytes", sa.BigInteger(), nullable=True),
        sa.Column("read_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("read_median_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("copy_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("copy_median_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("fp32_flops", sa.Float(), nullable=False),
        sa.Column("fp32_median_flops", sa.Float(), nullable=False),
        sa.Column("int8_ops", sa.Float(), nullable=True),
        sa.Column("int8_median_ops", sa.Float(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("method", sa.JSON(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("validity", sa.String(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.CheckConstraint("validity IN ('ok', 'suspect')", name=op.f("ck_machine_bench_validity")),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machine.id"], name=op.f("fk_machine_bench_machine_id_machine")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_bench")),
    )
    op.create_index(
        op.f("ix_machine_bench_machine_id_measured_at"), "machine_bench", ["machine_id", "measured_at"]
    )
