"""Databases as the gateway uses them: SQLite files or a PostgreSQL server, opened, asked and changed alike."""
