"""Which libseccomp is installed, found without loading it."""

from __future__ import annotations

import posix as os

from wharfie.support import paths

_SONAME = "libseccomp.so.2"
_PLACES = ("/usr/lib/{}-linux-gnu", "/lib/{}-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib")


def library_path() -> str:
    """Where libseccomp lies; its bare name when it lies in none of the usual places (for the linker)."""
    for place in _PLACES:
        path = f"{place.format(os.uname().machine)}/{_SONAME}"
        if paths.exists(path):
            return path
    return _SONAME


def library_identity() -> str:
    """What changes when libseccomp does, found without loading it: the file's version, size and time."""
    path = library_path()
    try:
        real = paths.realpath(path)
        status = os.stat(real)
    except OSError:
        return path
    return f"{paths.basename(real)} {status.st_size} {status.st_mtime_ns}"
