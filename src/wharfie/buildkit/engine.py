"""What BuildKit's services need of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wharfie.build.builder import Builder
from wharfie.buildkit.results import Results
from wharfie.images.distribution import Distribution
from wharfie.images.store import ImageStore


@dataclass(frozen=True, slots=True)
class Engine:
    """One daemon's."""

    store: ImageStore
    builder: Builder
    distribution: Distribution
    tagged: Callable[[str, str], None]
    """Called with an image's id and a name that it got."""
    pruned: Callable[[int], None]
    """Called with the bytes that were freed."""
    gateway: Callable[[], str]
    """The address that ``host-gateway`` stands for."""
    results: Results = field(default_factory=Results)
