"""Alembic's entry: run the migrations on the connection that `schema.upgrade` hands over."""

from alembic import context

from dicomnode.worklist.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
