"""Where the two programs begin, ``wharfie`` and ``wharfie-runtime``: their modules come out of one file.

Sixty modules take 12 ms less that way. The file lies beside Python's own compiled modules, in
``__pycache__``, and is as trustworthy as they are. It holds the compiled code of each module with the time
and size of the source, so that it is never older than what it stands for; where it is missing, stale or
broken, modules load as they always do, and it is made anew if this user may write there. Modules that it does
not have load as they always do, too.

This module is the one that does not come out of it: it imports nothing that is not there already.
"""

import gc
import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

PACKAGE = __file__.rpartition("/")[0]


def wharfie() -> None:
    """The command line; what is loaded at its start is not worth a look for garbage."""
    gc.disable()
    use("cli")
    from wharfie.cli.main import main

    main()


def runtime() -> None:
    """The OCI runtime's command line; it is over too soon for garbage to matter."""
    gc.disable()
    use("runtime")
    from wharfie.runtime.cli import main

    main()


def use(door: str) -> None:
    """Have modules load from the file of this door, "cli" or "runtime"."""
    path = path_of(door)
    modules = read(path)
    if modules is None:
        from wharfie.support.modulefile import make

        modules = make(door, path)
    if modules is not None:
        sys.meta_path.insert(0, Finder(modules))


def path_of(door: str) -> str:
    """Where this interpreter's file for a door lies."""
    return f"{PACKAGE}/{door}/__pycache__/{door}.{sys.implementation.cache_tag}.modules"


def read(path: str) -> "dict[str, tuple[str, bool, tuple[int, int], bytes]] | None":
    """By name (file, is a package, time and size of the source, marshalled code).

    None where the file is missing, broken, or older than a source.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            magic, modules = marshal.loads(file.read())
        if magic != MAGIC_NUMBER:
            return None
        for name, _package, stamp, _code in modules.values():
            if stamp_of(place(name)) != stamp:
                return None
    except (OSError, EOFError, ValueError, TypeError, AttributeError):
        return None
    found: dict[str, tuple[str, bool, tuple[int, int], bytes]] = modules
    return found


def place(file: str) -> str:
    """Where a source lies: ours are named from the package on, for a tree may be copied or moved."""
    return file if file.startswith("/") else f"{PACKAGE}/{file}"


def stamp_of(file: str) -> tuple[int, int]:
    """What changes when a source does."""
    status = posix.stat(file)
    return status.st_mtime_ns, status.st_size


class Finder:
    """A finder and loader (importlib.abc) of what one file holds."""

    __slots__ = ("_modules",)

    def __init__(self, modules: dict[str, tuple[str, bool, tuple[int, int], bytes]]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """How to load a module, None if it is not in the file."""
        found = self._modules.get(name)
        if found is None:
            return None
        file, package = place(found[0]), found[1]
        spec = ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        """An ordinary module."""
        return None

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        found = self._modules[module.__name__]
        # not by spec.has_location: importlib would work out where the compiled file is, 20 µs each time
        module.__file__ = place(found[0])
        exec(marshal.loads(found[3]), module.__dict__)
