"""Where the two programs begin, ``wharfie`` and ``wharfie-runtime``: their modules come out of one file.

Sixty modules take 13 ms less that way. The file lies beside Python's own compiled modules, in
``__pycache__``, and is as trustworthy as they are::

    magic number of this Python, 4 bytes | length of the index, 4 | what tells this file from any other, 8
    index, marshalled (wharfie.support.modulefile)
    compiled code of each module, marshalled

What a command is known to need is read and loaded at once, each module after those that it imports: no
``import`` statement has to look for anything any more. What it turns out to need besides, a finder takes out
of the file when it is asked for; it knows where Python's own compiled extensions lie, too, so that no
directory has to be read. No descriptor of the file is kept, for a container's process would have it.

A module's time and size are in the index, and compared with the source's whenever its code is read, so that
it is never older than what it stands for. A file that is missing, broken, or stale in anything that the
command needs, is made anew at the start; one that is stale in something else goes, for the next start to
make. Where this user may not write there, and for modules that it does not have, they load as they always do.

This module is the one that does not come out of it: it imports nothing that is not there already. The
launchers load it by its file's name, for to find it would be to read four directories.
"""

import gc
import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec, module_from_spec
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from wharfie.support.modulefile import Commands, Entry, Modules

PACKAGE = __file__.rpartition("/")[0]
HEADER = 16
_BROKEN = (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError)


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
    found = read(path, sys.argv)
    if found is None and may_keep(path):
        from wharfie.support.modulefile import make

        found = read(path, sys.argv) if make(door, path) else None
    if found is not None:
        finder, modules = found
        sys.meta_path.insert(0, finder)
        for name, code in modules:
            if name not in sys.modules:
                finder.load(name, code)


def path_of(door: str) -> str:
    """Where this interpreter's file for a door lies."""
    return f"{PACKAGE}/{door}/__pycache__/{door}.{sys.implementation.cache_tag}.modules"


def may_keep(path: str) -> bool:
    """Whether this user may make the file; others need not load what makes it each time."""
    directory = path.rpartition("/")[0]
    if not posix.access(directory, posix.F_OK):
        directory = directory.rpartition("/")[0]
    return posix.access(directory, posix.W_OK)


def read(path: str, words: list[str]) -> "tuple[Finder, list[tuple[str, CodeType]]] | None":
    """What the file holds, and all code that the command in ``words`` needs.

    None where the file is missing, broken, or older than one of these sources. The first word that is a
    command's name is taken for it: should it be an option's value, the command loads a little more slowly.
    """
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        header = posix.read(fd, HEADER)
        if header[:4] != MAGIC_NUMBER:
            return None
        length = int.from_bytes(header[4:8], "little")
        modules: Modules
        commands: Commands
        extensions: dict[str, str]
        modules, commands, extensions = marshal.loads(posix.pread(fd, length, HEADER))
        for word in words:
            if word in commands:
                break
        else:
            word = ""
        loading = []
        for name in commands[word]:
            code = code_of(fd, HEADER + length, modules[name])
            if code is None:
                return None
            loading.append((name, code))
        return Finder(path, header, modules, extensions), loading
    except _BROKEN:
        return None
    finally:
        posix.close(fd)


def code_of(fd: int, start: int, entry: "Entry") -> "CodeType | None":
    """A module's code out of the open file; None if its source is another by now."""
    file, _package, stamp, offset, length = entry
    if stamp_of(place(file)) != stamp:
        return None
    code: CodeType = marshal.loads(posix.pread(fd, length, start + offset))
    return code


def place(file: str) -> str:
    """Where a source lies: ours are named from the package on, for a tree may be copied or moved."""
    return file if file.startswith("/") else f"{PACKAGE}/{file}"


def stamp_of(file: str) -> tuple[int, int]:
    """What changes when a source does."""
    status = posix.stat(file)
    return status.st_mtime_ns, status.st_size


class Finder:
    """A finder and loader (importlib.abc) of what one file holds."""

    __slots__ = ("_extensions", "_header", "_modules", "_path")

    def __init__(self, path: str, header: bytes, modules: "Modules", extensions: dict[str, str]) -> None:
        self._path = path
        self._header = header
        self._modules = modules
        self._extensions = extensions

    def load(self, name: str, code: "CodeType") -> None:
        """Make a module of its code, as an import would; what it imports must have been loaded."""
        module = module_from_spec(self._spec(name, code))
        sys.modules[name] = module
        self.exec_module(module)
        package, _, own = name.rpartition(".")
        if package:
            setattr(sys.modules[package], own, module)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """How to load a module, None if it is not in the file or is another in it."""
        if name not in self._modules:
            return self._extension(name) if name in self._extensions else None
        code = self._read(name)
        return None if code is None else self._spec(name, code)

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        """An ordinary module."""
        return None

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        spec = module.__spec__
        if spec is None or spec.origin is None:
            raise ImportError(f"{module.__name__} has lost its specification")
        code, spec.loader_state = spec.loader_state, None
        # not by spec.has_location: importlib would work out where the compiled file is, 20 µs each time
        module.__file__ = spec.origin
        exec(code, module.__dict__)

    def _spec(self, name: str, code: "CodeType") -> ModuleSpec:
        found = self._modules[name]
        file, package = place(found[0]), found[1]
        spec = ModuleSpec(name, self, origin=file, loader_state=code, is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec

    def _extension(self, name: str) -> ModuleSpec | None:
        """How to load an extension; None if this interpreter would not find it there."""
        file = self._extensions[name]
        if file.rpartition("/")[0] in sys.path and posix.access(file, posix.R_OK):
            return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))
        return None

    def _read(self, name: str) -> "CodeType | None":
        """A module's code; a file that is stale in it goes."""
        try:
            fd = posix.open(self._path, posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                if posix.read(fd, HEADER) != self._header:
                    return None  # somebody has made it anew
                start = HEADER + int.from_bytes(self._header[4:8], "little")
                code = code_of(fd, start, self._modules[name])
                if code is None:
                    posix.unlink(self._path)
                return code
            finally:
                posix.close(fd)
        except _BROKEN:
            return None
