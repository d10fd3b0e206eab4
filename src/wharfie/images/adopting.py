"""What was written into a draft through an overlay becomes a layer where it lies: nothing is copied.

The upper directory of an overlay has the very form in which layers are kept. So it is only walked once, for
the archive that it stands for: the digest of that, and what an archive has beside the files (tarsplit).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence

from wharfie.images import pack, tarheader, tarsplit, written
from wharfie.images.layers import Draft, Layer
from wharfie.support.faults import point
from wharfie.support.trees import walk


class _Digester(pack.Packer):
    """Makes the archive and keeps its digest instead of its bytes."""

    def __init__(self, split: tarsplit.SplitWriter, *, latest: int | None) -> None:
        super().__init__(self._took, layer=True, latest=latest)
        self._split = split
        self._whole = hashlib.sha256()
        self.size = 0

    def _took(self, data: bytes) -> None:
        self._whole.update(data)
        self._split.raw(data)

    def _content(self, fd: int, size: int, shown: bytes) -> None:
        if not size:
            return
        self.flush()
        self._split.file(shown, size)
        left = size
        while left:
            piece = os.read(fd, min(left, pack.CHUNK))
            if not piece:
                raise OSError(f"{os.fsdecode(shown)} was cut while it was read")
            left -= len(piece)
            self._whole.update(piece)
        self.size += size
        self._put(tarheader.padding(size))

    def digest(self) -> str:
        return "sha256:" + self._whole.hexdigest()


def is_untouched(draft: Draft, lower: Sequence[str]) -> bool:
    """Whether nothing was written into the draft."""
    top = os.path.join(draft.path, "diff")
    with os.scandir(top) as entries:
        if next(entries, None) is not None:
            return False
    if not lower:
        return True
    new, old = os.stat(top), os.stat(lower[0])
    return (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)


def remove_stubs(draft: Draft, lower: Sequence[str]) -> None:
    """Take away what the engine made for its own mounts."""
    top = os.path.join(draft.path, "diff")
    for path in sorted(written.of_engine(lower, top), reverse=True):
        target = os.fsencode(top) + path
        found = os.lstat(target)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(target)
        else:
            os.unlink(target)


def adopt(draft: Draft, *, latest: int | None) -> Layer:
    """In a thread: the layer that the draft's ``diff`` is; to be placed.

    ``latest``: no time is later than this (SOURCE_DATE_EPOCH), in the archive and on disk.
    """
    top = os.path.join(draft.path, "diff")
    if latest is not None:
        _clamp(top, latest)
    directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(os.path.join(draft.path, "split"), "xb") as file:
            split = tarsplit.SplitWriter(file)
            packer = _Digester(split, latest=latest)
            packer.root(directory)
            packer.tree(directory)
            packer.end()
            split.close()
    finally:
        os.close(directory)
    point("a draft is adopted")
    links = sum(found.st_size for _, found in walk(top) if stat.S_ISLNK(found.st_mode))
    return Layer(packer.digest(), packer.size + links)


def _clamp(top: str, latest: int) -> None:
    for path, found in [(b"", os.stat(top)), *walk(top)]:
        if found.st_mtime_ns > latest:
            os.utime(os.fsencode(top) + path, ns=(latest, latest), follow_symlinks=False)
