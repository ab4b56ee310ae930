"""How many sequences a cell's passes process together: until now always one.

Revision: 0008. Everything is written out: what a released revision makes never changes with the models.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column."""
    # SQLite copies a whole table, so that an upgraded one reads like a new one; a server changes it in its place.
    copied: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    # Copied as a whole, so that an upgraded table reads like a new one.
    with op.batch_alter_table("cell", recreate=copied) as batch:
        batch.add_column(sa.Column("batch", sa.Integer(), nullable=False, server_default=sa.text("1")))
