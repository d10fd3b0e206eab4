"""A json-file log followed from a place that is remembered, across rotations and restarts of who follows."""

from __future__ import annotations

import os

from wharfie.support import json
from wharfie.support.files import atomic_write, read_file

_CHUNK = 256 << 10


def remembered(cursor: str) -> tuple[int, int]:
    """The inode of the part that was read last, and how far; zeros for none."""
    try:
        value = json.loads(read_file(cursor))
        return int(value["inode"]), int(value["offset"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


class Tail:
    """Reads the log at ``path``; ``cursor`` is a file that remembers how far it came."""

    def __init__(self, path: str, cursor: str) -> None:
        self._path = path
        self._cursor = cursor
        self._fd = -1
        self._offset = 0
        self._inode = 0

    def open(self) -> None:
        """Go on where the last one stopped; raises OSError."""
        inode, offset = remembered(self._cursor)
        for number in range(self._parts()):
            if self._try(number) and self._inode == inode:
                self._offset = offset
                return
        # nothing was read, or what was read last is gone by rotation: the oldest there is comes next
        self._try(max(0, self._parts() - 1))

    def read(self) -> bytes:
        """Some whole entries, empty when there is nothing new; :meth:`commit` when they are delivered."""
        while True:
            if self._fd < 0 and not self._try(0):
                return b""
            found = os.fstat(self._fd)
            if found.st_size < self._offset:
                # a log of one part only begins anew when it is full
                self._offset = 0
            # asked before it is read: what a rotation leaves behind is whole, and must be read to its end
            over = self._is_over()
            data = os.pread(self._fd, _CHUNK, self._offset)
            end = data.rfind(b"\n") + 1
            if end:
                self._offset += end
                return data[:end]
            if len(data) == _CHUNK:
                # no entry is so long: what this is nobody knows
                self._offset += len(data)
                continue
            if not over or not self._next():
                return b""

    def commit(self) -> None:
        """Remember that all that was read is delivered; raises OSError."""
        place = json.dumps({"inode": self._inode, "offset": self._offset}).encode("ascii")
        atomic_write(self._cursor, place, sync=False)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _name(self, number: int) -> str:
        return f"{self._path}.{number}" if number else self._path

    def _parts(self) -> int:
        number = 1
        while os.path.exists(self._name(number)):
            number += 1
        return number

    def _try(self, number: int) -> bool:
        try:
            fd = os.open(self._name(number), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        self.close()
        self._fd, self._offset, self._inode = fd, 0, os.fstat(fd).st_ino
        return True

    def _is_over(self) -> bool:
        """Whether nothing is written to this part any more."""
        try:
            return os.stat(self._path).st_ino != self._inode
        except OSError:
            return False

    def _next(self) -> bool:
        """Turn to the next newer part, if this one is not the newest any more."""
        for number in range(self._parts()):
            try:
                if os.stat(self._name(number)).st_ino == self._inode:
                    return number > 0 and self._try(number - 1)
            except OSError:
                continue
        return self._parts() > 1 and self._try(self._parts() - 1)
