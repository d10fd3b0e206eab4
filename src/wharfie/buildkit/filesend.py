"""FileSend: results go to the client, as an archive or as a tree of files.

A tree is told of as FileSync has it, with the sides changed: we list, the client asks for what it misses.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from wharfie.buildkit.filesync import DATA, ERR, FIN, REQ, STAT
from wharfie.buildkit.grpc import UNIMPLEMENTED, Request, RpcError, framed, parsed
from wharfie.buildkit.messages import common
from wharfie.buildkit.messages import session as messages
from wharfie.buildkit.session import Session
from wharfie.images.pipe import in_pool
from wharfie.linux import path as paths
from wharfie.support.trees import OPEN, Descent, names

METHOD = "/moby.filesync.v1.FileSend/DiffCopy"
_PIECE = 32 << 10
_BATCH = 500
_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
}
_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
Told = Callable[[int], None]


def _request(session: Session, number: int) -> Request:
    if not session.offers(METHOD):
        raise RpcError(UNIMPLEMENTED, "the client takes no files")
    return Request(session.connection, METHOD, [("buildkit-attachable-exporter-id", str(number))])


async def send_archive(session: Session, number: int, pieces: AsyncIterator[bytes]) -> None:
    """One archive, for the exporter with this number; raises RpcError, StreamLost."""
    async with _request(session, number) as request:
        async for piece in pieces:
            for at in range(0, len(piece), _PIECE):
                await request.send(common.BytesMessage(data=piece[at : at + _PIECE]))
        await request.end()
        while await request.next() is not None:
            pass


async def send_tree(session: Session, number: int, root: int, prefix: bytes, told: Told) -> None:
    """All files below the open directory ``root``, below ``prefix`` there; raises RpcError, StreamLost."""
    async with _request(session, number) as request:
        files: list[bytes] = []
        listed = await in_pool("list files", lambda: list(_listed(root, prefix, files)))
        for at in range(0, len(listed), _BATCH):
            await request.send_framed(b"".join(listed[at : at + _BATCH]))
        await request.send(messages.Packet(type=STAT))
        size = 0
        while (data := await request.next()) is not None:
            packet = parsed(messages.Packet, data)
            if packet.type == FIN:
                await request.send(messages.Packet(type=FIN))
                await request.end()
            elif packet.type == ERR:
                raise RpcError(2, f"error from receiver: {packet.data.decode('utf-8', 'replace')}")
            elif packet.type == REQ:
                size += await _content(request, root, files, packet.id)
                told(size)


async def _content(request: Request, root: int, files: list[bytes], number: int) -> int:
    if number >= len(files) or not files[number]:
        raise RpcError(3, f"file {number} was asked for, which was not listed")
    size = 0
    fd = paths.openat2(
        root, files[number], os.O_RDONLY | os.O_NOFOLLOW, paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
    )
    try:
        while data := await in_pool("read a file", lambda: os.read(fd, _PIECE * 16)):
            packets = [
                framed(messages.Packet(type=DATA, id=number, data=data[at : at + _PIECE]))
                for at in range(0, len(data), _PIECE)
            ]
            await request.send_framed(b"".join(packets))
            size += len(data)
    finally:
        os.close(fd)
    await request.send(messages.Packet(type=DATA, id=number))
    return size


def _listed(root: int, prefix: bytes, files: list[bytes]) -> Iterator[bytes]:
    """In a thread: packets of the whole list; ``files``: by number, what can be asked for."""
    if prefix:
        files.append(b"")
        yield framed(
            messages.Packet(type=STAT, stat=messages.Stat(path=prefix, mode=_KINDS[stat.S_IFDIR] | 0o755))
        )
    top = os.open(".", OPEN, dir_fd=root)
    descent = Descent(top)
    above, waiting = [b""], [names(top)]
    seen: dict[int, bytes] = {}
    try:
        while waiting:
            if not waiting[-1]:
                waiting.pop()
                above.pop()
                if waiting:
                    descent.leave()
                continue
            name = waiting[-1].pop()
            path = above[-1] + b"/" + name if above[-1] else name
            found = os.stat(name, dir_fd=descent.fd, follow_symlinks=False)
            kind = stat.S_IFMT(found.st_mode)
            if kind not in _KINDS and kind != stat.S_IFREG:
                continue
            shown = prefix + b"/" + path if prefix else path
            entry = _described(descent.fd, name, shown, found)
            if kind == stat.S_IFREG and found.st_nlink > 1:
                entry.link = seen.get(found.st_ino, b"")
                seen.setdefault(found.st_ino, shown)
            files.append(path if kind == stat.S_IFREG else b"")
            yield framed(messages.Packet(type=STAT, stat=entry))
            if kind == stat.S_IFDIR:
                descent.enter(name)
                above.append(path)
                waiting.append(names(descent.fd))
    finally:
        descent.close()


def _described(directory: int, name: bytes, shown: bytes, found: os.stat_result) -> Any:
    kind = stat.S_IFMT(found.st_mode)
    mode = found.st_mode & 0o777 | _KINDS.get(kind, 0)
    for bit, value in _BITS:
        mode |= value if found.st_mode & bit else 0
    entry = messages.Stat(
        path=shown, mode=mode, uid=found.st_uid, gid=found.st_gid, modified=found.st_mtime_ns
    )
    if kind == stat.S_IFREG:
        entry.size = found.st_size
    elif kind == stat.S_IFLNK:
        entry.link = os.fsencode(os.readlink(name, dir_fd=directory))
        entry.size = len(entry.link)
    elif kind in (stat.S_IFBLK, stat.S_IFCHR):
        entry.major, entry.minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return entry
