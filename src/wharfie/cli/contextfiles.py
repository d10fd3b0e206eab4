"""``context export`` and ``context import``: a context as an archive, in Docker's form."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from wharfie.cli.context import Context, say, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client import contextstore
from wharfie.client.contextstore import FILES, LIMIT, ContextStore, Named

EXPORT = Command(
    "context export [OPTIONS] CONTEXT [FILE|-]",
    "Write a context to a file (default CONTEXT.dockercontext) or to standard output",
    needs=1,
    most=2,
)
IMPORT = Command(
    "context import CONTEXT FILE|-", "Make a context from what export wrote, tar or zip", needs=2, most=2
)


def export(context: Context, arguments: list[str]) -> int:
    """``context export``."""
    _, words = EXPORT.parse(arguments)
    store = ContextStore(context.config_directory)
    name = words[0]
    target = words[1] if len(words) > 1 else f"{name}.dockercontext"
    contextstore.validate(name)
    store.get(name)
    if target == "-" and os.isatty(1):
        raise CommandError("cowardly refusing to export to a terminal, specify a file path")
    with open(f"{store.meta(name)}/meta.json", "rb") as file:
        document = file.read()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "meta.json", document)
        _add(archive, "tls", None)
        files = store.contents(name)
        if files:
            _add(archive, "tls/docker", None)
        for one, data in files.items():
            _add(archive, f"tls/docker/{one}", data)
    if target == "-":
        sys.stdout.buffer.write(buffer.getvalue())
        sys.stdout.flush()
        return 0
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as written:
            written.write(buffer.getvalue())
    except OSError as error:
        raise CommandError(f"open {target}: {(error.strerror or '').lower()}") from None
    warn(f'Written file "{target}"')
    return 0


def _add(archive: tarfile.TarFile, name: str, data: bytes | None) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644 if data is not None else 0o700
    info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.size = len(data or b"")
    archive.addfile(info, io.BytesIO(data) if data else None)


def import_context(context: Context, arguments: list[str]) -> int:
    """``context import``."""
    _, (name, source) = IMPORT.parse(arguments)
    store = ContextStore(context.config_directory)
    contextstore.validate(name)
    if name in store.names():
        raise CommandError(f'context "{name}" already exists')
    try:
        with open(0 if source == "-" else source, "rb", closefd=source != "-") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise CommandError(f"open {source}: {(error.strerror or '').lower()}") from None
    if len(data) > LIMIT:
        raise CommandError(f"{source} is larger than the {LIMIT >> 20} MiB that a context may have")
    members = _members(data)
    try:
        document = json.loads(members["meta.json"])
        host = str(document["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError, ValueError):
        raise CommandError("invalid context: no context metadata file found") from None
    endpoint = document["Endpoints"]["docker"]
    metadata = document.get("Metadata") or {}
    store.put(
        Named(
            name, host, str(metadata.get("Description") or ""), bool(endpoint.get("SkipTLSVerify")), document
        )
    )
    store.keep_files(
        name, {key[11:]: value for key, value in members.items() if key.startswith("tls/docker/")}
    )
    say(name)
    warn(f'Successfully imported context "{name}"')
    return 0


def _members(data: bytes) -> dict[str, bytes]:
    """The files of an archive by name; only names that a context has."""
    found: dict[str, bytes] = {}
    try:
        # a name is looked at before its content is unpacked: a few bytes may stand for gigabytes
        for name, content in _zipped(data) if data[:4] == b"PK\x03\x04" else _tarred(data):
            if name != "meta.json" and name not in {f"tls/docker/{file}" for file in FILES.values()}:
                raise CommandError(f"{name}: unexpected context file")
            found[name] = content()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CommandError(f"invalid context: it is no archive: {error}") from None
    return found


def _zipped(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for one in archive.infolist():
            if not one.is_dir() and one.file_size <= LIMIT:
                yield one.filename, partial(archive.read, one)


def _tarred(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for one in archive:
            opened = archive.extractfile(one) if one.isreg() and one.size <= LIMIT else None
            if opened is not None:
                yield one.name, opened.read
