"""What all steps of one build work with: places on disk, the store, the cache, and trees to read from."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wharfie.build.arrival import Known
from wharfie.build.cache import Cache, Entry
from wharfie.build.cacheimport import Imports, Place, Registries
from wharfie.build.cachemounts import CacheMounts, Locks
from wharfie.build.options import Options
from wharfie.build.progress import Reporter
from wharfie.build.running import Runner
from wharfie.build.stagestate import StageState
from wharfie.images import snapshots
from wharfie.images.image import Image
from wharfie.images.layers import Layer
from wharfie.images.platform import Platform
from wharfie.images.store import ImageStore
from wharfie.linux import mount
from wharfie.support.ids import random_hex

if TYPE_CHECKING:
    from wharfie.build.supply import Supply

Resolve = Callable[[str, Platform], Awaitable[Image]]
"""An image by its name, pulled where it is missing."""


@dataclass(slots=True)
class Shop:
    """One build's."""

    options: Options
    store: ImageStore
    cache: Cache
    runner: Runner
    mounts: CacheMounts
    resolve: Resolve
    registries: Registries
    reporter: Reporter
    directory: str
    """Temporary; gone with the build, or swept at the next start."""
    private: str
    """For secrets: in memory, for nobody but us."""
    context: str
    locks: Locks
    """By key of the cache: the same step is done once, by whoever comes first."""
    supply: Supply
    named: dict[str, str] = field(default_factory=dict)
    """Directories of ``--build-context``."""
    layouts: dict[str, Place] = field(default_factory=dict)
    """Caches that the client has, or sent before, by key."""
    empty: str = ""
    imports: Imports | None = None
    """Steps that were done elsewhere."""
    steps: list[tuple[int, str]] = field(default_factory=list)
    """Keys of all that was done or taken from the cache, each with its stage."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of parts of the context, which does not change while it is kept."""
    arrived: Known = field(default_factory=dict)
    """Of large files of the context."""
    reads: list[str] | None = None
    """Paths of the context that instructions name; None: all of it may be read."""

    @property
    def latest(self) -> int | None:
        """No time in a layer is later than this."""
        return None if self.options.epoch is None else self.options.epoch * 10**9

    async def known(self, key: str, stage: int, *, fresh: bool) -> Entry | None:
        """A step that was done before, here or elsewhere, unless all is to be ``fresh``."""
        self.steps.append((stage, key))
        if fresh:
            return None
        found = self.cache.find(key)
        if found is None and self.imports is not None:
            found = await self.imports.take(key)
        return found

    def lower(self, layers: list[Layer]) -> list[str]:
        """Directories of layers, topmost first; never empty."""
        found = [self.store.layers.diff(layer.directory) for layer in reversed(layers)]
        return found or [self.empty]

    @contextmanager
    def tree(self, layers: list[Layer]) -> Iterator[int]:
        """The root of these layers to read from, as a descriptor."""
        lower = self.lower(layers)
        fd = snapshots.mount_read_only(lower[1:], lower[0])
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def origin(self, state: StageState | str) -> Iterator[int]:
        """A stage's tree, or a directory's."""
        if isinstance(state, StageState):
            with self.tree(state.layers) as fd:
                yield fd
            return
        fd = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def place(self, name: str) -> str:
        """A new directory of this build's."""
        path = f"{self.directory}/{name}-{random_hex(6)}"
        os.mkdir(path, 0o700)
        return path


@contextmanager
def mounted(lower: list[str], place: str, *, writable: bool) -> Iterator[str]:
    """An overlay of ``lower`` at a path, for as long as a container needs it to be found by one.

    A bind's source is given to the container's creator by its path; what is attached to no path cannot be.
    """
    target, upper, work = (f"{place}/{name}" for name in ("tree", "upper", "work"))
    for path in (target, upper, work):
        os.mkdir(path, 0o755)
    if writable:
        fd = snapshots.mount_detached(lower, upper, work, volatile=True)
    else:
        fd = snapshots.mount_detached([*lower, work] if len(lower) == 1 else lower, "", "")
    try:
        spot = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount.move_mount(fd, spot)
        finally:
            os.close(spot)
    finally:
        os.close(fd)
    try:
        yield target
    finally:
        mount.umount2(target, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
