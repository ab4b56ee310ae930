"""What Alembic runs for every command: the connection is handed in, the transaction is the caller's.

`harness.store.schema` upgrades through this. To write a new revision, see "A new revision" in docs/database.md.
"""

from alembic import context

from harness.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot change a column: Alembic copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
