"""Network namespaces for tests: a function runs in a forked child that has one of its own."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def unshare_network() -> None:
    """Give the calling process a new, empty network namespace."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot unshare the network namespace (the kernel tests need root)")


def enter(fd: int) -> None:
    """Enter the network namespace of a descriptor."""
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def in_new_netns(work: Callable[[], Any]) -> None:
    """Run ``work`` in a child with a new network namespace; its failure fails the test."""
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read_end)
            unshare_network()
            work()
            status = 0
        except BaseException:
            os.write(write_end, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        report = stream.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, report


class Peer:
    """A process that sits in a network namespace of its own and runs functions there, one at a time."""

    def __init__(self) -> None:
        ready_read, ready_write = os.pipe()
        hold_read, hold_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(hold_write)
                unshare_network()
                os.write(ready_write, b".")
                os.close(ready_write)
                os.read(hold_read, 1)
            finally:
                os._exit(0)
        os.close(hold_read)
        os.close(ready_write)
        assert os.read(ready_read, 1) == b".", "the peer process has no namespace"
        os.close(ready_read)
        self._hold = hold_write
        self.netns = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_details: object) -> None:
        os.close(self.netns)
        os.close(self._hold)
        os.waitpid(self.pid, 0)

    def run(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the peer's namespace (this process goes there and back); what it returns."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(self.netns)
            try:
                return work()
            finally:
                enter(home)
        finally:
            os.close(home)
