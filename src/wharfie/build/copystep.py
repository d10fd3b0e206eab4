"""``COPY``, ``ADD`` and ``WORKDIR``: layers that are written here, with no container.

::

    sources ─▶ what they are, by content ─▶ key ─▶ cached layer
                                              └──▶ overlay of the layers so far, written through ─▶ new layer
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from wharfie.build import content, fetch
from wharfie.build.arrival import Arrival, Known
from wharfie.build.content import Excluded, Found
from wharfie.build.copier import Copier, Manner, Mode
from wharfie.build.errors import BuildFailed
from wharfie.build.instructions import Copy
from wharfie.build.shop import Shop
from wharfie.build.stagestate import StageState
from wharfie.build.variables import Scope
from wharfie.images import decompress, snapshots, tar
from wharfie.images.adopting import adopt, is_untouched
from wharfie.images.layers import Draft, Layer
from wharfie.images.limits import Budget
from wharfie.images.pipe import to_its_end
from wharfie.images.unpack import Rules, Unpacker
from wharfie.images.webfile import redacted
from wharfie.linux import path as paths
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.users import resolve
from wharfie.support.files import remove_tree
from wharfie.support.ignore import BadPattern

_NUMBERS = re.compile(r"[0-9]{1,9}(:[0-9]{1,9})?\Z")
"""Ids that are in range for sure: of all others it is looked at in the image's own way."""


@dataclass(slots=True)
class Source:
    """One source, found."""

    root: int
    found: list[Found]
    pivot: str = ""
    archive: bool = False
    """An archive on this machine, that ``ADD`` unpacks."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """``COPY`` with its variables replaced."""

    item: Copy
    sources: list[str]
    destination: str
    chown: str
    chmod: str
    excluded: Excluded
    patterns: list[str]
    documents: list[tuple[str, str]]

    @property
    def into(self) -> bool:
        """The destination is a directory, whatever is there."""
        return self.destination.endswith("/") or len(self.sources) + len(self.documents) > 1


def expanded(item: Copy, scope: Scope, state: StageState) -> Wanted:
    """Replace variables; raises DockerfileError."""
    line = item.line.first
    destination = scope.expand(item.destination, line)
    slash = destination.endswith(("/", "/.")) or destination in (".", "./", "")
    destination = state.configuration.directory(destination) + ("/" if slash else "")
    patterns = [scope.expand(text, line) for text in item.exclude]
    try:
        excluded = Excluded(patterns)
    except BadPattern as error:
        raise BuildFailed(str(error), line=line) from None
    return Wanted(
        item,
        [scope.expand(text, line) for text in item.sources],
        "/" + destination.lstrip("/"),
        scope.expand(item.chown, line),
        scope.expand(item.chmod, line),
        excluded,
        patterns,
        [
            (part.name, scope.expand(part.content, line) if part.expand else part.content)
            for part in item.documents
        ],
    )


@asynccontextmanager
async def sources(
    shop: Shop, wanted: Wanted, origin: StageState | str
) -> AsyncIterator[tuple[list[Source], str]]:
    """All sources, opened, and the digest of what they are."""
    async with AsyncExitStack() as stack:
        root = stack.enter_context(shop.origin(origin))
        found: list[Source] = []
        digests: list[str] = []
        for text in wanted.sources:
            if wanted.item.add and fetch.is_git(text):
                source, digest = await _repository(shop, stack, wanted, text)
            elif wanted.item.add and fetch.is_url(text):
                source, digest = await _downloaded(shop, stack, wanted, text)
            else:
                known, files = (shop.digests, shop.arrived) if origin == shop.context else ({}, {})
                look = _looker(root, wanted, text, known, files)
                source, digest = await to_its_end("look at sources", look)
            found.append(source)
            digests.append(digest)
        yield found, ",".join(digests)


def _looker(
    root: int, wanted: Wanted, text: str, known: dict[str, str], files: Known
) -> Callable[[], tuple[Source, str]]:
    def look() -> tuple[Source, str]:
        pivot = ""
        plain = text
        if wanted.item.parents:
            before, mark, after = text.partition("/./")
            if mark:
                pivot, plain = posixpath.normpath("/" + before).lstrip("/"), f"{before}/{after}"
        try:
            found = content.match(root, plain)
        except BadPattern as error:
            raise BuildFailed(str(error)) from None
        if not found:
            raise BuildFailed(_missing(wanted.item, text))
        archive = False
        if wanted.item.add and len(found) == 1 and not found[0].directory and wanted.item.unpack is not False:
            archive = is_archive(root, found[0].path)
        key = repr((plain, wanted.patterns))
        if key not in known:
            known[key] = content.digest(root, found, wanted.excluded, files)
        ways = [content.way(root, item.path) for item in found] if wanted.item.parents else []
        return Source(root, found, pivot, archive), "+".join([known[key], *ways])

    return look


def _missing(item: Copy, text: str) -> str:
    name = "ADD" if item.add else "COPY"
    if content.is_wild(text):
        return f"{name} failed: no source files were specified"
    cleaned = posixpath.normpath("/" + text).lstrip("/")
    where = "in build context or excluded by .dockerignore" if not item.origin else f"in {item.origin}"
    return f"{name} failed: file not found {where}: stat {cleaned}: file does not exist"


async def _repository(shop: Shop, stack: AsyncExitStack, wanted: Wanted, text: str) -> tuple[Source, str]:
    place = shop.place("git")
    os.chmod(place, 0o755)
    agent = await shop.supply.agent("default")
    commit, below = await fetch.clone(text, place, keep_git=wanted.item.keep_git_dir, agent=agent)
    if wanted.item.checksum and not commit.startswith(wanted.item.checksum):
        raise BuildFailed(f"expected checksum to match {wanted.item.checksum}, got {commit}")
    root = stack.enter_context(shop.origin(place))
    found = content.match(root, below or "/")
    if not found:
        raise BuildFailed(f"subdirectory {below} not found in the Git repository")
    digest = await to_its_end("look at sources", lambda: content.digest(root, found, wanted.excluded))
    return Source(root, found), digest


async def _downloaded(shop: Shop, stack: AsyncExitStack, wanted: Wanted, url: str) -> tuple[Source, str]:
    place = shop.place("download")
    name = fetch.file_name(url) or posixpath.basename(wanted.destination)
    if name in ("", ".", "..") or "\0" in name:
        raise BuildFailed(f"cannot determine filename for source {redacted(url)}")
    digest, when = await fetch.download(url, f"{place}/{name}")
    fetch.check_digest(wanted.item.checksum, digest, url)
    # Docker's mode for what has none
    os.chmod(f"{place}/{name}", 0o600)
    os.utime(f"{place}/{name}", ns=(when, when))
    root = stack.enter_context(shop.origin(place))
    archive = bool(wanted.item.unpack) and is_archive(root, name)
    return Source(root, [Found(name, False)], archive=archive), f"{name} {digest}"


def is_archive(root: int, path: str) -> bool:
    """Whether a file is a tar archive, compressed or not."""
    try:
        fd = paths.open_regular(root, path)
    except OSError:
        return False
    try:
        try:
            _, read = decompress.opened(lambda: os.read(fd, 1 << 16))
            head = b""
            while len(head) < tar.BLOCK and (piece := read()):
                head += piece
        except (decompress.BadCompression, OSError):
            return False
        return bool(head[: tar.BLOCK].strip(b"\0")) and tar.begins_archive(head)
    finally:
        os.close(fd)


async def written(shop: Shop, state: StageState, wanted: Wanted, found: list[Source]) -> Layer | None:
    """The layer with all of it; placed. Raises BuildFailed."""

    def work(root: int) -> None:
        manner = Manner(
            _owner(shop, state, wanted.chown), Mode(wanted.chmod) if wanted.chmod else None, shop.latest
        )
        copier = Copier(root, manner)
        for source in found:
            _put(copier, source, wanted)
        now = fetch.now() if shop.latest is None else min(fetch.now(), shop.latest)
        for name, text in wanted.documents:
            target = posixpath.join(wanted.destination, name) if wanted.into else wanted.destination
            copier.write(text.encode("utf-8", "surrogateescape"), target, now)

    below = [] if wanted.item.link else state.layers
    return await layer_of(shop, below, work)


def _owner(shop: Shop, state: StageState, text: str) -> tuple[int, int] | None:
    """``user[:group]``, by the stage's own files; a lone number is that of the group too. None: nobody."""
    if not text:
        return None
    name, _, group = text.partition(":")
    if _NUMBERS.match(text):
        return int(name), int(group or name)
    with shop.tree(state.layers) as root:
        try:
            user = resolve(root, text, [])
        except LaunchError as error:
            raise BuildFailed(f"unable to convert uid/gid chown string to host mapping: {error}") from None
    return user.uid, user.uid if name.isdecimal() and not group else user.gid


def _put(copier: Copier, source: Source, wanted: Wanted) -> None:
    if source.archive:
        _unpack(copier, source, wanted)
    elif wanted.item.parents:
        for item in source.found:
            copier.put_with_parents(source.root, item, source.pivot, wanted.destination, wanted.excluded)
    else:
        into = wanted.into or len(source.found) > 1
        copier.put(source.root, source.found, wanted.destination, wanted.excluded, into=into)


def _unpack(copier: Copier, source: Source, wanted: Wanted) -> None:
    target = copier.make_directory(wanted.destination)
    try:
        fd = paths.open_regular(source.root, source.found[0].path)
        try:
            _, read = decompress.opened(lambda: os.read(fd, 1 << 20))
            unpack_into(target, read, Rules())  # owners are the archive's, with --chown too, as in Docker
        finally:
            os.close(fd)
    finally:
        os.close(target)


def unpack_into(target: int, read: decompress.Read, rules: Rules, arrival: Arrival | None = None) -> None:
    """In a thread: an archive's files below an open directory. Raises BadArchive, OSError."""
    arriving = arrival or Arrival()

    def displace(parent: int, name: bytes, path: bytes) -> None:
        arriving.replaced()
        remove_tree(f"/proc/self/fd/{parent}/{os.fsdecode(name)}")

    reader = tar.TarReader(read, unpadded=True)
    unpacker = Unpacker(target, rules, displace, Budget(target))
    try:
        for entry in reader:
            if arrival is None:
                unpacker.add(entry, reader.content())
            else:
                arrival.placed(target, unpacker.add(entry, arrival.watched(entry, reader.content())), entry)
        reader.rest()
        unpacker.finish()
    finally:
        unpacker.close()
        arriving.close()


async def layer_of(shop: Shop, below: list[Layer], work: Callable[[int], None]) -> Layer | None:
    """What ``work`` writes into the root that it is given, on top of ``below``; None: nothing."""
    async with shop.store.drafted() as draft:
        return await to_its_end("write a layer", lambda: _layer(shop, draft, below, work))


def _layer(shop: Shop, draft: Draft, below: list[Layer], work: Callable[[int], None]) -> Layer | None:
    upper, scratch = os.path.join(draft.path, "diff"), os.path.join(draft.path, "work")
    lower = shop.lower(below)
    dress_root(upper, lower[0])
    if below:
        os.mkdir(scratch, 0o700)
        # the store syncs what it has taken in, once for all
        root = snapshots.mount_detached(lower, upper, scratch, volatile=True)
    else:
        root = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        work(root)
    finally:
        os.close(root)
    return finish(shop, draft, lower)


def dress_root(upper: str, like: str) -> None:
    """In an overlay the upper root counts: it gets owner and mode of the one below."""
    found = os.stat(like)
    os.chown(upper, found.st_uid, found.st_gid)
    os.chmod(upper, found.st_mode & 0o7777)


def finish(shop: Shop, draft: Draft, lower: list[str]) -> Layer | None:
    """In a thread: a draft that was written becomes a layer in place; None if nothing was written."""
    remove_tree(os.path.join(draft.path, "work"))
    if is_untouched(draft, lower):
        return None
    layer = adopt(draft, latest=shop.latest)
    shop.store.layers.place(draft, layer)
    return layer


async def directory_made(shop: Shop, state: StageState, path: str) -> Layer | None:
    """``WORKDIR``: the directory, where it is missing; the stage's user gets it."""

    def work(root: int) -> None:
        try:
            owner = _owner(shop, state, state.configuration.run.user)
        except BuildFailed:
            owner = None  # nobody's yet, as in Docker: it is RUN that needs the user
        try:
            os.close(paths.make_directories(root, path, owner=owner or (0, 0)))
        except (NotADirectoryError, FileExistsError):
            raise BuildFailed(f"cannot mkdir: {path} is not a directory") from None

    def exists() -> bool:
        with shop.tree(state.layers) as root:
            try:
                os.close(paths.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
            except OSError:
                return False
            return True

    if await to_its_end("look for a directory", exists):
        return None
    return await layer_of(shop, state.layers, work)
