"""Where the images of a dump are while they are not whole."""

from __future__ import annotations


def unfinished(images: str, pid: int) -> str:
    """Beside the place of ``images``, for the dump process ``pid``; names of checkpoints begin otherwise."""
    above, _, name = images.rpartition("/")
    return f"{above}/.{name}.{pid}"
