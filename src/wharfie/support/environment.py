"""The environment, read without ``os``: that module's abstract classes cost 1.5 ms of a start.

Modules of the command line's hot path call ``posix``, which ``os`` is made of, directly.
"""

from __future__ import annotations

import posix


def variable(name: str) -> str | None:
    """The value of an environment variable as ``os.environ.get`` gives it."""
    value = posix.environ.get(name.encode("utf-8", "surrogateescape"))
    return None if value is None else value.decode("utf-8", "surrogateescape")
