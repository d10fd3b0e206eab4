"""Networks: made, looked at, joined, left and removed."""

from __future__ import annotations

from wharfie.api import requests, versions
from wharfie.api.answers import Answer, empty_answer, json_answer
from wharfie.api.backends import Networks
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.wire.networks import NetworkConnect, NetworkCreate, NetworkDisconnect


def routes(networks: Networks) -> list[Route]:
    """Docker's paths below ``/networks``."""

    async def listing(call: Call) -> Answer:
        found = networks.list(call.filters())
        if not call.at_least(1, 28):
            # then a list had the containers as well
            found = [networks.inspect(one.id) for one in found]
        return json_answer(versions.older(call, found, versions.NETWORK))

    async def inspect(call: Call) -> Answer:
        call.strict_flag("verbose")
        found = networks.inspect(call.argument, call.text("scope"))
        return json_answer(versions.older(call, found, versions.NETWORK))

    async def create(call: Call) -> Answer:
        made = await networks.create(requests.network(call, await call.read(NetworkCreate)))
        return json_answer(made, 201)

    async def remove(call: Call) -> Answer:
        await networks.remove(call.argument)
        return empty_answer()

    async def connect(call: Call) -> Answer:
        await networks.connect(call.argument, await call.read(NetworkConnect))
        return empty_answer(200)

    async def disconnect(call: Call) -> Answer:
        await networks.disconnect(call.argument, await call.read(NetworkDisconnect))
        return empty_answer(200)

    async def prune(call: Call) -> Answer:
        return json_answer(await networks.prune(call.filters()))

    return [
        ("GET", "/networks", listing),
        ("GET", "/networks/{}", inspect),
        ("POST", "/networks/prune", prune),
        ("POST", "/networks/create", create),
        ("DELETE", "/networks/{}", remove),
        ("POST", "/networks/{}/connect", connect),
        ("POST", "/networks/{}/disconnect", disconnect),
    ]
