"""Run by Alembic. The connection comes from `records.upgrade`, with a transaction already begun."""

from alembic import context

from appliance.records.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    # True by the recipe of `records.ledger`: DDL lies inside our BEGIN IMMEDIATE, so an upgrade happens whole or not.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
