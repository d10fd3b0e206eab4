"""The daemon's memory: SQLite schema, migrations and repositories."""
