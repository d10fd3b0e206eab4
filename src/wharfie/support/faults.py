"""Named points at which a test may end the process: the power plug.

``point("…")`` does nothing until :func:`arm` was called, which the daemon's entry does only for the
environment variable :data:`VARIABLE`. Its value is ``trace:PATH`` (write the name of each point that is
passed to a file) or ``kill:N`` (SIGKILL this process at the N-th point, the first being 1). ``fail:N``
raises OSError (EIO) there instead.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

VARIABLE = "WHARFIE_FAULT"

_hit: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Something was done, or is about to be; ``name`` says what."""
    if _hit is not None:
        _hit(name)


def arm(order: str) -> None:
    """Obey an order from now on; raises ValueError for one that is none. An empty order disarms."""
    global _hit
    kind, _, value = order.partition(":")
    passed = 0

    def trace(name: str) -> None:
        with open(value, "a", encoding="utf-8") as file:
            file.write(name + "\n")

    def count(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            if kind == "fail":
                raise OSError(errno.EIO, f"a fault was injected at: {name}")
            os.kill(os.getpid(), signal.SIGKILL)

    if not order:
        _hit = None
    elif kind == "trace" and value:
        _hit = trace
    elif kind in ("kill", "fail"):
        number = int(value)
        _hit = count
    else:
        raise ValueError(f"{VARIABLE}={order!r} is not trace:PATH, kill:N or fail:N")
