"""``login`` and ``search``: what Docker asks of a registry beside images."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from wharfie.errors import InvalidArgument, Unavailable
from wharfie.images.image import RegistryAuth
from wharfie.images.reference import DEFAULT_DOMAIN
from wharfie.images.registry.errors import RegistryDenied, RegistryUnreachable
from wharfie.images.registry.settings import Endpoint, Settings
from wharfie.images.registry.transport import BROKEN, Transport, limited

_INDEX = ("docker.io", "index.docker.io", "registry-1.docker.io")
_SEARCH_HOST = "index.docker.io"
_LIMIT = 4 << 20
_MOST = 100
_FILTERS = ("is-automated", "is-official", "stars")

Filters = dict[str, list[str]]


class Found(msgspec.Struct):
    """One repository that a search found."""

    name: str = ""
    description: str | None = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _Results(msgspec.Struct):
    results: list[Found] | None = None


def domain_of(address: str) -> str:
    """The registry that a person means by ``https://index.docker.io/v1/`` or ``host:port``."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_DOMAIN if not host or host in _INDEX else host


async def login(settings: Settings, address: str, credentials: RegistryAuth) -> str:
    """Check credentials; the identity token the registry gave for them, or empty.

    Raises:
        RegistryDenied, RegistryUnreachable.
    """
    endpoint = settings.endpoint(domain_of(address))
    async with Transport(endpoint, settings, credentials, offline=True) as transport:
        url = f"{transport.base}/v2/"
        try:
            async with transport.request("GET", "", (), accepted=(200,), attempts=1):
                return transport.authorizer.identity_token
        except RegistryDenied as error:
            raise RegistryDenied(f'Get "{url}": {error}') from None


async def search(
    settings: Settings, term: str, limit: int | None, filters: Filters, credentials: RegistryAuth | None
) -> list[Found]:
    """What ``docker search`` finds, by the index's first protocol.

    Raises:
        InvalidArgument: a filter or the limit makes no sense.
    """
    if limit is not None and not 1 <= limit <= _MOST:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, {_MOST}]")
    accepts = _Accepts(filters)
    if not term or term.startswith(("http://", "https://")):
        raise InvalidArgument(f"invalid repository name: repository name ({term}) should not have a scheme")
    domain, name = _split(term)
    endpoint = settings.endpoint(domain)
    if domain == DEFAULT_DOMAIN:
        endpoint = Endpoint(_SEARCH_HOST)
    query = f"q={quote(name, safe='')}" + (f"&n={limit}" if limit else "&n=25")
    async with Transport(endpoint, settings, credentials) as transport:
        try:
            async with transport.request(
                "GET", f"{transport.base}/v1/search?{query}", (), headers={"X-Docker-Token": "true"}
            ) as answer:
                body = await limited(answer, _LIMIT, "result of the search")
        except BROKEN as error:
            raise RegistryUnreachable(f"the search broke off: {error}") from error
    try:
        found = msgspec.json.decode(body, type=_Results).results or []
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unavailable(f"the registry's answer to the search is invalid: {error}") from error
    return [one for one in found if accepts(one)][: limit or None]


def _split(term: str) -> tuple[str, str]:
    head, slash, rest = term.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return domain_of(head), rest
    return DEFAULT_DOMAIN, term.removeprefix("library/")


class _Accepts:
    """The filters of a search."""

    def __init__(self, filters: Filters) -> None:
        for name in filters:
            if name not in _FILTERS:
                raise InvalidArgument(f"invalid filter '{name}'")
        self._official = _switch("is-official", filters)
        self._automated = _switch("is-automated", filters)
        try:
            self._stars = max((int(text) for text in filters.get("stars", ())), default=0)
        except ValueError:
            raise InvalidArgument(f"invalid filter 'stars={filters['stars'][0]}'") from None

    def __call__(self, one: Found) -> bool:
        return (
            one.star_count >= self._stars
            and self._official in (None, one.is_official)
            and self._automated in (None, one.is_automated)
        )


def _switch(name: str, filters: Filters) -> bool | None:
    found = {text.lower() for text in filters.get(name, ())}
    if not found:
        return None
    if found <= {"1", "true"}:
        return True
    if found <= {"0", "false"}:
        return False
    raise InvalidArgument(f"invalid filter '{name}={sorted(found)}'")
