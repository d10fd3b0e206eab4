"""What an archive of images says of itself: ``manifest.json`` of Docker, or ``index.json`` of OCI.

Where both are there, Docker's is believed, as Docker does; every digest is checked whichever it is, so an
archive that says two things can only give images that are one of them (CVE-2021-41190). Nothing here
touches a file: documents are bytes by name.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.images import config as configs
from wharfie.images import manifests, reference
from wharfie.images.manifests import Descriptor, NoSuchPlatform
from wharfie.images.platform import Platform

DOCKER_INDEX = "manifest.json"
OCI_INDEX = "index.json"
FULL_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
IMAGES_LIMIT = 1024
_NESTED = 3


class BadImageArchive(InvalidArgument):
    """An archive that holds no images, or not those that it speaks of."""


class DockerEntry(msgspec.Struct, rename="pascal", omit_defaults=True):
    """One image in ``manifest.json``."""

    config: str
    repo_tags: list[str] | None = msgspec.field(default=None)
    layers: list[str] | None = None


@dataclass(slots=True)
class Described:
    """One image of the archive: its configuration, and what its layers are called in the archive."""

    document: bytes
    decoded: configs.ImageConfig
    layers: list[str]
    names: list[reference.Reference]


def describe(documents: Mapping[str, bytes], platform: Platform | None) -> list[Described]:
    """The images of an archive, each with names that are canonical.

    Raises:
        BadImageArchive, BadManifest, NotSupported, NoSuchPlatform.
    """
    if DOCKER_INDEX in documents:
        found = _of_docker(documents, platform)
    elif OCI_INDEX in documents:
        found = _of_oci(documents, platform)
    elif "repositories" in documents:
        raise NotSupported(
            "the archive has the layout that Docker wrote before version 1.10; save it again with a "
            "current tool"
        )
    else:
        raise BadImageArchive(
            "the archive holds no images: neither manifest.json nor index.json is in it; "
            "to make an image of the files of a root file system use import"
        )
    if not found:
        raise BadImageArchive("the archive holds no images")
    return found


def _of_docker(documents: Mapping[str, bytes], platform: Platform | None) -> list[Described]:
    try:
        entries = msgspec.json.decode(documents[DOCKER_INDEX], type=list[DockerEntry])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadImageArchive(f"the archive's manifest.json is invalid: {error}") from None
    if len(entries) > IMAGES_LIMIT:
        raise BadImageArchive(f"the archive has {len(entries)} images; the limit is {IMAGES_LIMIT}")
    found = []
    for entry in entries:
        document = _document(documents, clean(entry.config))
        decoded = configs.decode(document)
        theirs = Platform(decoded.os or "linux", decoded.architecture, decoded.variant)
        if platform is not None and platform.rank(theirs) is None:
            raise NoSuchPlatform(
                f"the archive has an image for {theirs}, and none for the platform {platform}"
            )
        names = [_tagged(text) for text in entry.repo_tags or ()]
        found.append(_described(document, decoded, [clean(name) for name in entry.layers or ()], names))
    return found


def _described(
    document: bytes, decoded: configs.ImageConfig, layers: list[str], names: list[reference.Reference]
) -> Described:
    if decoded.os not in ("linux", ""):
        raise NotSupported(f'image operating system "{decoded.os}" cannot be used on this platform: linux')
    count = len(decoded.rootfs.diff_ids or ())
    if len(layers) != count or count > manifests.LAYERS_LIMIT:
        raise BadImageArchive(
            f"the archive is invalid: an image has {len(layers)} layers, and its configuration speaks "
            f"of {count}"
        )
    return Described(document, decoded, layers, names)


def _tagged(text: str) -> reference.Reference:
    name = reference.parse(text)
    if not name.tag or name.digest:
        raise BadImageArchive(f'the archive has an invalid tag "{text}"')
    return name


def _of_oci(documents: Mapping[str, bytes], platform: Platform | None) -> list[Described]:
    body = documents[OCI_INDEX]
    found = manifests.parse(body, manifests.OCI_INDEX)
    if not isinstance(found, list):
        raise BadImageArchive("the archive's index.json is a manifest, not an index")
    if len(found) > IMAGES_LIMIT:
        raise BadImageArchive(f"the archive has {len(found)} images; the limit is {IMAGES_LIMIT}")
    by_manifest: dict[str, Described] = {}
    for entry in found:
        if entry.media_type and entry.media_type not in manifests.ACCEPT:
            continue
        digest, manifest = _manifest(documents, entry, platform)
        if digest not in by_manifest:
            document = _blob(documents, manifest.config.digest)
            layers = [blob_name(layer.digest) for layer in manifest.layers]
            by_manifest[digest] = _described(document, configs.decode(document), layers, [])
        name = _name(entry.annotations or {})
        if name is not None and name not in by_manifest[digest].names:
            by_manifest[digest].names.append(name)
    return list(by_manifest.values())


def _manifest(
    documents: Mapping[str, bytes], entry: Descriptor, platform: Platform | None
) -> tuple[str, manifests.Manifest]:
    digest, media_type = entry.digest, entry.media_type
    for _depth in range(_NESTED):
        found = manifests.parse(_blob(documents, digest), media_type)
        if isinstance(found, manifests.Manifest):
            return digest, found
        chosen = manifests.choose(found, platform or Platform.of_host())
        digest, media_type = chosen.digest, chosen.media_type
    raise BadImageArchive("the archive's index leads to further indexes without end")


def _name(annotations: dict[str, str]) -> reference.Reference | None:
    """What an entry of an index is called; a bare word is a tag of something unknown, and no name."""
    text = annotations.get(FULL_NAME) or annotations.get(REF_NAME, "")
    if not (":" in text or "/" in text):
        return None
    try:
        name = reference.parse(text)
    except reference.InvalidReference:
        raise BadImageArchive(f'the archive has an invalid tag "{text}"') from None
    return None if name.digest else name.with_default_tag()


def blob_name(digest: str) -> str:
    """Where a layout has the blob of this digest."""
    algorithm, _, digits = digest.partition(":")
    return f"blobs/{algorithm}/{digits}"


def digest_of(name: str) -> str:
    """The digest that the name of a blob in a layout promises, or empty for other names."""
    digits = name.removeprefix("blobs/sha256/")
    digest = f"sha256:{digits}"
    return digest if digits != name and reference.is_digest(digest) else ""


def clean(name: str) -> str:
    """A member's name as the archive's documents write it."""
    return posixpath.normpath("/" + name)[1:]


def _document(documents: Mapping[str, bytes], name: str) -> bytes:
    if name not in documents:
        raise BadImageArchive(f'the archive is incomplete: it has no "{name}"')
    return documents[name]


def _blob(documents: Mapping[str, bytes], digest: str) -> bytes:
    data = _document(documents, blob_name(digest))
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise BadImageArchive(f"the archive is damaged: what it has as {digest} is something else")
    return data
