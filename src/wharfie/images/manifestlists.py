"""Manifests as ``docker manifest`` handles them: looked at with all they list, and pushed as a list.

A list names manifests that must be in its own repository. Those that are elsewhere in the same registry are
brought over first: their blobs by a mount, which moves no bytes, then the manifests themselves.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wharfie.errors import InvalidArgument
from wharfie.images import config as configs
from wharfie.images import manifests, reference
from wharfie.images.image import RegistryAuth
from wharfie.images.platform import Platform
from wharfie.images.registry.repository import Fetched, Repository
from wharfie.images.registry.upload import Upload

if TYPE_CHECKING:
    from wharfie.images.distribution import Distribution

_CHILDREN = 256


@dataclass(frozen=True, slots=True)
class Item:
    """One manifest of a registry."""

    ref: str
    manifest: Fetched
    platform: Platform | None


async def look(
    distribution: Distribution, ref: str, auth: RegistryAuth | None, *, children: bool, insecure: bool
) -> tuple[Item, list[Item]]:
    """A manifest of whatever kind and, with ``children``, those it lists."""
    name = reference.parse(ref).with_default_tag()
    async with distribution.repository(name, auth, insecure=insecure) as repository:
        top = await repository.manifest(name.digest or name.tag, manifests.ANY)
        listed = manifests.entries(top.body)
        if not children:
            return Item(name.canonical, top, None), []
        if not listed:
            return Item(name.canonical, top, await _platform(repository, top)), []
        if len(listed) > _CHILDREN:
            raise manifests.BadManifest(f"the manifest list has {len(listed)} entries, which is too many")

        async def child(entry: manifests.Descriptor) -> Item:
            fetched = await repository.manifest(entry.digest, manifests.ANY)
            theirs = entry.platform
            platform = Platform(theirs.os, theirs.architecture, theirs.variant) if theirs else None
            return Item(name.with_digest(entry.digest).canonical, fetched, platform)

        found = await asyncio.gather(*(child(entry) for entry in listed))
        return Item(name.canonical, top, None), list(found)


async def _platform(repository: Repository, fetched: Fetched) -> Platform | None:
    config = manifests.config_of(fetched.body)
    if config is None:
        return None
    return manifests.platform_of(await repository.small_blob(config, configs.CONFIG_LIMIT))


async def push(
    distribution: Distribution,
    ref: str,
    body: bytes,
    sources: list[str],
    auth: RegistryAuth | None,
    *,
    insecure: bool,
) -> str:
    """Put a list, after the manifests it names (``repository@digest``); its digest."""
    name = reference.parse(ref).with_default_tag()
    if name.digest:
        raise InvalidArgument("a manifest list is pushed by its name, not by a digest")
    media_type = manifests.own_type(body)
    listed = {entry.digest for entry in manifests.entries(body)}
    async with (
        distribution.upload(name, auth, insecure=insecure) as upload,
        distribution.repository(name, auth, insecure=insecure) as repository,
    ):
        for text in sources:
            source = reference.parse(text)
            if source.digest not in listed:
                raise InvalidArgument(f"the manifest list does not name {text}")
            if source.domain != name.domain:
                raise InvalidArgument(
                    "cannot use source images from a different registry than the target image: "
                    f"{source.domain} != {name.domain}"
                )
            if source.path != name.path:
                theirs = Repository(repository.transport, source)
                await _bring(theirs, upload, source)
        return await upload.manifest(name.tag, body, media_type)


async def _bring(theirs: Repository, upload: Upload, source: reference.Reference) -> None:
    fetched = await theirs.manifest(source.digest, manifests.ANY)
    for blob in manifests.blobs_of(fetched.body):
        if await upload.has_blob(blob.digest) is None and not await upload.mount(blob.digest, source.path):
            raise InvalidArgument(
                f"the registry does not let us use blob {blob.digest} of {source.familiar_name}; "
                "push the image to this repository first"
            )
    await upload.manifest(source.digest, fetched.body, fetched.media_type)
