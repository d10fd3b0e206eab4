"""What is to be removed when a container has ended, noted when it starts in a form that takes no finding out.

At the end somebody waits, and a monitor that works out its control group anew looks at 70 pages that it
shares with others until then (0.3 ms). So the launcher leaves a file in the container's directory::

    the file with the count of processes that the kernel killed for want of memory
    each directory of the control group, in the order in which they are removed
"""

from __future__ import annotations

import posix as os

from wharfie.support.files import read_file, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.cgroups.base import Cgroup

NAME = "remains"


def note(directory: int, cgroup: Cgroup) -> None:
    """Leave the file in a container's directory; raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    fd = os.open(NAME, flags, 0o600, dir_fd=directory)
    try:
        write_all(fd, "\n".join((cgroup.oom_file(), *cgroup.directories())).encode())
    finally:
        os.close(fd)


def read(directory: str) -> tuple[str, list[str]]:
    """(the file with the count, the directories) of a container; raises OSError."""
    counts, *directories = read_file(f"{directory}/{NAME}").decode().split("\n")
    return counts, directories


def remove(directories: list[str]) -> bool:
    """Remove what holds neither processes nor further groups, as after nearly every end; else False."""
    for directory in directories:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
