"""Joules: only of a meter with a name; what another tool's file tells of energy is an estimate by its name.

Revision: 0016. Everything is written out: what a released revision makes never changes with the models.
"""

import json
from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _no_joules(column: str) -> str:
    """Without a per cent sign, which drivers read differently: what is left of the name names no joules."""
    rest = f"replace({column}, 'estimated_joules', '')"
    return f"replace({rest}, 'joules', '') = {rest}"


def upgrade() -> None:
    """Renames what was imported, and adds constraints."""
    connection = op.get_bind()
    # SQLite copies a whole table, so that an upgraded one reads like a new one; a server changes it in its place.
    copied: Literal["always", "never"] = "always" if connection.dialect.name == "sqlite" else "never"
    for table, column in (("metric", "name"), ("statistic", "metric")):
        connection.execute(
            sa.text(
                f"UPDATE {table} SET {column} = replace({column}, 'joules', 'estimated_joules')"
                f" WHERE NOT ({_no_joules(column)})"
            )
        )
        with op.batch_alter_table(table, recreate=copied) as batch:
            batch.create_check_constraint(op.f(f"ck_{table}_joules"), _no_joules(column))
    _rename_definitions(connection)
    with op.batch_alter_table("energy_reading", recreate=copied) as batch:
        batch.drop_constraint(op.f("ck_energy_reading_measured"), type_="check")
        batch.create_check_constraint(
            op.f("ck_energy_reading_measured"),
            "(gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL"
            " AND idle_watts_after IS NULL AND domain_joules IS NULL)"
            " OR (meter IS NOT NULL AND trim(meter) <> '' AND method IS NOT NULL"
            " AND domain IS NOT NULL AND trim(domain) <> '' AND estimate_joules IS NULL)",
        )


def _rename_definitions(connection: sa.Connection) -> None:
    rows = sa.table(
        "session_import", sa.column("session_id", sa.String()), sa.column("definitions", sa.JSON())
    )
    for session_id, definitions in connection.execute(sa.select(rows.c.session_id, rows.c.definitions)).all():
        renamed = {
            name if "estimated_joules" in name else name.replace("joules", "estimated_joules"): text
            for name, text in definitions.items()
        }
        if json.dumps(renamed) != json.dumps(definitions):
            connection.execute(
                rows.update().where(rows.c.session_id == session_id).values(definitions=renamed)
            )
