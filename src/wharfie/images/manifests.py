"""Manifests: which configuration and layers make an image, and which manifest suits this machine.

OCI image-spec ``manifest.md`` and ``image-index.md``, and Docker's schema 2 with its lists. A document that
could be read as two kinds is refused (CVE-2021-41190), and so is schema 1, which has no digests of its
layers' content.
"""

from __future__ import annotations

import msgspec

from wharfie.errors import InvalidArgument, NotFound, NotSupported
from wharfie.images.platform import Platform
from wharfie.images.reference import is_digest

LIMIT = 4 << 20
"""Bytes of one manifest."""
LAYERS_LIMIT = 1024

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_TYPES = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
ACCEPT = ", ".join(_TYPES)

_CONFIGS = ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json")
_LAYERS = (
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
)


class BadManifest(InvalidArgument):
    """A manifest that cannot be used."""


class NoSuchPlatform(NotFound):
    """No build of the image is for the machine wanted."""


class _Platform(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, rename={"media_type": "mediaType"}):
    """What a manifest says of a blob, or an index of a manifest."""

    digest: str
    size: int
    media_type: str = ""
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None


class _Document(msgspec.Struct, rename={"schema_version": "schemaVersion", "media_type": "mediaType"}):
    schema_version: int = 0
    media_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    fs_layers: msgspec.Raw | None = msgspec.field(default=None, name="fsLayers")


class Manifest(msgspec.Struct):
    """One image's."""

    config: Descriptor
    layers: list[Descriptor]


def parse(body: bytes, media_type: str) -> Manifest | list[Descriptor]:
    """A manifest, or the entries of an index.

    Raises:
        BadManifest, NotSupported.
    """
    media_type = media_type.partition(";")[0].strip()
    if "manifest.v1" in media_type and "vnd.docker" in media_type:
        raise _schema_1()
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadManifest(f"the manifest is invalid: {error}") from error
    if document.schema_version == 1 or document.fs_layers is not None:
        raise _schema_1()
    if document.schema_version != 2:
        raise BadManifest(f"the manifest has an unknown schema version {document.schema_version}")
    kind = document.media_type or media_type
    if document.media_type and media_type in _TYPES and document.media_type != media_type:
        raise BadManifest(f"the manifest calls itself {document.media_type}, but came as {media_type}")
    is_index = document.manifests is not None
    is_image = document.config is not None or document.layers is not None
    if is_index == is_image or (kind in (DOCKER_LIST, OCI_INDEX)) != is_index:
        raise BadManifest(f"the manifest is ambiguous: it is not what its type {kind} says")
    for found in [
        *(document.manifests or ()),
        *(document.layers or ()),
        *([document.config] if document.config else []),
    ]:
        if not is_digest(found.digest) or found.size < 0 or not found.digest.startswith("sha256:"):
            raise BadManifest(f'the manifest has an invalid digest or size: "{found.digest}"')
    if document.manifests is not None:
        return document.manifests
    return _image(document)


def _schema_1() -> NotSupported:
    return NotSupported(
        "the image has a manifest of schema 1, which is not supported; push it again with a current tool"
    )


def _image(document: _Document) -> Manifest:
    if document.config is None or document.layers is None:
        raise BadManifest("the manifest has no configuration or no layers")
    if document.config.media_type and document.config.media_type not in _CONFIGS:
        raise NotSupported(f"this is no container image but something of type {document.config.media_type}")
    if len(document.layers) > LAYERS_LIMIT:
        raise BadManifest(f"the manifest has {len(document.layers)} layers; the limit is {LAYERS_LIMIT}")
    for layer in document.layers:
        if layer.media_type and layer.media_type not in _LAYERS:
            raise NotSupported(f"the image has a layer of type {layer.media_type}, which is not supported")
    return Manifest(document.config, document.layers)


def choose(entries: list[Descriptor], wanted: Platform) -> Descriptor:
    """The entry that suits best; raises NoSuchPlatform."""
    best: tuple[int, Descriptor] | None = None
    for entry in entries:
        if entry.platform is None or (entry.media_type and entry.media_type not in ACCEPT):
            continue
        theirs = Platform(entry.platform.os, entry.platform.architecture, entry.platform.variant)
        rank = wanted.rank(theirs)
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, entry)
    if best is None:
        raise NoSuchPlatform(f"no matching manifest for {wanted} in the manifest list entries")
    return best[1]
