"""What a build needs, asked of its client's session when its turn comes.

Of the context comes what the instructions name, and of that only what is different from the last time: the
directory is kept under the session's shared key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from wharfie.build import contexts, supply
from wharfie.build.arrival import Arrival
from wharfie.build.cacheimport import Place
from wharfie.build.cachespec import CacheSpec
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.build.keeping import Contexts, Kept
from wharfie.build.shop import Shop
from wharfie.build.stagestate import StageState
from wharfie.buildkit.agents import Agents
from wharfie.buildkit.clientstore import ClientStore
from wharfie.buildkit.filesync import receive
from wharfie.buildkit.filetree import Listing
from wharfie.buildkit.frontend import Wanted
from wharfie.buildkit.grpc import NOT_FOUND, Request, RpcError, parsed
from wharfie.buildkit.messages import common
from wharfie.buildkit.messages import session as messages
from wharfie.buildkit.session import Session
from wharfie.buildkit.vertexes import Board, Vertex
from wharfie.errors import WharfieError
from wharfie.images.image import RegistryAuth
from wharfie.images.pipe import to_its_end
from wharfie.images.platform import Platform
from wharfie.support.ignore import BadPattern, Matcher, read_patterns

_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
_CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
_UPLOAD = "/moby.upload.v1.Upload/Pull"
_UPLOADED = "buildkit-session"
_LOCAL, _INPUT = "local:", "input:"
_IGNORED = ".dockerignore"


class FromSession:
    """The supply of one build; for all its platforms."""

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        inputs: Mapping[str, StageState],
        board: Board,
        kept: Contexts,
        place: str,
    ) -> None:
        """``inputs``: results of other builds; ``place``: a directory that goes with the build."""
        self._session = session
        self._wanted = wanted
        self._inputs = inputs
        self._board = board
        self._contexts = kept
        self._place = place
        self._agents = Agents(session, place)
        self._lock = asyncio.Lock()
        self._begun: Kept | None = None
        self._patterns: dict[str, list[str]] = {}
        self._there: dict[tuple[str, bool], tuple[str, Kept]] = {}
        self._remote = ""
        self._count = 0
        self.definition: Vertex | None = None
        """The Dockerfile's vertex."""

    # the context

    async def context(self, shop: Shop) -> Kept:
        """The Dockerfile, by an address or from the client."""
        async with self._lock:
            if self._begun is None:
                self._begun = await self._beginning(shop)
            return self._begun

    async def _beginning(self, shop: Shop) -> Kept:
        if not self._wanted.context:
            return await self._defined(None)
        self._remote, found = await self._fetched(shop)
        return await self._defined(found) if self._wanted.dockerfile_key else found

    async def _fetched(self, shop: Shop) -> tuple[str, Kept]:
        vertex = self._board.vertex("[internal] load remote build context").start()
        self.definition = vertex
        target, address = self._directory("remote"), self._wanted.context
        name, arrival, size = self._wanted.options.dockerfile, Arrival(), 0
        os.chmod(target, 0o755)
        try:
            if urlsplit(address).hostname == _UPLOADED:
                size = await contexts.receive(self._uploaded(address), target, arrival=arrival)
            else:
                target = await contexts.fetch_remote(address, target, name, await self.agent("default"))
            if self._wanted.dockerfile_key:
                rules = await to_its_end("read a context", lambda: contexts.ignore_rules(target, name))
                await to_its_end("leave files out", lambda: contexts.leave_out(target, rules))
                kept = Kept(b"", rules, size, arrived=arrival.known)
            else:
                kept = await to_its_end("read a context", lambda: supply.read(target, name, size, arrival))
        except (WharfieError, OSError) as error:
            vertex.end(str(error))
            raise
        vertex.end()
        return target, kept

    async def _uploaded(self, address: str) -> AsyncIterator[bytes]:
        parts = urlsplit(address)
        metadata = [("urlhost", parts.netloc), ("urlpath", parts.path)]
        async with Request(self._session.connection, _UPLOAD, metadata) as request:
            while (data := await request.next()) is not None:
                yield parsed(common.BytesMessage, data).data

    async def _defined(self, remote: Kept | None) -> Kept:
        """The Dockerfile from the client's directory."""
        key, name = self._wanted.dockerfile_key or "dockerfile", self._wanted.options.dockerfile
        own = f"{name}.dockerignore"
        names = [name, own, *(["dockerfile"] if name == "Dockerfile" else [])]
        vertex = self._board.vertex(f"[internal] load build definition from {os.path.basename(name)}").start()
        self.definition = vertex
        directory = self._directory("definition")
        await self._received(vertex, key, directory, "dockerfile", names)
        try:
            data = await to_its_end("read", lambda: contexts.read_dockerfile(directory, name))
        except DockerfileError:
            raise DockerfileError(
                f"failed to read dockerfile: open {name}: no such file or directory"
            ) from None
        if remote is not None:
            return Kept(data, remote.rules, remote.size, arrived=remote.arrived)
        patterns = _patterns_in(directory, own)
        if patterns is None:
            patterns = await self._ignored(self._wanted.context_key, "[internal] load .dockerignore")
        self._patterns[self._wanted.context_key] = patterns
        try:
            rules = Matcher(patterns) if patterns else None
        except BadPattern as error:
            raise BuildFailed(f"error reading {_IGNORED}: {error}") from None
        return Kept(data, rules, 0)

    async def _ignored(self, key: str, title: str) -> list[str]:
        """What the client's directory is to leave out by its own word."""
        vertex = self._board.vertex(title).start()
        directory = self._directory("ignored")
        await self._received(vertex, key, directory, key, [_IGNORED])
        return _patterns_in(directory, _IGNORED) or []

    async def files(self, shop: Shop) -> str:
        """The context's files."""
        if self._remote:
            shop.context = self._remote
            return self._remote
        title = "[internal] load build context"
        shop.context, kept = await self._loaded(shop, self._wanted.context_key, title, shop.reads)
        shop.digests, shop.arrived = kept.digests, kept.arrived
        return shop.context

    async def _loaded(self, shop: Shop, key: str, title: str, reads: list[str] | None) -> tuple[str, Kept]:
        """A directory of the client's, whole or only what is read of it."""
        async with self._lock:
            whole = (key, True) in self._there or reads is None
            if (key, whole) not in self._there:
                vertex = self._board.vertex(title).start()
                fingerprint = sha256(f"{self._session.shared_key}\0{key}".encode()).hexdigest()
                target = self._directory("context")
                os.chmod(target, 0o755)
                old = Kept(b"", None, 0, listing={})
                if self._session.shared_key and self._contexts.knows(fingerprint):
                    old = self._contexts.take(fingerprint, target)
                listing = await self._received(
                    vertex, key, target, key, [] if whole else reads or [], self._patterns.get(key, []),
                    old.listing,
                )  # fmt: skip
                same = listing == old.listing
                size = sum(item.size for item in listing.values() if item.content)
                digests = old.digests if same else {}
                self._there[key, whole] = (target, Kept(b"", None, size, digests, listing=listing))
            return self._there[key, whole]

    async def _received(
        self,
        vertex: Vertex,
        key: str,
        target: str,
        shown: str,
        follow: list[str],
        exclude: list[str] | None = None,
        old: Listing | None = None,
    ) -> Listing:
        identifier = f"transferring {shown}:"
        size = 0

        def told(count: int) -> None:
            nonlocal size
            size = count
            vertex.status(identifier, name="transferring", current=count)

        try:
            listing = await receive(
                self._session, key, target, follow=follow, exclude=exclude or [], old=old, told=told
            )
        except (WharfieError, OSError) as error:
            vertex.end(str(error))
            raise
        vertex.status(identifier, name="transferring", current=size, done=True)
        vertex.end()
        return listing

    def _directory(self, name: str) -> str:
        self._count += 1
        path = f"{self._place}/{name}-{self._count}"
        os.mkdir(path, 0o700)
        return path

    def over(self, shop: Shop, kept: Kept) -> None:
        """The next platform may still read it."""

    def close(self) -> None:
        """The build is over: directories are kept for the next one."""
        self._agents.close()
        for (key, _), (target, kept) in self._there.items():
            if self._session.shared_key:
                fingerprint = sha256(f"{self._session.shared_key}\0{key}".encode()).hexdigest()
                self._contexts.put(fingerprint, kept, target)

    # further contexts

    async def named(self, shop: Shop, name: str, value: str, platform: Platform) -> str | StageState:
        """Another build's result, a directory of the client's, or from an address."""
        if value.startswith(_INPUT):
            found = self._inputs.get(value.removeprefix(_INPUT))
            if found is None:
                raise BuildFailed(f"the build context {name} was not sent: {value}")
            return found
        if not value.startswith(_LOCAL):
            return await supply.fetched(shop, name, value, await self.agent("default"))
        key = value.removeprefix(_LOCAL)
        async with self._lock:
            if key not in self._patterns:
                self._patterns[key] = await self._ignored(key, f"[context {name}] load {_IGNORED}")
        target, _ = await self._loaded(shop, key, f"[context {name}] load from client", None)
        return target

    def layout(self, spec: CacheSpec) -> Place | None:
        """A cache on the client's disk, read when a step is due."""
        return ClientStore(self._session, spec.key)

    # secrets

    async def secret(self, name: str) -> bytes | None:
        """A secret of the client's."""
        try:
            found = await self._session.ask(_SECRET, messages.SecretRequest(id=name), messages.SecretResponse)
        except RpcError as error:
            if error.code in (NOT_FOUND, 12):
                return None
            raise
        return bytes(found.data)

    @property
    def own_agents(self) -> bool:
        """What leads to the client's is made for this build."""
        return True

    async def agent(self, name: str) -> str:
        """An SSH agent of the client's."""
        return await self._agents.socket(name)

    async def credentials(self, domain: str) -> RegistryAuth | None:
        """What the client has for a registry."""
        if not self._session.offers(_CREDENTIALS):
            return None
        host = "registry-1.docker.io" if domain == "docker.io" else domain
        found = await self._session.ask(
            _CREDENTIALS, messages.CredentialsRequest(host=host), messages.CredentialsResponse
        )
        if not found.secret:
            return None
        if not found.username:
            return RegistryAuth(identity_token=found.secret)
        return RegistryAuth(username=found.username, password=found.secret)


def _patterns_in(directory: str, name: str) -> list[str] | None:
    try:
        text = contexts.read_dockerfile(directory, name)
    except DockerfileError:
        return None
    return read_patterns(text.decode("utf-8", "replace"))
