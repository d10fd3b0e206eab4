"""One request, as a handler sees it: path argument, query, body, and the connection it came on.

Query values follow Docker's rules: a flag is false when it is empty, ``0``, ``no``, ``false`` or ``none``,
and true otherwise; filters are JSON, either ``{"label": ["a"]}`` or the older ``{"label": {"a": true}}``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec
from aiohttp.web import BaseRequest

from wharfie.errors import InvalidArgument
from wharfie.wire.base import Wire, decode

BODY_LIMIT = 8 << 20
_FALSE = frozenset({"", "0", "no", "false", "none"})
_STRICT = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
W = TypeVar("W", bound=Wire)
Version = tuple[int, int]


class Call:
    """One request."""

    __slots__ = ("_query", "_raw_query", "argument", "request", "version")

    def __init__(self, request: BaseRequest, argument: str, version: Version, raw_query: str) -> None:
        self.request = request
        self.argument = argument
        """The variable part of the path: a container's name or id, an image's name."""
        self.version = version
        self._raw_query = raw_query
        self._query: Mapping[str, list[str]] | None = None

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The parameters behind the question mark."""
        if self._query is None:
            self._query = parse_qs(self._raw_query, keep_blank_values=True) if self._raw_query else {}
        return self._query

    def has(self, name: str) -> bool:
        """Whether the parameter is given and not empty."""
        return bool(self.text(name))

    def text(self, name: str, default: str = "") -> str:
        """A parameter as text."""
        values = self.query.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        """A parameter that may come several times."""
        return list(self.query.get(name, ()))

    def flag(self, name: str, default: bool = False) -> bool:
        """A parameter as yes or no."""
        values = self.query.get(name)
        return values[0].strip().lower() not in _FALSE if values else default

    def strict_flag(self, name: str) -> bool:
        """A parameter that is yes or no and nothing else; raises InvalidArgument."""
        value = self.text(name)
        if value and value not in _STRICT:
            raise InvalidArgument(
                f'invalid value for {name}: {value}: strconv.ParseBool: parsing "{value}": invalid syntax'
            )
        return _STRICT.get(value, False)

    def number(self, name: str) -> int | None:
        """A parameter as a whole number; None when it is not given.

        Raises:
            InvalidArgument: it is no number.
        """
        value = self.text(name)
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise InvalidArgument(f"invalid value for {name}: {value!r} is not a number") from None

    def filters(self) -> dict[str, list[str]]:
        """The parameter ``filters``.

        Raises:
            InvalidArgument: it is not JSON of one of the two forms.
        """
        value = self.text("filters")
        if not value:
            return {}
        try:
            found = msgspec.json.decode(value, type=dict[str, list[str] | dict[str, bool]])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidArgument(f"invalid filter: {error}") from error
        return {name: list(items) for name, items in found.items()}

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the client speaks this version of the API or a later one."""
        return self.version >= (major, minor)

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            InvalidArgument: it is longer than any sensible request.
        """
        if not self.request.body_exists:
            return b""
        content = self.request.content
        parts = []
        size = 0
        while not content.at_eof():
            part = await content.readany()
            size += len(part)
            if size > BODY_LIMIT:
                raise InvalidArgument(f"the request body is longer than {BODY_LIMIT} bytes")
            parts.append(part)
        return b"".join(parts)

    async def read(self, kind: type[W], *, required: bool = True) -> W:
        """The body as an API type; the type's defaults when there is none and it is not required.

        Raises:
            InvalidArgument: it is missing, not JSON, or has a value of the wrong type.
        """
        data = await self.body()
        if not data.strip():
            if required:
                raise InvalidArgument("invalid JSON: got EOF while reading request body")
            return kind()
        media = self.request.headers.get("Content-Type", "")
        if media and media.partition(";")[0].strip().lower() != "application/json":
            raise InvalidArgument(f"unsupported Content-Type header ({media}): must be 'application/json'")
        return decode(data, kind)

    async def upload(self) -> AsyncIterator[bytes]:
        """The body in pieces, for what is too large to be held."""
        content = self.request.content
        while not content.at_eof():
            part = await content.readany()
            if part:
                yield part
