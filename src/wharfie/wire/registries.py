"""Requests and answers about registries."""

from __future__ import annotations

import msgspec

from wharfie.wire.base import Wire, always


class Login(Wire, frozen=True, kw_only=True):
    """Answer to ``POST /auth``."""

    status: str
    identity_token: str = always("")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that a search found."""

    star_count: int = 0
    is_official: bool = False
    name: str = ""
    is_automated: bool = False
    description: str = ""


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OCI's words for a kind of machine."""

    architecture: str
    os: str
    variant: str = ""


class Descriptor(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"media_type": "mediaType", "artifact_type": "artifactType"},
):
    """OCI's content descriptor."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


class Distribution(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /distribution/…/json``."""

    descriptor: Descriptor
    platforms: list[Platform] = always([])


class ManifestItem(Wire, frozen=True, kw_only=True):
    """A manifest of a registry; ``raw`` is base64, as Docker writes bytes."""

    ref: str
    descriptor: Descriptor
    raw: bytes


class ManifestAnswer(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /wharfie/manifests``: a manifest and, if they were asked for, those it lists."""

    manifest: ManifestItem
    children: list[ManifestItem] = always([])


class ManifestPush(Wire, frozen=True, kw_only=True):
    """Body of ``POST /wharfie/manifests``: a list, and where what it names is (``repository@digest``)."""

    raw: bytes = b""
    sources: list[str] = always([])


class Referrers(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /wharfie/referrers``."""

    digest: str
    manifests: list[Descriptor] = always([])
