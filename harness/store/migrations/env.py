"""What Alembic runs for every command: the connection is handed in, the transaction is the caller's.

`harness.store.schema` upgrades through this. To write a new revision, see "A new revision" in docs/database.md.
"""

from alembic import context

from harness.store import views
from harness.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot change a column: Alembic copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    # Views read tables that migrations change; the program has one text of them, that of the newest revision.
    views.drop(connection)
    context.run_migrations()
    if context.get_context().get_current_revision() == context.script.get_current_head():
        views.create(connection)
