"""Run by Alembic: the revisions that were asked for, in the transaction that is open."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
)
context.run_migrations()
