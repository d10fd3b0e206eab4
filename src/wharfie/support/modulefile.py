"""Makes the file that the modules of a program load from (``wharfie.door``)."""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    # name: (file, is a package, time and size of the source, marshalled code)
    Modules = dict[str, tuple[str, bool, tuple[int, int], bytes]]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HOT = {
    "cli": "cli.main cli.context cli.run cli.exec cli.start cli.lifecycle cli.ps cli.logs cli.foreground"
    " cli.terminal cli.references cli.streams cli.create_parts cli.mounts cli.ports client.address",
    "runtime": "runtime.cli runtime.commands runtime.executing runtime.control runtime.foreground"
    " runtime.views runtime.interpreter runtime.seccomp_cache runtime.cgroups.v1 runtime.cgroups.v2",
}
"""What the quick commands of each program load, and through these all the rest."""
_STANDARD = ("__future__", "struct")
"""Modules of Python's own that are worth to be in it."""


def make(door: str, path: str) -> Modules | None:
    """Compile all modules and keep them at ``path``; None, and nothing done, where they cannot be kept."""
    directory = os.path.dirname(path)
    if not os.access(directory if os.path.isdir(directory) else os.path.dirname(directory), os.W_OK):
        return None
    modules: Modules = {}
    for name, file, package in _sources(door):
        status = os.stat(file)
        with open(file, "rb") as source:
            code: CodeType = compile(source.read(), file, "exec", dont_inherit=True, optimize=2)
        stamp = (status.st_mtime_ns, status.st_size)
        modules[name] = (file.removeprefix(f"{_PACKAGE}/"), package, stamp, marshal.dumps(code))
    content: Any = (MAGIC_NUMBER, modules)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(directory, exist_ok=True)
        with open(temporary, "xb") as target:
            target.write(marshal.dumps(content))
        os.replace(temporary, path)
    except OSError:
        return None  # a full or read-only disk: the modules load one by one
    return modules


def _sources(door: str) -> list[tuple[str, str, bool]]:
    """(name, file, is a package) of every module that belongs into the file."""
    for name in _HOT[door].split():
        __import__(f"wharfie.{name}")
    found = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if (name.partition(".")[0] == "wharfie" or name in _STANDARD) and file.endswith(".py"):
            found.append((name, file, hasattr(module, "__path__")))
    return found
