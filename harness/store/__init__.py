"""The results store: SQLModel tables on SQLite or PostgreSQL, their migrations, and `Store`, the door to them.

Belongs to the lab half. Importing it loads SQLModel (a third of a second); what only starts a program imports it late.
Records that go in are in `harness.store.records`, facts that come out in `harness.store.facts`.
"""

from harness.store.store import Store

__all__ = ["Store"]
