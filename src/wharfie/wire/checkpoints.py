"""Requests and answers about checkpoints of containers."""

from __future__ import annotations

from wharfie.wire.base import Wire, always


class CreateCheckpoint(Wire, frozen=True, kw_only=True):
    """Body of ``POST /containers/{id}/checkpoints``."""

    checkpoint_id: str = always("", "CheckpointID")
    checkpoint_dir: str = always("")
    exit: bool = always(False)


class Checkpoint(Wire, frozen=True, kw_only=True):
    """A checkpoint in a list."""

    name: str
