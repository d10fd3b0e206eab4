"""FileSync: the files of a client's directory come here, those only that are not here already.

::

    us     DiffCopy(dir-name, followpaths, exclude-patterns)
    client STAT STAT … STAT(empty)        the whole list
    us     REQ(3) REQ(7) …                numbers in the list: what is missing or different
    client DATA(3) DATA(7) DATA(3) …      an empty one is a file's end
    us     FIN
    client FIN
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import quote_plus

from wharfie.buildkit.filetree import BadListing, Item, Listing, Reader, Tree
from wharfie.buildkit.grpc import Request, RpcError, framed, parsed
from wharfie.buildkit.messages import session as messages
from wharfie.buildkit.session import Session
from wharfie.images.pipe import in_pool
from wharfie.support.files import write_all
from wharfie.support.tasks import spawn

PATH = "/moby.filesync.v1.FileSync/DiffCopy"
STAT, REQ, DATA, FIN, ERR = range(5)
_OPEN = 64
"""Files that a client may send side by side."""
_BATCH = 1 << 20
Told = Callable[[int], None]
"""Called with the bytes that came so far."""


async def receive(
    session: Session,
    name: str,
    target: str,
    *,
    follow: Sequence[str] = (),
    exclude: Sequence[str] = (),
    old: Listing | None = None,
    told: Told = lambda _: None,
) -> Listing:
    """Make the directory ``target``, which holds ``old``, what the client's directory ``name`` is.

    Raises BadListing, RpcError, StreamLost.
    """
    if not session.offers(PATH):
        raise RpcError(12, "the client does not send files")
    metadata = [("dir-name", name)]
    for key, values in (("followpaths", follow), ("exclude-patterns", exclude)):
        metadata += _header(key, values)
    async with Request(session.connection, PATH, metadata) as request:
        transfer = _Transfer(request, target, old or {}, told)
        try:
            return await transfer.run()
        finally:
            await in_pool("let go of files", transfer.close)


def _header(key: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """A header holds ASCII only: other texts travel as in an address, and a further header says so."""
    if all(value.isascii() for value in values):
        return [(key, value) for value in values]
    return [*((key, quote_plus(value)) for value in values), (f"{key}-encoded", "1")]


class _Transfer:
    def __init__(self, request: Request, target: str, old: Listing, told: Told) -> None:
        self._request = request
        self._tree = Tree(target)
        self._old = old
        self._told = told
        self._size = 0
        self._numbers: dict[int, bytes] = {}
        self._open: dict[int, tuple[int, int]] = {}
        self._new: Listing = {}

    async def run(self) -> Listing:
        self._new = await self._list()
        await in_pool("arrange files", lambda: self._tree.arrange(self._new, self._old))
        asking = spawn("ask for files", self._ask())
        try:
            await self._content()
        finally:
            asking.cancel()
        await self._request.send(messages.Packet(type=FIN))
        await self._ended()
        self._told(self._size)
        await in_pool("complete files", lambda: self._tree.complete(self._new, self._old))
        return self._new

    def close(self) -> None:
        for fd, _ in self._open.values():
            os.close(fd)
        self._tree.close()

    async def _packet(self) -> tuple[int, object, int, bytes] | None:
        data = await self._request.next()
        if data is None:
            return None
        self._size += len(data)
        found = parsed(messages.Packet, data)
        if found.type == ERR:
            raise RpcError(2, f"error from sender: {found.data.decode('utf-8', 'replace')}")
        return found.type, found.stat if found.HasField("stat") else None, found.id, found.data

    async def _list(self) -> Listing:
        reader, number = Reader(), 0
        while (packet := await self._packet()) is not None:
            kind, entry, _, _ = packet
            if kind != STAT:
                raise BadListing("files were sent before they were listed")
            if entry is None:
                self._told(self._size)
                return reader.listing
            added = reader.add(entry)
            if added is not None and added[1].content and self._old.get(added[0]) != added[1]:
                self._numbers[number] = added[0]
            number += 1
        raise BadListing("the list of files ends in its middle")

    async def _ask(self) -> None:
        numbers = list(self._numbers)
        for at in range(0, len(numbers), 1000):
            packets = [framed(messages.Packet(type=REQ, id=one)) for one in numbers[at : at + 1000]]
            await self._request.send_framed(b"".join(packets))

    async def _content(self) -> None:
        """What was asked for, written in a thread, a batch at a time."""
        while self._numbers:
            batch: list[tuple[int, bytes]] = []
            size = ends = 0
            while True:
                packet = await self._packet()
                if packet is None or packet[0] != DATA:
                    raise BadListing("the client ended before all files were sent")
                batch.append((packet[2], packet[3]))
                size += len(packet[3])
                ends += not packet[3]
                if size > _BATCH or ends >= len(self._numbers) or not self._request.more:
                    break
            await in_pool("write files", partial(self._write, batch))
            self._told(self._size)

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        for number, data in batch:
            path = self._numbers.get(number)
            if path is None:
                raise BadListing(f"file {number} was sent, which was not asked for")
            if number not in self._open:
                if len(self._open) >= _OPEN:
                    raise BadListing(f"more than {_OPEN} files were sent side by side")
                self._open[number] = (self._tree.create(path), 0)
            fd, size = self._open[number]
            if data:
                write_all(fd, data)
                self._open[number] = (fd, size + len(data))
                continue
            del self._open[number], self._numbers[number]
            item: Item = self._new[path]
            if size != item.size:
                # it grew while it was sent: as nobody lists this, it is sent again next time
                self._new[path] = replace(item, modified=-1)
            self._tree.finish(fd, item)

    async def _ended(self) -> None:
        while (packet := await self._packet()) is not None:
            if packet[0] == FIN:
                return
        # a client that ends instead says the same
