"""One SQLite file, one writer.

WAL mode with ``synchronous=NORMAL``: a commit is a write to the log without an fsync, so the start path pays
microseconds for it; a crash of the daemon loses nothing, a power cut at most the last moments, and never the
file's consistency (sqlite.org/wal.html). What the kernel and the monitors say wins over it anyway at the next
start. The connection belongs to the thread that opened it: the daemon's event loop.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wharfie.errors import InternalError, Unavailable
from wharfie.state.schema import MIGRATIONS


class StateUnwritable(Unavailable):
    """The disk is full, or broken."""


class Database:
    """The daemon's ``state.db``; ``":memory:"`` for tests."""

    def __init__(self, path: str) -> None:
        """Open ``path``, making or migrating it as needed.

        Raises:
            InternalError: it was written by a newer wharfie, or is no database of ours.
        """
        self.path = path
        self._depth = 0
        try:
            _make_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._migrate()
        except (sqlite3.DatabaseError, OSError) as error:
            raise InternalError(f"the state database {path} cannot be used: {error}") from error

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise InternalError(
                f"the state database {self.path} was written by a newer wharfie (schema {version}, "
                f"this one knows {len(MIGRATIONS)}); run that version, or choose another --data-root"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN;{script};PRAGMA user_version={number};COMMIT;")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return found

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run one statement, by itself or in a :meth:`transaction`; how many rows changed.

        Raises:
            StateUnwritable: the disk is full, or broken; nothing has changed.
            sqlite3.IntegrityError: what is written is at odds with what is there.
        """
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is there together or not at all; inner ones join the outer one."""
        if self._depth == 0:
            self.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._roll_back()
            raise
        self._depth -= 1
        if self._depth == 0:
            try:
                self.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # a full disk may have ended the transaction already (sqlite.org/lang_transaction.html)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _unwritable(self, error: sqlite3.Error) -> StateUnwritable:
        return StateUnwritable(f"the state database {self.path} cannot be written: {error}")

    def close(self) -> None:
        """Close the file; the log is folded into it."""
        self._connection.close()


def _make_private(path: str) -> None:
    """Environments hold passwords: nobody else reads the file. SQLite gives its log the same mode."""
    if path != ":memory:":
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
