"""The daemon as a whole: what it is, what it holds, and its end."""

from __future__ import annotations

from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import System
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.errors import NotFound

_PING = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
    "Content-Type": "text/plain; charset=utf-8",
}


def routes(system: System) -> list[Route]:
    """Docker's paths for the daemon, and ``/wharfie/shutdown``."""

    async def ping(call: Call) -> Answer:
        return Answer(200, b"OK", headers=dict(_PING))

    async def info(call: Call) -> Answer:
        return json_answer(system.info())

    async def version(call: Call) -> Answer:
        return json_answer(system.version())

    async def disk_usage(call: Call) -> Answer:
        return json_answer(await system.disk_usage(call.texts("type")))

    async def no_plugins(call: Call) -> Answer:
        return json_answer([])

    async def no_such_plugin(call: Call) -> Answer:
        raise NotFound(f'plugin "{call.argument}" not found')

    async def build_prune(call: Call) -> Answer:
        # "system prune" asks for it; there is no build cache, so nothing is what it takes
        return json_answer({"CachesDeleted": None, "SpaceReclaimed": 0})

    async def shutdown(call: Call) -> Answer:
        system.request_shutdown()
        return empty_answer()

    return [
        ("GET", "/_ping", ping),
        ("HEAD", "/_ping", ping),
        ("GET", "/info", info),
        ("GET", "/version", version),
        ("GET", "/system/df", disk_usage),
        ("GET", "/plugins", no_plugins),
        ("GET", "/plugins/{}/json", no_such_plugin),
        ("POST", "/build/prune", build_prune),
        ("POST", "/wharfie/shutdown", shutdown),
    ]
