"""The device nodes and links every container has (runtime-spec, config-linux, "Default Devices")."""

from __future__ import annotations

NODES = (
    # path, major, minor
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)

KERNEL_CORE = "/proc/kcore"
"""Not there in every kernel, and then the link to it is left out."""

LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", KERNEL_CORE),
    ("ptmx", "pts/ptmx"),
)
