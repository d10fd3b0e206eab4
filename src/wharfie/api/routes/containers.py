"""The life of containers: everything that is a question with one answer."""

from __future__ import annotations

from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Containers, Processes
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.errors import InvalidArgument, NotFound, NotSupported
from wharfie.images.image import ImageNotFound
from wharfie.wire.containers import CreateContainer, CreateResponse, UpdateContainer, UpdateResponse


def routes(containers: Containers, processes: Processes) -> list[Route]:
    """Docker's paths below ``/containers``, without the streams."""

    async def listing(call: Call) -> Answer:
        return json_answer(
            containers.list(
                all=call.flag("all"),
                limit=call.number("limit"),
                size=call.flag("size"),
                filters=call.filters(),
            )
        )

    async def create(call: Call) -> Answer:
        body = await call.read(CreateContainer)
        name = call.text("name") or None
        try:
            made = await containers.create(name, body, call.text("platform"))
        except ImageNotFound:
            raise
        except NotFound as error:
            # clients take 404 for a missing image, and go and pull it
            raise InvalidArgument(error.message) from error
        return json_answer(CreateResponse(id=made.id, warnings=list(made.warnings)), 201)

    async def start(call: Call) -> Answer:
        if call.has("checkpoint"):
            raise NotSupported("starting from a checkpoint is not supported by wharfie")
        if (await call.body()).strip() not in (b"", b"{}", b"null"):
            raise InvalidArgument(
                "starting container with non-empty request body was deprecated since API v1.22 "
                "and removed in v1.24"
            )
        await containers.start(call.argument)
        return empty_answer()

    async def stop(call: Call) -> Answer:
        await containers.stop(call.argument, call.number("t"), call.text("signal"))
        return empty_answer()

    async def restart(call: Call) -> Answer:
        await containers.restart(call.argument, call.number("t"), call.text("signal"))
        return empty_answer()

    async def kill(call: Call) -> Answer:
        await containers.kill(call.argument, call.text("signal"))
        return empty_answer()

    async def pause(call: Call) -> Answer:
        await containers.pause(call.argument)
        return empty_answer()

    async def unpause(call: Call) -> Answer:
        await containers.unpause(call.argument)
        return empty_answer()

    async def rename(call: Call) -> Answer:
        await containers.rename(call.argument, call.text("name"))
        return empty_answer()

    async def update(call: Call) -> Answer:
        warnings = await containers.update(call.argument, await call.read(UpdateContainer))
        return json_answer(UpdateResponse(warnings=list(warnings)))

    async def remove(call: Call) -> Answer:
        await containers.remove(
            call.argument, force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link")
        )
        return empty_answer()

    async def inspect(call: Call) -> Answer:
        return json_answer(containers.inspect(call.argument, call.flag("size")))

    async def prune(call: Call) -> Answer:
        return json_answer(await containers.prune(call.filters()))

    async def resize(call: Call) -> Answer:
        await containers.resize(call.argument, *terminal_size(call))
        return empty_answer(200)

    async def top(call: Call) -> Answer:
        return json_answer(await processes.top(call.argument, call.text("ps_args") or "-ef"))

    return [
        ("GET", "/containers/json", listing),
        ("POST", "/containers/create", create),
        ("POST", "/containers/prune", prune),
        ("GET", "/containers/{}/json", inspect),
        ("GET", "/containers/{}/top", top),
        ("POST", "/containers/{}/start", start),
        ("POST", "/containers/{}/stop", stop),
        ("POST", "/containers/{}/restart", restart),
        ("POST", "/containers/{}/kill", kill),
        ("POST", "/containers/{}/pause", pause),
        ("POST", "/containers/{}/unpause", unpause),
        ("POST", "/containers/{}/rename", rename),
        ("POST", "/containers/{}/update", update),
        ("POST", "/containers/{}/resize", resize),
        ("DELETE", "/containers/{}", remove),
    ]


def terminal_size(call: Call) -> tuple[int, int]:
    """Height and width of a resize.

    Raises:
        InvalidArgument: they are missing or beyond what a terminal can have.
    """
    height, width = call.number("h"), call.number("w")
    if height is None or width is None or not (0 <= height <= 0xFFFF and 0 <= width <= 0xFFFF):
        raise InvalidArgument("invalid terminal size: h and w must be numbers from 0 to 65535")
    return height, width
