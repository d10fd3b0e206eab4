"""Clients of BuildKit's protocol that lie about their files: nothing outside the context changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.buildkit.clientfiles import DEVICE, DIRECTORY, LINK, Client, entry, file
from tests.unit.buildkit.pair import client, descriptors
from wharfie.buildkit.filesync import DATA, FIN, receive
from wharfie.buildkit.filetree import BadListing
from wharfie.buildkit.grpc import Call
from wharfie.buildkit.http2 import StreamLost
from wharfie.buildkit.messages import session as messages
from wharfie.errors import WharfieError


async def refused(sender: Client, tmp_path: Path, kind: type[Exception] = BadListing) -> str:
    """What is said; and that only the target was touched."""
    target = tmp_path / "target"
    target.mkdir(exist_ok=True)
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("mine")
    before = descriptors()
    async with client(sender.handlers) as session:
        with pytest.raises(kind) as caught:
            await receive(session, "context", str(target))
    assert descriptors() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]
    return str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["../x", "/x", "..", ".", "", "a/../../x", "a//b", "a/./b", "x\0y", "n" * 256, "/".join(["d"] * 2100)],
)
async def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    await refused(Client([(entry("a", DIRECTORY | 0o755), b""), file(path, b"x")]), tmp_path)


async def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    link = (entry("a", LINK | 0o777, link=str(tmp_path / "outside").encode()), b"")
    text = await refused(Client([link, file("a/file", b"evil")]), tmp_path)
    assert "listed without its directory" in text


async def test_a_link_that_turns_into_a_directory_is_refused(tmp_path: Path) -> None:
    link = (entry("a", LINK | 0o777, link=b"../outside"), b"")
    text = await refused(
        Client([link, (entry("a", DIRECTORY | 0o755), b""), file("a/file", b"evil")]), tmp_path
    )
    assert "cannot be listed" in text


async def test_a_further_name_of_something_outside_is_never_made(tmp_path: Path) -> None:
    for name in (b"../outside/file", str(tmp_path / "outside/file").encode()):
        target = tmp_path / "target"
        target.mkdir(exist_ok=True)
        (tmp_path / "outside").mkdir(exist_ok=True)
        (tmp_path / "outside" / "file").write_text("mine")
        async with client(Client([(entry("a", link=name, size=4), b"evil")]).handlers) as session:
            await receive(session, "context", str(target))
        assert (tmp_path / "outside" / "file").read_text() == "mine"
        assert (target / "a").read_text() == "evil", "its own bytes, asked of the client"
        (target / "a").unlink()


async def test_a_further_name_of_a_link_is_refused(tmp_path: Path) -> None:
    link = (entry("a", LINK | 0o777, link=b"../outside/file"), b"")
    await refused(Client([link, (entry("b", link=b"a"), b"")]), tmp_path)


async def test_device_nodes_are_refused(tmp_path: Path) -> None:
    await refused(Client([(entry("mem", DEVICE | 1 << 21 | 0o666, major=1, minor=1), b"")]), tmp_path)


def _sending(*packets: Any) -> Callable[[Call], Any]:
    async def send(call: Call) -> None:
        for packet in packets:
            await call.send(packet)

    return send


@pytest.mark.parametrize(
    ("packets", "message"),
    [
        ([messages.Packet(type=FIN)], "ended before all files were sent"),
        ([], "ended before all files were sent"),
        ([messages.Packet(type=DATA, id=0, data=b"x")], "ended before all files were sent"),
        ([messages.Packet(type=DATA, id=7, data=b"x")], "which was not asked for"),
        ([messages.Packet(type=DATA, id=1, data=b"x")], "which was not asked for"),
        ([messages.Packet(type=99)], "ended before all files were sent"),
    ],
)
async def test_data_that_was_not_asked_for_is_refused(
    tmp_path: Path, packets: list[Any], message: str
) -> None:
    sender = Client([file("a", b"alpha"), (entry("d", DIRECTORY | 0o755), b"")])
    sender.after_list = _sending(*packets)
    assert message in await refused(sender, tmp_path)


async def test_too_many_files_side_by_side_are_refused(tmp_path: Path) -> None:
    sender = Client([file(f"f{number:03}", b"x") for number in range(100)])
    sender.after_list = _sending(*(messages.Packet(type=DATA, id=number, data=b"x") for number in range(100)))
    assert "side by side" in await refused(sender, tmp_path)


async def test_a_huge_size_takes_no_room(tmp_path: Path) -> None:
    sender = Client([(entry("a", size=1 << 60), b"small")])
    async with client(sender.handlers) as session:
        (tmp_path / "target").mkdir()
        await receive(session, "context", str(tmp_path / "target"))
    assert (tmp_path / "target" / "a").read_bytes() == b"small"


async def test_a_client_that_vanishes_in_the_middle_leaves_nothing_open(tmp_path: Path) -> None:
    sender = Client([file("a", b"alpha")])
    before = descriptors()
    async with client(sender.handlers) as session:

        async def vanish(call: Call) -> None:
            await call.send(messages.Packet(type=DATA, id=0, data=b"al"))
            session.connection.close()

        sender.after_list = vanish
        with pytest.raises(StreamLost):
            await receive(session, "context", str(tmp_path))
    assert descriptors() == before


async def test_a_message_without_sense_is_refused(tmp_path: Path) -> None:
    sender = Client([])

    async def nonsense(call: Call) -> None:
        call._stream.send_headers([(":status", "200")])
        await call._stream.send(b"\x00\x00\x00\x00\x02\xff\xff")

    sender.serve = nonsense  # type: ignore[method-assign]
    await refused(sender, tmp_path, WharfieError)
