"""The revisions of the directory's tables, as Alembic carries them out: see `gateway.database.migrating`."""
