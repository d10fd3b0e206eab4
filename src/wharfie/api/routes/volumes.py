"""Volumes."""

from __future__ import annotations

from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Volumes
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.wire.volumes import VolumeCreate


def routes(volumes: Volumes) -> list[Route]:
    """Docker's paths below ``/volumes``."""

    async def listing(call: Call) -> Answer:
        return json_answer(volumes.list(call.filters()))

    async def create(call: Call) -> Answer:
        return json_answer(volumes.create(await call.read(VolumeCreate, required=False)), 201)

    async def inspect(call: Call) -> Answer:
        return json_answer(volumes.inspect(call.argument))

    async def remove(call: Call) -> Answer:
        await volumes.remove(call.argument, force=call.flag("force"))
        return empty_answer()

    async def prune(call: Call) -> Answer:
        filters = call.filters()
        if not call.at_least(1, 42):
            # before, a prune took named volumes as well
            filters = {"all": ["true"], **filters}
        return json_answer(await volumes.prune(filters))

    return [
        ("GET", "/volumes", listing),
        ("POST", "/volumes/create", create),
        ("POST", "/volumes/prune", prune),
        ("GET", "/volumes/{}", inspect),
        ("DELETE", "/volumes/{}", remove),
    ]
