"""Containers in the database: one row each, written whole, read once at the daemon's start.

What a record and a status say is the engine's affair; here they are text.
"""

from __future__ import annotations

from typing import NamedTuple

from wharfie.state.db import Database


class ContainerRow(NamedTuple):
    """One container as it was last written."""

    id: str
    name: str
    record: str
    status: str


class ContainerStore:
    """The table ``containers``."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self) -> list[ContainerRow]:
        """Every container."""
        return [ContainerRow(*row) for row in self.db.rows("SELECT id, name, record, status FROM containers")]

    def insert(self, row: ContainerRow) -> None:
        """Add a container; raises sqlite3.IntegrityError when id or name are taken."""
        self.db.execute("INSERT INTO containers (id, name, record, status) VALUES (?, ?, ?, ?)", row)

    def set_status(self, identifier: str, status: str) -> None:
        """Replace the status."""
        self.db.execute("UPDATE containers SET status = ? WHERE id = ?", (status, identifier))

    def set_record(self, identifier: str, record: str) -> None:
        """Replace the record."""
        self.db.execute("UPDATE containers SET record = ? WHERE id = ?", (record, identifier))

    def set_name(self, identifier: str, name: str) -> None:
        """Rename; raises sqlite3.IntegrityError when the name is taken."""
        self.db.execute("UPDATE containers SET name = ? WHERE id = ?", (name, identifier))

    def delete(self, identifier: str) -> None:
        """Forget the container; its name is free."""
        self.db.execute("DELETE FROM containers WHERE id = ?", (identifier,))
