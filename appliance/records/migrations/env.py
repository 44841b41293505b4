"""Run by Alembic. The connection comes from `records.upgrade`, inside a transaction that is ended there.

So an upgrade happens whole or not at all: SQLite rolls DDL back too, once BEGIN is sent by us.
"""

from alembic import context

from appliance.records.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
