"""The life of containers: everything that is a question with one answer."""

from __future__ import annotations

from wharfie.api import requests, versions
from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Containers, Processes
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.errors import InvalidArgument, NotFound
from wharfie.images.image import ImageNotFound
from wharfie.wire.containers import CreateContainer, CreateResponse, UpdateContainer, UpdateResponse


def routes(containers: Containers, processes: Processes) -> list[Route]:
    """Docker's paths below ``/containers``, without the streams."""
    return ContainerRoutes(containers, processes).table()


class ContainerRoutes:
    """The handlers."""

    def __init__(self, containers: Containers, processes: Processes) -> None:
        self._containers = containers
        self._processes = processes

    async def listing(self, call: Call) -> Answer:
        """``ps``."""
        found = await self._containers.list(
            all=call.flag("all"),
            limit=call.number("limit"),
            size=call.flag("size"),
            filters=call.filters(),
        )
        return json_answer(versions.older(call, found, versions.CONTAINER_LIST))

    async def create(self, call: Call) -> Answer:
        """``create``."""
        body = requests.create(call, await call.read(CreateContainer))
        name = call.text("name") or None
        try:
            made = await self._containers.create(
                name, body, call.text("platform") if call.at_least(1, 41) else ""
            )
        except ImageNotFound:
            raise
        except NotFound as error:
            # clients take 404 for a missing image, and go and pull it
            raise InvalidArgument(error.message) from error
        return json_answer(CreateResponse(id=made.id, warnings=list(made.warnings)), 201)

    async def start(self, call: Call) -> Answer:
        """``start``."""
        if (await call.body()).strip() not in (b"", b"{}", b"null"):
            raise InvalidArgument(
                "starting container with non-empty request body was deprecated since API v1.22 "
                "and removed in v1.24"
            )
        await self._containers.start(call.argument, call.text("checkpoint"), call.text("checkpoint-dir"))
        return empty_answer()

    async def stop(self, call: Call) -> Answer:
        """``stop``."""
        await self._containers.stop(call.argument, call.number("t"), _end_signal(call))
        return empty_answer()

    async def restart(self, call: Call) -> Answer:
        """``restart``."""
        await self._containers.restart(call.argument, call.number("t"), _end_signal(call))
        return empty_answer()

    async def kill(self, call: Call) -> Answer:
        """``kill``."""
        await self._containers.kill(call.argument, call.text("signal"))
        return empty_answer()

    async def pause(self, call: Call) -> Answer:
        """``pause``."""
        await self._containers.pause(call.argument)
        return empty_answer()

    async def unpause(self, call: Call) -> Answer:
        """``unpause``."""
        await self._containers.unpause(call.argument)
        return empty_answer()

    async def rename(self, call: Call) -> Answer:
        """``rename``."""
        await self._containers.rename(call.argument, call.text("name"))
        return empty_answer()

    async def update(self, call: Call) -> Answer:
        """``update``."""
        body = requests.update(call, await call.read(UpdateContainer))
        warnings = await self._containers.update(call.argument, body)
        return json_answer(UpdateResponse(warnings=list(warnings) or None))

    async def remove(self, call: Call) -> Answer:
        """``rm``."""
        await self._containers.remove(
            call.argument, force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link")
        )
        return empty_answer()

    async def inspect(self, call: Call) -> Answer:
        """``inspect``."""
        found = await self._containers.inspect(call.argument, call.flag("size"))
        return json_answer(versions.older(call, found, versions.CONTAINER))

    async def prune(self, call: Call) -> Answer:
        """``container prune``."""
        return json_answer(await self._containers.prune(call.filters()))

    async def resize(self, call: Call) -> Answer:
        """The size of the terminal."""
        await self._containers.resize(call.argument, *terminal_size(call))
        return empty_answer(200)

    async def top(self, call: Call) -> Answer:
        """``top``."""
        return json_answer(await self._processes.top(call.argument, call.text("ps_args") or "-ef"))

    def table(self) -> list[Route]:
        """Method, path and handler."""
        return [
            ("GET", "/containers/json", self.listing),
            ("POST", "/containers/create", self.create),
            ("POST", "/containers/prune", self.prune),
            ("GET", "/containers/{}/json", self.inspect),
            ("GET", "/containers/{}/top", self.top),
            ("POST", "/containers/{}/start", self.start),
            ("POST", "/containers/{}/stop", self.stop),
            ("POST", "/containers/{}/restart", self.restart),
            ("POST", "/containers/{}/kill", self.kill),
            ("POST", "/containers/{}/pause", self.pause),
            ("POST", "/containers/{}/unpause", self.unpause),
            ("POST", "/containers/{}/rename", self.rename),
            ("POST", "/containers/{}/update", self.update),
            ("POST", "/containers/{}/resize", self.resize),
            ("DELETE", "/containers/{}", self.remove),
        ]


def _end_signal(call: Call) -> str:
    """The signal that a stop begins with; before 1.42 it was the container's to say."""
    return call.text("signal") if call.at_least(1, 42) else ""


def terminal_size(call: Call) -> tuple[int, int]:
    """Height and width of a resize.

    Raises:
        InvalidArgument: they are missing or beyond what a terminal can have.
    """
    height, width = call.number("h"), call.number("w")
    if height is None or width is None or not (0 <= height <= 0xFFFF and 0 <= width <= 0xFFFF):
        raise InvalidArgument("invalid terminal size: h and w must be numbers from 0 to 65535")
    return height, width
