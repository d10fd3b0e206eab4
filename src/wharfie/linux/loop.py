"""Loop devices (loop(4)): a file as a block device, for as long as something is mounted from it.

Every device here is made with LO_FLAGS_AUTOCLEAR: the kernel takes it down with its last user, so none is
ever left behind, whoever is killed. ``open_device`` gives the descriptor that keeps one until it is mounted.
A file must have one device only, two file systems on one file would destroy it: a device that the file has
already is found by the file's inode.
"""

from __future__ import annotations

import errno
import fcntl
import posix as os
import struct

from wharfie.support import paths

_CTL_GET_FREE, _CONFIGURE, _GET_STATUS64 = 0x4C82, 0x4C0A, 0x4C05
_AUTOCLEAR = 4
# struct loop_info64: device, inode, rdevice, offset, size limit; number, encryption type and key size, flags
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
# struct loop_config: file, block size, the above, reserved
_CONFIG_HEAD = struct.Struct("=II")
_RESERVED = bytes(64)
_ATTEMPTS = 64


def open_device(file: int, name: str) -> tuple[int, str]:
    """The loop device of an open file, found or made: a descriptor that keeps it, and its path.

    ``name`` is what losetup(8) shows of it. Raises OSError.
    """
    return _existing(file) or _new(file, name)


def _existing(file: int) -> tuple[int, str] | None:
    wanted = os.fstat(file)
    for entry in os.listdir("/sys/block"):
        if not entry.startswith("loop") or not paths.exists(f"/sys/block/{entry}/loop"):
            continue
        try:
            # held open it cannot be taken down between the look and its use
            device = os.open(f"/dev/{entry}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            status = _INFO.unpack(fcntl.ioctl(device, _GET_STATUS64, bytes(_INFO.size)))
        except OSError:  # ENXIO: it has no file by now
            os.close(device)
            continue
        if (status[0], status[1]) == (_encoded(wanted.st_dev), wanted.st_ino):
            return device, f"/dev/{entry}"
        os.close(device)
    return None


def _encoded(device: int) -> int:
    """A device number as the kernel writes it for programs (new_encode_dev)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _new(file: int, name: str) -> tuple[int, str]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            number = fcntl.ioctl(control, _CTL_GET_FREE)
            path = f"/dev/loop{number}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                _configure(device, file, name)
                return device, path
            except OSError as error:
                os.close(device)
                # somebody else was quicker
                if error.errno != errno.EBUSY:
                    raise
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device was found")


def _configure(device: int, file: int, name: str) -> None:
    label = paths.fsencode(name)[:63]
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR, label, b"", b"", 0, 0)
    fcntl.ioctl(device, _CONFIGURE, _CONFIG_HEAD.pack(file, 0) + info + _RESERVED)
