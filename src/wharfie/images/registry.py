"""A client of one registry: distribution-spec's pull half.

HTTPS always, except for registries on loopback addresses and those configured as insecure: there certificates
are not checked and plain HTTP is tried when nothing speaks TLS. Redirects are followed here, so that
credentials stay with the registry and an encrypted transfer never turns into a plain one.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from wharfie.errors import NotFound, Unavailable
from wharfie.images import manifests
from wharfie.images.image import RegistryAuth
from wharfie.images.layers import DigestMismatch
from wharfie.images.reference import DEFAULT_DOMAIN, Reference
from wharfie.images.registryauth import RegistryDenied, authorization, parse_challenges

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
ATTEMPTS = 5
CHUNK = 1 << 18
_REDIRECTS = 5
_BACKOFF = 0.5
_DEFAULT_HOST = "registry-1.docker.io"
_AGAIN = (408, 429, 500, 502, 503, 504)


class RegistryUnreachable(Unavailable):
    """No answer at all, or none that helps."""


class ManifestUnknown(NotFound):
    """The registry has no such image."""


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] | None = None


def is_insecure(domain: str, configured: Iterable[str] = ()) -> bool:
    """Whether a registry may be spoken to in the clear: loopback, or a name or network configured."""
    host = urlsplit("//" + domain).hostname or ""
    if host == "localhost" or domain in configured or host in configured:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    for network in configured:
        try:
            if address in ipaddress.ip_network(network, strict=False):
                return True
        except ValueError:
            continue  # a name
    return False


class Registry:
    """One repository of one registry, for the time of one pull."""

    def __init__(self, name: Reference, auth: RegistryAuth | None, *, insecure: bool) -> None:
        self._name = name
        self._auth = auth
        self._insecure = insecure
        self._host = _DEFAULT_HOST if name.domain == DEFAULT_DOMAIN else name.domain
        self._base = ""
        self._authorization = ""
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._login = asyncio.Lock()

    async def __aenter__(self) -> Registry:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            headers={"User-Agent": "wharfie", "Accept-Encoding": "identity"},
        )
        try:
            self._tls = await asyncio.to_thread(_tls_context, self._insecure)
            await self._ping()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def manifest(self, tag_or_digest: str) -> tuple[bytes, str, str]:
        """A manifest, its type and its digest; a digest asked for is verified."""
        path = f"manifests/{tag_or_digest}"
        async with self._get(path, {"Accept": manifests.ACCEPT}) as answer:
            if answer.status == 404:
                raise ManifestUnknown(f"manifest for {self._name.familiar} not found: manifest unknown")
            body = await _limited(answer, manifests.LIMIT, "manifest")
            media_type = answer.headers.get("Content-Type", "")
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if tag_or_digest.startswith("sha256:") and digest != tag_or_digest:
            raise DigestMismatch(f"manifest verification failed for digest {tag_or_digest}")
        return body, media_type, digest

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

    async def blob(self, wanted: manifests.Descriptor) -> AsyncIterator[bytes]:
        """A blob as it comes, taken up where a connection broke; its digest is the reader's to verify."""
        taken = failures = 0
        while taken < wanted.size:
            before = taken
            try:
                headers = {"Range": f"bytes={taken}-"} if taken else {}
                async with self._get(f"blobs/{wanted.digest}", headers) as answer:
                    if answer.status not in (200, 206):
                        raise ManifestUnknown(f"the registry has no blob {wanted.digest}: blob unknown")
                    skip = taken if answer.status == 200 else 0
                    async for piece in answer.content.iter_chunked(CHUNK):
                        if skip:
                            skip, piece = max(0, skip - len(piece)), piece[skip:]
                        taken += len(piece)
                        if taken > wanted.size:
                            raise DigestMismatch(f"blob {wanted.digest} is longer than its manifest says")
                        if piece:
                            yield piece
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # what makes headway may go on for ever; what does not gets a few attempts
                failures = 1 if taken > before else failures + 1
                if failures >= ATTEMPTS:
                    raise self._unreachable(error) from error
            else:
                failures += 1
                if taken < wanted.size and failures >= ATTEMPTS:
                    raise DigestMismatch(f"blob {wanted.digest} is shorter than its manifest says")
            if taken < wanted.size:
                await asyncio.sleep(_BACKOFF * 2**failures)

    @asynccontextmanager
    async def _get(self, path: str, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200, 206 or 404; logs in when asked to, and repeats what may pass."""
        url = f"{self._base}/v2/{self._name.path}/{path}"
        logged_in = bool(self._authorization)
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._follow(url, headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempt + 1 == ATTEMPTS:
                    raise self._unreachable(error) from error
                await asyncio.sleep(_BACKOFF * 2**attempt)
                continue
            try:
                if answer.status == 401 and (not logged_in or attempt == 0):
                    await self._log_in(answer)
                    logged_in = True
                elif answer.status in _AGAIN and attempt + 1 < ATTEMPTS:
                    await asyncio.sleep(_BACKOFF * 2**attempt)
                else:
                    if answer.status not in (200, 206, 404):
                        raise await self._refused(answer)
                    yield answer
                    return
            finally:
                answer.release()
        raise self._unreachable(None)

    async def _follow(self, url: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        assert self._session is not None
        for _hop in range(_REDIRECTS):
            sent = dict(headers)
            if self._authorization and _origin(url) == _origin(self._base):
                sent["Authorization"] = self._authorization
            answer = await self._session.get(
                url, headers=sent, allow_redirects=False, ssl=self._tls or True, proxy=_proxy(url)
            )
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            target = urljoin(url, answer.headers.get("Location", ""))
            answer.release()
            if urlsplit(target).scheme != "https" and not self._insecure:
                raise RegistryDenied(
                    f"the registry {self._host} leads to an unencrypted address; this is not followed"
                )
            url = target
        raise RegistryDenied(f"the registry {self._host} leads from one address to the next without end")

    async def _ping(self) -> None:
        """Find out how to speak with the registry: ``GET /v2/``."""
        assert self._session is not None
        problem: Exception | None = None
        for scheme in ("https", "http") if self._insecure else ("https",):
            base = f"{scheme}://{self._host}"
            url = base + "/v2/"
            try:
                async with self._session.get(
                    url, allow_redirects=False, ssl=self._tls or True, proxy=_proxy(url)
                ) as answer:
                    self._base = base
                    if answer.status == 401:
                        await self._log_in(answer)
                    return
            except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
                problem = error
        raise self._unreachable(problem)

    async def _log_in(self, answer: aiohttp.ClientResponse) -> None:
        assert self._session is not None
        challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
        async with self._login:
            self._authorization = await authorization(
                self._session,
                challenges,
                self._auth,
                f"repository:{self._name.path}:pull",
                clear=self._insecure,
                proxy=_proxy(self._base),
            )

    async def _refused(self, answer: aiohttp.ClientResponse) -> Exception:
        try:
            body = await answer.content.read(1 << 16)
            said = msgspec.json.decode(body, type=_Errors).errors or []
        except (msgspec.MsgspecError, RecursionError, aiohttp.ClientError, TimeoutError):
            said = []
        text = (
            f"{said[0].code.replace('_', '').lower()}: {said[0].message}"
            if said
            else f"status {answer.status}"
        )
        if answer.status in (401, 403):
            return RegistryDenied(
                f"pull access denied for {self._name.familiar_name}, repository does not exist or may "
                f"require 'docker login': {text}"
            )
        return RegistryUnreachable(f"the registry {self._host} refuses: {text}")

    def _unreachable(self, error: Exception | None) -> RegistryUnreachable:
        reason = (
            str(error) or type(error).__name__ if error is not None else "it does not accept our credentials"
        )
        if isinstance(error, TimeoutError):
            reason = "no answer in time"
        elif isinstance(error, aiohttp.ClientConnectorError):
            reason = str(error.os_error.strerror or error.os_error)
        return RegistryUnreachable(
            f"the registry {self._host} cannot be reached ({reason}); without a registry, "
            "`wharfie image bootstrap debian` makes an image from packages"
        )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _proxy(url: str) -> str | None:
    """The environment's proxy for this address (aiohttp's own way of reading it takes ~/.netrc too)."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _tls_context(insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _limited(answer: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_chunked(CHUNK):
        size += len(piece)
        if size > limit:
            raise manifests.BadManifest(f"the {what} is longer than {limit} bytes")
        parts.append(piece)
    return b"".join(parts)
