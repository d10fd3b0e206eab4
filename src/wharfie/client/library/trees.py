"""Archives of files of this machine, for a container to extract."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator

from wharfie.client.errors import BadBuildContext

_PART = 1 << 20
_BLOCK = 512
_END = bytes(2 * _BLOCK)


def one_file(name: str, data: bytes, mode: int) -> bytes:
    """An archive of one file."""
    info = tarfile.TarInfo(name)
    info.mode, info.size = mode, len(data)
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % _BLOCK) + _END


def tree(path: str) -> Iterator[bytes]:
    """An archive of a file or directory under its own name, in parts; raises BadBuildContext."""
    path = os.path.abspath(path)
    waiting = [(path, os.path.basename(path))]
    while waiting:
        place, name = waiting.pop()
        try:
            found = os.lstat(place)
            if stat.S_ISDIR(found.st_mode):
                waiting += sorted(
                    ((f"{place}/{one}", f"{name}/{one}") for one in os.listdir(place)), reverse=True
                )
            yield from _entry(place, name, found)
        except OSError as error:
            raise BadBuildContext(f"{place} cannot be copied: {error.strerror}") from None
    yield _END


def _entry(place: str, name: str, found: os.stat_result) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    info.uid, info.gid = found.st_uid, found.st_gid
    if stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(place)
    elif not stat.S_ISREG(found.st_mode):
        return  # sockets and devices are this machine's own
    else:
        with open(place, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            yield info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
            left = info.size
            while left:
                part = file.read(min(left, _PART)) or bytes(min(left, _PART))
                left -= len(part)
                yield part
            yield bytes(-info.size % _BLOCK)
        return
    yield info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
