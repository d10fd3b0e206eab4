"""Bodies of the build routes: Docker's, and ours for what a build is given beside its context."""

from __future__ import annotations

from wharfie.wire.base import Wire, always


class BuildPrune(Wire, frozen=True, kw_only=True):
    """What a prune of the build cache did."""

    caches_deleted: list[str] | None = always(None)
    space_reclaimed: int = always(0)


class CacheRecord(Wire, frozen=True, kw_only=True):
    """One record of the build cache."""

    id: str = always("", "ID")
    type: str = always("")
    description: str = always("")
    in_use: bool = always(False)
    shared: bool = always(False)
    size: int = always(0)
    created_at: str = always("")
    last_used_at: str | None = always(None)
    usage_count: int = always(0)


class BuildInputs(Wire, frozen=True, kw_only=True):
    """Secrets (base64) and sockets of SSH agents for the next build that names them."""

    secrets: dict[str, str] | None = None
    ssh: dict[str, str] | None = None


class UploadResponse(Wire, frozen=True, kw_only=True):
    """What the next build calls it by."""

    key: str = always("")
