"""The table of containers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from wharfie.state.containers import ContainerRow, ContainerStore
from wharfie.state.db import Database, StateUnwritable


def test_a_row_is_written_changed_and_forgotten() -> None:
    store = ContainerStore(Database(":memory:"))
    store.insert(ContainerRow("a" * 64, "one", "{}", '{"state":"created"}'))
    store.set_status("a" * 64, "s")
    store.set_record("a" * 64, "r")
    store.set_name("a" * 64, "two")
    assert store.all() == [ContainerRow("a" * 64, "two", "r", "s")]
    store.delete("a" * 64)
    assert store.all() == []


def test_a_name_is_taken_once() -> None:
    store = ContainerStore(Database(":memory:"))
    store.insert(ContainerRow("a", "one", "{}", "{}"))
    with pytest.raises(sqlite3.IntegrityError):
        store.insert(ContainerRow("b", "one", "{}", "{}"))


def test_a_full_disk_is_a_sentence_and_leaves_no_transaction_open(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "state.db"))
    # the same error as a full disk's: SQLITE_FULL
    (pages,) = database.row("PRAGMA page_count") or (0,)
    database.row(f"PRAGMA max_page_count = {pages}")
    store = ContainerStore(database)
    big = ContainerRow("a" * 64, "big", "x" * 100_000, "{}")
    with pytest.raises(StateUnwritable, match="cannot be written: database or disk is full"):
        store.insert(big)
    with pytest.raises(StateUnwritable), database.transaction():
        store.insert(big)
    database.row("PRAGMA max_page_count = 10000")
    with database.transaction():
        store.insert(big)
    assert [row.name for row in store.all()] == ["big"]
    database.close()
