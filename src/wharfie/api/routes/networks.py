"""Networks: the ones there are can be looked at."""

from __future__ import annotations

from wharfie.api.answers import Answer, json_answer
from wharfie.api.backends import Networks
from wharfie.api.call import Call
from wharfie.api.router import Handler, Route
from wharfie.errors import NotSupported
from wharfie.wire.networks import NetworkPrune


def _refuse(what: str) -> Handler:
    async def refuse(call: Call) -> Answer:
        raise NotSupported(f"{what} networks is not supported by wharfie")

    return refuse


def routes(networks: Networks) -> list[Route]:
    """Docker's paths below ``/networks``."""

    async def listing(call: Call) -> Answer:
        return json_answer(networks.list(call.filters()))

    async def inspect(call: Call) -> Answer:
        return json_answer(networks.inspect(call.argument))

    async def prune(call: Call) -> Answer:
        # only networks that somebody made are pruned, and nobody can make one
        return json_answer(NetworkPrune())

    return [
        ("GET", "/networks", listing),
        ("GET", "/networks/{}", inspect),
        ("POST", "/networks/prune", prune),
        ("POST", "/networks/create", _refuse("creating")),
        ("DELETE", "/networks/{}", _refuse("removing")),
        ("POST", "/networks/{}/connect", _refuse("connecting containers to further")),
        ("POST", "/networks/{}/disconnect", _refuse("disconnecting containers from")),
    ]
