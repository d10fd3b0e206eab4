"""The daemon as a whole: what it is, what it holds, and its end."""

from __future__ import annotations

from msgspec.structs import replace

from wharfie.api import versions
from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Builds, System
from wharfie.api.call import Call
from wharfie.api.router import Route

_PING = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
    "Content-Type": "text/plain; charset=utf-8",
}


def routes(system: System, builds: Builds) -> list[Route]:
    """Docker's paths for the daemon, and ``/wharfie/shutdown``."""

    async def ping(call: Call) -> Answer:
        return Answer(200, b"OK", headers={"Builder-Version": system.builder_version, **_PING})

    async def info(call: Call) -> Answer:
        return json_answer(versions.older(call, system.info(), versions.INFO))

    async def version(call: Call) -> Answer:
        return json_answer(system.version())

    async def disk_usage(call: Call) -> Answer:
        kinds = call.texts("type") if call.at_least(1, 42) else []
        found = await system.disk_usage(kinds)
        if not kinds or "build-cache" in kinds:
            found = replace(found, build_cache=[*await builds.usage({})])
        return json_answer(versions.older(call, found, versions.USAGE))

    async def shutdown(call: Call) -> Answer:
        system.request_shutdown()
        return empty_answer()

    return [
        ("GET", "/_ping", ping),
        ("HEAD", "/_ping", ping),
        ("GET", "/info", info),
        ("GET", "/version", version),
        ("GET", "/system/df", disk_usage),
        ("POST", "/wharfie/shutdown", shutdown),
    ]
