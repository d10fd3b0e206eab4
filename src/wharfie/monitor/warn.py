"""Words for whoever looks after the machine."""

from __future__ import annotations

import posix as os


def warn(message: str) -> None:
    """Into the spawner's log, which is standard error of spawner and monitors."""
    os.write(2, f"monitor {os.getpid()}: {message}\n".encode("utf-8", "backslashreplace"))
