"""``--init``: a small reaper as the container's first process, taken from the host."""

from __future__ import annotations

import os
import shutil
from functools import cache

from wharfie.errors import NotSupported

NAMES = ("docker-init", "tini-static", "catatonit", "tini")


class NoInit(NotSupported):
    """No program that could be it is installed."""


@cache
def _find() -> str:
    for name in NAMES:
        found = shutil.which(name, path=os.environ.get("PATH", os.defpath))
        if found:
            return os.path.realpath(found)
    return ""


def init_program(configured: str) -> str:
    """The host's path of the reaper; raises NoInit."""
    path = configured or _find()
    if not path or not os.access(path, os.X_OK):
        raise NoInit(
            f"--init needs one of {', '.join(NAMES)} on the host: install the package tini or catatonit, "
            "or set init-path"
        )
    return path
