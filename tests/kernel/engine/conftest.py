"""A whole engine below ``tmp_path``: database, images, networks, volumes, a spawner of its own; no HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers import busybox
from wharfie.engine.containers import Containers
from wharfie.engine.context import EngineDefaults, EnginePaths
from wharfie.engine.events import EventBus
from wharfie.engine.spawners import SpawnerHolder
from wharfie.images.store import ImageStore
from wharfie.network.manager import NetworkManager, NetworkSettings
from wharfie.runtime.seccomp_cache import ProgramCache
from wharfie.state.containers import ContainerStore
from wharfie.state.db import Database
from wharfie.support.ids import random_hex
from wharfie.volumes.manager import VolumeManager


@dataclass
class Engine:
    """The parts a test looks at."""

    root: Path
    parent: str
    containers: Containers
    events: EventBus
    spawner: SpawnerHolder
    database: Database
    networks: NetworkManager
    volumes: VolumeManager

    @property
    def cgroup_root(self) -> Path:
        """The directory that this engine's groups lie in."""
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        return Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory") / self.parent.strip("/")

    def leftovers(self) -> list[str]:
        """What a container that is gone must not leave."""
        found = [str(path) for place in ("data/containers", "exec/containers", "data/volumes")
                 for path in (self.root / place).glob("*")]  # fmt: skip
        if self.cgroup_root.exists():
            found += [str(path) for path in self.cgroup_root.iterdir() if path.is_dir()]
        root = str(self.root)
        found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if root in line]
        return found


Make = Callable[[], Engine]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Build an engine on the same roots, again and again: each is what a restarted daemon would have."""
    bridge, parent = f"whe{random_hex(6)}", f"/wharfie-test-{random_hex(6)}"
    for name in ("data/volumes", "data/containers", "data/tmp", "exec/containers"):
        (tmp_path / name).mkdir(parents=True)
    made: list[Engine] = []

    def build() -> Engine:
        data, run = str(tmp_path / "data"), str(tmp_path / "exec")
        database = Database(f"{data}/state.db")
        events = EventBus()
        images = ImageStore(data, database)
        networks = NetworkManager(database, exec_root=run, settings=NetworkSettings(bridge=bridge))
        volumes = VolumeManager(database, f"{data}/volumes")
        spawner = SpawnerHolder(
            exec_root=run, interpreter=[sys.executable], log_path=str(tmp_path / "spawner.log")
        )
        containers = Containers(
            paths=EnginePaths(data, run),
            store=ContainerStore(database),
            images=images,
            networks=networks,
            volumes=volumes,
            spawner=spawner,
            events=events,
            seccomp=ProgramCache(f"{data}/seccomp"),
            defaults=EngineDefaults(cgroup_parent=parent),
        )
        engine = Engine(tmp_path, parent, containers, events, spawner, database, networks, volumes)
        engine.images = images  # type: ignore[attr-defined]
        made.append(engine)
        return engine

    yield build
    last = made[-1]
    for container in last.containers.all():
        await last.containers.remove(container.id, force=True, volumes=True)
    for engine in made:
        await engine.spawner.close()
    last.networks.teardown()
    _remove_parent(last.cgroup_root, parent)
    assert bridge not in [link.name for link in Path("/sys/class/net").iterdir()]


def _remove_parent(root: Path, parent: str) -> None:
    for base in Path("/sys/fs/cgroup").iterdir():
        group = base / parent.strip("/")
        if group.is_dir():
            os.rmdir(group)
    if root.is_dir():
        os.rmdir(root)


@pytest.fixture
async def engine(make: Make) -> Engine:
    """A recovered engine with ``busybox:latest``."""
    built = make()
    await built.containers.recover()

    async def archive() -> AsyncIterator[bytes]:
        yield busybox.tarball()

    await built.images.import_image(  # type: ignore[attr-defined]
        archive(), ref="busybox:latest", changes=["ENV PATH=/bin", 'CMD ["sh"]'], message="", platform=""
    )
    return built
