"""Cache mounts as archives: taken out of one engine, put into another.

While one is read it counts as used, so nothing takes it away; one that a step uses is not replaced.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator

from wharfie.build.cache import digest
from wharfie.build.cachemounts import CacheMount, CacheMounts
from wharfie.build.contexts import receive
from wharfie.errors import Conflict, NotFound
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced
from wharfie.images.store import ImageStore
from wharfie.images.unpack import Rules
from wharfie.support.faults import point
from wharfie.support.files import remove_tree


class NoSuchCacheMount(NotFound):
    """There is no such cache mount."""


def found(mounts: CacheMounts, name: str) -> CacheMount:
    """By its id, or by what ``builder du`` calls it; raises NoSuchCacheMount."""
    rows = mounts.rows()
    exact = [row for row in rows if name in (row.id, row.directory)]
    some = exact or [row for row in rows if len(name) >= 6 and row.directory.startswith(name)]
    if len(some) != 1:
        raise NoSuchCacheMount(f"no such cache mount: {name}")
    return some[0]


def export(mounts: CacheMounts, name: str) -> AsyncGenerator[bytes, None]:
    """All that is in one, as a tar archive."""
    mount = found(mounts, name)

    async def pieces() -> AsyncGenerator[bytes, None]:
        path = mounts.path(mount)
        mounts.users[path] += 1
        try:
            root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                stream = Produced(
                    "export a cache mount", lambda write: pack_root(root, write, with_root=True)
                )
                try:
                    async for piece in stream:
                        yield piece
                finally:
                    await stream.aclose()
            finally:
                os.close(root)
        finally:
            mounts.let_go(path)

    return pieces()


async def put(mounts: CacheMounts, store: ImageStore, name: str, stream: AsyncIterator[bytes]) -> None:
    """An archive becomes what is in the cache mount, made if it is not there; raises Conflict, BadArchive.

    What was in it goes: a step sees the old files or the new ones, never both.
    """
    if not name:
        raise NoSuchCacheMount("a cache mount needs an id")
    directory = digest(name)[:32]
    path = f"{mounts.root}/{directory}"
    place = store.layers.temporary("mount")
    os.mkdir(place, 0o755)
    try:
        await receive(stream, place, Rules(root=True))
        point("a cache mount is unpacked")
        if path in mounts.users:
            raise Conflict(f"the cache mount {name} is in use by a build")
        # the row is first: a directory without one would be nobody's after a crash
        mounts.note(name, directory, time.time_ns())
        store.discard_paths(store.layers.hide_paths([path]))
        os.rename(place, path)
        point("a cache mount is replaced")
    finally:
        await asyncio.to_thread(remove_tree, place)
