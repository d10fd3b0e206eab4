"""How much an archive may ask for: protection against bombs, not a quota."""

from __future__ import annotations

import os

from wharfie.errors import InvalidArgument

ENTRIES = 4_000_000
TOTAL_BYTES = 1 << 40
"""Of all files of one archive together, holes included."""
RATIO = 1100
"""Expanded to compressed, once past :data:`RATIO_FROM`; deflate cannot reach it, bombs of zstd and xz do."""
RATIO_FROM = 1 << 30
RESERVE = 64 << 20
"""Bytes that stay free on the file system, or the sixteenth part of a small one."""
_CHECK_EVERY = 32 << 20
_ENTRY = 4096
"""Bytes that a name takes on the disk, roughly: many of them fill it as well."""


class ArchiveTooBig(InvalidArgument):
    """An archive that unpacks to more than is reasonable, or than there is room for."""


class Budget:
    """Counts what one archive takes; ``fd`` is where it is unpacked."""

    def __init__(self, fd: int, *, entries: int = ENTRIES, total: int = TOTAL_BYTES) -> None:
        self._fd = fd
        self._entries = entries
        self._total = total
        self._unchecked = _CHECK_EVERY

    def entry(self, size: int) -> None:
        """One more entry, or directory on the way to one; its file will be ``size`` long."""
        self._entries -= 1
        self.written(_ENTRY)
        self._total -= size
        if self._entries < 0:
            raise ArchiveTooBig(f"the archive has more than {ENTRIES} entries")
        if self._total < 0:
            raise ArchiveTooBig(f"the archive unpacks to more than {TOTAL_BYTES >> 30} GiB")

    def written(self, size: int) -> None:
        """So many bytes are about to be written."""
        self._unchecked += size
        if self._unchecked >= _CHECK_EVERY:
            self._unchecked = 0
            room = os.fstatvfs(self._fd)
            reserve = min(RESERVE, room.f_blocks * room.f_frsize // 16)
            if room.f_bavail * room.f_frsize < reserve:
                raise ArchiveTooBig(
                    "no space left on device: the archive is larger than the room that is left"
                )


def check_ratio(compressed: int, expanded: int) -> None:
    """Refuse a stream that grows beyond reason."""
    if expanded > RATIO_FROM and expanded > compressed * RATIO:
        raise ArchiveTooBig(
            f"the archive expands {expanded // max(compressed, 1)} times, which only a bomb does"
        )
