"""The container's terminal: a pair of the container's own devpts, reached by descriptors alone.

The master is opened as /dev/pts/ptmx inside the root and must turn out to be the multiplexer of a devpts; the
terminal end comes from the master itself (TIOCGPTPEER), so no name under the container's control is opened or
mounted on (CVE-2025-52565).
"""

from __future__ import annotations

import posix as os

from wharfie.linux import mount, path, terminal
from wharfie.runtime.launch import LaunchError


class Console:
    """Both ends of a pair."""

    __slots__ = ("master", "slave")

    def __init__(self, root: int, size: tuple[int, int] | None) -> None:
        """Open a pair of the devpts below ``root``; raises OSError, LaunchError."""
        self.master = path.open_in_root(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        if not path.is_device(self.master, 5, 2) or (
            mount.filesystem_magic(self.master) != mount.DEVPTS_SUPER_MAGIC
        ):
            raise LaunchError("the container's /dev/pts is no terminal file system")
        terminal.unlock(self.master)
        self.slave = terminal.open_peer(self.master)
        if size is not None and any(size):
            terminal.set_size(self.master, *size)

    def bind(self, dev: int) -> None:
        """Put the terminal at ``console`` in the container's /dev."""
        try:
            os.close(
                os.open("console", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dev)
            )
        except FileExistsError:
            pass
        place = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
        if os.fstat(place).st_mode & 0o170000 not in (0o100000, 0o020000):
            raise LaunchError("the container's /dev/console is neither a file nor a device")
        tree = mount.open_tree(self.slave, b"", mount.OPEN_TREE_CLONE | mount.AT_EMPTY_PATH)
        mount.move_mount(tree, place)
        os.close(place)
        os.close(tree)

    def adopt(self, uid: int) -> None:
        """Lead a session on the terminal; it becomes the three standard streams and belongs to the user."""
        os.setsid()
        os.fchown(self.slave, uid, -1)
        terminal.make_controlling(self.slave)
        for number in range(3):
            os.dup2(self.slave, number)
