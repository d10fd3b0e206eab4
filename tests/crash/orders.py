"""Orders that children obey, so that a fault may end them: one process that forks, and who gives the orders.

::

    Orders ── {"output": PATH, …}, a line of JSON ──▶ serve() ── fork ──▶ obey(order), output to that file
           ◀── the child's wait status, a line of JSON ──
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path

from tests import ours

Order = dict[str, str]


class Orders:
    """The process of a module that serves."""

    def __init__(self, module: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", f"tests.crash.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ours.ROOT,
            env={**os.environ, "PYTHONPATH": f"{ours.ROOT}/src"},
        )

    def give(self, output: Path, **order: str) -> tuple[int, str]:
        """How the child ended (negative: by a signal), and what it said."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({**order, "output": str(output)}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline()), output.read_text()

    def close(self) -> None:
        self._server.communicate()


def serve(obey: Callable[[Order], Coroutine[None, None, None]]) -> None:
    """Read orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with open(order["output"], "w") as output:
                    sys.stdout = sys.stderr = output
                    try:
                        asyncio.run(obey(order))
                        code = 0
                    except BaseException:
                        traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps(os.waitstatus_to_exitcode(status)) + "\n")
        sys.stdout.flush()
