"""The interpreter that spawner and monitors run on, out of reach of what they start.

A container's first process runs on it until its execve, and ``/proc/<pid>/exe`` leads to it; a process that
gets hold of that link must not be able to write to the file behind it (CVE-2019-5736). So the spawner is
executed from a detached, read-only mount of the one file: open_tree(2) with OPEN_TREE_CLONE, mount_setattr(2)
with MOUNT_ATTR_RDONLY. The running process keeps the mount alive. (A re-exec from a sealed memfd would do as
well but starts Python twice.)
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess

from wharfie.linux import mount
from wharfie.linux.fd import close_all

_log = logging.getLogger(__name__)


# -S hides the packages; ours are put behind the standard library's
_START = (
    "import sys; sys.path.append(sys.argv[1]); from wharfie.monitor.spawner import main; "
    "main(sys.argv[2], *map(int, sys.argv[3:]))"
)
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    # ld.so(8): each function of the C library is looked up now, not at its first call in each fork
    "LD_BIND_NOW": "1",
}


def start_spawner(interpreter: list[str], log_path: str, control: int, lock: int) -> subprocess.Popen[bytes]:
    """Start the fork server with ``control`` as its end of the daemon's socket; raises OSError.

    ``lock`` is held by it and, until they can be found, by its monitors (``succession.py``).
    """
    program = shutil.which(interpreter[0]) or interpreter[0]
    copy = read_only_copy(program)
    log = -1
    try:
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        passed = [control, lock] if copy is None else [control, lock, copy]
        words = [_SOURCE, os.path.dirname(log_path), *map(str, passed)]
        return subprocess.Popen(
            [program, *interpreter[1:], "-I", "-S", "-c", _START, *words],
            executable=None if copy is None else f"/proc/self/fd/{copy}",
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    finally:
        close_all([log] if copy is None else [log, copy])


def read_only_copy(interpreter: str) -> int | None:
    """A descriptor of the interpreter's file on a read-only mount; None, with a warning, if none can be.

    It is to be executed as /proc/self/fd/N, with the interpreter's real path as argv[0] (Python finds its
    library by that).
    """
    try:
        fd = mount.open_tree(mount.AT_FDCWD, os.path.realpath(interpreter), mount.OPEN_TREE_CLONE)
    except OSError as error:
        _log.warning("no read-only mount of the interpreter, it runs from its file: %s", error)
        return None
    try:
        mount.mount_setattr(fd, set_=mount.ATTR_RDONLY)
    except OSError as error:
        os.close(fd)
        _log.warning("no read-only mount of the interpreter, it runs from its file: %s", error)
        return None
    return fd
