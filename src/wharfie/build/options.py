"""What is asked of a build."""

from __future__ import annotations

from dataclasses import dataclass, field

from wharfie.build.cachespec import CacheSpec
from wharfie.build.running import Limits
from wharfie.images.image import RegistryAuth


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All of ``POST /build``'s parameters, read."""

    dockerfile: str = "Dockerfile"
    tags: list[str] = field(default_factory=list)
    arguments: dict[str, str | None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = ""
    no_cache: bool = False
    no_cache_for: list[str] = field(default_factory=list)
    """``--no-cache-filter``: stages that are built anew."""
    pull: bool = False
    quiet: bool = False
    squash: bool = False
    network: str = ""
    hosts: list[str] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    auths: dict[str, RegistryAuth] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    ssh: dict[str, str] = field(default_factory=dict)
    """Names of agents and their sockets."""
    contexts: dict[str, str] = field(default_factory=dict)
    """``--build-context``: ``docker-image://…``, a URL, or ``upload:…``."""
    cache_from: list[CacheSpec] = field(default_factory=list)
    cache_to: list[CacheSpec] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    """Entitlements: ``security.insecure``, ``network.host``."""
    epoch: int | None = None
    events: bool = False
    check: bool = False
    remote: str = ""
    context_key: str = ""
    """Fingerprint of a context that is kept, or is to be."""
    context_kept: bool = False
    """It is not sent again."""
    inputs: str = ""
    """The key of secrets and agents that were sent before."""
