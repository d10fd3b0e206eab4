"""BuildKit's two endpoints: connections that turn into HTTP/2, with us as the server or as the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wharfie.api.answers import TakenOver
from wharfie.api.backends import Builds
from wharfie.api.call import Call
from wharfie.api.hijack import take_over, upgrades
from wharfie.api.router import Route
from wharfie.errors import InvalidArgument
from wharfie.support.tasks import spawn

_PROTOCOL = "h2c"
_EXPOSED = "X-Docker-Expose-Session-"


def routes(builds: Builds) -> list[Route]:
    """``/grpc`` and ``/session``."""

    async def grpc(call: Call) -> TakenOver:
        return await _turned(call, builds.serve_grpc)

    async def session(call: Call) -> TakenOver:
        headers = call.request.headers
        key, shared = headers.get(f"{_EXPOSED}Uuid", ""), headers.get(f"{_EXPOSED}Sharedkey", "")
        if not key:
            raise InvalidArgument(f"a session needs an id in {_EXPOSED}Uuid")
        methods = headers.getall(f"{_EXPOSED}Grpc-Method", [])

        async def serve(fd: int, prefix: bytes) -> None:
            await builds.serve_session(fd, prefix, key, shared, methods)

        return await _turned(call, serve)

    return [("POST", "/grpc", grpc), ("POST", "/session", session)]


async def _turned(call: Call, serve: Callable[[int, bytes], Awaitable[None]]) -> TakenOver:
    wanted = call.request.headers.get("Upgrade", "")
    if not upgrades(call.request):
        raise InvalidArgument("no upgrade proto in request")
    if wanted.lower() != _PROTOCOL:
        raise InvalidArgument(f"protocol {wanted} not supported")
    taken = await take_over(call.request, "", _PROTOCOL)

    async def work() -> None:
        await serve(taken.fd, taken.prefix)

    spawn("speak with a BuildKit client", work())
    return TakenOver()
