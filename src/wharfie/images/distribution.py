"""Everything between the image store and registries: pull, push, search, login, and looking at manifests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from wharfie.errors import InvalidArgument, WharfieError
from wharfie.images import manifests, reference, saving
from wharfie.images.fetching import Fetcher
from wharfie.images.image import Image, ImageNotFound, RegistryAuth
from wharfie.images.leftovers import Leftovers
from wharfie.images.manifests import Descriptor
from wharfie.images.platform import Platform
from wharfie.images.pull import Pull, Tools
from wharfie.images.push import Push
from wharfie.images.registry import account
from wharfie.images.registry.errors import RegistryUnreachable
from wharfie.images.registry.repository import Fetched, Repository
from wharfie.images.registry.settings import Endpoint, Settings
from wharfie.images.registry.transport import Transport
from wharfie.images.registry.upload import Upload
from wharfie.images.store import ImageStore, LayerVanished
from wharfie.images.transfers import Transfers
from wharfie.linux.libc import trim_memory

_AGAIN = 3
_CONFIG_LIMIT = 8 << 20
_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Progress = Callable[[dict[str, object]], None]


class Described(NamedTuple):
    """A manifest of a registry, and the platforms it is for."""

    manifest: Fetched
    platforms: list[Platform]


_WAY_OUT = "without a registry, `wharfie image bootstrap debian` makes an image from packages"


class Distribution:
    """The registry side of one daemon."""

    def __init__(self, store: ImageStore, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._store = store
        self.leftovers = Leftovers(store)
        fetcher = Fetcher(store, self.leftovers, self.settings.downloads)
        self._tools = Tools(store, Transfers(), fetcher, self.leftovers)
        self._uploads = asyncio.Semaphore(self.settings.uploads)

    def reconfigure(self, settings: Settings) -> None:
        """Other mirrors, registries and limits from now on; what is under way goes on as it began."""
        self.settings = settings
        self._tools.fetcher.limit(settings.downloads)
        self._uploads = asyncio.Semaphore(settings.uploads)

    async def pull(
        self,
        ref: str,
        *,
        platform: str | None = None,
        auth: RegistryAuth | None = None,
        progress: Progress,
    ) -> Image:
        """Fetch an image from its registry; ``progress`` gets Docker's messages.

        Raises:
            RegistryUnreachable: no answer. RegistryDenied: not for us. ManifestUnknown: it has no such image.
            BadManifest, DigestMismatch, BadArchive: what came is not what it should be.
        """
        name = reference.parse(ref).with_default_tag()
        target = Platform.parse(platform) if platform else None

        async def once(repository: Repository) -> tuple[Image, bool]:
            return await Pull(self._tools, repository, name, target, progress).run()

        try:
            image, new = await self._from_endpoints(name, auth, once)
        except RegistryUnreachable as error:
            raise RegistryUnreachable(f"{error}; {_WAY_OUT}") from error
        _status(progress, name.familiar, new)
        return image

    async def pull_all(
        self,
        ref: str,
        *,
        platform: str | None = None,
        auth: RegistryAuth | None = None,
        progress: Progress,
    ) -> list[Image]:
        """Fetch every tag of a repository."""
        name = reference.parse(ref)
        target = Platform.parse(platform) if platform else None

        async def once(repository: Repository) -> list[tuple[Image, bool]]:
            tags = [name.with_tag(tag) for tag in sorted(await repository.tags())]
            return [await Pull(self._tools, repository, tag, target, progress).run() for tag in tags]

        done = await self._from_endpoints(name, auth, once)
        _status(progress, name.familiar_name, any(new for _, new in done))
        return [image for image, _ in done]

    async def _from_endpoints(
        self,
        name: reference.Reference,
        auth: RegistryAuth | None,
        work: Callable[[Repository], Coroutine[Any, Any, _T]],
    ) -> _T:
        """Mirrors first: what one cannot do the next one may, and the registry itself has the last word."""
        *mirrors, own = self.settings.endpoints(name.domain)
        with self._store.keeping():
            for endpoint in mirrors:
                try:
                    return await self._from_endpoint(endpoint, name, auth, work)
                except WharfieError as error:
                    _log.warning("the mirror %s did not serve %s: %s", endpoint.host, name.familiar, error)
            try:
                return await self._from_endpoint(own, name, auth, work)
            except OSError:
                # the disk is full, most likely: what the other layers had begun goes, too
                self.leftovers.clear()
                raise
            finally:
                trim_memory()  # threads leave large holes behind

    async def _from_endpoint(
        self,
        endpoint: Endpoint,
        name: reference.Reference,
        auth: RegistryAuth | None,
        work: Callable[[Repository], Coroutine[Any, Any, _T]],
    ) -> _T:
        for _attempt in range(_AGAIN):
            try:
                async with Transport(endpoint, self.settings, auth) as transport:
                    return await work(Repository(transport, name))
            except LayerVanished:
                continue  # an image with layers of this one was removed meanwhile
        raise LayerVanished(f"layers of {name.familiar} are being removed all the time; try again")

    async def push(
        self,
        ref: str,
        *,
        all_tags: bool = False,
        platform: str = "",
        auth: RegistryAuth | None = None,
        progress: Progress,
    ) -> None:
        """Send an image, or all tags of a repository; ``progress`` gets Docker's messages.

        Raises:
            ImageNotFound: there is no image of this name. NoSuchPlatform: it is for another ``platform``.
            RegistryUnreachable, RegistryDenied.
        """
        name = reference.parse(ref)
        if name.digest:
            raise InvalidArgument("cannot push a digest reference")
        progress({"status": f"The push refers to repository [{name.name}]"})
        found = self._to_push(name if all_tags else name.with_default_tag())
        for tagged, image in found:
            saving.check_platform(image, tagged.familiar, Platform.parse(platform) if platform else None)
        endpoint = self.settings.endpoint(name.domain)
        with self._store.keeping():
            async with Transport(endpoint, self.settings, auth) as transport:
                for tagged, image in found:
                    upload = Upload(transport, tagged)
                    await Push(self._store, upload, tagged, image, self._uploads, progress).run()

    def _to_push(self, name: reference.Reference) -> list[tuple[reference.Reference, Image]]:
        names = self._store.catalog.tags_of(name.name)
        if not names:
            raise ImageNotFound(f"An image does not exist locally with the tag: {name.familiar_name}")
        wanted = [one for one in names if not name.tag or one[0] == name.canonical]
        if not wanted:
            raise ImageNotFound(f"tag does not exist: {name.familiar}")
        return [(reference.parse(text), self._store.by_id(image_id)) for text, image_id in wanted]

    async def login(self, address: str, auth: RegistryAuth) -> str:
        """Check credentials; an identity token, or empty."""
        return await account.login(self.settings, address, auth)

    async def search(
        self, term: str, limit: int | None, filters: account.Filters, auth: RegistryAuth | None
    ) -> Sequence[account.Found]:
        """``docker search``."""
        return await account.search(self.settings, term, limit, filters, auth)

    async def describe(self, ref: str, auth: RegistryAuth | None) -> Described:
        """A manifest and whom it is for: ``GET /distribution/…/json``."""
        name = reference.parse(ref).with_default_tag()
        async with self.repository(name, auth) as repository:
            fetched = await repository.manifest(name.digest or name.tag)
            found = manifests.parse(fetched.body, fetched.media_type)
            if isinstance(found, manifests.Manifest):
                config = await repository.small_blob(found.config, _CONFIG_LIMIT)
                return Described(fetched, [manifests.platform_of(config)])
            platforms = [
                Platform(entry.platform.os, entry.platform.architecture, entry.platform.variant)
                for entry in found
                if entry.platform is not None
            ]
            return Described(fetched, platforms)

    async def referrers(self, ref: str, kind: str, auth: RegistryAuth | None) -> tuple[str, list[Descriptor]]:
        """The digest a name stands for, and the artifacts that refer to it."""
        name = reference.parse(ref).with_default_tag()
        async with self.repository(name, auth) as repository:
            digest = name.digest or (await repository.manifest(name.tag, manifests.ANY)).digest
            return digest, await repository.referrers(digest, kind)

    @asynccontextmanager
    async def repository(
        self, name: reference.Reference, auth: RegistryAuth | None, *, insecure: bool = False
    ) -> AsyncIterator[Repository]:
        """A repository of the registry itself, to be read; ``insecure``: as if it were configured so."""
        endpoint = self.settings.endpoint(name.domain, insecure=insecure)
        async with Transport(endpoint, self.settings, auth) as transport:
            yield Repository(transport, name)

    @asynccontextmanager
    async def upload(
        self, name: reference.Reference, auth: RegistryAuth | None, *, insecure: bool = False
    ) -> AsyncIterator[Upload]:
        """A repository of the registry itself, to be written to."""
        endpoint = self.settings.endpoint(name.domain, insecure=insecure)
        async with Transport(endpoint, self.settings, auth) as transport:
            yield Upload(transport, name)


def _status(progress: Progress, name: str, new: bool) -> None:
    outcome = "Downloaded newer image for" if new else "Image is up to date for"
    progress({"status": f"Status: {outcome} {name}"})
