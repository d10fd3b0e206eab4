"""A process that has its own pages is not interrupted by the first write to each."""

from __future__ import annotations

import mmap
import os
import resource
import struct
from collections.abc import Callable

import pytest

from wharfie.linux import memory
from wharfie.linux.memory import own_pages

PAGES = 512


def _anonymous() -> mmap.mmap:
    memory = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def _faults_of_an_owner(write: Callable[[], None]) -> int:
    """How many there are in a child that owns its pages and writes."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            own_pages()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            write()
            os.write(writer, struct.pack("q", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        (found,) = struct.unpack("q", pipe.read())
    os.waitpid(pid, 0)
    return int(found)


def test_a_child_copies_its_pages_before_it_writes_them() -> None:
    shared = _anonymous()

    def write() -> None:
        for at in range(0, len(shared), mmap.PAGESIZE):
            shared[at] = 1

    write()
    assert _faults_of_an_owner(write) <= PAGES // 8


def test_a_page_that_was_never_touched_stays_so() -> None:
    half = _anonymous()
    for at in range(0, len(half), 2 * mmap.PAGESIZE):
        half[at] = 1

    def write() -> None:
        for at in range(mmap.PAGESIZE, len(half), 2 * mmap.PAGESIZE):
            half[at] = 1

    assert _faults_of_an_owner(write) >= PAGES // 2


def test_a_kernel_that_does_not_tell_of_pages_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> object:
        raise FileNotFoundError

    monkeypatch.setattr(memory, "_runs", missing)
    own_pages()
