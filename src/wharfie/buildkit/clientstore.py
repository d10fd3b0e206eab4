"""Blobs on the client's disk, where caches of ``type=local`` are: containerd's content service.

The index the client keeps itself: it tells the digest of what is to be read, and is told that of what
was written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import msgspec

from wharfie.build.cacheexport import digest_of
from wharfie.build.cacheformat import BadCache
from wharfie.build.cachespec import CacheSpec
from wharfie.build.contexts import receive
from wharfie.buildkit.grpc import EXISTS, UNIMPLEMENTED, Request, RpcError, parsed
from wharfie.buildkit.messages import session as messages
from wharfie.buildkit.results import Outcome
from wharfie.buildkit.session import Session
from wharfie.buildkit.vertexes import Board
from wharfie.errors import WharfieError
from wharfie.images import manifests
from wharfie.images.layers import DigestMismatch
from wharfie.images.manifests import Descriptor
from wharfie.images.reference import is_digest

_READ = "/containerd.services.content.v1.Content/Read"
_WRITE = "/containerd.services.content.v1.Content/Write"
_STORE = "buildkit-attachable-store-id"
_WRITING, _COMMITTING = 1, 2
_PIECE = 1 << 20


class ClientStore:
    """One of them, by the path that the client gave it."""

    def __init__(self, session: Session, path: str) -> None:
        self._session = session
        self._metadata = [(_STORE, f"local:{path}")]

    async def manifest(self, tag_or_digest: str, accept: str) -> tuple[bytes, str, str]:
        """A manifest by its digest."""
        if not is_digest(tag_or_digest):
            raise BadCache(f"the client has no cache named {tag_or_digest}")
        body = await self._whole(tag_or_digest, manifests.LIMIT)
        return body, manifests.own_type(body), tag_or_digest

    async def small_blob(self, wanted: Descriptor, limit: int) -> bytes:
        """A configuration."""
        return await self._whole(wanted.digest, limit)

    async def blob(self, wanted: Descriptor) -> AsyncIterator[bytes]:
        """A layer; its digest is not verified."""
        async for piece in self._read(wanted.digest):
            yield piece

    async def _whole(self, digest: str, limit: int) -> bytes:
        found = b""
        async for piece in self._read(digest):
            found += piece
            if len(found) > limit:
                raise BadCache(f"{digest} is longer than {limit} bytes")
        if digest_of(found) != digest:
            raise DigestMismatch(f"the client sent something else for {digest}")
        return found

    async def _read(self, digest: str) -> AsyncIterator[bytes]:
        self._check(_READ)
        async with Request(self._session.connection, _READ, self._metadata) as request:
            await request.send(messages.ReadRequest(digest=digest), end=True)
            while (data := await request.next()) is not None:
                yield parsed(messages.ReadResponse, data).data

    async def write(self, digest: str, path: str) -> None:
        """A blob out of a file; raises RpcError, StreamLost."""
        self._check(_WRITE)
        size = os.path.getsize(path)
        try:
            async with Request(self._session.connection, _WRITE, self._metadata) as request:
                with open(path, "rb") as file:
                    await self._send(request, file.fileno(), digest, size)
        except RpcError as error:
            if error.code != EXISTS:
                raise

    async def _send(self, request: Request, fd: int, digest: str, size: int) -> None:
        named = {"ref": f"wharfie-{digest}", "total": size, "expected": digest}
        offset = 0
        while data := await asyncio.to_thread(os.pread, fd, _PIECE, offset):
            message = messages.WriteRequest(action=_WRITING, offset=offset, data=data, **named)
            await request.send(message)
            await request.next()
            offset += len(data)
        await request.send(messages.WriteRequest(action=_COMMITTING, offset=offset, **named), end=True)
        while await request.next() is not None:
            pass

    def _check(self, path: str) -> None:
        if not self._session.offers(path):
            raise RpcError(UNIMPLEMENTED, "the client has no store for caches")


async def export(session: Session, board: Board, outcome: Outcome, spec: CacheSpec, place: str) -> str:
    """A cache goes to the client's disk; the descriptor that its index is to name. ``place``: a directory."""
    vertex = board.vertex("exporting cache to client directory").start()
    try:
        await receive(outcome.work.cache_archive(spec, outcome.solver), place)
        store = ClientStore(session, spec.key)
        blobs = f"{place}/blobs/sha256"
        for name in sorted(os.listdir(blobs)):
            vertex.status(f"writing sha256:{name}")
            await store.write(f"sha256:{name}", f"{blobs}/{name}")
            vertex.status(f"writing sha256:{name}", done=True)
        with open(f"{place}/index.json", "rb") as file:
            [named] = manifests.entries(file.read())
    except (WharfieError, OSError) as error:
        vertex.end(str(error))
        raise
    vertex.end()
    found = {"mediaType": named.media_type, "digest": named.digest, "size": named.size}
    return msgspec.json.encode(found).decode()
