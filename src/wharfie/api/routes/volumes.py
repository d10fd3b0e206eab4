"""Volumes."""

from __future__ import annotations

from wharfie.api.answers import Answer, Stream, empty_answer, json_answer
from wharfie.api.backends import Volumes
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.api.routes.files import TAR
from wharfie.api.routes.swarm import NO_MANAGER
from wharfie.api.streaming import send_all
from wharfie.errors import Unavailable
from wharfie.wire.volumes import VolumeCreate


def routes(volumes: Volumes) -> list[Route]:
    """Docker's paths below ``/volumes``, and our own for a volume as an archive."""

    async def listing(call: Call) -> Answer:
        return json_answer(volumes.list(call.filters()))

    async def create(call: Call) -> Answer:
        body = await call.read(VolumeCreate, required=False)
        if body.cluster_volume_spec is not None and call.at_least(1, 42):
            raise Unavailable(NO_MANAGER)
        return json_answer(await volumes.create(body), 201)

    async def inspect(call: Call) -> Answer:
        return json_answer(volumes.inspect(call.argument))

    async def remove(call: Call) -> Answer:
        await volumes.remove(call.argument, force=call.flag("force"))
        return empty_answer()

    async def update(call: Call) -> Answer:
        volumes.update(call.argument)
        return empty_answer(200)

    async def get_archive(call: Call) -> Stream:
        async with volumes.export(call.argument) as pieces:
            return await send_all(call, pieces, Stream(call.request, TAR))

    async def put_archive(call: Call) -> Answer:
        await volumes.import_(call.argument, call.upload())
        return empty_answer(200)

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
        ("PUT", "/volumes/{}", update),
        ("GET", "/volumes/{}/archive", get_archive),
        ("PUT", "/volumes/{}/archive", put_archive),
        ("DELETE", "/volumes/{}", remove),
    ]
