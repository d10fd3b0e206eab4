"""The interpreter that a container can reach must be one that nobody can write to (CVE-2019-5736).

Between clone and execve the container's process is this very program, and an image whose program is a link to
/proc/self/exe runs it again inside. So it has to run from a read-only mount: a launcher may provide one, else
the command line executes itself again from a detached read-only clone of its own file.
"""

from __future__ import annotations

import os
import sys

from wharfie.linux import mount

_BOOT = (
    "import sys; sys.path[:0] = sys.argv[1].split(chr(10)); del sys.argv[1]; "
    "from wharfie.runtime.cli import main; main()"
)


def is_read_only() -> bool:
    """Whether the running interpreter's file lies on a read-only mount."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def ensure_read_only(words: list[str]) -> None:
    """Return if nobody can write the interpreter, else run ``words`` again from where it is so."""
    if is_read_only():
        return
    file = os.readlink("/proc/self/exe")
    tree = mount.open_tree(mount.AT_FDCWD, file, mount.OPEN_TREE_CLONE)
    flags = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV
    mount.mount_setattr(tree, set_=flags, propagation=mount.MS_PRIVATE)
    arguments = [sys.executable or file, "-I", "-S", "-c", _BOOT, "\n".join(sys.path), *words]
    os.execve(f"/proc/self/fd/{tree}", arguments, dict(os.environ))
