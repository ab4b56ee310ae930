"""Artifacts whose weights are not here: a server that loaded its own model tells no weight bytes.

Revision: 0003. Everything is written out: what a released revision makes never changes with the models.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Lets weight bytes be missing."""
    # SQLite copies a whole table, so that an upgraded one reads like a new one; a server changes it in its place.
    copied: Literal["always", "never"] = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("artifact", recreate=copied) as batch:
        batch.alter_column("weight_bytes", existing_type=sa.BigInteger(), nullable=True)
