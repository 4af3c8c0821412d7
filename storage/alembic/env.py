"""Alembic's environment: runs on the connection that `consilium.ledger.migrate` hands over."""

from alembic import context

from consilium.ledger.orm import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
    transaction_per_migration=False,
)
context.run_migrations()
