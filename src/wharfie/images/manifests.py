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
ANY = f"{ACCEPT}, application/json, */*"

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
_CONFIGS = (DOCKER_CONFIG, OCI_CONFIG)
_TO_OCI = {DOCKER_TAR: OCI_TAR, DOCKER_GZIP: OCI_GZIP, DOCKER_ZSTD: OCI_ZSTD}
_TO_DOCKER = {ours: docker for docker, ours in _TO_OCI.items()}
_LAYERS = (
    DOCKER_TAR,
    DOCKER_GZIP,
    DOCKER_ZSTD,
    OCI_TAR,
    OCI_GZIP,
    OCI_ZSTD,
)


class BadManifest(InvalidArgument):
    """A manifest that cannot be used."""


class NoSuchPlatform(NotFound):
    """No build of the image is for the machine wanted."""


class _Platform(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(
    msgspec.Struct, rename={"media_type": "mediaType", "artifact_type": "artifactType"}, omit_defaults=True
):
    """What a manifest says of a blob, or an index of a manifest."""

    digest: str
    size: int
    media_type: str = ""
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str = ""


class _Document(
    msgspec.Struct,
    rename={
        "schema_version": "schemaVersion",
        "media_type": "mediaType",
        "artifact_type": "artifactType",
    },
):
    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
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
    kind = document.artifact_type or document.config.media_type
    if kind and kind not in _CONFIGS:
        raise NotSupported(
            f"this is no container image but an OCI artifact of type {kind}, which cannot be pulled as one; "
            "`wharfie manifest inspect` shows it"
        )
    if len(document.layers) > LAYERS_LIMIT:
        raise BadManifest(f"the manifest has {len(document.layers)} layers; the limit is {LAYERS_LIMIT}")
    for layer in document.layers:
        if layer.media_type and layer.media_type not in _LAYERS:
            raise NotSupported(f"the image has a layer of type {layer.media_type}, which is not supported")
    return Manifest(document.config, document.layers)


def own_type(body: bytes) -> str:
    """What a manifest calls itself; OCI's, which may leave that out, when it does not say."""
    try:
        found = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadManifest(f"the manifest is invalid: {error}") from error
    return found.media_type or (OCI_INDEX if found.manifests is not None else OCI_MANIFEST)


def make(config_digest: str, config_size: int, layers: list[Descriptor]) -> tuple[bytes, str]:
    """A manifest for a configuration and layers, and its type: Docker's where every client reads it."""
    oci = any(layer.media_type in (OCI_ZSTD, DOCKER_ZSTD) for layer in layers)
    types = _TO_OCI if oci else _TO_DOCKER
    kind = OCI_MANIFEST if oci else DOCKER_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {
            "mediaType": OCI_CONFIG if oci else DOCKER_CONFIG,
            "size": config_size,
            "digest": config_digest,
        },
        "layers": [
            {
                "mediaType": types.get(layer.media_type, layer.media_type),
                "size": layer.size,
                "digest": layer.digest,
            }
            for layer in layers
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=3), kind


def platform_of(config: bytes) -> Platform:
    """What the configuration of an image says it is for; raises BadManifest."""
    try:
        found = msgspec.json.decode(config, type=_Platform)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadManifest(f"the image configuration is invalid: {error}") from error
    return Platform(found.os, found.architecture, found.variant)


def entries(body: bytes) -> list[Descriptor]:
    """The entries of an index of whatever; raises BadManifest."""
    try:
        found = msgspec.json.decode(body, type=_Document).manifests or []
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadManifest(f"the index is invalid: {error}") from error
    return [entry for entry in found if is_digest(entry.digest) and entry.size >= 0]


def config_of(body: bytes) -> Descriptor | None:
    """The configuration of an image's manifest; None for what is no image's."""
    try:
        found = parse(body, own_type(body))
    except (BadManifest, NotSupported):
        return None
    return found.config if isinstance(found, Manifest) else None


def blobs_of(body: bytes) -> list[Descriptor]:
    """Configuration and layers, whatever they are; raises BadManifest."""
    try:
        found = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadManifest(f"the manifest is invalid: {error}") from error
    return [*([found.config] if found.config else []), *(found.layers or ())]


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
