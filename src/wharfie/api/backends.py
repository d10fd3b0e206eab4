"""What the routes ask of the engine; the engine's classes have these methods, and so have the tests' fakes.

The consumer owns the interface: a route calls nothing that is not here. Where the engine's answer is a wire
type it goes to the client as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from wharfie.api.threadbody import ThreadBody
from wharfie.build.options import Options
from wharfie.wire import build as building
from wharfie.wire import checkpoints, containers, events, execs, images, networks, registries, system, volumes
from wharfie.wire.config import Config

Filters = Mapping[str, Sequence[str]]
Progress = Callable[[dict[str, Any]], None]


class Created(Protocol):
    """Answer of a create."""

    @property
    def id(self) -> str:
        """The new container's id."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the creator should know."""


class Waiting(Protocol):
    """An end that is waited for."""

    async def result(self) -> containers.WaitResponse:
        """The exit code, when it is there."""

    def close(self) -> None:
        """Nobody waits any more."""


class Containers(Protocol):
    """The life of containers."""

    async def create(self, name: str | None, body: containers.CreateContainer, platform: str = "") -> Created:
        """Make one."""

    async def start(self, ref: str, checkpoint: str = "", directory: str = "") -> None:
        """Start it, perhaps from a checkpoint; NotModified when it runs."""

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        """Stop it; NotModified when it does not run."""

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        """Stop and start."""

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal."""

    async def pause(self, ref: str) -> None:
        """Freeze it."""

    async def unpause(self, ref: str) -> None:
        """Thaw it."""

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""

    async def remove(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Remove it."""

    async def update(self, ref: str, body: containers.UpdateContainer) -> Sequence[str]:
        """Change its limits; returns warnings."""

    async def wait(self, ref: str, condition: str = "") -> Waiting:
        """Registered when this returns."""

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Set the size of its terminal."""

    async def list(
        self, *, all: bool, limit: int | None, size: bool, filters: Filters
    ) -> Sequence[containers.ContainerSummary]:
        """As ``ps``."""

    async def inspect(self, ref: str, size: bool = False) -> containers.ContainerInspect:
        """Everything about one."""

    async def prune(self, filters: Filters) -> containers.ContainerPrune:
        """Remove those that do not run."""


class Checkpoints(Protocol):
    """Checkpoints of containers."""

    async def create(self, ref: str, asked: checkpoints.CreateCheckpoint) -> None:
        """Make one."""

    def list(self, ref: str, directory: str) -> list[checkpoints.Checkpoint]:
        """Those of a container, or those in a directory."""

    def remove(self, ref: str, name: str, directory: str) -> None:
        """Remove one."""


class Processes(Protocol):
    """What runs inside containers."""

    async def top(self, ref: str, arguments: str) -> containers.TopResponse:
        """The processes, in the columns of ps with these arguments."""

    def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[dict[str, Any]]:
        """Docker's stats JSON, once or every second. Raises before the first item only."""


@dataclass(slots=True, kw_only=True)
class LogsRequest:
    """What of a container's output is wanted; ``tail`` None for all of it."""

    stdout: bool
    stderr: bool
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None
    blocks: bool = False
    """Many lines may share a frame."""


@dataclass(slots=True, kw_only=True)
class AttachRequest:
    """Which streams of a container a client wants."""

    stdin: bool
    stdout: bool
    stderr: bool
    stream: bool
    logs: bool
    detach_keys: str | None
    multiplex: bool = True
    """In stdcopy frames, unless there is a terminal."""


class Streams(Protocol):
    """The output and input of containers."""

    def is_tty(self, ref: str) -> bool:
        """Whether its output is raw."""

    def logs(self, ref: str, request: LogsRequest) -> AsyncIterator[bytes]:
        """The log, in stdcopy frames unless it has a terminal; errors of the request come with the first
        item."""

    async def check_attach(self, ref: str, keys: str | None = None) -> None:
        """Raises what speaks against attaching, before the connection is taken."""

    async def attach(self, ref: str, request: AttachRequest, fd: int, prefix: bytes) -> None:
        """Tie a connection to the container; ``fd`` is the callee's from now on."""


class Execs(Protocol):
    """Further processes in running containers."""

    async def create(self, ref: str, body: execs.ExecCreate) -> str:
        """Note one; returns its id."""

    def check_start(self, exec_id: str, body: execs.ExecStart) -> bool:
        """Whether its output will be raw; raises what speaks against the start."""

    async def start_detached(self, exec_id: str, body: execs.ExecStart) -> None:
        """Start it without streams."""

    async def start_attached(self, exec_id: str, body: execs.ExecStart, fd: int, prefix: bytes) -> None:
        """Start it on a connection; ``fd`` is the callee's from now on, errors go into the stream."""

    async def inspect(self, exec_id: str) -> execs.ExecInspect:
        """Everything about it."""

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of its terminal."""

    async def kill(self, exec_id: str, signal: str) -> None:
        """Send it a signal."""


class Files(Protocol):
    """The files of a container."""

    async def stat(self, ref: str, path: str) -> dict[str, Any]:
        """Docker's PathStat of a path in it."""

    def archive(
        self, ref: str, path: str
    ) -> AbstractAsyncContextManager[tuple[dict[str, Any], AsyncIterator[bytes]]]:
        """A path in it as a tar stream, with its PathStat."""

    async def extract(
        self,
        ref: str,
        path: str,
        stream: AsyncIterator[bytes],
        *,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
    ) -> None:
        """Unpack a tar stream below a path in it."""

    def export(self, ref: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Its whole file system as a tar stream."""

    async def changes(self, ref: str) -> Sequence[containers.Change]:
        """What differs from its image."""

    async def commit(
        self,
        ref: str,
        *,
        reference: str,
        author: str,
        message: str,
        changes: Sequence[str],
        config: Config | None,
        pause: bool,
        squash: bool = False,
        epoch: int | None = None,
    ) -> str:
        """Make an image of it; returns the image's id."""


class Images(Protocol):
    """Images."""

    def list(
        self, *, all: bool, filters: Filters, digests: bool, shared_size: bool
    ) -> Sequence[images.ImageSummary]:
        """As ``images``."""

    def inspect(self, ref: str, *, platform: str) -> images.ImageInspect:
        """Everything about one."""

    def history(self, ref: str, *, platform: str) -> Sequence[images.HistoryItem]:
        """How it came to be."""

    async def import_image(
        self,
        stream: AsyncIterator[bytes],
        *,
        reference: str,
        changes: Sequence[str],
        message: str,
        platform: str,
        epoch: int | None,
        progress: Progress,
    ) -> None:
        """Make one of a root file system."""

    async def bootstrap(self, name: str, *, suite: str, progress: Progress) -> None:
        """Make one of the distribution's packages."""

    async def tag(self, ref: str, target: str) -> None:
        """Give it a further name."""

    async def remove(
        self, ref: str, *, force: bool, noprune: bool, platform: str
    ) -> Sequence[images.ImageDelete]:
        """Take a name from it, or remove it."""

    async def prune(self, filters: Filters) -> images.ImagePrune:
        """Remove those nobody uses."""


class Store(Protocol):
    """The image store as a whole."""

    def save(
        self, refs: Sequence[str], *, platform: str
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """An archive of these images; raises when it is entered for one that is not there."""

    async def load(
        self, stream: AsyncIterator[bytes] | ThreadBody, *, platform: str, quiet: bool, progress: Progress
    ) -> None:
        """Take the images of an archive."""

    async def squash(self, ref: str, *, reference: str, message: str, epoch: int | None) -> str:
        """Make an image of one layer; returns its id."""

    async def check(self, *, repair: bool) -> images.StoreCheck:
        """Look for damage, and mend it if asked to."""


class Registries(Protocol):
    """What is done with registries."""

    async def pull(
        self, ref: str, *, platform: str, auth: images.AuthConfig | None, progress: Progress
    ) -> None:
        """Fetch an image."""

    async def pull_all(
        self, ref: str, *, platform: str, auth: images.AuthConfig | None, progress: Progress
    ) -> None:
        """Fetch every tag of a repository."""

    async def push(
        self,
        ref: str,
        *,
        all_tags: bool,
        platform: str,
        auth: images.AuthConfig | None,
        progress: Progress,
    ) -> None:
        """Send an image, or all tags of a repository."""

    async def login(self, auth: images.AuthConfig) -> registries.Login:
        """Check credentials."""

    async def search(
        self, term: str, *, limit: int | None, filters: Filters, auth: images.AuthConfig | None
    ) -> Sequence[registries.Found]:
        """Look for repositories."""

    async def describe(self, ref: str, auth: images.AuthConfig | None) -> registries.Distribution:
        """What a name stands for, and its platforms."""

    async def manifest(
        self, ref: str, *, children: bool, insecure: bool, auth: images.AuthConfig | None
    ) -> registries.ManifestAnswer:
        """A manifest as it is, with those it lists."""

    async def push_manifest(
        self, ref: str, body: registries.ManifestPush, *, insecure: bool, auth: images.AuthConfig | None
    ) -> str:
        """Put a list of manifests; its digest."""

    async def referrers(
        self, ref: str, artifact_type: str, auth: images.AuthConfig | None
    ) -> registries.Referrers:
        """The artifacts that refer to what a name stands for."""


class Builds(Protocol):
    """Builds, and what is kept for the next ones."""

    async def build(self, options: Options, context: AsyncIterator[bytes] | None, progress: Progress) -> None:
        """Build an image, telling Docker's messages."""

    async def upload(self, stream: AsyncIterator[bytes]) -> str:
        """A further context for the next build that names its key."""

    def knows_context(self, key: str) -> bool:
        """Whether a context of this fingerprint need not be sent."""

    def tree(self, ref: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The files of an image as one archive."""

    async def serve_grpc(self, fd: int, prefix: bytes) -> None:
        """Speak BuildKit's protocol on a connection, until its client closes it."""

    async def serve_session(
        self, fd: int, prefix: bytes, key: str, shared_key: str, methods: Sequence[str]
    ) -> None:
        """Let builds call a client by this connection, until it is closed."""

    def keep_inputs(self, body: building.BuildInputs) -> str:
        """Secrets and agents for the next build that names their key."""

    async def prune(self, *, all: bool, keep: int, filters: Filters) -> building.BuildPrune:
        """Forget what was kept."""

    def exported_cache(self, key: str) -> AsyncIterator[bytes]:
        """The cache that a build left under this key, as one archive."""

    def mount_archive(self, name: str) -> AsyncIterator[bytes]:
        """What is in a cache mount, as one archive."""

    async def put_mount(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """Fill a cache mount from an archive."""

    async def descriptor(self, ref: str) -> registries.Descriptor:
        """The manifest of an image, as it would be saved."""

    async def usage(self, filters: Filters) -> Sequence[building.CacheRecord]:
        """What is kept."""


class Volumes(Protocol):
    """Volumes."""

    def list(self, filters: Filters) -> volumes.VolumeList:
        """All of them."""

    def inspect(self, name: str) -> volumes.Volume:
        """Everything about one."""

    async def create(self, body: volumes.VolumeCreate) -> volumes.Volume:
        """Make one."""

    def update(self, name: str) -> None:
        """Change one."""

    def export(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What is in it as a tar stream."""

    async def import_(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """Unpack a tar stream in it."""

    async def remove(self, name: str, *, force: bool) -> None:
        """Remove it."""

    async def prune(self, filters: Filters) -> volumes.VolumePrune:
        """Remove those nobody uses."""


class Networks(Protocol):
    """Networks."""

    def list(self, filters: Filters) -> Sequence[networks.Network]:
        """All of them."""

    def inspect(self, ref: str, scope: str = "") -> networks.Network:
        """Everything about one, if it is of this scope."""

    async def create(self, body: networks.NetworkCreate) -> networks.NetworkCreated:
        """Make one."""

    async def remove(self, ref: str) -> None:
        """Remove one that is empty."""

    async def connect(self, ref: str, body: networks.NetworkConnect) -> None:
        """Put a container into it."""

    async def disconnect(self, ref: str, body: networks.NetworkDisconnect) -> None:
        """Take a container out of it."""

    async def prune(self, filters: Filters) -> networks.NetworkPrune:
        """Remove those that nobody uses."""


class System(Protocol):
    """The daemon as a whole."""

    def info(self) -> system.Info:
        """What it is and has."""

    def version(self) -> system.Version:
        """Versions of it and its parts."""

    @property
    def builder_version(self) -> str:
        """``1``: clients build by the classic protocol, ``2``: by BuildKit's, if they can."""

    async def disk_usage(self, kinds: Sequence[str]) -> system.DiskUsage:
        """What it takes on disk; all kinds when none is named."""

    def events(
        self, *, since_ns: int | None, until_ns: int | None, filters: Filters
    ) -> AsyncIterator[events.Event]:
        """Past events from ``since_ns``, then those that come, until ``until_ns``. Listens when called."""

    def request_shutdown(self) -> None:
        """End the daemon; containers live on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """All of them."""

    containers: Containers
    checkpoints: Checkpoints
    processes: Processes
    streams: Streams
    execs: Execs
    files: Files
    images: Images
    store: Store
    registries: Registries
    builds: Builds
    volumes: Volumes
    networks: Networks
    system: System
