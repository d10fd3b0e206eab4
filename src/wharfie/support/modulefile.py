"""Makes the file that the modules of a program load from (``wharfie.door``)."""

from __future__ import annotations

import ast
import marshal
import os
import sys
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, PathFinder

from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # file, is it a package, time and size of the source, where its code begins (from the end of the index),
    # how long it is
    Entry = tuple[str, bool, tuple[int, int], int, int]
    Modules = dict[str, Entry]
    # the modules that a command needs, in the order in which they load; "" stands for all other commands
    Commands = dict[str, tuple[str, ...]]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_VERSION = "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1"
"""Of this machine's control groups: on another one the modules are found one by one, a little later."""
_STATE = f"runtime.cli runtime.cgroups.{_VERSION}"
_LAUNCH = f"{_STATE} runtime.interpreter runtime.commands"
_CALL = "cli.main cli.context client.address client.endpoint"
_COMMANDS = {
    "cli": {
        "": "cli.main",
        "run": f"{_CALL} cli.run",
        "exec": f"{_CALL} cli.exec",
        "start": f"{_CALL} cli.start",
        "stop": f"{_CALL} cli.lifecycle",
        "rm": f"{_CALL} cli.lifecycle",
        "kill": f"{_CALL} cli.lifecycle",
        "wait": f"{_CALL} cli.lifecycle",
        "ps": f"{_CALL} cli.ps",
        "logs": f"{_CALL} cli.logs",
    },
    "runtime": {
        "": "runtime.cli",
        "run": _LAUNCH,
        "create": _LAUNCH,
        "exec": f"{_STATE} runtime.interpreter runtime.executing runtime.foreground",
        "start": f"{_STATE} runtime.control",
        "kill": f"{_STATE} runtime.control",
        "delete": f"{_STATE} runtime.control",
        "state": f"{_STATE} runtime.views",
    },
}
"""What each quick command needs before it has asked anybody for anything, and through these all the rest."""
_BESIDES = {
    "cli": "cli.foreground cli.terminal cli.references cli.streams cli.create_parts cli.mounts cli.ports",
    "runtime": "runtime.control runtime.foreground runtime.runcconfig runtime.seccomp_cache"
    " runtime.cgroups.v1 runtime.cgroups.v2",
}
"""What they load later, while others work, or only with some options."""
_STANDARD = ("__future__", "struct")
"""Modules of Python's own that are worth to be in it."""


def make(door: str, path: str) -> bool:
    """Compile all modules and keep them at ``path``; False where they cannot be kept."""
    sources = _Sources()
    commands: Commands = {
        command: tuple(sources.in_order(roots.split())) for command, roots in _COMMANDS[door].items()
    }
    sources.in_order(_BESIDES[door].split())
    modules: Modules = {}
    offset = 0
    for name, (file, package, stamp, code) in sources.found.items():
        modules[name] = (file.removeprefix(f"{_PACKAGE}/"), package, stamp, offset, len(code))
        offset += len(code)
    index = marshal.dumps((modules, commands, sources.extensions))
    header = MAGIC_NUMBER + len(index).to_bytes(4, "little") + os.urandom(8)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = b"".join((header, index, *(code for *_, code in sources.found.values())))
        atomic_write(path, content, mode=0o644, sync=False)
    except OSError:
        return False  # a full or read-only disk: the modules load one by one
    return True


class _Sources:
    """The modules that others lead to, by what each imports when it is loaded."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[str, bool, tuple[int, int], bytes]] = {}
        """By name: file, is a package, time and size, marshalled code."""
        self.extensions: dict[str, str] = {}
        """Where those of Python's own lie that are no part of the interpreter."""
        self._imports: dict[str, list[str]] = {}

    def in_order(self, roots: list[str]) -> list[str]:
        """These modules of ours and all that they import, each after those that it imports itself."""
        order: list[str] = []
        seen: set[str] = set()
        for name in roots:
            self._visit(f"wharfie.{name}", order, seen)
        return order

    def _visit(self, name: str, order: list[str], seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        if name not in self._imports:
            self._read(name)
        package = name.rpartition(".")[0]
        for needed in (package, *self._imports[name]) if package else self._imports[name]:
            self._visit(needed, order, seen)
        order.append(name)

    def _read(self, name: str) -> None:
        file = _file_of(name) or ""
        status = os.stat(file)
        with open(file, "rb") as source:
            tree = ast.parse(source.read(), file)
        code = marshal.dumps(compile(tree, file, "exec", dont_inherit=True, optimize=2))
        stamp = (status.st_mtime_ns, status.st_size)
        self.found[name] = (file, file.endswith("/__init__.py"), stamp, code)
        imported = list(_imported(tree))
        self._imports[name] = [one for one in imported if _file_of(one)]
        for one in imported:
            found = None if "." in one or one in sys.builtin_module_names else PathFinder.find_spec(one)
            if found and found.origin and isinstance(found.loader, ExtensionFileLoader):
                self.extensions[one] = found.origin


def _file_of(name: str) -> str | None:
    """Where a module's source lies; None if it is none of those that belong into the file."""
    if name in _STANDARD:
        return __import__(name).__file__
    if name.partition(".")[0] != "wharfie":
        return None
    place = f"{os.path.dirname(_PACKAGE)}/{name.replace('.', '/')}"
    files = (f"{place}.py", f"{place}/__init__.py")
    return next((file for file in files if os.path.isfile(file)), None)


def _imported(node: ast.AST) -> Iterator[str]:
    """What is imported when the code is loaded; among it names that are no modules."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield part.module or ""
            yield from (f"{part.module}.{alias.name}" for alias in part.names)
        elif isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING":
            for other in part.orelse:
                yield from _imported(ast.Module([other], []))
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imported(part)
