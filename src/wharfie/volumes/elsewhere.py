"""Work in another mount namespace, done by a thread that lives no longer than the work.

setns(2) and unshare(2) with CLONE_NEWNS concern the calling thread alone once it shares neither root nor
working directory with the others (CLONE_FS); the rest of the process stays where it is. What the work
mounts in a namespace of its own vanishes with the thread, but for detached copies it hands out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from wharfie.linux import mount, process

T = TypeVar("T")


def in_scratch(work: Callable[[], T]) -> T:
    """Run ``work`` in a copy of our mount namespace, from which no mount finds its way back."""

    def there() -> T:
        process.unshare(process.CLONE_NEWNS)
        # a slave still follows the host's unmounts: nothing is kept busy by the copy
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_SLAVE)
        return work()

    return _by_thread(there)


def inside(pid: int, work: Callable[[], T]) -> T:
    """Run ``work`` in the mount namespace of a process; it opens nothing there by its name."""

    def there() -> T:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            process.unshare(process.CLONE_FS)
            process.setns(namespace, process.CLONE_NEWNS)
        finally:
            os.close(namespace)
        return work()

    return _by_thread(there)


def _by_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run, name="elsewhere")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]
