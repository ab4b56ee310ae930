"""Energy that cannot be stored without its meter and method, and what more is known of a reading.

Revision: 0009. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns and constraints; what an older file holds against them is kept in words, not as a figure."""
    _put_aside()
    # The reflected table does not tell that its rows are clustered by their key.
    with op.batch_alter_table("energy_reading", table_kwargs={"sqlite_with_rowid": False}) as batch:
        batch.add_column(sa.Column("deepest_tokens", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("resolution_s", sa.Float(), nullable=True))
        batch.add_column(sa.Column("domain_joules", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("estimate_label", sa.String(), nullable=True))
    op.execute(
        "UPDATE energy_reading SET estimate_label = 'a model that was not named' WHERE estimate_joules IS NOT NULL"
    )
    with op.batch_alter_table("energy_reading", table_kwargs={"sqlite_with_rowid": False}) as batch:
        batch.create_check_constraint(op.f("ck_energy_reading_method"), "method IN ('counter', 'power')")
        batch.create_check_constraint(
            op.f("ck_energy_reading_measured"),
            "(gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL"
            " AND idle_watts_after IS NULL AND domain_joules IS NULL)"
            " OR (meter IS NOT NULL AND meter <> '' AND method IS NOT NULL"
            " AND domain IS NOT NULL AND domain <> '' AND estimate_joules IS NULL)",
        )
        batch.create_check_constraint(
            op.f("ck_energy_reading_gross"),
            "gross_joules IS NOT NULL OR (net_joules IS NULL AND reason IS NOT NULL)",
        )
        batch.create_check_constraint(
            op.f("ck_energy_reading_window"),
            "gross_joules IS NULL OR (gross_joules > 0 AND tokens IS NOT NULL AND tokens > 0"
            " AND window_s IS NOT NULL AND window_s > 0)",
        )
        batch.create_check_constraint(
            op.f("ck_energy_reading_estimate"),
            "(estimate_joules IS NULL AND estimate_label IS NULL)"
            " OR (estimate_joules IS NOT NULL AND estimate_label IS NOT NULL AND estimate_label <> '')",
        )


def _put_aside() -> None:
    """Figures that nobody can say the source of become part of the reason: nothing is lost, nothing is compared."""
    # `power-integral` is what the first schema's description called it.
    op.execute("UPDATE energy_reading SET method = 'power' WHERE method = 'power-integral'")
    unsound = (
        "meter IS NULL OR meter = '' OR method IS NULL OR method NOT IN ('counter', 'power')"
        " OR domain IS NULL OR domain = ''"
    )
    figures = ["gross_joules", "net_joules", "idle_watts", "idle_watts_before", "idle_watts_after"]
    op.execute(
        "UPDATE energy_reading SET reason = coalesce(reason || '; ', '')"
        " || 'beside it stood an estimate of a model that was not named: '"
        " || CAST(estimate_joules AS VARCHAR) || ' J', estimate_joules = NULL"
        f" WHERE estimate_joules IS NOT NULL AND ({' OR '.join(f'{name} IS NOT NULL' for name in figures)})"
    )
    # A gross figure needs its window, and anything measured its source; net needs gross.
    op.execute(
        "UPDATE energy_reading SET reason = coalesce(reason || '; ', '')"
        " || 'stored by an older version without its source: '"
        " || trim(coalesce('gross ' || CAST(gross_joules AS VARCHAR) || ' J ', '')"
        " || coalesce('net ' || CAST(net_joules AS VARCHAR) || ' J', '')),"
        f" {', '.join(f'{name} = NULL' for name in figures)}"
        f" WHERE (({unsound}) AND ({' OR '.join(f'{name} IS NOT NULL' for name in figures)}))"
        " OR (gross_joules IS NOT NULL AND (gross_joules <= 0 OR tokens IS NULL OR tokens <= 0"
        " OR window_s IS NULL OR window_s <= 0)) OR (gross_joules IS NULL AND net_joules IS NOT NULL)"
    )
    op.execute("UPDATE energy_reading SET method = NULL WHERE method NOT IN ('counter', 'power')")
    op.execute(
        "UPDATE energy_reading SET reason = 'an older version stored no reason'"
        " WHERE gross_joules IS NULL AND reason IS NULL"
    )
