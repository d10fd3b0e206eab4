"""Processes started in running containers."""

from __future__ import annotations

from wharfie.api import requests
from wharfie.api.answers import Answer, TakenOver, empty_answer, json_answer
from wharfie.api.backends import Execs
from wharfie.api.call import Call
from wharfie.api.hijack import take_over
from wharfie.api.router import Route
from wharfie.api.routes.containers import terminal_size
from wharfie.api.routes.streams import stream_type
from wharfie.wire.execs import ExecCreate, ExecStart
from wharfie.wire.images import IdResponse


def routes(execs: Execs) -> list[Route]:
    """Docker's paths for exec, and ``kill``, which Docker has for containers only."""

    async def create(call: Call) -> Answer:
        body = requests.execution(call, await call.read(ExecCreate))
        return json_answer(IdResponse(id=await execs.create(call.argument, body)), 201)

    async def start(call: Call) -> Answer | TakenOver:
        body = requests.execution(call, await call.read(ExecStart, required=False))
        tty = execs.check_start(call.argument, body)
        if body.detach:
            await execs.start_detached(call.argument, body)
            return empty_answer(200)
        taken = await take_over(call.request, stream_type(call, tty))
        await execs.start_attached(call.argument, body, taken.fd, taken.prefix)
        return TakenOver()

    async def inspect(call: Call) -> Answer:
        return json_answer(await execs.inspect(call.argument))

    async def resize(call: Call) -> Answer:
        await execs.resize(call.argument, *terminal_size(call))
        return empty_answer(200)

    async def kill(call: Call) -> Answer:
        await execs.kill(call.argument, call.text("signal"))
        return empty_answer()

    return [
        ("POST", "/containers/{}/exec", create),
        ("POST", "/exec/{}/start", start),
        ("POST", "/exec/{}/resize", resize),
        ("POST", "/exec/{}/kill", kill),
        ("GET", "/exec/{}/json", inspect),
    ]
