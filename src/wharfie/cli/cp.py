"""``cp``: files and directories between a container and this machine, by Docker's rules.

======================  ============================  =============================
source \\ destination     does not exist                is a directory
======================  ============================  =============================
a file                  made with that name           copied into it
a directory             made with that name           copied into it
a directory and ``/.``  made with that name           its contents are copied into it
======================  ============================  =============================

A destination that is a file is replaced by a file, never by a directory.
"""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from typing import IO, Any, cast

from wharfie.cli.context import Context, warn, write
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.pull import read_parts
from wharfie.cli.tally import Tally
from wharfie.client.api import check, query, quote
from wharfie.client.extract import Extractor
from wharfie.client.http import Response
from wharfie.support.units import format_size

CP = Command(
    "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\twharfie cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files between a container and this machine\n\n"
    "'-' as the source reads a tar archive from standard input and extracts it in the container;\n"
    "'-' as the destination writes a tar archive of the container's files to standard output.",
    (
        ("archive", "a", "flag", "Keep users and groups"),
        ("follow-link", "L", "flag", "Follow a symbolic link given as the source"),
        ("quiet", "q", "flag", "Do not say what was copied"),
    ),
    needs=2,
    most=2,
    aliases="container cp, cp",
)
# Go's os.FileMode, which the API uses: not the bits of stat(2)
_GO_DIRECTORY = 1 << 31
_GO_SYMLINK = 1 << 27
_CHUNK = 1 << 20
_LINKS = 40


def cp(context: Context, arguments: list[str]) -> int:
    """``cp``."""
    options, (source, destination) = CP.parse(arguments)
    from_container, source_path = split_argument(source)
    to_container, destination_path = split_argument(destination)
    if from_container and to_container:
        raise CommandError("copying between containers is not supported")
    with Tally("Copying", quiet=bool(options.get("quiet"))) as tally:
        if from_container:
            size = _fetch(context, options, from_container, source_path, destination_path, tally)
        elif to_container:
            size = _send(context, options, source_path, to_container, destination_path, tally)
        else:
            raise CommandError("must specify at least one container source")
    if not options.get("quiet") and destination != "-" and os.isatty(2):
        warn(f"Successfully copied {format_size(size)} to {destination}")
    return 0


def split_argument(text: str) -> tuple[str, str]:
    """Container and path; the container is empty for a path here."""
    container, colon, path = text.partition(":")
    if text.startswith(("/", ".")) or not colon or not container or "/" in container:
        return "", text
    return container, path or "/"


class _Stream(io.RawIOBase):
    """A response's body as a file."""

    def __init__(self, response: Response, tally: Tally) -> None:
        super().__init__()
        self._response = response
        self._tally = tally

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size and (data := self._response.read_some(size if size > 0 else _CHUNK)):
            parts.append(data)
            self._tally.add(len(data))
            size -= len(data) if size > 0 else 0
        return b"".join(parts)


def _stat(response: Response) -> dict[str, Any]:
    text = response.headers.get("x-docker-container-path-stat", "")
    if not text:
        raise CommandError("the daemon did not say what the path is")
    found: dict[str, Any] = json.loads(base64.b64decode(text))
    return found


def _stat_in(context: Context, container: str, path: str) -> dict[str, Any] | None:
    connection = context.api.connect()
    target = f"/containers/{quote(container)}/archive" + query(path=path)
    connection.send("HEAD", target)
    response = connection.response()
    connection.close()
    if response.status == 404 and "x-docker-container-path-stat" not in response.headers:
        return None
    if response.status >= 400:
        # HEAD has no body: GET says why
        context.api.get(target)
    return _stat(response)


def _followed(context: Context, container: str, path: str) -> str:
    """The path with a symbolic link at its end resolved, as far as that exists."""
    for _ in range(_LINKS):
        found = _stat_in(context, container, path)
        if found is None or not found["mode"] & _GO_SYMLINK:
            return path
        ending = "/." if path.endswith("/.") else "/" if path.endswith("/") else ""
        path = posixpath.join(posixpath.dirname(path.rstrip("/")), found["linkTarget"]) + ending
    raise CommandError(f"too many symbolic links at {path}")


def _fetch(
    context: Context, options: dict[str, Any], container: str, path: str, destination: str, tally: Tally
) -> int:
    if options.get("follow-link"):
        path = _followed(context, container, path)
    connection, response = context.api.exchange(
        "GET", f"/containers/{quote(container)}/archive" + query(path=path)
    )
    try:
        check(response)
        if destination == "-":
            for part in response.parts():
                write(1, part)
            return 0
        found = _stat(response)
        is_directory = bool(found["mode"] & _GO_DIRECTORY)
        root, prefix = _local_place(destination, path, found["name"], is_directory=is_directory)
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            extractor = Extractor(fd, prefix, owners=options.get("archive", False))
            extractor.run(cast(IO[bytes], _Stream(response, tally)))
        finally:
            os.close(fd)
        return extractor.size
    finally:
        connection.close()


def _local_place(destination: str, source: str, name: str, *, is_directory: bool) -> tuple[str, list[str]]:
    """The existing directory to extract in, and what the source is called there."""
    contents = is_directory and source.endswith("/.")
    if os.path.isdir(destination):
        base = posixpath.basename(source.rstrip("/")) or name
        return destination, [] if contents or base in ("", "/", ".", "..") else [base]
    if os.path.lexists(destination) and is_directory:
        raise CommandError("cannot copy directory")
    if destination.endswith("/") and not is_directory:
        raise CommandError("no such directory")
    parent, new = os.path.split(os.path.realpath(destination.rstrip("/")))
    if not os.path.isdir(parent):
        raise CommandError(f'invalid output path: directory "{parent}" does not exist')
    return parent, [new]


def _send(
    context: Context, options: dict[str, Any], source: str, container: str, destination: str, tally: Tally
) -> int:
    destination = _followed(context, container, destination)
    found = _stat_in(context, container, destination)
    into = found is not None and bool(found["mode"] & _GO_DIRECTORY)
    if source == "-":
        if not into:
            raise CommandError(f'destination "{container}:{destination}" must be a directory')
        parts: Iterator[bytes] = read_parts(0)
        directory = destination
    else:
        if options.get("follow-link"):
            ending = "/." if source.endswith("/.") else ""
            source = os.path.realpath(source) + ending
        try:
            is_directory = stat.S_ISDIR(os.lstat(source).st_mode)
        except OSError as error:
            raise CommandError(f"lstat {os.path.abspath(source)}: {(error.strerror or '').lower()}") from None
        directory, name = _inner_place(source, destination, found, into=into, is_directory=is_directory)
        parts = archive(source, name)
    target = f"/containers/{quote(container)}/archive" + query(
        path=directory, noOverwriteDirNonDir="true", copyUIDGID=options.get("archive")
    )
    context.api.upload("PUT", target, _counted(parts, tally)).read()
    return tally.size


def _inner_place(
    source: str, destination: str, found: dict[str, Any] | None, *, into: bool, is_directory: bool
) -> tuple[str, str]:
    """The directory in the container to extract in, and the source's name there (``.`` for its contents)."""
    if into:
        if is_directory and source.endswith("/."):
            return destination, "."
        return destination, os.path.basename(os.path.abspath(source))
    if found is not None and is_directory:
        raise CommandError("cannot copy directory")
    if found is None and destination.endswith("/") and not is_directory:
        raise CommandError("no such directory")
    parent, name = posixpath.split(posixpath.normpath(destination))
    return parent or "/", name


def _counted(parts: Iterator[bytes], tally: Tally) -> Iterator[bytes]:
    for part in parts:
        tally.add(len(part))
        yield part


def archive(source: str, name: str) -> Iterator[bytes]:
    """A tar stream of a file or a whole directory, called ``name`` at its top."""
    seen: dict[tuple[int, int], str] = {}
    top = source.rstrip("/") or "/"
    yield from _member(top, name, seen)
    if stat.S_ISDIR(os.lstat(source).st_mode):
        for directory, names, files in os.walk(top):
            inside = os.path.relpath(directory, top)
            base = name if inside == "." else posixpath.join(name, inside)
            for entry in sorted(names + files):
                yield from _member(os.path.join(directory, entry), posixpath.join(base, entry), seen)
    yield b"\0" * 1024


def _member(path: str, name: str, seen: dict[tuple[int, int], str]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    state = os.lstat(path)
    if stat.S_ISSOCK(state.st_mode):
        # a socket is nothing without the process behind it
        return
    info.mode, info.mtime = stat.S_IMODE(state.st_mode), int(state.st_mtime)
    info.uid, info.gid = state.st_uid, state.st_gid
    info.type = _KINDS[stat.S_IFMT(state.st_mode)]
    first = seen.setdefault((state.st_dev, state.st_ino), name) if state.st_nlink > 1 else name
    if info.isreg() and first != name:
        info.type, info.linkname = tarfile.LNKTYPE, first
    elif info.issym():
        info.linkname = os.readlink(path)
    elif info.ischr() or info.isblk():
        info.devmajor, info.devminor = os.major(state.st_rdev), os.minor(state.st_rdev)
    if not info.isreg():
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        return
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        info.size = left = os.fstat(fd).st_size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        while left:
            # a file that shrinks meanwhile is filled up: the header has promised its size
            data = os.read(fd, min(_CHUNK, left)) or b"\0" * min(_CHUNK, left)
            left -= len(data)
            yield data
    finally:
        os.close(fd)
    if info.size % tarfile.BLOCKSIZE:
        yield b"\0" * (tarfile.BLOCKSIZE - info.size % tarfile.BLOCKSIZE)


_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}
