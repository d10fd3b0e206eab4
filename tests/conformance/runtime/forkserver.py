"""The runtime's command line without its cold start: a small process that has it loaded and forks.

It reads a line of JSON, {"words": …, "directory": …, "user": …}, runs that in a child whose output goes to
``stdout`` and ``stderr`` in the directory, and answers with the exit code. It is started as the
runtime is: isolated.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback


def become(words: list[str], directory: str, user: int) -> None:
    """The child: the runtime's ``main``, from a directory of its own."""
    from wharfie.runtime import cli

    try:
        os.chdir(directory)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, name in enumerate(("stdout", "stderr"), 1):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.closerange(3, 16)
        if user:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        cli.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(99)


def main() -> None:
    """Serve until standard input ends."""
    import json

    from wharfie.runtime import (  # noqa: F401
        cli,
        commands,
        control,
        executing,
        foreground,
        interpreter,
        rootless,
        update,
        views,
    )

    # every child would execute itself again; what runs here is not what containers see elsewhere
    interpreter.ensure_read_only = lambda words: None
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            become(job["words"], job["directory"], job["user"])
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main()
