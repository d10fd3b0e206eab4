"""What a client gives a build beside its options: the context, further contexts, secrets, SSH agents.

With the classic protocol all of it was posted before; with BuildKit's it is asked of the client when its turn
comes (:mod:`wharfie.buildkit.fromsession`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from wharfie.build import contexts, fetch
from wharfie.build.arrival import Arrival
from wharfie.build.cachespec import CacheSpec
from wharfie.build.errors import BuildFailed
from wharfie.build.keeping import Contexts, Kept
from wharfie.build.options import Options
from wharfie.images.pipe import to_its_end
from wharfie.images.platform import Platform
from wharfie.images.webfile import redacted

if TYPE_CHECKING:
    from wharfie.build.cacheimport import Place
    from wharfie.build.shop import Shop
    from wharfie.build.stagestate import StageState


class Supply(Protocol):
    """One build's, whoever the client is."""

    async def context(self, shop: Shop) -> Kept:
        """The Dockerfile, and what is to be left out of the context."""

    async def files(self, shop: Shop) -> str:
        """The context's files, which are in ``shop.context`` from then on."""

    def over(self, shop: Shop, kept: Kept) -> None:
        """The build has no use for the context any more."""

    async def named(self, shop: Shop, name: str, value: str, platform: Platform) -> str | StageState:
        """A further context: a directory, or what another build made. Raises BuildFailed."""

    def layout(self, spec: CacheSpec) -> Place | None:
        """A cache on the client's disk; None where it was sent before."""

    async def secret(self, name: str) -> bytes | None:
        """A secret; None if the client has none by this name."""

    async def agent(self, name: str) -> str:
        """The socket of an SSH agent; empty if the client offers none by this name."""

    @property
    def own_agents(self) -> bool:
        """Whether these sockets were made for this build, and may get another owner."""


class Posted:
    """The supply of a build that was asked for by ``POST /build``."""

    def __init__(self, options: Options, stream: AsyncIterator[bytes] | None, kept: Contexts) -> None:
        self._options = options
        self._stream = stream
        self._contexts = kept

    async def context(self, shop: Shop) -> Kept:
        """From the request's body, an address, or what was kept of an earlier build."""
        options, size, arrival = self._options, 0, Arrival()
        if options.context_kept:
            return self._contexts.take(options.context_key, shop.context)
        if options.remote:
            agent = await self.agent("default")
            shop.context = await contexts.fetch_remote(
                options.remote, shop.context, options.dockerfile, agent
            )
        elif self._stream is not None:
            size = await contexts.receive(self._stream, shop.context, arrival=arrival)
        return await to_its_end(
            "read a context", lambda: read(shop.context, options.dockerfile, size, arrival)
        )

    async def files(self, shop: Shop) -> str:
        """They came with the Dockerfile."""
        return shop.context

    def over(self, shop: Shop, kept: Kept) -> None:
        """Keep it for the next build where the client asks for that."""
        if self._options.context_key:
            self._contexts.put(self._options.context_key, kept, shop.context)

    async def named(self, shop: Shop, name: str, value: str, platform: Platform) -> str | StageState:
        """From an address; what was uploaded is there already."""
        return await fetched(shop, name, value, await self.agent("default"))

    def layout(self, spec: CacheSpec) -> Place | None:
        """It was uploaded."""
        return None

    async def secret(self, name: str) -> bytes | None:
        """One that was sent before."""
        return self._options.secrets.get(name)

    @property
    def own_agents(self) -> bool:
        """They are other people's."""
        return False

    async def agent(self, name: str) -> str:
        """One on this machine."""
        return self._options.ssh.get(name, "")


async def fetched(shop: Shop, name: str, value: str, agent: str) -> str:
    """A further context from an address, as a directory; raises BuildFailed."""
    if not (fetch.is_git(value) or fetch.is_url(value)):
        raise BuildFailed(f"the build context {name} cannot be used: {redacted(value)}")
    return await contexts.fetch_remote(value, shop.place("named"), "Dockerfile", agent)


def read(directory: str, dockerfile: str, size: int, arrival: Arrival) -> Kept:
    """In a thread: the Dockerfile of a context that is here, which then loses what is to be ignored."""
    data = contexts.read_dockerfile(directory, dockerfile)
    rules = contexts.ignore_rules(directory, dockerfile)
    contexts.leave_out(directory, rules)
    return Kept(data, rules, size, arrived=arrival.known)
