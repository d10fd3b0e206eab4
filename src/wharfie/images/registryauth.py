"""How a registry wants us to prove who we are, and the proof.

RFC 9110 section 11 (challenges), RFC 7617 (Basic), distribution-spec's token protocol (Bearer: the challenge
names a ``realm`` that gives tokens for a ``service`` and a ``scope``). The password goes to the registry
itself or to the realm it names, never in the clear to anything but a registry that may be spoken to in the
clear, and never along with a redirect (CVE-2020-15157).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import msgspec

from wharfie.errors import Unauthorized
from wharfie.images.image import RegistryAuth

_CHALLENGE = re.compile(r"(?:^|,)\s*(Basic|Bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_TOKEN_LIMIT = 1 << 20


class RegistryDenied(Unauthorized):
    """The registry does not let us have it."""


class _Token(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None


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


async def authorization(
    session: aiohttp.ClientSession,
    challenges: list[Challenge],
    auth: RegistryAuth | None,
    scope: str,
    *,
    clear: bool,
    proxy: str | None = None,
) -> str:
    """The ``Authorization`` header that answers the challenges; empty when there is no answer.

    ``clear``: the registry itself is spoken to in the clear, so its realm may be too.

    Raises:
        RegistryDenied: the credentials are refused.
    """
    if auth is not None and auth.registry_token:
        return "Bearer " + auth.registry_token
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return "Bearer " + await _token(session, challenge, auth, scope, clear=clear, proxy=proxy)
        if challenge.scheme == "basic" and auth is not None and auth.username:
            return basic(auth)
    return ""


async def _token(
    session: aiohttp.ClientSession,
    challenge: Challenge,
    auth: RegistryAuth | None,
    scope: str,
    *,
    clear: bool,
    proxy: str | None,
) -> str:
    realm = challenge.parameters["realm"]
    scheme = urlsplit(realm).scheme
    if scheme != "https" and not (clear and scheme == "http"):
        raise RegistryDenied(
            f"the registry wants credentials sent in the clear to {realm}, which is not done"
        )
    fields = {"service": challenge.parameters.get("service", ""), "scope": scope}
    if auth is not None and auth.identity_token:
        fields |= {
            "grant_type": "refresh_token",
            "refresh_token": auth.identity_token,
            "client_id": "wharfie",
        }
        request = session.post(realm, data=fields, allow_redirects=False, proxy=proxy)
    else:
        headers = {"Authorization": basic(auth)} if auth is not None and auth.username else {}
        if headers and auth is not None:
            fields["account"] = auth.username
        request = session.get(realm, params=fields, headers=headers, allow_redirects=False, proxy=proxy)
    async with request as answer:
        body = await answer.content.read(_TOKEN_LIMIT)
        if answer.status != 200:
            if answer.status in (400, 401, 403):
                raise RegistryDenied("unauthorized: incorrect username or password")
            raise aiohttp.ClientResponseError(
                answer.request_info, answer.history, status=answer.status, message=answer.reason or ""
            )
    try:
        decoded = msgspec.json.decode(body, type=_Token)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RegistryDenied(f"{realm} answered with something that is no token: {error}") from error
    token = decoded.token or decoded.access_token or ""
    if not token or not token.isascii() or any(ord(letter) <= 32 for letter in token):
        raise RegistryDenied(f"{realm} answered without a token")
    return token
