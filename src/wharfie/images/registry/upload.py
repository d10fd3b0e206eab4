"""One repository of a registry, as one who writes to it: blobs and manifests.

::

    HEAD blob ── there ──▶ done
        │
    POST uploads?mount=…&from=… ── 201 ──▶ mounted
        │ 202, Location
    small:  PUT Location?digest=…           the whole in one request
    large:  PATCH Location ─▶ PUT ?digest=  as a stream whose length need not be known;
              │ broken: GET Location, Range: how much is there; PATCH goes on from there
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp

from wharfie.errors import Unavailable
from wharfie.images.reference import Reference
from wharfie.images.registry.errors import RegistryUnreachable, unreachable
from wharfie.images.registry.transport import BROKEN, Transport, backoff

_OCTETS = {"Content-Type": "application/octet-stream"}


class Source(Protocol):
    """A blob to be pushed, which can be read again from any place."""

    def read(self, start: int) -> AsyncIterator[bytes]:
        """The blob's bytes from ``start`` on; where it has been read to its end ``digest`` is known."""

    @property
    def digest(self) -> str:
        """Of the whole blob."""

    @property
    def size(self) -> int:
        """Of the whole blob, once it has been read."""


class Upload:
    """The push half of distribution-spec."""

    def __init__(self, transport: Transport, name: Reference) -> None:
        self._transport = transport
        self._name = name
        self._scopes = (f"repository:{name.path}:pull,push",)

    async def has_blob(self, digest: str) -> int | None:
        """The size of a blob that is there; None when it is not."""
        path = f"{self._name.path}/blobs/{digest}"
        async with self._transport.request("HEAD", path, self._scopes, accepted=(200, 404)) as answer:
            if answer.status == 404:
                return None
            return int(answer.headers.get("Content-Length", "0"))

    async def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry; False when it must be sent."""
        scopes = (*self._scopes, f"repository:{source}:pull")
        path = f"{self._name.path}/blobs/uploads/?mount={quote(digest)}&from={quote(source, safe='')}"
        async with self._transport.request(
            "POST", path, scopes, accepted=(201, 202, 401, 403, 404)
        ) as answer:
            if answer.status == 202:
                await self._give_up(answer.headers.get("Location", ""))
            return answer.status == 201

    async def _give_up(self, location: str) -> None:
        """An upload that nobody wanted need not lie about until the registry collects it."""
        if location:
            accepted = (200, 202, 204, 400, 404, 405)
            try:
                async with self._transport.request(
                    "DELETE", location, self._scopes, accepted=accepted, attempts=1
                ):
                    return
            except Unavailable:
                return  # it is the registry's to collect

    async def blob(self, source: Source, tell: Callable[[float], None] = lambda _: None) -> None:
        """Send a blob, taken up where a connection broke.

        Raises:
            RegistryUnreachable, RegistryDenied.
        """
        path = f"{self._name.path}/blobs/uploads/"
        async with self._transport.request("POST", path, self._scopes, accepted=(202,)) as answer:
            location = self._location(answer)
        sent = failures = 0
        while True:
            try:
                location = await self._stream(location, source, sent)
                await self._finish(location, source.digest)
                return
            except BROKEN as error:
                problem: Exception = error
            except RegistryUnreachable as error:
                problem = error
            location, there = await self._progress(location)
            failures = 1 if there > sent else failures + 1
            if failures >= self._transport.settings.attempts:
                if isinstance(problem, RegistryUnreachable):
                    raise problem
                raise unreachable(self._transport.endpoint.host, problem)
            sent = there
            pause = backoff(failures)
            tell(pause)
            await asyncio.sleep(pause)

    def _location(self, answer: aiohttp.ClientResponse) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise RegistryUnreachable(
                f"the registry {self._transport.endpoint.host} does not say where an upload goes"
            )
        return self._transport.address(location)

    async def _stream(self, location: str, source: Source, start: int) -> str:
        headers = dict(_OCTETS)
        if start:
            headers["Content-Range"] = f"{start}-{max(source.size - 1, start)}"
        async with self._transport.request(
            "PATCH", location, self._scopes, headers=headers, data=lambda: source.read(start),
            accepted=(202, 204), attempts=1,
        ) as answer:  # fmt: skip
            return self._location(answer)

    async def _finish(self, location: str, digest: str) -> None:
        """The upload is whole: now it gets its name."""
        target = _with_query(location, f"digest={quote(digest)}")
        headers = {**_OCTETS, "Content-Length": "0"}
        async with self._transport.request(
            "PUT", target, self._scopes, headers=headers, accepted=(201, 204), attempts=1
        ):
            return

    async def _progress(self, location: str) -> tuple[str, int]:
        """Where a broken upload goes on, and how much of it is there."""
        async with self._transport.request("GET", location, self._scopes, accepted=(200, 204, 404)) as answer:
            if answer.status == 404:
                async with self._transport.request(
                    "POST", f"{self._name.path}/blobs/uploads/", self._scopes, accepted=(202,)
                ) as again:
                    return self._location(again), 0
            last = answer.headers.get("Range", "").rpartition("-")[2]
            there = int(last) + 1 if last.isdigit() and last != "0" else 0
            return self._transport.address(answer.headers.get("Location", "") or location), there

    async def small_blob(self, body: bytes) -> str:
        """Send what fits into memory in one request, unless it is there; its digest."""
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if await self.has_blob(digest) is not None:
            return digest
        path = f"{self._name.path}/blobs/uploads/"
        async with self._transport.request("POST", path, self._scopes, accepted=(202,)) as answer:
            target = _with_query(self._location(answer), f"digest={quote(digest)}")
        async with self._transport.request(
            "PUT", target, self._scopes, headers=_OCTETS, data=lambda: body, accepted=(201, 204)
        ):
            return digest

    async def manifest(self, tag_or_digest: str, body: bytes, media_type: str) -> str:
        """Put a manifest; its digest."""
        path = f"{self._name.path}/manifests/{tag_or_digest}"
        async with self._transport.request(
            "PUT", path, self._scopes, headers={"Content-Type": media_type}, data=lambda: body,
            accepted=(200, 201, 202),
        ):  # fmt: skip
            return "sha256:" + hashlib.sha256(body).hexdigest()


def _with_query(url: str, more: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=f"{parts.query}&{more}" if parts.query else more))
