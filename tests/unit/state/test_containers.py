"""The table of containers."""

from __future__ import annotations

import sqlite3

import pytest

from wharfie.state.containers import ContainerRow, ContainerStore
from wharfie.state.db import Database


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
