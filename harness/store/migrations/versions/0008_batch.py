"""How many sequences a cell's passes process together: until now always one.

Revision: 0008. Everything is written out: what a released revision makes never changes with the models.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column."""
    # Only SQLite needs a copy; where others change a table in place, what refers to it would stand in the way.
    sqlite = op.get_bind().dialect.name == "sqlite"
    # Copied as a whole, so that an upgraded table reads like a new one.
    with op.batch_alter_table("cell", recreate="always" if sqlite else "never") as batch:
        batch.add_column(sa.Column("batch", sa.Integer(), nullable=False, server_default=sa.text("1")))
