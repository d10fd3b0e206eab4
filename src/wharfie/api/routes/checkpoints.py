"""Checkpoints of containers, an experimental feature of Docker's."""

from __future__ import annotations

from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Checkpoints
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.wire.checkpoints import CreateCheckpoint


def routes(checkpoints: Checkpoints) -> list[Route]:
    """Docker's paths for checkpoints."""

    async def create(call: Call) -> Answer:
        await checkpoints.create(call.argument, await call.read(CreateCheckpoint))
        return empty_answer(201)

    async def listed(call: Call) -> Answer:
        # a list of none is null, as with Docker
        return json_answer(checkpoints.list(call.argument, call.text("dir")) or None)

    async def remove(call: Call) -> Answer:
        ref, _, name = call.argument.partition("/")
        checkpoints.remove(ref, name, call.text("dir"))
        return empty_answer()

    return [
        ("POST", "/containers/{}/checkpoints", create),
        ("GET", "/containers/{}/checkpoints", listed),
        ("DELETE", "/containers/{}/checkpoints/{}", remove),
    ]
