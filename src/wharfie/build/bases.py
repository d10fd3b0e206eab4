"""Base images and registries as one build reaches them: with its client's credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from wharfie.build.options import Options
from wharfie.images.distribution import Distribution
from wharfie.images.image import Image, ImageNotFound, RegistryAuth
from wharfie.images.platform import Platform
from wharfie.images.reference import Reference, parse
from wharfie.images.registry.repository import Repository
from wharfie.images.registry.upload import Upload
from wharfie.images.store import ImageStore

Credentials = Callable[[str], Awaitable[RegistryAuth | None]]
"""What a client has for a registry, by the registry's name."""
Progress = Callable[[dict[str, Any]], None]
_DOCKER_HUB = ("https://index.docker.io/v1/", "docker.io", "index.docker.io")


class Bases:
    """Images and registries for one build."""

    def __init__(
        self,
        store: ImageStore,
        distribution: Distribution,
        options: Options,
        credentials: Credentials,
        progress: Progress,
    ) -> None:
        self._store = store
        self._distribution = distribution
        self._options = options
        self._credentials = credentials
        self._progress = progress

    async def resolve(self, name: str, platform: Platform) -> Image:
        """An image by its name, pulled where it is missing or is to be looked at anew."""
        options = self._options
        wanted = str(platform) if options.platform or platform != Platform.of_host() else None
        if not options.pull:
            try:
                image = self._store.get(name)
            except ImageNotFound:
                image = None
            if image is not None and (wanted is None or _suits(platform, image)):
                return image
        auth = await self._credentials(parse(name).domain)
        return await self._distribution.pull(name, platform=wanted, auth=auth, progress=self._progress)

    @asynccontextmanager
    async def repository(self, name: Reference) -> AsyncIterator[Repository]:
        """To read from."""
        async with self._distribution.repository(name, await self._credentials(name.domain)) as found:
            yield found

    @asynccontextmanager
    async def upload(self, name: Reference) -> AsyncIterator[Upload]:
        """To write to."""
        async with self._distribution.upload(name, await self._credentials(name.domain)) as found:
            yield found


def among(auths: Mapping[str, RegistryAuth]) -> Credentials:
    """Credentials that were sent all at once, by the names that clients have for registries."""

    async def of(domain: str) -> RegistryAuth | None:
        keys = (
            _DOCKER_HUB if domain == "docker.io" else (domain, f"https://{domain}", f"https://{domain}/v1/")
        )
        return next((auths[key] for key in keys if key in auths), None)

    return of


def _suits(platform: Platform, image: Image) -> bool:
    """Whether a known image is for the platform that was asked for."""
    if not image.architecture:
        return True
    return platform.rank(Platform(image.os or "linux", image.architecture, image.variant)) == 0
