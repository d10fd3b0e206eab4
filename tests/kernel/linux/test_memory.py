"""A process that has its own pages is not interrupted by the first write to each."""

from __future__ import annotations

import mmap
import os
import resource

from wharfie.linux.memory import own_pages

PAGES = 512


def test_a_child_copies_its_pages_before_it_writes_them() -> None:
    shared = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _write(shared)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            own_pages()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            _write(shared)
            status = int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before > PAGES // 8)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_page_that_was_never_touched_stays_so() -> None:
    half = mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    half.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, len(half), 2 * mmap.PAGESIZE):
        half[at] = 1
    pid = os.fork()
    if not pid:
        status = 1
        try:
            own_pages()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for at in range(mmap.PAGESIZE, len(half), 2 * mmap.PAGESIZE):
                half[at] = 1
            status = int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < PAGES // 2)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def _write(memory: mmap.mmap) -> None:
    for at in range(0, len(memory), mmap.PAGESIZE):
        memory[at] = 1
