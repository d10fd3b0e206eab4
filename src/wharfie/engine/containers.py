"""The door to this package: what the API may ask of containers.

Each family of verbs is a module of its own that takes the :class:`~wharfie.engine.context.Context` (the parts
it works with); this class only says which verbs there are. ``ref`` is always a name, an id or a unique prefix
of one.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from wharfie.engine.checkpoints import Checkpoints
from wharfie.engine.container import Container
from wharfie.engine.context import Context, EngineDefaults, EnginePaths
from wharfie.engine.creation import CreateResult, Creation
from wharfie.engine.events import EventBus
from wharfie.engine.inspection import Inspection
from wharfie.engine.listing import Listing
from wharfie.engine.meters import Meters
from wharfie.engine.networking import Networking
from wharfie.engine.packing import Packing
from wharfie.engine.probing import Probing
from wharfie.engine.recovery import Recovery
from wharfie.engine.registry import Registry
from wharfie.engine.removal import Removal
from wharfie.engine.rootfs import rootfs_fd
from wharfie.engine.shipping import Shipping
from wharfie.engine.spawners import SpawnerHolder
from wharfie.engine.starting import Starting
from wharfie.engine.stopping import Stopping
from wharfie.engine.supervisor import Supervisor
from wharfie.engine.updating import Updating
from wharfie.engine.volumefiles import VolumeFiles
from wharfie.engine.waiting import WaitResult, wait
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.network.manager import NetworkManager
from wharfie.runtime.seccomp_cache import ProgramCache
from wharfie.state.containers import ContainerStore
from wharfie.volumes.manager import VolumeManager
from wharfie.wire.containers import (
    ContainerInspect,
    ContainerPrune,
    ContainerSummary,
    CreateContainer,
    UpdateContainer,
)

__all__ = ["Containers", "CreateResult", "WaitResult"]


class Containers:
    """All containers of this daemon."""

    def __init__(
        self,
        *,
        paths: EnginePaths,
        store: ContainerStore,
        images: ImageStore,
        networks: NetworkManager,
        volumes: VolumeManager,
        spawner: SpawnerHolder,
        events: EventBus,
        seccomp: ProgramCache,
        defaults: EngineDefaults,
    ) -> None:
        """Nothing is read or done before :meth:`recover`."""
        self._context = Context(
            paths=paths,
            registry=Registry(store, events),
            images=images,
            networks=networks,
            volumes=volumes,
            spawner=spawner,
            events=events,
            seccomp=seccomp,
            defaults=defaults,
        )
        supervisor = Supervisor(self._context)
        self._stopping = Stopping(self._context, supervisor)
        self._removal = Removal(self._context, supervisor, self._stopping)
        self._starting = Starting(self._context, supervisor)
        probing = Probing(
            self._context,
            {"kill": self._stopping.shoot, "stop": self._stopping.stop_gently, "restart": self._restart},
        )
        self.checkpoints = Checkpoints(self._context, supervisor, self._starting)
        self._shipping = Shipping()
        self._packing = Packing()
        supervisor.connect(
            restart=self._starting.restart_by_policy,
            remove=self._removal.auto_remove,
            watched=(probing.begin, self._shipping.begin, self._packing.begin),
        )
        self._creation = Creation(self._context)
        self._updating = Updating(self._context)
        self._listing = Listing(self._context)
        self._inspection = Inspection(self._context)
        self.networking = Networking(self._context)
        self._recovery = Recovery(self._context, supervisor, self._starting, self._removal, self.networking)

    async def recover(self) -> None:
        """At the daemon's start: bring database, monitors and kernel together, and apply restart policies."""
        await self._recovery.run()
        for container in self.all():
            self._shipping.settle(container)
            self._packing.settle(container)

    async def close(self) -> None:
        """At the daemon's end: let go of the monitors; containers live on."""
        self._recovery.let_go()

    # -- finding ------------------------------------------------------------------------------------

    @property
    def meters(self) -> Meters:
        """What is counted and timed."""
        return self._context.meters

    @property
    def registry(self) -> Registry:
        """Who is there, for services that only look."""
        return self._context.registry

    def get(self, ref: str) -> Container:
        """The container; raises NotFound "No such container: x"."""
        return self._context.registry.get(ref)

    def all(self) -> Sequence[Container]:
        """Every container, newest first."""
        return self._context.registry.all()

    async def list(
        self,
        *,
        all: bool = False,
        limit: int | None = None,
        size: bool = False,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> builtins.list[ContainerSummary]:
        """``docker ps``; raises InvalidArgument for a filter that is none."""
        return await self._listing.list(all=all, limit=limit, size=size, filters=filters or {})

    async def inspect(self, ref: str, size: bool = False) -> ContainerInspect:
        """``docker inspect``."""
        return await self._inspection.inspect(self.get(ref), size)

    # -- life ---------------------------------------------------------------------------------------

    async def create(self, name: str | None, body: CreateContainer, platform: str = "") -> CreateResult:
        """Make a container; raises ImageNotFound, Conflict for a name in use, InvalidArgument."""
        with self.meters.timed("create"):
            return await self._creation.create(name, body, platform)

    async def start(self, ref: str, checkpoint: str = "", directory: str = "") -> None:
        """Start it, with ``checkpoint`` from there.

        Raises NotModified when it runs, LaunchFailed when its program cannot be started.
        """
        with self.meters.timed("start"):
            if checkpoint:
                await self.checkpoints.start(ref, checkpoint, directory)
            else:
                await self._starting.start(self.get(ref))

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        """Ask it to end, kill it after ``timeout`` seconds (negative: never); NotModified if it is down."""
        await self._stopping.stop(self.get(ref), timeout, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        """Stop it if it runs, and start it."""
        await self._restart(self.get(ref), timeout, signal)

    async def _restart(
        self,
        container: Container,
        timeout: int | None = None,  # noqa: ASYNC109
        signal: str = "",
    ) -> None:
        await self._stopping.stop_for_restart(container, timeout, signal)
        await self._starting.start_again(container)

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal to its first process; raises Conflict when it does not run."""
        await self._stopping.kill(ref, signal)

    async def pause(self, ref: str) -> None:
        """Freeze all its processes."""
        await self._stopping.pause(self.get(ref))

    async def unpause(self, ref: str) -> None:
        """Let its processes go on."""
        await self._stopping.unpause(self.get(ref))

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Set the size of its terminal."""
        await self._updating.resize(self.get(ref), height, width)

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        await self._updating.rename(self.get(ref), name)

    async def update(self, ref: str, body: UpdateContainer) -> builtins.list[str]:
        """Change limits and restart policy; the warnings."""
        return await self._updating.update(self.get(ref), body)

    async def wait(self, ref: str, condition: str = "") -> WaitResult:
        """Register for "not-running" (default), "next-exit" or "removed" now; ``await .result()`` later."""
        return wait(self.get(ref), condition)

    async def remove(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Remove it and all that is its own."""
        with self.meters.timed("delete"):
            await self._removal.remove(self.get(ref), ref, force=force, volumes=volumes, link=link)

    def image_users(self, image_id: str) -> builtins.list[ContainerUse]:
        """The containers made from an image."""
        return self._removal.image_users(image_id)

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> ContainerPrune:
        """Remove all that do not run."""
        return await self._removal.prune(filters)

    @property
    def volume_files(self) -> VolumeFiles:
        """The files of volumes, which may be mounted in containers only."""
        return VolumeFiles(self._context)

    # -- inside -------------------------------------------------------------------------------------

    @contextmanager
    def rootfs_fd(self, container: Container) -> Iterator[int]:
        """A descriptor of its root directory: the live one, or an overlay mounted nowhere else."""
        with rootfs_fd(self._context, container) as fd:
            yield fd

    def emit_for(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Say that something happened to an image, network or volume."""
        self._context.events.emit(kind, action, actor, attributes)

    def emit(self, container: Container, action: str, **attributes: str) -> None:
        """Say that something happened to a container (attach, exec_start, …)."""
        self._context.registry.emit(container, action, attributes)
