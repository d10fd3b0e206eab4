"""Requests and answers about images."""

from __future__ import annotations

import msgspec

from wharfie.wire.base import Wire, always, named, optional
from wharfie.wire.config import HealthConfig, NameSet
from wharfie.wire.containers import GraphDriver


class ImageSummary(Wire, frozen=True, kw_only=True):
    """One image in a list."""

    containers: int = always(-1)
    created: int
    id: str
    labels: dict[str, str] | None = always(None)
    parent_id: str = always("")
    repo_digests: list[str] = always([])
    repo_tags: list[str] = always([])
    shared_size: int = always(-1)
    size: int


class ImageConfig(Wire, frozen=True, kw_only=True):
    """What containers made of an image begin with; the fields that mean nothing before are not in it."""

    user: str = ""
    exposed_ports: NameSet | None = None
    env: list[str] | None = always(None)
    cmd: list[str] | None = always(None)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    volumes: NameSet | None = always(None)
    working_dir: str = always("")
    entrypoint: list[str] | None = always(None)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = always(None)
    labels: dict[str, str] | None = always(None)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class RootFS(Wire, frozen=True, kw_only=True):
    """The layers of an image."""

    type: str = always("layers")
    layers: list[str] | None = None


class ImageMetadata(Wire, frozen=True, kw_only=True):
    """What is known of an image only here."""

    last_tag_time: str = always("0001-01-01T00:00:00Z")


class ImageInspect(Wire, frozen=True, kw_only=True):
    """Everything about one image."""

    id: str
    repo_tags: list[str] = always([])
    repo_digests: list[str] = always([])
    parent: str = always("")
    comment: str = always("")
    created: str = ""
    docker_version: str = always("")
    author: str = always("")
    config: ImageConfig | None = always(None)
    architecture: str = always("")
    variant: str = ""
    os: str = always("linux")
    os_version: str = ""
    size: int = always(0)
    graph_driver: GraphDriver = always(GraphDriver())
    root_fs: RootFS = always(RootFS(), "RootFS")
    metadata: ImageMetadata = always(ImageMetadata())


class HistoryItem(Wire, frozen=True, kw_only=True):
    """One step of how an image came to be."""

    comment: str = always("")
    created: int = always(0)
    created_by: str = always("")
    id: str = always("<missing>")
    size: int = always(0)
    tags: list[str] | None = always(None)


class ImageDelete(Wire, frozen=True, kw_only=True):
    """One thing that the removal of an image did."""

    untagged: str = ""
    deleted: str = ""


class ImagePrune(Wire, frozen=True, kw_only=True):
    """Answer to prune."""

    images_deleted: list[ImageDelete] | None = always(None)
    space_reclaimed: int = always(0)


class PlatformJSON(Wire, frozen=True, kw_only=True):
    """The parameter ``platform`` as clients since API 1.48 send it."""

    os: str = named("os")
    architecture: str = named("architecture")
    variant: str = optional("", "variant")


class StoreProblem(Wire, frozen=True, kw_only=True):
    """Something that is wrong with the image store."""

    kind: str
    what: str
    action: str
    repaired: bool = always(False)


class StoreCheck(Wire, frozen=True, kw_only=True):
    """Answer to a check of the image store."""

    images: int = always(0)
    layers: int = always(0)
    blobs: int = always(0)
    bytes: int = always(0)
    busy: bool = always(False)
    problems: list[StoreProblem] = always([])


class IdResponse(Wire, frozen=True, kw_only=True):
    """Answer to commit."""

    id: str


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The header ``X-Registry-Auth``, decoded."""

    username: str = ""
    password: str = ""
    auth: str = ""
    email: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class ProgressDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a transfer is."""

    current: int = 0
    total: int = 0


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error in the middle of a stream."""

    code: int = 0
    message: str = ""


class Progress(Wire, frozen=True, kw_only=True):
    """One line of the progress of a pull, import or build."""

    stream: str = optional("", "stream")
    status: str = optional("", "status")
    progress_detail: ProgressDetail | None = optional(None, "progressDetail")
    progress: str = optional("", "progress")
    id: str = optional("", "id")
    error_detail: ErrorDetail | None = optional(None, "errorDetail")
    error: str = optional("", "error")
