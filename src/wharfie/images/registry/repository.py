"""One repository of a registry, as one who reads it: manifests, tags, blobs, referrers.

What was asked for by digest is verified here, except a large blob: its digest is for the one who reads it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from wharfie.images import manifests
from wharfie.images.layers import DigestMismatch
from wharfie.images.reference import Reference
from wharfie.images.registry.errors import ManifestUnknown, RegistryDenied, unreachable
from wharfie.images.registry.transport import BROKEN, CHUNK, Transport, backoff, limited

SLOWEST = 1024
"""Bytes a second; what is slower for a minute is taken for a broken connection."""
_WINDOW = 60.0
_PAGES = 1000
_TAGS_LIMIT = 8 << 20
_TAGS = 1_000_000
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class Fetched(NamedTuple):
    """A manifest as it came."""

    body: bytes
    media_type: str
    digest: str


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class Repository:
    """The pull half of distribution-spec."""

    def __init__(self, transport: Transport, name: Reference) -> None:
        self.transport = transport
        self.name = name
        self.scopes = (f"repository:{name.path}:pull",)

    def path(self, rest: str) -> str:
        """The path of something in this repository."""
        return f"{self.name.path}/{rest}"

    async def manifest(self, tag_or_digest: str, accept: str = manifests.ACCEPT) -> Fetched:
        """A manifest; a digest asked for is verified.

        Raises:
            ManifestUnknown, RegistryDenied, RegistryUnreachable, DigestMismatch, BadManifest.
        """
        path = self.path(f"manifests/{tag_or_digest}")
        for attempt in range(self.transport.settings.attempts):
            try:
                async with self.transport.request(
                    "GET", path, self.scopes, headers={"Accept": accept}, accepted=(200, 404)
                ) as answer:
                    if answer.status == 404:
                        raise ManifestUnknown(f"manifest for {self._shown(tag_or_digest)} not found: "
                                              "manifest unknown: manifest unknown")  # fmt: skip
                    body = await limited(answer, manifests.LIMIT, "manifest")
                    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
                break
            except BROKEN as error:
                problem = error
                await asyncio.sleep(backoff(attempt))
            except RegistryDenied as error:
                raise RegistryDenied(
                    f"pull access denied for {self.name.familiar_name}, repository does not exist or may "
                    f"require 'docker login': {error}"
                ) from None
        else:
            raise unreachable(self.transport.endpoint.host, problem)
        algorithm = tag_or_digest.partition(":")[0] if ":" in tag_or_digest else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
        if ":" in tag_or_digest and digest != tag_or_digest:
            raise DigestMismatch(f"manifest verification failed for digest {tag_or_digest}")
        return Fetched(body, media_type, digest)

    def _shown(self, tag_or_digest: str) -> str:
        joint = "@" if ":" in tag_or_digest else ":"
        return f"{self.name.familiar_name}{joint}{tag_or_digest}"

    async def tags(self) -> list[str]:
        """Every tag of the repository."""
        found: list[str] = []
        path = self.path("tags/list")
        for _page in range(_PAGES):
            async with self.transport.request("GET", path, self.scopes, accepted=(200, 404)) as answer:
                if answer.status == 404:
                    raise ManifestUnknown(f"repository {self.name.familiar_name} not found: name unknown")
                body = await limited(answer, _TAGS_LIMIT, "list of tags")
                following = _NEXT.search(answer.headers.get("Link", ""))
            try:
                found += msgspec.json.decode(body, type=_Tags).tags or []
            except (msgspec.MsgspecError, RecursionError) as error:
                raise manifests.BadManifest(f"the list of tags is invalid: {error}") from error
            if len(found) > _TAGS:
                break
            if following is None:
                return found
            path = self._page(following[1])
        raise manifests.BadManifest("the list of tags goes on without end")

    @staticmethod
    def _page(link: str) -> str:
        """The next page, always of the registry itself."""
        path, _, query = link.partition("?")
        return f"{path.partition('/v2/')[2]}?{query}"

    async def small_blob(self, wanted: manifests.Descriptor, limit: int) -> bytes:
        """A blob that fits into memory, verified."""
        if wanted.size > limit:
            raise manifests.BadManifest(
                f"the image configuration has {wanted.size} bytes; the limit is {limit}"
            )
        parts = [piece async for piece in self.blob(wanted)]
        body = b"".join(parts)
        if "sha256:" + hashlib.sha256(body).hexdigest() != wanted.digest:
            raise DigestMismatch(f"image verification failed for digest {wanted.digest}")
        return body

    async def blob(
        self,
        wanted: manifests.Descriptor,
        start: int = 0,
        tell: Callable[[float], None] = lambda _: None,
    ) -> AsyncIterator[bytes]:
        """A blob from ``start`` on as it comes, taken up where a connection broke; its digest is the reader's
        to verify. ``tell`` hears of each wait before a new attempt."""
        taken, failures = start, 0
        most = self.transport.settings.attempts
        while taken < wanted.size:
            before = taken
            try:
                async for piece in self._part(wanted, taken):
                    taken += len(piece)
                    if taken > wanted.size:
                        raise DigestMismatch(f"blob {wanted.digest} is longer than its manifest says")
                    yield piece
            except BROKEN as error:
                # what makes headway may go on for ever; what does not gets a few attempts
                failures = 1 if taken - before > SLOWEST * _WINDOW else failures + 1
                if failures >= most:
                    raise unreachable(self.transport.endpoint.host, error) from error
            else:
                failures += 1
                if taken < wanted.size and failures >= most:
                    raise DigestMismatch(f"blob {wanted.digest} is shorter than its manifest says")
            if taken < wanted.size:
                pause = backoff(failures)
                tell(pause)
                await asyncio.sleep(pause)

    async def _part(self, wanted: manifests.Descriptor, taken: int) -> AsyncIterator[bytes]:
        """One answer's worth of a blob, from ``taken`` on."""
        headers = {"Range": f"bytes={taken}-"} if taken else {}
        path = self.path(f"blobs/{wanted.digest}")
        async with self.transport.request(
            "GET", path, self.scopes, headers=headers, accepted=(200, 206, 404, 416)
        ) as answer:
            if answer.status == 404:
                raise ManifestUnknown(f"the registry has no blob {wanted.digest}: blob unknown")
            if answer.status == 416:
                raise DigestMismatch(f"blob {wanted.digest} is shorter than its manifest says")
            skip = taken if answer.status == 200 else 0
            began, seen = time.monotonic(), 0
            async for piece in answer.content.iter_chunked(CHUNK):
                seen += len(piece)
                passed = time.monotonic() - began
                if passed >= _WINDOW:
                    if seen < SLOWEST * passed:
                        raise TimeoutError
                    began, seen = time.monotonic(), 0
                if skip:
                    skip, piece = max(0, skip - len(piece)), piece[skip:]
                if piece:
                    yield piece

    async def referrers(self, digest: str, artifact_type: str = "") -> list[manifests.Descriptor]:
        """What refers to a manifest: the referrers API, or the tag that stands in for it."""
        path = self.path(f"referrers/{digest}")
        if artifact_type:
            path += f"?artifactType={quote(artifact_type, safe='')}"
        async with self.transport.request("GET", path, self.scopes, accepted=(200, 404)) as answer:
            if answer.status == 200:
                body = await limited(answer, manifests.LIMIT, "list of referrers")
                found = manifests.entries(body)
            else:
                found = await self._referrers_tag(digest)
        if artifact_type:
            found = [entry for entry in found if entry.artifact_type == artifact_type]
        return found

    async def _referrers_tag(self, digest: str) -> list[manifests.Descriptor]:
        algorithm, _, digits = digest.partition(":")
        try:
            fetched = await self.manifest(f"{algorithm}-{digits[:64]}", manifests.OCI_INDEX)
        except ManifestUnknown:
            return []
        return manifests.entries(fetched.body)
