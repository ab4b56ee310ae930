"""A model's shape beside its name: what KV cache and touched weights are computed from.

Revision: 0006. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column."""
    # Copied as a whole, so that an upgraded table reads like a new one.
    with op.batch_alter_table("model", recreate="always") as batch:
        batch.add_column(sa.Column("configuration", sa.JSON(), nullable=True))
