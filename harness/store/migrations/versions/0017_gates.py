"""Gates: what was judged of two sessions, and the verdict on each cell and metric.

Revision: 0017. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two tables."""
    op.create_table(
        "gate",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("base_session_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("edgebench_version", sa.String(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.CheckConstraint("kind IN ('change', 'baseline')", name=op.f("ck_gate_kind")),
        sa.CheckConstraint("status IN ('pass', 'fail', 'inconclusive')", name=op.f("ck_gate_status")),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_gate_session_id_session")),
        sa.ForeignKeyConstraint(
            ["base_session_id"], ["session.id"], name=op.f("fk_gate_base_session_id_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
    )
    op.create_index(op.f("ix_gate_session_id"), "gate", ["session_id"])
    op.create_index(op.f("ix_gate_base_session_id"), "gate", ["base_session_id"])
    op.create_table(
        "gate_verdict",
        sa.Column("gate_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("base_cell_id", sa.String(), nullable=True),
        sa.Column("head_cell_id", sa.String(), nullable=True),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("ratio", sa.Float(), nullable=True),
        sa.Column("ratio_low", sa.Float(), nullable=True),
        sa.Column("ratio_high", sa.Float(), nullable=True),
        sa.Column("pairs", sa.Integer(), nullable=True),
        sa.Column("fresh_pairs", sa.Integer(), nullable=True),
        sa.Column("detectable", sa.Float(), nullable=True),
        sa.Column("p_value", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('pass', 'regression', 'improvement', 'inconclusive', 'broken', 'missing', 'unmeasured')",
            name=op.f("ck_gate_verdict_verdict"),
        ),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.id"], name=op.f("fk_gate_verdict_gate_id_gate")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_gate_verdict_session_id_session")
        ),
        sa.ForeignKeyConstraint(
            ["base_cell_id"], ["cell.id"], name=op.f("fk_gate_verdict_base_cell_id_cell")
        ),
        sa.ForeignKeyConstraint(
            ["head_cell_id"], ["cell.id"], name=op.f("fk_gate_verdict_head_cell_id_cell")
        ),
        sa.PrimaryKeyConstraint("gate_id", "position", name=op.f("pk_gate_verdict")),
    )
    op.create_index(op.f("ix_gate_verdict_session_id"), "gate_verdict", ["session_id"])
    op.create_index(op.f("ix_gate_verdict_head_cell_id_metric"), "gate_verdict", ["head_cell_id", "metric"])
