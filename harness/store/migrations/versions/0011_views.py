"""Views for people, and the indexes that they are answered from.

Revision: 0011. The views' text stands in `harness.store.views`; `env.py` removes them before any migration, since a
table that a view reads cannot be changed, and makes those of the newest revision after the last one.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two indexes."""
    op.create_index(op.f("ix_session_machine_id_started_at"), "session", ["machine_id", "started_at"])
    op.create_index(
        op.f("ix_run_counted"),
        "run",
        ["cell_id", "session_id", "kind", "status", "validity", "run_index", "attempt"],
    )
