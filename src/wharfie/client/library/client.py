"""``wharfie.Client`` and ``wharfie.AsyncClient``: an engine, as Python."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from wharfie.client import autostart
from wharfie.client.endpoint import endpoint, settings_directory
from wharfie.client.library.binding import Bound, T
from wharfie.client.library.containers import Containers
from wharfie.client.library.engine import Engine
from wharfie.client.library.images import Images
from wharfie.client.library.networks import Networks
from wharfie.client.library.system import System
from wharfie.client.library.transport import Awaiting, Blocking, Transport
from wharfie.client.library.volumes import Volumes


class _Client(Bound[T]):
    containers: Containers[T]
    images: Images[T]
    networks: Networks[T]
    volumes: Volumes[T]
    system: System[T]

    def __init__(
        self,
        transport: Transport,
        host: str | None,
        *,
        context: str | None,
        config: str | None,
        start: bool,
        timeout: float | None,
    ) -> None:
        directory = config or settings_directory()
        address = endpoint(host, context, directory)
        starter = (lambda: autostart.ensure(address)) if start and address.is_default else None
        engine = Engine(transport, address, starter, timeout, directory)
        super().__init__(engine)
        self.containers = Containers(engine)
        self.images = Images(engine)
        self.networks = Networks(engine)
        self.volumes = Volumes(engine)
        self.system = System(engine)

    @property
    def host(self) -> str:
        """Where the engine is."""
        return self._engine.address.text


class Client(_Client[Blocking]):
    """An engine; every method answers when it is done.

    Threads may share one. Nothing is sent before the first method is called.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        context: str | None = None,
        config: str | None = None,
        start: bool = True,
        timeout: float | None = None,
    ) -> None:
        """The engine at ``host``, else of the ``context``, else the environment's or the current context's.

        Nobody said anything: this user's own, which is started where it does not run, unless ``start`` is
        False. ``config`` is the directory of the user's settings; ``timeout`` how many seconds a question
        may take that the engine answers from memory. Raises InvalidHost, BadContext.
        """
        super().__init__(Blocking(), host, context=context, config=config, start=start, timeout=timeout)

    def close(self) -> None:
        """End the connections that are kept."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Client[Awaiting]):
    """The same for an event loop: methods are awaited, streams are ``async for``."""

    def __init__(
        self,
        host: str | None = None,
        *,
        context: str | None = None,
        config: str | None = None,
        start: bool = True,
        timeout: float | None = None,
    ) -> None:
        """As :class:`Client`."""
        super().__init__(Awaiting(), host, context=context, config=config, start=start, timeout=timeout)

    async def close(self) -> None:
        """End the connections that are kept."""
        self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
