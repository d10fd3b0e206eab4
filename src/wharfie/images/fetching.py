"""One layer from a registry: downloaded, verified, decompressed and unpacked at the same time.

::

    registry ──▶ pipe ──▶ intake (digest, copy, inflate, digest) ──▶ unpack ──▶ place
    event loop            thread                                      thread

A download takes one of the daemon's slots, and the whole way of a layer one of as many as there are downloads
or processors: more would only hold more memory. While layers are unpacked the disk takes what is finished, so
that little is left for the sync at the end. The bytes that came before a pull was broken off are taken from
the disk.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from wharfie.errors import Unavailable
from wharfie.images.layers import DigestMismatch, Draft, Layer
from wharfie.images.leftovers import Leftovers
from wharfie.images.limits import ArchiveTooBig
from wharfie.images.manifests import Descriptor
from wharfie.images.pipe import InwardPipe, PipeBroken, ended, in_thread
from wharfie.images.registry.repository import Repository
from wharfie.images.store import ImageStore
from wharfie.images.transfers import Message, Tell
from wharfie.support.faults import point
from wharfie.support.ids import short_id
from wharfie.support.tasks import spawn

_EVERY = 0.1
_AHEAD = 2 << 20
"""Bytes of a layer that may wait to be unpacked."""
_PIECE = 1 << 20


class Fetcher:
    """Fetches layers for all pulls of a daemon."""

    def __init__(self, store: ImageStore, leftovers: Leftovers, downloads: int) -> None:
        self._store = store
        self._leftovers = leftovers
        self._writing: asyncio.Task[None] | None = None
        self.limit(downloads)

    def limit(self, downloads: int) -> None:
        """This many at a time from now on."""
        self._slots = asyncio.Semaphore(downloads)
        self._unpacking = asyncio.Semaphore(max(min(os.cpu_count() or 1, 4), downloads))

    async def fetch(self, repository: Repository, diff_id: str, wanted: Descriptor, tell: Tell) -> Layer:
        """A layer in place, and in no image yet.

        Raises:
            DigestMismatch, BadArchive, RegistryUnreachable and the like; nothing of it is visible then.
        """
        shown = short_id(wanted.digest)
        left = self._leftovers.take_layer(diff_id, wanted.digest)
        if left is not None:
            tell(_message("Already exists", shown))
            return left
        begun = self._leftovers.take_beginning(wanted.digest)
        if self._slots.locked() or self._unpacking.locked():
            tell(_message("Waiting", shown))
        async with repository.transport:
            try:
                layer = await self._attempt(_Download(repository, wanted, tell, begun), diff_id)
            except DigestMismatch:
                if begun is None:
                    raise
                layer = await self._attempt(_Download(repository, wanted, tell, None), diff_id)
            finally:
                if begun is not None:
                    self._leftovers.let_go(begun)
        tell(_message("Pull complete", shown))
        return layer

    async def _attempt(self, download: _Download, diff_id: str) -> Layer:
        async with self._unpacking, self._store.drafted() as draft:
            try:
                return await self._fill(draft, download, diff_id)
            except (asyncio.CancelledError, Unavailable):
                self._leftovers.keep_beginning(download.wanted.digest, draft.blob)
                raise
            except (OSError, ArchiveTooBig):
                self._leftovers.clear()  # the disk is full, most likely
                raise

    async def _fill(self, draft: Draft, download: _Download, diff_id: str) -> Layer:
        wanted = download.wanted
        pipe = InwardPipe(_AHEAD)
        feeder = spawn(f"download {download.shown}", self._feed(pipe, download))

        def work() -> Layer:
            try:
                # what is not compressed can be made again from its files
                layer = draft.fill(pipe.read, keep_blob=wanted.digest != diff_id)
            finally:
                pipe.abandon()
            point("a layer's digests are compared")
            if layer.diff_id != diff_id or (layer.blob or layer.diff_id) != wanted.digest:
                raise DigestMismatch(f"filesystem layer verification failed for digest {wanted.digest}")
            point("a layer is about to be placed")
            self._store.layers.place(draft, layer)
            return layer

        worker = in_thread(f"unpack {download.shown}", work)
        try:
            return await asyncio.shield(worker)
        finally:
            feeder.cancel()
            pipe.close(PipeBroken("the pull was given up"))
            await ended(feeder, worker)

    async def _feed(self, pipe: InwardPipe, download: _Download) -> None:
        async with self._slots:
            await pipe.feed(download.pieces())


class _Download:
    """The bytes of one blob, with their progress told."""

    def __init__(self, repository: Repository, wanted: Descriptor, tell: Tell, begun: str | None) -> None:
        self.wanted = wanted
        self.shown = short_id(wanted.digest)
        self._repository = repository
        self._tell = tell
        self._begun = begun
        self._taken = 0
        self._told = 0.0

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is there already, then what comes."""
        point("a download begins")
        if self._begun is not None:
            async for piece in _file(self._begun, self.wanted.size):
                self._count(piece)
                yield piece
        async for piece in self._repository.blob(self.wanted, self._taken, self._retrying):
            self._count(piece)
            yield piece
        point("a download is whole")
        self._tell(_message("Verifying Checksum", self.shown))
        self._tell(_message("Download complete", self.shown))
        self._tell(bar("Extracting", self.shown, self._taken, self.wanted.size))

    def _count(self, piece: bytes) -> None:
        self._taken += len(piece)
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            self._tell(bar("Downloading", self.shown, self._taken, self.wanted.size))

    def _retrying(self, seconds: float) -> None:
        self._tell(_message(retrying(seconds), self.shown))


async def _file(path: str, limit: int) -> AsyncIterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while limit and (piece := await asyncio.to_thread(os.read, fd, min(_PIECE, limit))):
            limit -= len(piece)
            yield piece
    finally:
        os.close(fd)


def _message(status: str, shown: str) -> Message:
    return {"status": status, "progressDetail": {}, "id": shown}


def bar(status: str, shown: str, current: int, total: int) -> Message:
    """A message about how far something is."""
    return {"status": status, "progressDetail": {"current": current, "total": total}, "id": shown}


def retrying(seconds: float) -> str:
    """Docker's words before a further attempt."""
    whole = max(1, round(seconds))
    return f"Retrying in {whole} second{'' if whole == 1 else 's'}"
