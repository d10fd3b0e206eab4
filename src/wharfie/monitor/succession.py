"""One spawner after the other, and nobody's launch in between.

A daemon that is killed may leave launches in its spawner's queue; the spawner still works them off before it
sees the end of the socket. The next daemon must not look for containers before that, or it would miss one. So
a spawner holds a lock while it lives, and each monitor it forks holds it too until its container runs or has
failed; the next spawner is started only with the lock in hand. flock(2): it belongs to the open file, which a
fork shares, and ends with the last descriptor of it, however the processes end.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time

PATIENCE = 20.0
_POLL = 0.005
_log = logging.getLogger(__name__)


async def take(exec_root: str) -> int:
    """Wait until earlier spawners are gone and their monitors to be found; the lock's descriptor.

    Raises OSError when there can be no lock. One that is not to be had for long is done without.
    """
    fd = os.open(f"{exec_root}/spawner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                if time.monotonic() > deadline:
                    _log.warning("an earlier spawner still lives; containers it starts may be overlooked")
                    return fd
            await asyncio.sleep(_POLL)
    except BaseException:
        os.close(fd)
        raise
