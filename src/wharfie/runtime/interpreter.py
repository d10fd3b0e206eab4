"""The interpreter that a container can reach must be one that nobody can write to (CVE-2019-5736).

Between clone and execve the container's process is this very program, and an image whose program is a link to
/proc/self/exe runs it again inside. So it has to run from a read-only mount. The first command after a boot
makes one, of the one file, and executes itself again from there; the launcher finds it and begins there from
then on, for a second start of Python costs 15 ms::

    /run/wharfie-interpreter/<device>-<inode>/pyvenv.cfg     says where the standard library is
    /run/wharfie-interpreter/<device>-<inode>/bin/python     the mount

An interpreter that an upgrade replaces is another inode, so it gets another mount, and the old one goes.
A container cannot make the mount writable again: it belongs to a mount namespace that the container is not in
(mount_setattr(2) says EINVAL). Where no mount can be kept, a detached one does, each time anew.
"""

from __future__ import annotations

import fcntl
import os
import sys

from wharfie.linux import mount

KEPT = "/run/wharfie-interpreter"
_BOOT = (
    "import sys; sys.path[:0] = sys.argv[1].split(chr(10)); del sys.argv[1]; "
    "from wharfie.door import runtime; runtime()"
)
_FLAGS = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV


def is_read_only(path: str = "/proc/self/exe") -> bool:
    """Whether a file, by default the running interpreter's, lies on a read-only mount."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def ensure_read_only(words: list[str]) -> None:
    """Return if nobody can write the interpreter, else run ``words`` again from where it is so."""
    if is_read_only():
        return
    file = os.readlink("/proc/self/exe")
    try:
        program = name = keep(file, KEPT)
    except OSError:
        # no /run of ours, or no right to mount there
        program, name = f"/proc/self/fd/{_read_only_tree(file)}", sys.executable or file
    arguments = [name, "-I", "-S", "-c", _BOOT, "\n".join(sys.path), *words]
    os.execve(program, arguments, dict(os.environ))


def _read_only_tree(file: str) -> int:
    tree = mount.open_tree(mount.AT_FDCWD, file, mount.OPEN_TREE_CLONE)
    mount.mount_setattr(tree, set_=_FLAGS, propagation=mount.MS_PRIVATE)
    return tree


def keep(file: str, directory: str) -> str:
    """The path of a read-only mount of ``file`` below ``directory``; raises OSError."""
    os.makedirs(directory, 0o755, exist_ok=True)
    owner = os.stat(directory)
    if owner.st_uid != os.geteuid() or owner.st_mode & 0o022:
        raise PermissionError(f"{directory} is not ours alone")
    found = os.stat(file)
    place = f"{directory}/{found.st_dev:x}-{found.st_ino:x}"
    program = f"{place}/bin/python"
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # one at a time, or there would be a mount on the mount
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.makedirs(f"{place}/bin", 0o755, exist_ok=True)
        os.close(os.open(program, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o755))
        if not os.path.samestat(os.stat(program), found):
            _describe_home(place, file)
            _remove_old(directory)
            tree = _read_only_tree(file)
            place_fd = os.open(program, os.O_PATH | os.O_CLOEXEC)
            mount.move_mount(tree, place_fd)
            os.close(place_fd)
            os.close(tree)
    finally:
        os.close(lock)
    return program


def _describe_home(place: str, file: str) -> None:
    fd = os.open(f"{place}/pyvenv.cfg", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    os.write(fd, f"home = {os.path.dirname(file)}\n".encode())
    os.close(fd)


def _remove_old(directory: str) -> None:
    """Let go of interpreters whose file has been replaced; who runs from one goes on."""
    for name in os.listdir(directory):
        place = f"{directory}/{name}"
        try:
            if os.stat(f"{place}/bin/python").st_nlink:
                continue
            mount.umount2(f"{place}/bin/python", mount.MNT_DETACH)
            for file in ("bin/python", "pyvenv.cfg"):
                os.unlink(f"{place}/{file}")
            os.rmdir(f"{place}/bin")
            os.rmdir(place)
        except OSError:
            continue  # not a place of ours, or in use in another way: it does no harm
