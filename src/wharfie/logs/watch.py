"""Waiting for changes in directories: one inotify instance for all log followers of the process.

A follower gets a ``Bell``; whatever happens to the files of its directory rings it. Bells may ring for
nothing, never stay silent: an overflow of the kernel's queue rings all of them.
"""

from __future__ import annotations

import asyncio
import os

from wharfie.linux import inotify

_INTEREST = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO
RENAMED = inotify.IN_MOVED_TO
"""Rotations only."""


class Bell:
    """Rings when something changed since it was last silenced."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits."""
        self._event.set()

    def silence(self) -> None:
        """To be called before looking, so that a change meanwhile rings again."""
        self._event.clear()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._event.wait()


class DirectoryWatcher:
    """Owns the inotify instance, made when the first directory is watched and closed with the last."""

    def __init__(self, interest: int = _INTEREST) -> None:
        """``interest``: what rings."""
        self._interest = interest | inotify.IN_ONLYDIR
        self._fd = -1
        self._bells: dict[int, list[Bell]] = {}

    def add(self, directory: str) -> tuple[Bell, int]:
        """A bell for ``directory``, and the key to ``remove`` it. Raises OSError."""
        if self._fd < 0:
            self._fd = inotify.inotify_init()
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
        try:
            watch = inotify.inotify_add_watch(self._fd, directory, self._interest)
        except OSError:
            self._close_if_idle()
            raise
        bell = Bell()
        self._bells.setdefault(watch, []).append(bell)
        return bell, watch

    def remove(self, bell: Bell, watch: int) -> None:
        """The bell is not needed any more."""
        bells = self._bells.get(watch, [])
        if bell in bells:
            bells.remove(bell)
        if not bells and self._bells.pop(watch, None) is not None:
            try:
                inotify.inotify_rm_watch(self._fd, watch)
            except OSError:
                pass  # the directory is gone, and its watch with it
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._fd >= 0 and not self._bells:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        for watch, mask, _name in inotify.read_events(self._fd):
            if mask & inotify.IN_Q_OVERFLOW:
                for bells in self._bells.values():
                    _ring(bells)
                continue
            _ring(self._bells.get(watch, []))
            if mask & inotify.IN_IGNORED:
                self._bells.setdefault(watch, [])


def _ring(bells: list[Bell]) -> None:
    for bell in bells:
        bell.ring()
