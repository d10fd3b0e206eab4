"""Swarm mode as an engine outside a swarm has it: every path is there, and the answer is that it is in none.

As with Docker the request is read first: what is malformed is the client's fault (400), and only what could
have been done in a swarm is refused because there is none (503). A swarm cannot be begun or joined, for here
containers always outlive the daemon: Docker's own words for that setting.
"""

from __future__ import annotations

import msgspec

from wharfie.api.answers import Answer
from wharfie.api.call import Call
from wharfie.api.router import Handler, Route
from wharfie.errors import InternalError, InvalidArgument, Unavailable

NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
    "to swarm and try again."
)
NO_SWARM = "This node is not part of a swarm"
LIVE_RESTORE = "--live-restore daemon configuration is incompatible with swarm mode"


def routes() -> list[Route]:
    """Docker's paths for swarm, nodes, services, tasks, secrets and configs."""
    found: list[Route] = [
        ("GET", "/swarm", _asked),
        ("POST", "/swarm/init", _begun),
        ("POST", "/swarm/join", _begun),
        ("POST", "/swarm/leave", _left),
        ("POST", "/swarm/update", _changing("swarm")),
        ("GET", "/swarm/unlockkey", _asked),
        ("POST", "/swarm/unlock", _made),
        ("POST", "/services/create", _made),
        ("GET", "/services/{}/logs", _logs),
        ("GET", "/tasks/{}/logs", _logs),
        ("POST", "/secrets/create", _made),
        ("POST", "/configs/create", _made),
    ]
    for nouns in ("nodes", "services", "tasks", "secrets", "configs"):
        found += [("GET", f"/{nouns}", _listed), ("GET", f"/{nouns}/{{}}", _asked)]
        if nouns != "tasks":
            change = _changing(nouns.removesuffix("s"))
            found += [("DELETE", f"/{nouns}/{{}}", _asked), ("POST", f"/{nouns}/{{}}/update", change)]
    return found


async def _asked(call: Call) -> Answer:
    raise Unavailable(NO_MANAGER)


async def _listed(call: Call) -> Answer:
    call.filters()
    raise Unavailable(NO_MANAGER)


async def _made(call: Call) -> Answer:
    await _document(call)
    raise Unavailable(NO_MANAGER)


async def _begun(call: Call) -> Answer:
    await _document(call)
    raise InternalError(LIVE_RESTORE)


async def _left(call: Call) -> Answer:
    raise Unavailable(NO_SWARM)


async def _logs(call: Call) -> Answer:
    if not (call.flag("stdout") or call.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    raise Unavailable(NO_MANAGER)


def _changing(noun: str) -> Handler:
    async def change(call: Call) -> Answer:
        await _document(call)
        version = call.text("version")
        if not (version.isascii() and version.isdigit()):
            raise InvalidArgument(f"invalid {noun} version '{version}': it must be a number")
        raise Unavailable(NO_MANAGER)

    return change


async def _document(call: Call) -> None:
    """Raises InvalidArgument when the body is no JSON object."""
    try:
        msgspec.json.decode(await call.body(), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"invalid JSON: {error}") from None
