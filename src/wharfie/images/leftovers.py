"""What a pull that was broken off leaves for the next one: finished layers, and the beginnings of blobs.

Neither has a row in the catalog, so a restart of the daemon sweeps both; while it runs, the store is told to
spare them. They go when they are used, when :data:`SECONDS` are over, when images are pruned, and when the
disk is full. A beginning is not trusted: it goes through the same verification as if it came from the
registry once more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from wharfie.images.layers import Layer
from wharfie.images.store import ImageStore

SECONDS = 3600.0
LEAST = 1 << 16
"""A beginning shorter than this is not worth keeping."""


class Leftovers:
    """Kept by one daemon, in its memory; the files are the store's."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._finished: dict[str, Layer] = {}
        self._begun: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def keep_layer(self, layer: Layer) -> None:
        """A layer that is in place, and in no image."""
        self._finished[layer.diff_id] = layer
        self._store.spared.update(_names(layer))
        self._expire(layer.diff_id)

    def take_layer(self, diff_id: str, digest: str) -> Layer | None:
        """Such a layer, if it came as the blob ``digest``, to be used now."""
        layer = self._finished.get(diff_id)
        if layer is None or (layer.blob or layer.diff_id) != digest:
            return None
        del self._finished[diff_id]
        self._stop(diff_id)
        self._store.spared.difference_update(_names(layer))
        if not os.path.isdir(self._store.layers.diff(layer.directory)):
            return None
        self._store.layers.placed.update(_names(layer))
        return layer

    def keep_beginning(self, digest: str, path: str) -> None:
        """The first part of a blob; the file changes hands."""
        try:
            if os.stat(path).st_size < LEAST:
                return
            target = self._store.layers.temporary("begun")
            os.rename(path, target)
        except FileNotFoundError:
            return
        self.drop([digest])
        self._store.spared.add(os.path.basename(target))
        self._begun[digest] = target
        self._expire(digest)

    def take_beginning(self, digest: str) -> str | None:
        """Path of such a part, from now on the caller's."""
        self._stop(digest)
        path = self._begun.pop(digest, None)
        if path is not None and not os.path.exists(path):
            path = None
        return path

    def let_go(self, path: str) -> None:
        """A beginning was used."""
        self._store.spared.discard(os.path.basename(path))
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def _expire(self, key: str) -> None:
        self._stop(key)
        self._timers[key] = asyncio.get_running_loop().call_later(SECONDS, self.drop, [key])

    def _stop(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> int:
        """Give everything back; the bytes that were freed."""
        return self.drop([*self._finished, *self._begun])

    def drop(self, keys: Iterable[str]) -> int:
        """Give these back; the bytes that were freed."""
        freed = 0
        for key in keys:
            self._stop(key)
            layer, begun = self._finished.pop(key, None), self._begun.pop(key, None)
            if layer is not None:
                freed += layer.size
                self._store.spared.difference_update(_names(layer))
                self._store.discard_files(_names(layer))
            if begun is not None and os.path.exists(begun):
                freed += os.stat(begun).st_size
                self.let_go(begun)
        return freed


def _names(layer: Layer) -> list[str]:
    return [layer.directory, layer.blob] if layer.blob else [layer.directory]
