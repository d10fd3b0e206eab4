"""Plugins: there are none, and none can be installed; every question about one says so as Docker does."""

from __future__ import annotations

from wharfie.api.answers import Answer, json_answer
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.errors import InvalidArgument, NotFound, NotSupported

_FILTERS = frozenset({"capability", "enabled"})


def routes() -> list[Route]:
    """Docker's paths below ``/plugins``."""
    verbs = ("enable", "disable", "upgrade", "push", "set")
    return [
        ("GET", "/plugins", _listing),
        ("GET", "/plugins/privileges", _installing),
        ("POST", "/plugins/pull", _installing),
        ("POST", "/plugins/create", _installing),
        ("GET", "/plugins/{}/json", _missing),
        ("DELETE", "/plugins/{}", _missing),
        *[("POST", f"/plugins/{{}}/{verb}", _missing) for verb in verbs],
    ]


async def _listing(call: Call) -> Answer:
    filters = call.filters()
    for name in filters:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter '{name}'")
    for value in filters.get("enabled", ()):
        if value.lower() not in ("0", "1", "f", "t", "false", "true"):
            raise InvalidArgument(f"invalid filter 'enabled={value}'")
    return json_answer([])


async def _missing(call: Call) -> Answer:
    raise NotFound(f'plugin "{call.argument}" not found')


async def _installing(call: Call) -> Answer:
    raise NotSupported("plugins are not supported by wharfie")
