"""Registries between the routes and the images' side of them."""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.api.backends import Filters, Progress
from wharfie.engine.events import EventBus
from wharfie.errors import InvalidArgument
from wharfie.images import manifestlists, manifests
from wharfie.images.distribution import Distribution
from wharfie.images.image import RegistryAuth
from wharfie.images.platform import Platform
from wharfie.images.reference import parse
from wharfie.images.registry.repository import Fetched
from wharfie.wire import registries as wire
from wharfie.wire.images import AuthConfig


class RegistryService:
    """The backend of the registry routes."""

    def __init__(self, distribution: Distribution, events: EventBus) -> None:
        self._distribution = distribution
        self._events = events

    async def pull(self, ref: str, *, platform: str, auth: AuthConfig | None, progress: Progress) -> None:
        """``docker pull``."""
        await self._distribution.pull(
            ref, platform=platform or None, auth=_credentials(auth), progress=progress
        )
        self._tell("pull", ref)

    async def pull_all(self, ref: str, *, platform: str, auth: AuthConfig | None, progress: Progress) -> None:
        """``docker pull --all-tags``."""
        await self._distribution.pull_all(
            ref, platform=platform or None, auth=_credentials(auth), progress=progress
        )
        self._tell("pull", ref)

    async def push(
        self, ref: str, *, all_tags: bool, platform: str, auth: AuthConfig | None, progress: Progress
    ) -> None:
        """``docker push``."""
        await self._distribution.push(
            ref, all_tags=all_tags, platform=platform, auth=_credentials(auth), progress=progress
        )
        self._tell("push", ref)

    def _tell(self, action: str, ref: str) -> None:
        name = parse(ref)
        self._events.emit("image", action, name.familiar, {"name": name.familiar_name})

    async def login(self, auth: AuthConfig) -> wire.Login:
        """``docker login``."""
        credentials = _credentials(auth)
        if credentials is None:
            raise InvalidArgument("no credentials were given")
        token = await self._distribution.login(auth.serveraddress, credentials)
        return wire.Login(status="Login Succeeded", identity_token=token)

    async def search(
        self, term: str, *, limit: int | None, filters: Filters, auth: AuthConfig | None
    ) -> Sequence[wire.Found]:
        """``docker search``."""
        given = {name: [*values] for name, values in filters.items()}
        found = await self._distribution.search(term, limit, given, _credentials(auth))
        return [
            wire.Found(
                star_count=one.star_count,
                is_official=one.is_official,
                name=one.name,
                is_automated=one.is_automated,
                description=one.description or "",
            )
            for one in found
        ]

    async def describe(self, ref: str, auth: AuthConfig | None) -> wire.Distribution:
        """``GET /distribution/…/json``."""
        found = await self._distribution.describe(ref, _credentials(auth))
        platforms = [_platform(one) for one in found.platforms]
        return wire.Distribution(descriptor=_descriptor(found.manifest), platforms=platforms)

    async def manifest(
        self, ref: str, *, children: bool, insecure: bool, auth: AuthConfig | None
    ) -> wire.ManifestAnswer:
        """``manifest inspect``."""
        top, listed = await manifestlists.look(
            self._distribution, ref, _credentials(auth), children=children, insecure=insecure
        )
        return wire.ManifestAnswer(manifest=_item(top), children=[_item(one) for one in listed])

    async def push_manifest(
        self, ref: str, body: wire.ManifestPush, *, insecure: bool, auth: AuthConfig | None
    ) -> str:
        """``manifest push``."""
        return await manifestlists.push(
            self._distribution, ref, body.raw, body.sources, _credentials(auth), insecure=insecure
        )

    async def referrers(self, ref: str, artifact_type: str, auth: AuthConfig | None) -> wire.Referrers:
        """``manifest referrers``."""
        digest, found = await self._distribution.referrers(ref, artifact_type, _credentials(auth))
        return wire.Referrers(digest=digest, manifests=[_entry(one) for one in found])


def _credentials(auth: AuthConfig | None) -> RegistryAuth | None:
    if auth is None:
        return None
    return RegistryAuth(
        username=auth.username,
        password=auth.password,
        identity_token=auth.identitytoken,
        registry_token=auth.registrytoken,
    )


def _platform(one: Platform) -> wire.Platform:
    return wire.Platform(architecture=one.architecture, os=one.os, variant=one.variant)


def _descriptor(fetched: Fetched, platform: Platform | None = None) -> wire.Descriptor:
    return wire.Descriptor(
        media_type=fetched.media_type,
        digest=fetched.digest,
        size=len(fetched.body),
        platform=_platform(platform) if platform else None,
    )


def _entry(one: manifests.Descriptor) -> wire.Descriptor:
    return wire.Descriptor(
        media_type=one.media_type,
        digest=one.digest,
        size=one.size,
        artifact_type=one.artifact_type,
        annotations=one.annotations,
    )


def _item(one: manifestlists.Item) -> wire.ManifestItem:
    return wire.ManifestItem(
        ref=one.ref, descriptor=_descriptor(one.manifest, one.platform), raw=one.manifest.body
    )
