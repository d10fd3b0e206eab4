"""Running a function as a process inside a control group."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from wharfie.linux.process import fork_into
from wharfie.runtime.cgroups.base import Cgroup


class Inside:
    """A child that entered ``group`` as a container does, runs ``work`` and exits with what it returns."""

    def __init__(self, group: Cgroup, work: Callable[[], int | None]) -> None:
        entry = group.entry()
        reader, writer = os.pipe()

        def child() -> None:
            code = 99
            try:
                entry.enter()
                os.close(writer)
                code = work() or 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

        self.pid, self.pidfd = fork_into(child, cgroup=entry.clone_fd)
        entry.close()
        os.close(writer)
        os.read(reader, 1)  # end of file: it is inside
        os.close(reader)

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)


def run_inside(group: Cgroup, work: Callable[[], int | None]) -> int:
    """``Inside(group, work)`` and its exit code."""
    return Inside(group, work).wait()
