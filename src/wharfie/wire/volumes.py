"""Requests and answers about volumes."""

from __future__ import annotations

from typing import Any

from wharfie.wire.base import Wire, always


class UsageData(Wire, frozen=True, kw_only=True):
    """How much room a volume takes, and how many containers use it; -1 where nobody asked."""

    ref_count: int = always(-1)
    size: int = always(-1)


class Volume(Wire, frozen=True, kw_only=True):
    """One volume."""

    created_at: str = ""
    driver: str = always("local")
    labels: dict[str, str] | None = always(None)
    mountpoint: str = always("")
    name: str
    options: dict[str, str] | None = always(None)
    scope: str = always("local")
    status: dict[str, str] | None = None
    usage_data: UsageData | None = None


class VolumeCreate(Wire, frozen=True, kw_only=True):
    """Body of ``POST /volumes/create``."""

    name: str = always("")
    driver: str = always("")
    driver_opts: dict[str, str] | None = always(None)
    labels: dict[str, str] | None = always(None)
    cluster_volume_spec: dict[str, Any] | None = None


class VolumeList(Wire, frozen=True, kw_only=True):
    """Answer to the list."""

    volumes: list[Volume] = always([])
    warnings: list[str] | None = always(None)


class VolumePrune(Wire, frozen=True, kw_only=True):
    """Answer to prune."""

    volumes_deleted: list[str] = always([])
    space_reclaimed: int = always(0)
