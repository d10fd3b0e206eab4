"""The image configuration: the JSON document whose digest is the image's id.

OCI image-spec ``config.md``, with the fields Docker adds (Healthcheck, OnBuild, Shell). A document that came
from outside is kept byte for byte, since its digest names it; these types are how the rest of the code reads
it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.images.reference import is_digest

CONFIG_LIMIT = 8 << 20
"""Bytes; the size a manifest may have is limited likewise."""


class InvalidImageConfig(InvalidArgument):
    """An image configuration that cannot be used."""


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True):
    """``HEALTHCHECK`` of a Dockerfile; durations in nanoseconds."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, rename="pascal", omit_defaults=True):
    """What a container made from the image starts with."""

    user: str = ""
    exposed_ports: dict[str, Any] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    on_build: list[str] | None = None
    shell: list[str] | None = None


class RootFS(msgspec.Struct):
    """The layers, lowest first, each by the digest of its uncompressed archive."""

    type: str = "layers"
    diff_ids: list[str] | None = None


class HistoryEntry(msgspec.Struct, omit_defaults=True):
    """One step of how the image was made."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, omit_defaults=True):
    """The whole document."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    created: str | None = None
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    parent: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    config: RunConfig | None = None
    rootfs: RootFS = msgspec.field(default_factory=RootFS)
    history: list[HistoryEntry] | None = None


_decoder = msgspec.json.Decoder(ImageConfig)


def decode(document: bytes) -> ImageConfig:
    """Read a document.

    Raises:
        InvalidImageConfig: it is not JSON, not an image's, or its digests are malformed.
    """
    if len(document) > CONFIG_LIMIT:
        raise InvalidImageConfig(f"the image configuration is longer than {CONFIG_LIMIT} bytes")
    try:
        found = _decoder.decode(document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidImageConfig(f"the image configuration is invalid: {error}") from error
    if found.rootfs.type != "layers":
        raise InvalidImageConfig(f'the image has a root file system of unknown type "{found.rootfs.type}"')
    for diff_id in found.rootfs.diff_ids or ():
        if not (diff_id.startswith("sha256:") and is_digest(diff_id)):
            raise InvalidImageConfig(f'the image configuration has an invalid layer digest "{diff_id}"')
    return found


def encode(config: ImageConfig) -> bytes:
    """Write a document of our own."""
    return msgspec.json.encode(config)


def image_id(document: bytes) -> str:
    """The id that follows from a document."""
    return "sha256:" + hashlib.sha256(document).hexdigest()


def chain_ids(diff_ids: list[str]) -> list[str]:
    """Names for each layer together with all below it (OCI image-spec, "Layer ChainID")."""
    chains: list[str] = []
    for diff_id in diff_ids:
        if not chains:
            chains.append(diff_id)
        else:
            text = f"{chains[-1]} {diff_id}".encode()
            chains.append("sha256:" + hashlib.sha256(text).hexdigest())
    return chains
