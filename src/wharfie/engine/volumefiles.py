"""Backup and restore: a volume as a tar stream, whatever it is made of.

Docker has no such thing; people start a container with the volume to run ``tar`` in it. The archive begins
with the volume's own directory, so that its owner and mode are restored with the rest.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from wharfie.engine import copy, trees
from wharfie.engine.context import Context
from wharfie.errors import Conflict
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced
from wharfie.support.faults import point
from wharfie.volumes.options import IN_MEMORY


class VolumeFiles:
    """The files of volumes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """All that is in a volume; raises VolumeNotFound, MountFailed."""
        root = await asyncio.to_thread(trees.volume_opener(self._context, self._context.volumes.get(name)))
        try:
            pieces = Produced(f"export of {name}", lambda write: pack_root(root, write, with_root=True))
            async with aclosing(pieces):
                yield pieces
        finally:
            os.close(root)

    async def import_(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """Unpack an archive into a volume, over what is there; raises as :func:`copy.put_archive`.

        Raises Conflict for a volume in memory that no container holds: the files would be gone at once.
        """
        volume = self._context.volumes.get(name)
        if volume.options.get("type") in IN_MEMORY and not trees.users(self._context, volume):
            raise Conflict(f"import {name}: it lives in memory: start a container that uses it first")
        root = await asyncio.to_thread(trees.volume_opener(self._context, volume))
        point("a volume is open")
        try:
            await copy.put_archive(root, "/", stream, with_root=True)
            point("a volume is filled")
        finally:
            os.close(root)
