"""What the rest of the engine knows of an image, and what the store answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from wharfie.errors import Conflict, NotFound
from wharfie.images.config import ImageConfig, RunConfig


class ImageNotFound(NotFound):
    """No image answers to the name."""


class ImageInUse(Conflict):
    """A container, a tag or a child image stands against the removal."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the store, as it was when it was asked for."""

    id: str
    """``sha256:…``, the digest of its configuration."""
    document: ImageConfig
    lower: list[str]
    """The layers' directories, topmost first: what an overlay mount wants."""
    repo_tags: list[str]
    repo_digests: list[str]
    size: int
    parent: str
    """Id of the image it was committed from, or empty."""
    raw: bytes = field(repr=False)
    """The configuration byte for byte."""
    manifest: str = ""
    """Digest of the manifest it was pulled by, or empty."""
    created_unix: int = 0

    @property
    def config(self) -> RunConfig:
        """What a container of it starts with."""
        return self.document.config or RunConfig()

    @property
    def created(self) -> str:
        """RFC 3339, or empty."""
        return self.document.created or ""

    @property
    def architecture(self) -> str:
        """In Go's words: ``amd64``."""
        return self.document.architecture

    @property
    def os(self) -> str:
        """``linux``."""
        return self.document.os

    @property
    def variant(self) -> str:
        """``v8`` and the like, or empty."""
        return self.document.variant

    @property
    def diff_ids(self) -> list[str]:
        """The layers, lowest first, each by the digest of its uncompressed archive."""
        return self.document.rootfs.diff_ids or []


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of ``docker history``, newest first."""

    id: str
    """Image id, or ``<missing>``."""
    created: int
    created_by: str
    tags: list[str]
    size: int
    comment: str


@dataclass(frozen=True, slots=True)
class ContainerUse:
    """A container that stands in the way of removing an image."""

    id: str
    running: bool
    reference: str = ""
    """The image as it was named when the container was made."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did."""

    deleted: list[dict[str, str]]
    """``{"Untagged": …}`` and ``{"Deleted": …}``, in order."""
    reclaimed: int


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """One image in ``system df``."""

    image: Image
    shared: int
    """Bytes of its layers that other images have too."""
    containers: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What images take on disk."""

    layers: int
    """Bytes of all that the store has on disk."""
    images: list[ImageUsage]


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """``X-Registry-Auth``, decoded by the API."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
