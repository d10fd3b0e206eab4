"""An image with programs of this machine: each with the libraries and files it opens, and nothing else.

Where no registry can be reached it is what projects are built on; it is small, so quick to import.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path

FLAGS = ("-O2", "-Wall")
"""With what a program is made: other headers may be read without."""
_LIBRARY = re.compile(r"(/[^\s()]+)")
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64")
_BASE = ("passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"), ("group", "root:x:0:\n")
_APART = ("test", "tests", "idlelib", "tkinter", "dist-packages", "site-packages", "config-")


def output(*words: str, cwd: Path | None = None) -> str:
    """What a program of this machine writes, both streams."""
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


class Tree:
    """Paths that go into the image."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def add(self, path: str) -> None:
        """A file, by each link that leads to it."""
        while True:
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            if path in self.paths:
                return
            self.paths.add(path)
            if not os.path.islink(path):
                return
            path = os.path.join(os.path.dirname(path), os.readlink(path))

    def program(self, path: str) -> None:
        """A program or a library, with the libraries that it is linked to."""
        self.add(path)
        # a static one has none, and ldd says so by its exit code
        found = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for name in _LIBRARY.findall(found):
            self.add(name)

    def directory(self, path: str) -> None:
        """All files below, of Python's library without what only its developers need."""
        for place, below, names in os.walk(path):
            below[:] = [name for name in below if not name.startswith(_APART)]
            for name in names:
                file = os.path.join(place, name)
                if name == "EXTERNALLY-MANAGED" or name.endswith(".a"):
                    continue
                self.program(file) if name.endswith(".so") else self.add(file)

    def archive(self, links: Iterable[tuple[str, str]] = ()) -> bytes:
        """All of it as a root file system, with links (name and target) beside."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name in _MERGED:
                if os.path.islink(f"/{name}"):
                    archive.addfile(_link(name, f"usr/{name}"))
                    place = tarfile.TarInfo(f"usr/{name}")
                    place.type, place.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(place)
            temporary = tarfile.TarInfo("tmp")
            temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(temporary)
            for name, text in _BASE:
                entry = tarfile.TarInfo(f"etc/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
            for name, target in links:
                archive.addfile(_link(name, target))
            for path in sorted(self.paths):
                archive.add(path, path.lstrip("/"), recursive=False)
        return buffer.getvalue()


def _link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def shell(tree: Tree) -> list[tuple[str, str]]:
    """Busybox, and links to it by the names that are needed."""
    found = output("sh", "-c", "command -v busybox").strip()
    tree.program(found)
    return [(f"usr/bin/{name}", os.path.realpath(found)) for name in ("sh", "cat", "mkdir", "ls")]


def compiler(tree: Tree, source: Path) -> None:
    """All that gcc opens to make a static program of a source: the compiler itself says what that is."""
    gcc = output("sh", "-c", "command -v gcc").strip()
    tree.program(gcc)
    for name in ("cc1", "as", "ld", "collect2"):
        path = output(gcc, f"-print-prog-name={name}").strip()
        tree.program(path if "/" in path else output("sh", "-c", f"command -v {path}").strip())
    for name in ("liblto_plugin.so", "lto-wrapper"):
        path = output(gcc, f"-print-file-name={name}").strip()
        if "/" in path:
            tree.program(path)
    headers = output(gcc, "-M", *FLAGS, str(source)).replace("\\\n", " ").split()
    linked = output(gcc, "-static", *FLAGS, str(source), "-Wl,--trace", "-o", os.devnull)
    # members of an archive are told as (archive)member or archive(member), by the linker's version
    for path in {*headers, *re.findall(r"/[^\s()]+", linked)}:
        if (
            os.path.isabs(path)
            and not path.startswith(("/tmp/", str(source.parent)))
            and os.path.isfile(path)
        ):
            tree.add(path)


def python(tree: Tree) -> str:
    """The interpreter with its library; where it is."""
    program = os.path.realpath(sys.executable)
    tree.program(program)
    tree.directory(sysconfig.get_path("stdlib"))
    return program


def node(tree: Tree) -> str:
    """Node; where it is."""
    program = output("sh", "-c", "command -v node").strip()
    tree.program(program)
    return program
