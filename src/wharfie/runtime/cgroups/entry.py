"""How a container's first process gets into its control group.

On version 2 it is born there: ``clone3`` with CLONE_INTO_CGROUP and ``Entry.clone_fd``. On version 1 the
single-threaded child writes ``0`` to ``tasks`` of each hierarchy itself, which moves the writer alone and
takes 0.2 ms for nine of them; moving a process by its id through ``cgroup.procs`` takes the thread group lock
and waits for an RCU grace period, 10 ms. The files are opened before the clone, because the child may have
left the host's mount namespace when it enters.
"""

from __future__ import annotations

import posix as os


class Entry:
    """Opened doors; ``close`` in the parent after the clone, the child's copies close on exec."""

    __slots__ = ("_tasks", "clone_fd")

    def __init__(self, clone_fd: int, tasks: list[int]) -> None:
        self.clone_fd = clone_fd
        self._tasks = tasks

    def enter(self) -> None:
        """Move the calling, single-threaded process, unless it was born inside. Raises OSError."""
        for fd in self._tasks:
            os.write(fd, b"0")

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        fds, self._tasks = self._tasks, []
        if self.clone_fd >= 0:
            fds.append(self.clone_fd)
            self.clone_fd = -1
        for fd in fds:
            os.close(fd)
