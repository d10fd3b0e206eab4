"""An engine of a few dictionaries, behind the real API."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from wharfie.api.backends import AttachRequest, Backends, LogsRequest
from wharfie.api.server import Server
from wharfie.api.table import all_routes
from wharfie.api.threadbody import ThreadBody
from wharfie.build.options import Options
from wharfie.errors import Conflict, InvalidArgument, NotFound, NotModified, Unavailable
from wharfie.images.pipe import Produced
from wharfie.support.tasks import spawn
from wharfie.wire import checkpoints, events, execs, images, networks, registries, system, volumes
from wharfie.wire import containers as wire
from wharfie.wire.build import BuildInputs, BuildPrune, CacheRecord
from wharfie.wire.config import Config, HostConfig
from wharfie.wire.stdcopy import header

ID = "c0ffee" + "0" * 58


class Waiting:
    def __init__(self, future: asyncio.Future[int]) -> None:
        self.future = future
        self.closed = False

    async def result(self) -> wire.WaitResponse:
        return wire.WaitResponse(status_code=await self.future)

    def close(self) -> None:
        self.closed = True


class FakeCheckpoints:
    """Remembers what it was asked; "taken" has one."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def create(self, ref: str, asked: checkpoints.CreateCheckpoint) -> None:
        self.asked.append((ref, asked))

    def list(self, ref: str, directory: str) -> list[checkpoints.Checkpoint]:
        self.asked.append((ref, directory))
        return [checkpoints.Checkpoint(name="one")] if ref == "taken" else []

    def remove(self, ref: str, name: str, directory: str) -> None:
        self.asked.append((ref, name, directory))


class FakeContainers:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.bodies: list[wire.CreateContainer] = []
        self.exits: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waits: list[Waiting] = []
        self.failure: Exception | None = None

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
        if len(call) > 1 and call[1] == "missing":
            raise NotFound("No such container: missing")

    async def create(self, name: str | None, body: wire.CreateContainer, platform: str = "") -> Any:
        self._note("create", name, platform)
        self.bodies.append(body)
        return SimpleNamespace(id=ID, warnings=["be careful"])

    async def start(self, ref: str, checkpoint: str = "", directory: str = "") -> None:
        self._note("start", ref, *([checkpoint, directory] if checkpoint else []))
        if ref == "running":
            raise NotModified("it runs")

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        self._note("stop", ref, timeout, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:  # noqa: ASYNC109
        self._note("restart", ref, timeout, signal)

    async def kill(self, ref: str, signal: str = "") -> None:
        self._note("kill", ref, signal)

    async def pause(self, ref: str) -> None:
        self._note("pause", ref)

    async def unpause(self, ref: str) -> None:
        self._note("unpause", ref)

    async def rename(self, ref: str, name: str) -> None:
        self._note("rename", ref, name)
        if name == "taken":
            raise Conflict('the name "/taken" is in use')

    async def remove(self, ref: str, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        self._note("remove", ref, force, volumes, link)

    async def update(self, ref: str, body: wire.UpdateContainer) -> Sequence[str]:
        self._note("update", ref, body.memory, body.restart_policy.name)
        return []

    async def wait(self, ref: str, condition: str = "") -> Waiting:
        self._note("wait", ref, condition)
        self.waits.append(Waiting(self.exits))
        return self.waits[-1]

    async def resize(self, ref: str, height: int, width: int) -> None:
        self._note("resize", ref, height, width)

    async def list(
        self, *, all: bool, limit: int | None, size: bool, filters: Any
    ) -> Sequence[wire.ContainerSummary]:
        self._note("list", {"all": all, "limit": limit, "size": size, "filters": filters})
        return [
            wire.ContainerSummary(
                id=ID, names=["/fake"], image="busybox", image_id="sha256:1", command="sh", created=1,
                state="running", status="Up 1 second",
            )
        ]  # fmt: skip

    async def inspect(self, ref: str, size: bool = False) -> wire.ContainerInspect:
        self._note("inspect", ref, size)
        return wire.ContainerInspect(
            id=ID, created="2024-01-01T00:00:00Z", path="sh", args=[], state=wire.State(status="running"),
            image="sha256:1", name="/fake", host_config=HostConfig(),
            config=Config(image="busybox", hostname="h"),
            network_settings=wire.NetworkSettings(
                networks={"mine": wire.EndpointSettings(aliases=["web"]), "bridge": wire.EndpointSettings()}
            ),
        )  # fmt: skip

    async def prune(self, filters: Any) -> wire.ContainerPrune:
        self._note("prune", filters)
        return wire.ContainerPrune(containers_deleted=[ID], space_reclaimed=5)


class FakeProcesses:
    async def top(self, ref: str, arguments: str) -> wire.TopResponse:
        return wire.TopResponse(titles=["PID", "CMD"], processes=[["1", arguments]])

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[dict[str, Any]]:
        if ref == "missing":
            raise NotFound("No such container: missing")
        yield {"id": ID, "one_shot": one_shot}
        if stream:
            yield {"id": ID, "second": True}


class FakeStreams:
    """Attached connections are echoed; the end of input is said and closes them."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.followed = asyncio.Event()
        self.cancelled = asyncio.Event()

    def is_tty(self, ref: str) -> bool:
        return ref == "tty"

    async def logs(self, ref: str, request: LogsRequest) -> AsyncIterator[bytes]:
        if ref == "missing":
            raise NotFound("No such container: missing")
        self.requests.append(request)
        yield header(1, 6) + b"hello\n"
        if ref == "breaks":
            raise OSError(5, "Input/output error")
        if request.follow:
            self.followed.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()

    async def check_attach(self, ref: str, keys: str | None = None) -> None:
        if ref == "missing":
            raise NotFound("No such container: missing")

    async def attach(self, ref: str, request: AttachRequest, fd: int, prefix: bytes) -> None:
        self.requests.append(request)
        spawn("echo", echo(fd, prefix))


async def echo(fd: int, prefix: bytes) -> None:
    loop = asyncio.get_running_loop()
    assert not os.get_blocking(fd)
    with socket.socket(fileno=fd) as sock:
        sock.setblocking(False)
        await loop.sock_sendall(sock, prefix)
        while data := await loop.sock_recv(sock, 65536):
            await loop.sock_sendall(sock, data)
        await loop.sock_sendall(sock, b"<end of input>")


class FakeExecs:
    def __init__(self) -> None:
        self.created: list[execs.ExecCreate] = []
        self.detached: list[str] = []
        self.killed: list[tuple[str, str]] = []

    async def create(self, ref: str, body: execs.ExecCreate) -> str:
        if not body.cmd:
            raise InvalidArgument("No exec command specified")
        self.created.append(body)
        return "e0"

    def check_start(self, exec_id: str, body: execs.ExecStart) -> bool:
        if exec_id == "missing":
            raise NotFound("No such exec instance: missing")
        return body.tty

    async def start_detached(self, exec_id: str, body: execs.ExecStart) -> None:
        self.detached.append(exec_id)

    async def start_attached(self, exec_id: str, body: execs.ExecStart, fd: int, prefix: bytes) -> None:
        spawn("echo", echo(fd, prefix))

    async def inspect(self, exec_id: str) -> execs.ExecInspect:
        return execs.ExecInspect(
            id=exec_id, running=False, exit_code=3, process_config=execs.ProcessConfig(), container_id=ID
        )

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        return None

    async def kill(self, exec_id: str, signal: str) -> None:
        self.killed.append((exec_id, signal))


class FakeFiles:
    def __init__(self) -> None:
        self.uploaded = b""
        self.committed: dict[str, Any] = {}

    async def stat(self, ref: str, path: str) -> dict[str, Any]:
        return {"name": os.path.basename(path), "size": 3, "mode": 0o644, "mtime": "x", "linkTarget": ""}

    @asynccontextmanager
    async def archive(self, ref: str, path: str) -> AsyncIterator[Any]:
        yield await self.stat(ref, path), pieces(b"tar", b"ball")

    async def extract(self, ref: str, path: str, stream: AsyncIterator[bytes], **options: bool) -> None:
        self.uploaded = b"".join([piece async for piece in stream])

    @asynccontextmanager
    async def export(self, ref: str) -> AsyncIterator[Any]:
        yield pieces(b"whole ", b"root")

    async def changes(self, ref: str) -> Sequence[wire.Change]:
        return [wire.Change(path="/new", kind=1)] if ref != "same" else []

    async def commit(self, ref: str, **options: Any) -> str:
        self.committed = {"ref": ref, **options}
        return "sha256:new"


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class FakeImages:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.imported = b""

    def list(self, **options: Any) -> Sequence[images.ImageSummary]:
        self.calls.append(("list", options))
        return [
            images.ImageSummary(created=1, id="sha256:1", size=2, repo_tags=["busybox:latest"]),
            images.ImageSummary(created=1, id="sha256:2", size=2, containers=3),
        ]

    def inspect(self, ref: str, *, platform: str) -> images.ImageInspect:
        self.calls.append(("inspect", ref, platform))
        return images.ImageInspect(id="sha256:1", config=images.ImageConfig())

    def history(self, ref: str, *, platform: str) -> Sequence[images.HistoryItem]:
        self.calls.append(("history", ref, platform))
        return [images.HistoryItem(id="sha256:1", created=1)]

    async def import_image(self, stream: AsyncIterator[bytes], *, progress: Any, **options: Any) -> None:
        self.calls.append(("import", options))
        self.imported = b"".join([piece async for piece in stream])
        progress({"status": "sha256:1"})

    async def bootstrap(self, name: str, *, suite: str, progress: Any) -> None:
        progress({"status": f"{name} {suite}"})

    async def tag(self, ref: str, target: str) -> None:
        self.calls.append(("tag", ref, target))

    async def remove(
        self, ref: str, *, force: bool, noprune: bool, platform: str
    ) -> Sequence[images.ImageDelete]:
        self.calls.append(("remove", ref, force, noprune, platform))
        return [images.ImageDelete(untagged=ref)]

    async def prune(self, filters: Any) -> images.ImagePrune:
        return images.ImagePrune()


class FakeStore:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.calls: list[tuple[Any, ...]] = []
        self.loaded = b""

        self.saving = self._save
        self.saved = asyncio.Event()

    def _save(self, write: Callable[[bytes], None]) -> None:
        write(b"an ")
        write(b"archive")

    @asynccontextmanager
    async def save(self, refs: Sequence[str], *, platform: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.calls.append(("save", [*refs], platform))
        if "nothing" in refs:
            raise NotFound("No such image: nothing:latest")
        try:
            async with aclosing(Produced("save", lambda write: self.saving(write))) as pieces:
                yield pieces
        finally:
            self.saved.set()

    async def load(
        self, stream: AsyncIterator[bytes] | ThreadBody, *, platform: str, quiet: bool, progress: Any
    ) -> None:
        self.begun.set()
        self.calls.append(("load", platform, quiet))
        if isinstance(stream, ThreadBody):
            self.loaded = await asyncio.to_thread(self._read, stream)
        else:
            self.loaded = b"".join([piece async for piece in stream])
        progress({"stream": "Loaded image: x:1\n"})

    @staticmethod
    def _read(body: ThreadBody) -> bytes:
        data = b""
        while piece := body.read():
            data += piece
            if data.startswith(b"wrong"):
                raise InvalidArgument("this is no archive")
        return data

    async def squash(self, ref: str, *, reference: str, message: str, epoch: int | None) -> str:
        self.calls.append(("squash", ref, reference, message, epoch))
        return "sha256:2"

    async def check(self, *, repair: bool) -> images.StoreCheck:
        self.calls.append(("check", repair))
        return images.StoreCheck(images=1)


class FakeRegistries:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def pull(self, ref: str, *, platform: str, auth: Any, progress: Any) -> None:
        self.calls.append(("pull", ref, platform, auth))
        if ref.startswith("nowhere"):
            raise NotFound("manifest unknown")
        progress({"status": "Pulling from library/busybox", "id": "latest"})
        if ref.startswith("broken"):
            await asyncio.sleep(0)
            raise InvalidArgument("the digest is wrong")

    async def pull_all(self, ref: str, *, platform: str, auth: Any, progress: Any) -> None:
        self.calls.append(("pull all", ref, platform, auth))

    async def push(self, ref: str, *, all_tags: bool, platform: str, auth: Any, progress: Any) -> None:
        self.calls.append(("push", ref, all_tags, platform, auth))
        progress({"status": f"The push refers to repository [{ref}]"})

    async def login(self, auth: Any) -> registries.Login:
        self.calls.append(("login", auth))
        return registries.Login(status="Login Succeeded", identity_token="token")

    async def search(
        self, term: str, *, limit: int | None, filters: Any, auth: Any
    ) -> Sequence[registries.Found]:
        self.calls.append(("search", term, limit, filters, auth))
        return [registries.Found(name="debian", star_count=3, is_official=True)]

    async def describe(self, ref: str, auth: Any) -> registries.Distribution:
        self.calls.append(("describe", ref, auth))
        return registries.Distribution(
            descriptor=registries.Descriptor(media_type="m", digest="sha256:1", size=2),
            platforms=[registries.Platform(architecture="amd64", os="linux")],
        )

    async def manifest(self, ref: str, *, children: bool, insecure: bool, auth: Any) -> Any:
        self.calls.append(("manifest", ref, children, insecure, auth))
        descriptor = registries.Descriptor(media_type="m", digest="sha256:1", size=2)
        return registries.ManifestAnswer(
            manifest=registries.ManifestItem(ref=ref, descriptor=descriptor, raw=b"{}")
        )

    async def push_manifest(self, ref: str, body: Any, *, insecure: bool, auth: Any) -> str:
        self.calls.append(("push manifest", ref, body, insecure, auth))
        return "sha256:1"

    async def referrers(self, ref: str, artifact_type: str, auth: Any) -> registries.Referrers:
        self.calls.append(("referrers", ref, artifact_type, auth))
        return registries.Referrers(digest="sha256:1")


class FakeVolumes:
    def __init__(self) -> None:
        self.pruned: Any = None
        self.imported: Any = None

    def list(self, filters: Any) -> volumes.VolumeList:
        return volumes.VolumeList(volumes=[volumes.Volume(name="data")])

    def inspect(self, name: str) -> volumes.Volume:
        return volumes.Volume(name=name)

    async def create(self, body: volumes.VolumeCreate) -> volumes.Volume:
        return volumes.Volume(name=body.name)

    def update(self, name: str) -> None:
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"archive of "
            yield name.encode()

        yield pieces()

    async def import_(self, name: str, stream: AsyncIterator[bytes]) -> None:
        self.imported = (name, b"".join([piece async for piece in stream]))

    async def remove(self, name: str, *, force: bool) -> None:
        return None

    async def prune(self, filters: Any) -> volumes.VolumePrune:
        self.pruned = filters
        return volumes.VolumePrune()


class FakeNetworks:
    def list(self, filters: Any) -> Sequence[networks.Network]:
        return [networks.Network(name="bridge", id="b" * 64)]

    def inspect(self, ref: str, scope: str = "") -> networks.Network:
        return networks.Network(name=ref, id="b" * 64)


class FakeBuilds:
    """Builds that end at once."""

    def __init__(self) -> None:
        self.options: list[Options] = []
        self.received = b""
        self.error: Exception | None = None

    async def build(
        self,
        options: Options,
        context: AsyncIterator[bytes] | None,
        progress: Callable[[dict[str, Any]], None],
    ) -> None:
        self.options.append(options)
        if context is not None:
            self.received = b"".join([piece async for piece in context])
        progress({"stream": "Step 1/1 : FROM scratch\n"})
        if self.error is not None:
            raise self.error

    async def upload(self, stream: AsyncIterator[bytes]) -> str:
        self.received = b"".join([piece async for piece in stream])
        return "key"

    @asynccontextmanager
    async def tree(self, ref: str) -> AsyncIterator[AsyncIterator[bytes]]:
        yield pieces(ref.encode())

    def knows_context(self, key: str) -> bool:
        return key == "known"

    def keep_inputs(self, body: BuildInputs) -> str:
        return ",".join(body.secrets or ())

    async def prune(self, *, all: bool, keep: int, filters: Any) -> BuildPrune:
        return BuildPrune(caches_deleted=["one"] if all else None, space_reclaimed=keep)

    async def exported_cache(self, key: str) -> AsyncIterator[bytes]:
        yield key.encode()

    async def mount_archive(self, name: str) -> AsyncIterator[bytes]:
        yield name.encode()

    async def put_mount(self, name: str, stream: AsyncIterator[bytes]) -> None:
        self.received = b"".join([piece async for piece in stream])

    async def descriptor(self, ref: str) -> registries.Descriptor:
        return registries.Descriptor(
            media_type="application/vnd.oci.image.manifest.v1+json", digest=ref, size=1
        )

    async def usage(self, filters: Any) -> list[CacheRecord]:
        return [CacheRecord(id="one", size=5)]


class FakeSystem:
    builder_version = "2"

    def __init__(self) -> None:
        self.asked_to_end = False

    def info(self) -> system.Info:
        return system.Info(
            id="x", containers=0, containers_running=0, containers_paused=0, containers_stopped=0, images=0,
            driver="overlay", plugins=system.Plugins(), system_time="", kernel_version="6", ncpu=2,
            operating_system="Linux", architecture="x86_64", mem_total=1, docker_root_dir="/", name="here",
            server_version="0", default_runtime="wharfie", registry_config=system.RegistryConfig(),
            runtimes={"wharfie-runtime": {"path": "x", "status": {}}},
            security_options=["name=seccomp,profile=builtin"], firewall_backend=system.FirewallInfo(),
        )  # fmt: skip

    def version(self) -> system.Version:
        return system.Version(
            platform=system.Platform(name="wharfie"), version="0", api_version="1.51",
            min_api_version="1.24", os="linux", arch="amd64",
        )  # fmt: skip

    async def disk_usage(self, kinds: Sequence[str]) -> system.DiskUsage:
        return system.DiskUsage()

    async def events(self, **options: Any) -> AsyncIterator[events.Event]:
        yield events.Event(
            type="container", action="start", actor=events.Actor(id=ID), time=1, time_nano=1, status="start"
        )

    def request_shutdown(self) -> None:
        self.asked_to_end = True


class Api:
    """The real server on a socket, with the fake engine behind it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.containers = FakeContainers()
        self.checkpoints = FakeCheckpoints()
        self.streams = FakeStreams()
        self.execs = FakeExecs()
        self.files = FakeFiles()
        self.images = FakeImages()
        self.registries = FakeRegistries()
        self.store = FakeStore()
        self.volumes = FakeVolumes()
        self.builds = FakeBuilds()
        self.system = FakeSystem()
        self.server = Server(
            all_routes(
                Backends(
                    containers=self.containers,
                    checkpoints=self.checkpoints,
                    processes=FakeProcesses(),
                    streams=self.streams,
                    execs=self.execs,
                    files=self.files,
                    images=self.images,
                    registries=self.registries,
                    builds=self.builds,
                    store=self.store,
                    volumes=self.volumes,
                    networks=FakeNetworks(),
                    system=self.system,
                )
            )
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers, body."""
        reader, writer = await self.connect()
        lines = {"Host": "docker", "Content-Length": str(len(body)), "Connection": "close"}
        if body:
            lines["Content-Type"] = "application/json"
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        return parse(answer)


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Take an answer apart; chunks are joined, and a missing last chunk is an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        joined = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            if not size:
                raise EOFError("the chunks have no end")
            length = int(size, 16)
            joined += body[:length]
            body = body[length + 2 :]
            if not length:
                break
        body = joined
    return int(status.split()[1]), headers, body
