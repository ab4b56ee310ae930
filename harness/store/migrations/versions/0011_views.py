"""Views for people.

Revision: 0011. The views' text stands in `harness.store.views`; `env.py` removes them before any migration, since a
table that a view reads cannot be changed, and makes those of the newest revision after the last one.
"""

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes no table."""
