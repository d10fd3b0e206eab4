"""The context of a build: what the client sends, or what a URL leads to, as a directory of ours."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator

from wharfie.build import fetch
from wharfie.build.arrival import Arrival
from wharfie.build.content import entries
from wharfie.build.copystep import unpack_into
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.images import decompress
from wharfie.images.pipe import InwardPipe, PipeBroken, ended, in_thread, to_its_end
from wharfie.images.unpack import Rules
from wharfie.images.webfile import redacted
from wharfie.linux import path as paths
from wharfie.support.files import remove_tree
from wharfie.support.ignore import BadPattern, Matcher, read_patterns
from wharfie.support.tasks import spawn

_DOCKERFILE_LIMIT = 1 << 20
OUTSIDE = ".wharfie.Dockerfile"
"""What our command line calls a Dockerfile that is not in the context."""


async def receive(
    stream: AsyncIterator[bytes], target: str, rules: Rules | None = None, arrival: Arrival | None = None
) -> int:
    """Unpack an archive that is being sent; its bytes. Raises BadArchive, BadCompression."""
    pipe = InwardPipe()
    feeder = spawn("feed a context", pipe.feed(stream))
    size = 0

    def take() -> bytes:
        nonlocal size
        piece = pipe.read()
        size += len(piece)
        return piece

    def work() -> None:
        fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _, read = decompress.opened(take)
            unpack_into(fd, read, rules or Rules(owner=(0, 0)), arrival)
        finally:
            os.close(fd)
            pipe.abandon()

    worker = in_thread("unpack a context", work)
    try:
        await asyncio.shield(worker)
    finally:
        feeder.cancel()
        pipe.close(PipeBroken("the build was given up"))
        await ended(feeder, worker)
    return size


async def fetch_remote(remote: str, target: str, dockerfile: str, agent: str = "") -> str:
    """``remote``: a repository, an archive or a single Dockerfile; the directory that is the context.

    ``agent``: the socket of the SSH agent that a repository may be fetched with.
    """
    if fetch.is_git(remote):
        _, below = await fetch.clone(remote, target, keep_git=False, agent=agent)
        return _below(target, below)
    if not fetch.is_url(remote):
        raise BuildFailed(f"remote URL {redacted(remote)} is not supported: it is neither HTTP nor Git")
    place = target + ".download"
    await fetch.download(remote, place)
    try:
        with open(place, "rb") as file:
            head = file.read(512)
        if decompress.kind_of(head) or head[257:262] == b"ustar":

            def work() -> None:
                with open(place, "rb") as archive:
                    fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                    try:
                        _, read = decompress.opened(lambda: archive.read(1 << 20))
                        unpack_into(fd, read, Rules(owner=(0, 0)))
                    finally:
                        os.close(fd)

            await to_its_end("unpack a context", work)
        else:
            os.rename(place, os.path.join(target, posixpath.basename(dockerfile)))
    finally:
        remove_tree(place)
    return target


def _below(target: str, path: str) -> str:
    """A directory of a repository, which never leads out of it."""
    root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = paths.open_in_root(root, path or ".", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise BuildFailed(f"subdirectory {path} of the repository: {error.strerror}") from None
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def read_dockerfile(context: str, name: str) -> bytes:
    """The Dockerfile of a context; ``dockerfile`` in small letters will do. Raises DockerfileError."""
    root = os.open(context, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for candidate in [name, name.lower()] if name == "Dockerfile" else [name]:
            try:
                fd = paths.open_regular(root, candidate)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DockerfileError(
                    f"failed to read Dockerfile {name}: {(error.strerror or '').lower()}"
                ) from None
            with os.fdopen(fd, "rb") as file:
                return file.read(_DOCKERFILE_LIMIT + 1)
    finally:
        os.close(root)
    raise DockerfileError(f"Cannot locate specified Dockerfile: {name}")


def ignore_rules(context: str, dockerfile: str) -> Matcher | None:
    """The patterns that hold; raises BuildFailed."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            text = read_dockerfile(context, name)
        except DockerfileError:
            continue
        try:
            return Matcher(read_patterns(text.decode("utf-8", "replace")))
        except BadPattern as error:
            raise BuildFailed(f"error reading {name}: {error}") from None
    return None


def leave_out(context: str, rules: Matcher | None) -> None:
    """In a thread: remove from a context what is to be ignored, the Dockerfile too now that it was read."""
    if os.path.lexists(os.path.join(context, OUTSIDE)):
        os.unlink(os.path.join(context, OUTSIDE))
    if rules is None:
        return
    gone = []
    for path, _, _, _ in entries(os.open(context, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)):
        if rules.matches(os.fsdecode(path)):
            gone.append(os.fsdecode(path))
    for name in reversed(gone):
        target = os.path.join(context, name)
        if os.path.isdir(target) and not os.path.islink(target):
            try:
                os.rmdir(target)
            except OSError:
                continue  # something in it was taken back
        else:
            os.unlink(target)
