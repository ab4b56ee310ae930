"""Artifacts whose weights are not here: a server that loaded its own model tells no weight bytes.

Revision: 0003. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Lets weight bytes be missing."""
    # Only SQLite needs a copy; where others change a table in place, what refers to it would stand in the way.
    sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("artifact", recreate="always" if sqlite else "never") as batch:
        batch.alter_column("weight_bytes", existing_type=sa.BigInteger(), nullable=True)
