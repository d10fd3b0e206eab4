"""Lines as entries of the journal, received as its service would."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from wharfie.logs import journal
from wharfie.logs.sending import Connection
from wharfie.logs.syslog import Target


def test_names_of_labels_become_names_of_fields() -> None:
    assert journal.field_name("com.example/Tier-1") == "COM_EXAMPLE_TIER_1"
    assert journal.field_name("_9lives") == "LIVES"
    assert journal.field_name("__") == ""


def test_an_entry_has_the_common_fields_its_priority_and_its_time() -> None:
    common = journal.prefix({"CONTAINER_NAME": "c"})
    assert journal.entry(common, b"text", "T", error=True, partial=True) == (
        b"CONTAINER_NAME=c\nMESSAGE=text\nPRIORITY=3\nSYSLOG_TIMESTAMP=T\nCONTAINER_PARTIAL_MESSAGE=true\n"
    )
    assert b"PRIORITY=6\n" in journal.entry(common, b"text", "T", error=False, partial=False)


def test_a_value_with_a_newline_has_its_length_before_it() -> None:
    assert journal.prefix({"X": "a\nb"}) == b"X\n" + (3).to_bytes(8, "little") + b"a\nb\n"


def test_each_entry_is_one_datagram(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_PATH)
    path = f"/proc/self/fd/{here}/socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(path)

        async def send() -> None:
            connection = Connection(Target("unixgram", path=path))
            await connection.send([b"A=1\n", b"A=2\n"])
            await connection.finish()

        asyncio.run(send())
        assert [service.recv(100), service.recv(100)] == [b"A=1\n", b"A=2\n"]
    os.close(here)
