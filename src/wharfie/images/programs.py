"""Running the distribution's own programs for ``image bootstrap``: in their own namespaces, killed with us.

The only place of the package that starts a program. It gets a new mount namespace (what it mounts vanishes
with it) and a new PID namespace, so that killing it leaves no child of its behind; unshare(1) is part of
every distribution.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable

from wharfie.errors import Unavailable

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAIL = 12
_LINE_LIMIT = 1 << 16


class ProgramFailed(Unavailable):
    """A program ended with an error; the message has its last words."""


class ProgramMissing(Unavailable):
    """A program that is needed is not installed."""


def find(name: str, package: str) -> str:
    """Where a program is; raises ProgramMissing with how to get it."""
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise ProgramMissing(f"{name} is not installed; install it with: apt-get install {package}")
    return found


async def run(words: list[str], say: Callable[[str], None], cwd: str = "/") -> None:
    """Run a program to its end, telling each line it writes.

    Cancelled, it kills the program and waits for its end. Raises ProgramFailed.
    """
    isolate = [
        find("unshare", "util-linux"),
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    environment = {"PATH": SEARCH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
    environment.update({key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")})
    process = await asyncio.create_subprocess_exec(
        *isolate,
        *words,
        cwd=cwd,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=_LINE_LIMIT,
    )
    tail: list[str] = []
    try:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            text = line.decode("utf-8", "replace").rstrip()
            tail = [*tail[1 - _TAIL :], text]
            say(text)
        code = await process.wait()
    finally:
        if process.returncode is None:
            # the kernel kills unshare's child with it (PR_SET_PDEATHSIG), and with that whole PID namespace
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code:
        words_last = "; ".join(line for line in tail[-3:] if line)
        raise ProgramFailed(f"{os.path.basename(words[0])} failed with exit code {code}: {words_last}")
