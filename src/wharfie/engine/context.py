"""What the verbs work with: paths, defaults and the other parts of the daemon, handed in by the wiring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wharfie.engine.meters import Meters
from wharfie.engine.registry import Registry
from wharfie.volumes.disks import TEMPLATES

if TYPE_CHECKING:
    from wharfie.engine.events import EventBus
    from wharfie.engine.spawners import SpawnerHolder
    from wharfie.images.store import ImageStore
    from wharfie.network.manager import NetworkManager
    from wharfie.runtime.seccomp_cache import ProgramCache
    from wharfie.volumes.manager import VolumeManager
    from wharfie.wire.config import Ulimit


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where containers live on disk."""

    data_root: str
    exec_root: str

    def container(self, identifier: str) -> str:
        """The directory of what a container keeps."""
        return f"{self.data_root}/containers/{identifier}"

    def run(self, identifier: str) -> str:
        """The directory of a container's monitor."""
        return f"{self.exec_root}/containers/{identifier}"

    @property
    def templates(self) -> str:
        """Where new file systems are copied from (``volumes/disks.py``)."""
        return f"{self.data_root}/volumes/{TEMPLATES}"

    @property
    def tmp(self) -> str:
        """Where trees go that are to be removed; same file system as the containers."""
        return f"{self.data_root}/tmp"


@dataclass(frozen=True, slots=True)
class EngineDefaults:
    """What holds for a container that says nothing itself (dockerd's options of the same names)."""

    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    cgroup_parent: str = "/wharfie"
    shm_size: int = 64 << 20
    ipc_mode: str = "private"
    cgroupns_mode: str = ""
    """``host`` or ``private``; empty: private on cgroup v2, host on v1, as Docker does."""
    init: bool = False
    init_path: str = ""
    """``--init``'s program; empty: docker-init, tini-static, tini or catatonit from PATH."""
    ulimits: dict[str, Ulimit] = field(default_factory=dict)
    no_new_privileges: bool = False
    seccomp_profile: str = ""
    """Path of a profile instead of the built-in one; ``unconfined`` for none."""
    stop_timeout: int = 10
    experimental: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """The parts."""

    paths: EnginePaths
    registry: Registry
    images: ImageStore
    networks: NetworkManager
    volumes: VolumeManager
    spawner: SpawnerHolder
    events: EventBus
    seccomp: ProgramCache
    defaults: EngineDefaults
    meters: Meters = field(default_factory=Meters)
