"""Requests to one endpoint of a registry: proof of who we are, redirects, and repeats of what may pass.

Redirects are followed here, so that credentials stay with the registry and an encrypted transfer never turns
into a plain one. A 429 is obeyed: its ``Retry-After`` is waited for where that is a minute at most.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from wharfie.images import manifests
from wharfie.images.image import RegistryAuth
from wharfie.images.registry.auth import Authorizer, Scopes
from wharfie.images.registry.errors import RegistryDenied, RegistryUnreachable, said, unreachable
from wharfie.images.registry.settings import Endpoint, Settings

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
CHUNK = 1 << 18
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
"""What the network does to us."""
_REDIRECTS = 5
_BACKOFF = 0.5
_LONGEST_WAIT = 60.0
_AGAIN = (408, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)
_BARE = {
    401: "unauthorized: authentication required",
    403: "denied: requested access to the resource is denied",
}
_SMALL_SECONDS = 60.0


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(_BACKOFF * 2**failures, _LONGEST_WAIT))


class Transport:
    """Connections to one endpoint, closed when the last of those who hold them lets go."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: Settings,
        credentials: RegistryAuth | None,
        *,
        offline: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.base = ""
        self._credentials = None if endpoint.mirror else credentials
        self._offline = offline
        self._holders = 0
        self._session: aiohttp.ClientSession
        self._tls: ssl.SSLContext | None = None
        self.authorizer: Authorizer

    async def __aenter__(self) -> Transport:
        self._holders += 1
        if self._holders > 1:
            return self
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "wharfie", "Accept-Encoding": "identity"},
        )
        try:
            self._tls = await asyncio.to_thread(self.settings.tls, self.endpoint)
            await self._ping()
        except BaseException:
            self._holders -= 1
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._holders -= 1
        if not self._holders:
            await self._session.close()

    async def _ping(self) -> None:
        """Find out how to speak with the registry: ``GET /v2/``."""
        problem: Exception | None = None
        for scheme in self.endpoint.schemes:
            self.base = f"{scheme}://{self.endpoint.host}{self.endpoint.prefix}"
            self.authorizer = Authorizer(
                self._session,
                self._credentials,
                host=self.endpoint.host,
                clear=self.endpoint.insecure,
                tls=self._tls,
                proxy=self.settings.proxies.of,
                offline=self._offline,
            )
            try:
                await self._ask_version()
                return
            except BROKEN as error:
                problem = problem if isinstance(problem, ssl.SSLError) else error
        raise unreachable(self.endpoint.host, problem)

    async def _ask_version(self) -> None:
        url = f"{self.base}/v2/"
        async with self._session.get(
            url, allow_redirects=False, ssl=self._ssl(url), proxy=self.settings.proxies.of(url)
        ):
            return

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        scopes: Scopes,
        *,
        headers: dict[str, str] | None = None,
        data: Callable[[], Any] = lambda: None,
        accepted: tuple[int, ...] = (200,),
        attempts: int | None = None,
        tell: Callable[[float], None] = lambda _: None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, if its status is one of ``accepted``; logs in when asked to, repeats what may pass.

        ``path`` is below the registry's address, or a whole address the registry gave us. ``data`` makes the
        body anew for each attempt; ``tell`` hears of each wait.

        Raises:
            RegistryUnreachable, RegistryDenied.
        """
        url = self.address(path)
        most = self.settings.attempts if attempts is None else attempts
        logins = failures = 0
        while True:
            pause = 0.0
            sent = self._proof(url, scopes)
            try:
                answer = await self._follow(method, url, scopes, headers or {}, data())
            except BROKEN as error:
                failures += 1
                if failures >= most:
                    raise unreachable(self.endpoint.host, error) from error
                pause = backoff(failures - 1)
            else:
                try:
                    if answer.status in accepted:
                        yield answer
                        return
                    if answer.status == 401 and logins < 2 and await self._log_in(answer, scopes, sent):
                        logins += 1
                        continue
                    failures += 1
                    if answer.status not in _AGAIN or failures >= most:
                        raise await self._refusal(answer)
                    pause = await self._pause(answer, failures)
                finally:
                    answer.release()
            tell(pause)
            await asyncio.sleep(pause)

    def address(self, path: str) -> str:
        """A whole address; raises RegistryDenied for one that would be less safe than the registry's own."""
        url = urljoin(f"{self.base}/", path if "://" in path or path.startswith("/") else f"v2/{path}")
        scheme = urlsplit(url).scheme
        if scheme != "https" and not (self.endpoint.insecure and scheme == "http"):
            raise RegistryDenied(
                f"the registry {self.endpoint.host} leads to an unencrypted address; this is not followed"
            )
        return url

    def _proof(self, url: str, scopes: Scopes) -> str:
        return self.authorizer.header(scopes) if origin(url) == origin(self.base) else ""

    async def _log_in(self, answer: aiohttp.ClientResponse, scopes: Scopes, sent: str) -> bool:
        if origin(str(answer.url)) != origin(self.base):
            return False  # a place we were led to asks for credentials: those are for the registry
        try:
            return await self.authorizer.answer(answer.headers.getall("WWW-Authenticate", []), scopes, sent)
        except BROKEN as error:
            raise unreachable(self.endpoint.host, error) from error

    async def _follow(
        self, method: str, url: str, scopes: Scopes, headers: dict[str, str], data: Any
    ) -> aiohttp.ClientResponse:
        for _hop in range(_REDIRECTS):
            sent = dict(headers)
            proof = self._proof(url, scopes)
            if proof:
                sent["Authorization"] = proof
            answer = await self._session.request(
                method,
                url,
                headers=sent,
                data=data,
                allow_redirects=False,
                ssl=self._ssl(url),
                proxy=self.settings.proxies.of(url),
            )
            if method not in ("GET", "HEAD") or answer.status not in _MOVED:
                return answer
            target = urljoin(url, answer.headers.get("Location", ""))
            answer.release()
            url = self.address(target)
        raise RegistryDenied(
            f"the registry {self.endpoint.host} leads from one address to the next without end"
        )

    def _ssl(self, url: str) -> ssl.SSLContext | bool:
        """Our client certificate is shown to the registry only, and only there are certificates unchecked."""
        return self._tls or True if _host(url) == _host(self.base) else True

    async def _pause(self, answer: aiohttp.ClientResponse, failures: int) -> float:
        """How long to wait; raises RegistryUnreachable when the registry wants longer than is sensible."""
        wanted = _retry_after(answer.headers.get("Retry-After", ""))
        if wanted > _LONGEST_WAIT:
            raise RegistryUnreachable(
                f"the registry {self.endpoint.host} wants us to come again in {wanted:.0f} seconds: "
                f"{await said(answer)}"
            )
        return max(wanted, backoff(failures - 1))

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Exception:
        text = await said(answer)
        if answer.status in (401, 403):
            if ":" not in text:  # the answer to a HEAD says nothing
                text = _BARE[answer.status]
            if (
                self._credentials is None
                and answer.headers.get("WWW-Authenticate", "")[:5].lower() == "basic"
            ):
                text = "no basic auth credentials"
            return RegistryDenied(text)
        return RegistryUnreachable(f"the registry {self.endpoint.host} refuses: {text}")


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what credentials belong to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _host(url: str) -> str | None:
    return urlsplit(url).hostname


def _retry_after(text: str) -> float:
    """RFC 9110 section 10.2.3: seconds, or a date."""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


async def limited(answer: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """A body that fits into memory and comes within a minute; raises BadManifest, TimeoutError."""
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(_SMALL_SECONDS):
        async for piece in answer.content.iter_chunked(CHUNK):
            size += len(piece)
            if size > limit:
                raise manifests.BadManifest(f"the {what} is longer than {limit} bytes")
            parts.append(piece)
    return b"".join(parts)
