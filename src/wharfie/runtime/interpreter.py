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

Who is not root can mount nothing, and mostly need not: an interpreter of root's cannot be written by anybody
whose ids such a caller could give to a container. One that is the caller's own is copied to memory and sealed
(memfd_create(2)), each time anew.
"""

from __future__ import annotations

import fcntl
import posix as os
import sys

from wharfie.linux import mount
from wharfie.support import paths

KEPT = "/run/wharfie-interpreter"
_BOOT = (
    "import sys; sys.path[:0] = sys.argv[1].split(chr(10)); del sys.argv[1]; "
    "from wharfie.door import runtime; runtime()"
)
_MFD_EXEC = 0x10
_FLAGS = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV


def is_read_only(path: str = "/proc/self/exe") -> bool:
    """Whether a file, by default the running interpreter's, lies on a read-only mount."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def ensure_read_only(words: list[str]) -> None:
    """Return if nobody can write the interpreter, else run ``words`` again from where it is so."""
    if is_read_only() or _is_out_of_reach("/proc/self/exe") or _is_sealed("/proc/self/exe"):
        return
    file = os.readlink("/proc/self/exe")
    try:
        program = name = keep(file, KEPT)
    except OSError:
        # no /run of ours, or no right to mount there
        program, name = f"/proc/self/fd/{_private(file)}", sys.executable or file
    arguments = [name, "-I", "-S", "-c", _BOOT, "\n".join(sys.path), *words]
    os.execve(program, arguments, os.environ)


def _is_out_of_reach(file: str) -> bool:
    """Whether it is nobody's that this process could make a container's user, and theirs alone to write."""
    found = os.stat(file)
    if found.st_mode & 0o022:
        return False
    if os.geteuid():
        # newuidmap(1) maps other ids of a user, root's never (rootless)
        return found.st_uid == 0
    # the root of a user namespace sees what is not mapped as this id
    return found.st_uid == int(_read("/proc/sys/kernel/overflowuid")) and not _is_mapped(found.st_uid)


def _is_mapped(uid: int) -> bool:
    for line in _read("/proc/self/uid_map").splitlines():
        first, _host, size = (int(word) for word in line.split())
        if first <= uid < first + size:
            return True
    return False


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


def _is_sealed(file: str) -> bool:
    """Whether it is a copy in memory that nobody can write to."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    except OSError:  # not in memory
        return False
    finally:
        os.close(fd)


def _private(file: str) -> int:
    """A descriptor of ``file`` that nobody can write to, for this process and those that it forks."""
    try:
        return _read_only_tree(file)
    except PermissionError:
        return _sealed_copy(file)


def _sealed_copy(file: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create("wharfie-interpreter", flags | _MFD_EXEC)
    except OSError:  # before 6.3 all are executable
        copy = os.memfd_create("wharfie-interpreter", flags)
    source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    while os.sendfile(copy, source, None, 1 << 24):
        pass
    os.close(source)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    return copy


def _read_only_tree(file: str) -> int:
    tree = mount.open_tree(mount.AT_FDCWD, file, mount.OPEN_TREE_CLONE)
    mount.mount_setattr(tree, set_=_FLAGS, propagation=mount.MS_PRIVATE)
    return tree


def keep(file: str, directory: str) -> str:
    """The path of a read-only mount of ``file`` below ``directory``; raises OSError."""
    paths.makedirs(directory, 0o755, exist_ok=True)
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
        paths.makedirs(f"{place}/bin", 0o755, exist_ok=True)
        os.close(os.open(program, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o755))
        if not paths.samestat(os.stat(program), found):
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
    os.write(fd, f"home = {paths.dirname(file)}\n".encode())
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
