"""The pages that a process shares with the one it was forked from."""

from __future__ import annotations

from wharfie.linux import libc
from wharfie.support.files import read_file

MADV_POPULATE_WRITE = 23

_madvise = libc.function("madvise", libc.ULong, libc.ULong, libc.Int)


def own_pages() -> None:
    """Copy now, while nobody waits, what each first write would copy later, at up to 5 µs a page.

    madvise(2), MADV_POPULATE_WRITE; before Linux 5.14 nothing happens.
    """
    for line in read_file("/proc/self/maps").splitlines():
        span, rights, _ = line.split(b" ", 2)
        if rights == b"rw-p":
            start, end = (int(number, 16) for number in span.split(b"-"))
            if _madvise(start, end - start, MADV_POPULATE_WRITE):
                return
