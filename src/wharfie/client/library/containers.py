"""The containers of an engine: made, run, listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from wharfie.client.api import quote
from wharfie.client.library.binding import Bound, T, operation
from wharfie.client.library.container import Container
from wharfie.client.library.creation import Options, document
from wharfie.client.library.errors import NotFound
from wharfie.client.library.pulling import pull
from wharfie.client.library.session import Result, Splitter, collected
from wharfie.wire.containers import (
    ContainerInspect,
    ContainerPrune,
    ContainerSummary,
    CreateResponse,
    WaitResponse,
)

Filters = dict[str, Sequence[str]]


class Containers(Bound[T]):
    """``client.containers``."""

    @operation
    async def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        input: bytes | None = None,
        remove: bool = True,
        pull: bool = True,
        **options: Unpack[Options],
    ) -> Result:
        """Run a container to its end: its exit code, and what it printed.

        ``pull`` fetches an image that is missing. The container is removed whatever happens, unless
        ``remove=False``.
        """
        body = document(image, command, options)
        body |= {"AttachStdout": True, "AttachStderr": True}
        if input is not None:
            body |= {"AttachStdin": True, "OpenStdin": True, "StdinOnce": True}
        container = await self._create(body, options, pull=pull)
        try:
            return await self._finish(container, input, framed=not options.get("tty", False))
        finally:
            if remove:
                try:
                    await container._remove(force=True, volumes=True)
                except NotFound:
                    pass  # the engine, or somebody else, has removed it already

    @operation
    async def launch(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        pull: bool = True,
        **options: Unpack[Options],
    ) -> Container[T]:
        """Start a container that goes on by itself (``run -d``)."""
        container = await self._create(document(image, command, options), options, pull=pull)
        try:
            await container._start()
        except BaseException:
            await container._remove(force=True)
            raise
        return container

    @operation
    async def create(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        stdin: bool = False,
        pull: bool = False,
        **options: Unpack[Options],
    ) -> Container[T]:
        """Make a container without starting it; ``stdin``: it will be talked to."""
        body = document(image, command, options)
        if stdin:
            body |= {"AttachStdin": True, "OpenStdin": True, "StdinOnce": True}
        return await self._create(body, options, pull=pull)

    @operation
    async def get(self, name: str) -> Container[T]:
        """The container of a name or (the beginning of) an id; raises NotFound."""
        found = await self._engine.call("GET", f"/containers/{quote(name)}/json", ContainerInspect)
        return Container(self._engine, found.id, found.name.removeprefix("/"))

    @operation
    async def list(
        self,
        *,
        all: bool = False,
        limit: int | None = None,
        size: bool = False,
        filters: Filters | None = None,
    ) -> list[Container[T]]:
        """Those that run, or all; each with its ``summary``."""
        query = {"all": all, "limit": limit, "size": size, "filters": filters}
        found = await self._engine.call("GET", "/containers/json", list[ContainerSummary], query)
        return [Container(self._engine, one.id, "".join(one.names[:1]).lstrip("/"), one) for one in found]

    @operation
    async def prune(self, filters: Filters | None = None) -> ContainerPrune:
        """Remove all that are stopped."""
        query = {"filters": filters}
        return await self._engine.call("POST", "/containers/prune", ContainerPrune, query, patient=True)

    async def _create(self, body: dict[str, Any], options: Options, *, pull: bool) -> Container[T]:
        name = options.get("name", "")
        query = {"name": name, "platform": options.get("platform")}
        try:
            made = await self._engine.call("POST", "/containers/create", CreateResponse, query, body=body)
        except NotFound:
            if not pull:
                raise
            await _pull(self._engine, body["Image"], platform=options.get("platform"))
            made = await self._engine.call("POST", "/containers/create", CreateResponse, query, body=body)
        return Container(self._engine, made.id, name)

    async def _finish(self, container: Container[T], input: bytes | None, *, framed: bool) -> Result:
        query = {"stream": 1, "stdin": input is not None, "stdout": 1, "stderr": 1}
        exchange = await self._engine.hijack(f"/containers/{container.id}/attach", query)
        try:
            await container._start()
            out, err = await collected(self._engine, exchange, Splitter(framed=framed), input)
        finally:
            exchange.channel.close()
        ended = await self._engine.call(
            "POST", f"/containers/{container.id}/wait", WaitResponse, patient=True
        )
        return Result(ended.status_code, out, err)


_pull = pull
