"""Which handler a request goes to.

Docker's paths have one variable part mostly: ``/noun/verb``, ``/noun/{}/verb`` or ``/noun/{}``, where the
variable part may hold slashes for images and plugins only. In ``/noun/{}/verb/{}`` the two are one, with a
slash between them, for the handler to take apart. So a look-up is two or three dictionary accesses,
whatever the number of routes. A prefix ``/v1.NN`` chooses the version of the API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aiohttp.web import BaseRequest

from wharfie.api.answers import API_VERSION, MIN_API_VERSION
from wharfie.api.call import Call, Version
from wharfie.errors import InvalidArgument, NotFound


class Response(Protocol):
    """What aiohttp's connection handler asks of a response."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may serve another request."""

    async def prepare(self, request: BaseRequest) -> None:
        """Send the head."""

    async def write_eof(self) -> None:
        """Send the end."""


Handler = Callable[[Call], Awaitable[Response]]
Route = tuple[str, str, Handler]


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


_LATEST = _version(API_VERSION)
_OLDEST = _version(MIN_API_VERSION)
_SLASHED = frozenset({"images", "distribution", "plugins"})


class PageNotFound(NotFound):
    """No route has this path."""


class MethodNotAllowed(NotFound):
    """The path is known, with another method."""


class Router:
    """The table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._verbs: dict[tuple[str, str, str], Handler] = {}
        for method, pattern, handler in routes:
            if "{}" not in pattern:
                self._exact[method, pattern] = handler
                continue
            noun, _, rest = pattern[1:].partition("/")
            self._verbs[method, noun, rest.removeprefix("{}").removeprefix("/")] = handler

    def find(self, method: str, path: str) -> tuple[Handler, str, Version]:
        """The handler for a path, its variable part, and the version asked for.

        Raises:
            InvalidArgument: the version is not one of ours.
            NotFound: there is no such path.
        """
        version = _LATEST
        if path.startswith("/v") and path[2:3].isdigit():
            prefix, slash, rest = path[2:].partition("/")
            version = negotiated(prefix)
            path = slash + rest
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, "", version
        noun, _, rest = path[1:].partition("/")
        name, slash, verb = rest.rpartition("/") if noun in _SLASHED else rest.partition("/")
        if slash:
            handler = self._verbs.get((method, noun, verb))
            if handler is None and "/" in verb:
                first, _, last = verb.partition("/")
                handler, name = self._verbs.get((method, noun, f"{first}/{{}}")), f"{name}/{last}"
            if handler is not None and name:
                return handler, name, version
        if not slash or noun in _SLASHED:
            handler = self._verbs.get((method, noun, ""))
            if handler is not None and rest:
                return handler, rest, version
        raise self._refusal(path, noun, verb if slash else "", rest)

    def _refusal(self, path: str, noun: str, verb: str, rest: str) -> Exception:
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
            templated = (method, noun, verb) in self._verbs
            if (method, path) in self._exact or (rest and templated):
                return MethodNotAllowed(f"method not allowed: {path} takes {method}")
        return PageNotFound("page not found")


def negotiated(text: str) -> Version:
    """The version that a path begins with.

    Raises:
        InvalidArgument: it is no version, too old or too new; the words are Docker's.
    """
    try:
        version = _version(text)
    except ValueError:
        raise InvalidArgument(f"invalid API version {text!r}") from None
    if version < _OLDEST:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    if version > _LATEST:
        raise InvalidArgument(
            f"client version {text} is too new. Maximum supported API version is {API_VERSION}"
        )
    return version
