"""How a registry wants us to prove who we are, and the proof.

RFC 9110 section 11 (challenges), RFC 7617 (Basic), distribution-spec's token protocol (Bearer: the challenge
names a ``realm`` that gives tokens for a ``service`` and scopes: for a password by GET, for an identity token
by POST). The password goes to the registry itself or to the realm it names, never in the clear to
anything but a registry that may be spoken to in the clear, and never along with a redirect (CVE-2020-15157).
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from wharfie.images.image import RegistryAuth
from wharfie.images.registry.errors import RegistryDenied, said

_CHALLENGE = re.compile(r"(?:^|,)\s*(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN_LIMIT = 1 << 20
_CLIENT = "wharfie"

Scopes = tuple[str, ...]


class _Token(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One ``WWW-Authenticate`` header."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(headers: list[str]) -> list[Challenge]:
    """The challenges we can answer, Bearer first."""
    found = []
    for header in headers:
        starts = list(_CHALLENGE.finditer(header))
        for at, start in enumerate(starts):
            end = starts[at + 1].start() if at + 1 < len(starts) else len(header)
            text = header[start.end() : end]
            parameters = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(text)}
            found.append(Challenge(start[1].lower(), parameters))
    return sorted(found, key=lambda challenge: challenge.scheme != "bearer")


def basic(auth: RegistryAuth) -> str:
    """The header for a name and a password."""
    pair = f"{auth.username}:{auth.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


class Authorizer:
    """Proofs for one endpoint, a token for each set of scopes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: RegistryAuth | None,
        *,
        host: str,
        clear: bool,
        tls: ssl.SSLContext | None = None,
        proxy: Callable[[str], str | None] = lambda _: None,
        offline: bool = False,
    ) -> None:
        """``clear``: the registry is spoken to in the clear, so its realm may be too; ``offline``: ask for an
        identity token as well."""
        self._session = session
        self._credentials = credentials
        self._host = host
        self._clear = clear
        self._tls = tls
        self._proxy = proxy
        self._offline = offline
        self._headers: dict[Scopes, str] = {}
        self._lock = asyncio.Lock()
        self.identity_token = ""
        """The identity token that the realm gave for the password, if it did."""

    def header(self, scopes: Scopes) -> str:
        """The ``Authorization`` header for a request; empty while nobody asked for one."""
        return self._headers.get(scopes) or self._headers.get(()) or ""

    async def answer(self, headers: list[str], scopes: Scopes, refused: str) -> bool:
        """Answer the challenges of a 401; ``refused`` is the header that was not accepted.

        Raises:
            RegistryDenied: the credentials are refused.
        """
        async with self._lock:
            if self.header(scopes) not in ("", refused):
                return True  # another request got a new one meanwhile
            auth = self._credentials
            if auth is not None and auth.registry_token:
                self._headers[()] = "Bearer " + auth.registry_token
                return refused == ""
            for challenge in parse_challenges(headers):
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    self._headers[scopes] = "Bearer " + await self._token(challenge, scopes)
                    return True
                if challenge.scheme == "basic" and auth is not None and auth.username:
                    self._headers[()] = basic(auth)
                    return refused != self._headers[()]
            return False

    async def _token(self, challenge: Challenge, scopes: Scopes) -> str:
        realm = challenge.parameters["realm"]
        scheme = urlsplit(realm).scheme
        if scheme != "https" and not (self._clear and scheme == "http"):
            raise RegistryDenied(
                f"the registry wants credentials sent in the clear to {realm}, which is not done"
            )
        async with asyncio.timeout(60), self._ask(realm, challenge, scopes) as answer:
            if answer.status != 200:
                text = await said(answer)
                if answer.status in (400, 401, 403):
                    if self._credentials is None:
                        raise RegistryDenied(f"unauthorized: no token without credentials: {text}")
                    raise RegistryDenied("unauthorized: incorrect username or password")
                raise aiohttp.ClientPayloadError(f"no token from {urlsplit(realm).netloc}: {text}")
            body = await answer.content.read(_TOKEN_LIMIT)
            while piece := await answer.content.read(_TOKEN_LIMIT - len(body)):
                body += piece
        return self._read(realm, body)

    def _ask(self, realm: str, challenge: Challenge, scopes: Scopes) -> Any:
        """The request to the realm."""
        auth = self._credentials
        service = challenge.parameters.get("service", "")
        wanted = scopes or tuple(challenge.parameters.get("scope", "").split())
        options: dict[str, Any] = {
            "allow_redirects": False,
            "proxy": self._proxy(realm),
            "ssl": self._ssl(realm),
        }
        refresh = (auth.identity_token if auth is not None else "") or self.identity_token
        if refresh:
            fields = {"grant_type": "refresh_token", "refresh_token": refresh, "service": service}
            fields |= {"client_id": _CLIENT, "scope": " ".join(wanted)}
            return self._session.post(realm, data=fields, **options)
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in wanted]
        headers = {}
        if auth is not None and auth.username:
            headers["Authorization"] = basic(auth)
            query.append(("account", auth.username))
        if self._offline:
            query += [("offline_token", "true"), ("client_id", _CLIENT)]
        return self._session.get(realm, params=query, headers=headers, **options)

    def _ssl(self, realm: str) -> ssl.SSLContext | bool:
        """The registry's own settings for its own host; what is unchecked there is checked elsewhere."""
        same = urlsplit(realm).hostname == urlsplit("//" + self._host).hostname
        if self._tls is None or (not same and self._tls.verify_mode == ssl.CERT_NONE):
            return True
        return self._tls

    def _read(self, realm: str, body: bytes) -> str:
        try:
            decoded = msgspec.json.decode(body, type=_Token)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise RegistryDenied(f"{realm} answered with something that is no token: {error}") from error
        token = decoded.token or decoded.access_token or ""
        if not token or not token.isascii() or any(ord(letter) <= 32 for letter in token):
            raise RegistryDenied(f"{realm} answered without a token")
        if self._offline and decoded.refresh_token:
            self.identity_token = decoded.refresh_token
        return token
