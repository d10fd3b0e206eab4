"""What can go wrong with a control group, said in one sentence that names the option a person gave."""

from __future__ import annotations

import errno
import posix as os

from wharfie.errors import InternalError, InvalidArgument, NotSupported, WharfieError


class CgroupError(WharfieError):
    """Base of everything this package raises."""


class LimitRefused(CgroupError, InvalidArgument):
    """The kernel does not take the limit that was asked for."""


class LimitUnsupported(CgroupError, NotSupported):
    """This kernel has no such limit."""


class CgroupFailure(CgroupError, InternalError):
    """Making, entering or removing a control group failed."""


def refusal(error: OSError, option: str, value: str, file: str) -> CgroupError:
    """The error for a limit ``file`` that could not be written with ``value``."""
    asked = f"{option} {value}"
    if error.errno == errno.ENOENT:
        return LimitUnsupported(f"{option} is not possible here: this kernel has no {file}.")
    if error.errno == errno.EBUSY and file.startswith("memory"):
        return LimitRefused(f"{asked} is too small: the container uses more memory than that already.")
    if error.errno == errno.EBUSY:
        return LimitRefused(f"{asked} was refused: processes or limits below this container need more.")
    if error.errno == errno.ENODEV:
        return LimitRefused(f"{asked} was refused: there is no such whole block device.")
    if error.errno == errno.ENOSPC:
        return LimitRefused(f"{asked} was refused: a set of CPUs or memory nodes cannot be empty.")
    if error.errno in (errno.EINVAL, errno.ERANGE, errno.EACCES) and file.startswith("cpuset"):
        return LimitRefused(f"{asked} was refused: not all of these are available to containers here.")
    if error.errno == errno.EINVAL and file == "memory.memsw.limit_in_bytes":
        return LimitRefused(f"{asked} was refused: it must not be less than --memory.")
    if error.errno in (errno.EINVAL, errno.ERANGE):
        return LimitRefused(f"{asked} was refused by the kernel as out of range ({file}).")
    if error.errno == errno.EOPNOTSUPP:
        return LimitUnsupported(f"{option} is not possible with this block device's scheduler ({file}).")
    reason = os.strerror(error.errno or 0)
    return CgroupFailure(f"{asked} could not be set, writing {file} failed: {reason}.")
