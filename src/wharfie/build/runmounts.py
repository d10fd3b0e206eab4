"""What ``RUN --mount`` puts into a step: binds, caches, memory, secrets and agents.

Sources are resolved inside the tree that they come from, by the kernel. A secret is a file of its own in the
engine's runtime directory (in memory) for as long as the step runs; neither it nor its digest is in any key,
layer or history. What the engine made for a mount to lie on is removed from the layer, if it is still what it
was made as (CVE-2024-23652: never through a link).
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from wharfie.build import content
from wharfie.build.cache import digest
from wharfie.build.content import Excluded, Found
from wharfie.build.copier import Copier, Manner
from wharfie.build.errors import BuildFailed
from wharfie.build.instructions import Mount
from wharfie.build.running import Bind
from wharfie.build.shop import Shop, mounted
from wharfie.build.stagestate import StageState
from wharfie.images.pipe import to_its_end
from wharfie.images.written import Below
from wharfie.linux import path as paths
from wharfie.support.faults import point
from wharfie.support.files import remove_tree, write_all
from wharfie.support.ids import random_hex

Origin = Callable[[str], Awaitable[StageState | str]]
_SECRET_LIMIT = 500 << 10


class Mounts:
    """The mounts of one step."""

    def __init__(self, shop: Shop, origin: Origin) -> None:
        self._shop = shop
        self._origin = origin
        self.binds: list[Bind] = []
        self.env: list[str] = []
        self.identity: list[object] = []
        """What counts for the cache: content of binds, and words; never a secret or a cache's content."""
        self._stack = AsyncExitStack()
        self._agents = 0

    async def identify(self, mounts: list[Mount]) -> None:
        """Fill in ``identity``; raises BuildFailed for a bind of what is not there."""
        for item in mounts:
            words: list[object] = [item.kind, item.target, item.source, item.readonly, item.id, item.sharing]
            if item.kind == "bind":
                words.append(await self._content(item))
            elif item.kind == "tmpfs":
                words.append(item.size)
            self.identity.append(words)

    async def _content(self, item: Mount) -> str:
        with self._shop.origin(await self._origin(item.origin)) as root:

            def look() -> str:
                return content.digest(root, _matched(root, item), Excluded([]))

            return await to_its_end("look at a mount", look)

    async def prepare(self, mounts: list[Mount], directory: str) -> None:
        """Make the sources; to be followed by :meth:`close`, whatever happens."""
        locks = self._shop.mounts.locks
        targets = [_target(item, directory) for item in mounts]
        several = zip(mounts, targets, strict=True)
        locked = {item.id or target for item, target in several if item.sharing == "locked"}
        # always in the same order: two steps with the same two caches must not wait for each other
        for identifier in sorted(locked):
            lock = locks.get(identifier) or locks.setdefault(identifier, asyncio.Lock())
            await self._stack.enter_async_context(lock)
        for item, target in zip(mounts, targets, strict=True):
            if item.kind == "bind":
                await self._bind(item, target)
            elif item.kind == "cache":
                await self._cache(item, target)
            elif item.kind == "tmpfs":
                self.binds.append(Bind("", target, True, "tmpfs", item.size))
            elif item.kind == "secret":
                await self._secret(item, target)
            else:
                await self._agent(item, target)

    async def close(self) -> None:
        """Undo it."""
        await self._stack.aclose()

    async def _bind(self, item: Mount, target: str) -> None:
        origin = await self._origin(item.origin)
        if isinstance(origin, StageState):
            place = self._shop.place("bind")
            tree = self._stack.enter_context(
                mounted(self._shop.lower(origin.layers), place, writable=not item.readonly)
            )
            source = _inside(tree, item.source)
        else:
            source = _inside(origin, item.source)
            if not item.readonly:
                if not os.path.isdir(source):
                    raise BuildFailed(f"a writable bind needs a directory: {item.source}")
                place = self._shop.place("bind")
                source = self._stack.enter_context(mounted([source, self._shop.empty], place, writable=True))
        self.binds.append(Bind(source, target, not item.readonly))

    async def _cache(self, item: Mount, target: str) -> None:
        identifier = item.id or target
        directory = self._directory(identifier, private=item.sharing == "private")
        known = self._shop.mounts
        known.users[directory] += 1
        self._stack.callback(known.let_go, directory)
        if not os.path.isdir(directory):
            await self._new_cache(item, directory)
        self.binds.append(Bind(directory, target, not item.readonly))

    def _directory(self, identifier: str, *, private: bool) -> str:
        known = self._shop.mounts
        base = f"{known.root}/{digest(identifier)[:32]}"
        number = 0
        directory = base
        while private and directory in known.busy:
            number += 1
            directory = f"{base}-{number}"
        if private:
            known.busy.add(directory)
            self._stack.callback(known.busy.discard, directory)
        name = identifier if not number else f"{identifier}#{number}"
        known.note(name, os.path.basename(directory), time.time_ns())
        return directory

    async def _new_cache(self, item: Mount, directory: str) -> None:
        temporary = self._shop.place("cache")
        os.chmod(temporary, 0o755 if item.mode is None else item.mode)
        if item.origin:
            with self._shop.origin(await self._origin(item.origin)) as root:
                found = _matched(root, item)
                target = os.open(temporary, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    copier = Copier(target, Manner())
                    await to_its_end(
                        "fill a cache mount", lambda: copier.put(root, found, "/", Excluded([]), into=True)
                    )
                finally:
                    os.close(target)
        os.chown(temporary, item.uid, item.gid)
        if os.path.isdir(directory):  # another step was first: it has it, and it may be empty
            await to_its_end("drop a cache mount", lambda: remove_tree(temporary))
            return
        os.rename(temporary, directory)
        point("a cache mount is made")

    async def _secret(self, item: Mount, target: str) -> None:
        identifier = item.id or posixpath.basename(target)
        if not identifier:
            raise BuildFailed("secret mount requires an id or a target")
        data = await self._shop.supply.secret(identifier)
        if data is None:
            if item.required:
                raise BuildFailed(f"secret {identifier}: not found")
            return
        if len(data) > _SECRET_LIMIT:
            raise BuildFailed(f"secret {identifier} is longer than {_SECRET_LIMIT} bytes")
        if item.env:
            self.env.append(f"{item.env}={data.decode('utf-8', 'surrogateescape')}")
            if not item.target:
                return
        path = f"{self._shop.private}/secret-{random_hex(16)}"
        mode = 0o400 if item.mode is None else item.mode
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._stack.callback(os.unlink, path)
        try:
            write_all(fd, data)
            os.fchown(fd, item.uid, item.gid)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        self.binds.append(Bind(path, target or f"/run/secrets/{posixpath.basename(identifier)}"))

    async def _agent(self, item: Mount, target: str) -> None:
        target = target or f"/run/buildkit/ssh_agent.{self._agents}"
        if not self._agents:
            self.env.append(f"SSH_AUTH_SOCK={target}")  # as in Docker, whether there is an agent or not
        self._agents += 1
        socket = await self._shop.supply.agent(item.id or "default")
        if not socket:
            if item.required:
                raise BuildFailed(f"unset ssh forward key {item.id or 'default'}")
            return
        try:
            if not stat.S_ISSOCK(os.stat(socket).st_mode):
                raise BuildFailed(f"{socket} is no socket of an SSH agent")
        except OSError as error:
            raise BuildFailed(f"the SSH agent {socket} cannot be reached: {error.strerror}") from None
        if self._shop.supply.own_agents:
            os.chown(socket, item.uid, item.gid)
            os.chmod(socket, 0o600 if item.mode is None else item.mode)
        self.binds.append(Bind(socket, target, True))


def _matched(root: int, item: Mount) -> list[Found]:
    found = content.match(root, item.source or "/")
    if not found:
        raise BuildFailed(f'failed to compute cache key: "{item.source}": not found')
    return found


def _target(item: Mount, directory: str) -> str:
    """Where a mount goes, seen from the root; empty if it does not say."""
    if not item.target:
        return ""
    found = posixpath.normpath(posixpath.join("/", directory, item.target)).replace("//", "/")
    if found == "/":
        raise BuildFailed(f'invalid mount target "{item.target}"')
    return found


def _inside(tree: str, path: str) -> str:
    """Where a path inside a tree really is; raises BuildFailed."""
    root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = paths.open_in_root(root, posixpath.normpath("/" + path))
    except OSError as error:
        raise BuildFailed(f'"{path}": {(error.strerror or "not found").lower()}') from None
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


class Stubs:
    """Names that mounts need to lie on: those missing below are removed from the layer afterwards."""

    def __init__(self, lower: list[str], targets: list[str]) -> None:
        below = Below(lower)
        self._missing: list[tuple[str, os.stat_result | None]] = []
        try:
            for target in targets:
                parts = target.strip("/").split("/")
                for depth in range(1, len(parts) + 1):
                    path = "/" + "/".join(parts[:depth])
                    found = below.find(path.encode("utf-8", "surrogateescape"))
                    self._missing.append((path, found))
        finally:
            below.close()

    def remove(self, upper: str) -> None:
        """In a thread: take away what is empty and was not there before."""
        top = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for path, below in sorted(self._missing, key=lambda item: item[0].count("/"), reverse=True):
                _remove(top, path, below)
        finally:
            os.close(top)


def _remove(top: int, path: str, below: os.stat_result | None) -> None:
    above, name = posixpath.split(path)
    try:
        parent = paths.openat2(
            top, above.strip("/") or ".", os.O_RDONLY | os.O_DIRECTORY,
            paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS,
        )  # fmt: skip
    except OSError:
        return
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            changed = below is not None and (below.st_mode, below.st_uid, below.st_gid) != (
                found.st_mode, found.st_uid, found.st_gid,
            )  # fmt: skip
            if not changed:
                os.rmdir(name, dir_fd=parent)
        elif below is None and stat.S_ISREG(found.st_mode) and not found.st_size:
            os.unlink(name, dir_fd=parent)
    except OSError:
        return  # it is not empty: the step's own
    finally:
        os.close(parent)
