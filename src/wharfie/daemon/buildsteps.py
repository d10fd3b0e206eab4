"""A build's ``RUN`` on the engine: the way of a container's start, without a container.

::

    Step ─▶ Container (in no registry, in no database) ─▶ launch ─▶ output by two sockets ─▶ exit code
                                                            └── the end: address, cgroup, run directory go

It is found by nobody: not by ``ps``, not by a name. A daemon that dies meanwhile leaves a monitor of
nobody's, which the next one ends (engine/recovery.py).
"""

from __future__ import annotations

import asyncio
import os
import socket

from wharfie.build.running import Output, Step, cut
from wharfie.engine import filesets, merging, seating
from wharfie.engine.container import Container, Record, Status
from wharfie.engine.context import Context
from wharfie.engine.failures import start_failure
from wharfie.engine.oci.config import Circumstances, capability_names, specification
from wharfie.engine.oci.filters import Filters
from wharfie.engine.oci.host import this_host
from wharfie.engine.oci.security import parse_security
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.monitor.client import Attachment, LaunchRequest, MonitorLink
from wharfie.network.model import Mode, ModeKind, interfaces
from wharfie.support.files import remove_tree
from wharfie.support.ids import short_id
from wharfie.support.tasks import spawn
from wharfie.volumes.model import MountPoint
from wharfie.wire.config import Config, HostConfig, Ulimit

_PIECE = 1 << 16
_KILL = 9


class StepRunner:
    """Runs steps."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._filters = Filters(context.seccomp, context.defaults.seccomp_profile)

    async def run(self, step: Step, output: Output) -> int:
        """Run it to its end; its exit code. Raises StartFailed, and kills it when cancelled."""
        container = self._container(step)
        try:
            return await self._run(step, container, output)
        finally:
            self._context.networks.disconnect(container.id)
            await asyncio.shield(asyncio.to_thread(remove_tree, container.run_directory))

    async def _run(self, step: Step, container: Container, output: Output) -> int:
        pairs = [socket.socketpair(), socket.socketpair()]
        readers: list[asyncio.Task[None]] = []
        try:
            try:
                request = self._request(step, container)
                request.attachments = [
                    Attachment(stdout=True, stderr=False),
                    Attachment(stdout=False, stderr=True),
                ]
                networks = self._context.networks
                await networks.departures.over(networks.endpoints(container.id))
                link = await self._context.spawner.launch(request, [theirs.fileno() for _, theirs in pairs])
            except (WharfieError, OSError) as error:
                raise start_failure(error)[0] from error
            for ours, theirs in pairs:
                theirs.close()
                readers.append(spawn(f"read step {short_id(step.id)}", _read(ours, output)))
            code = await self._ended(link)
            await asyncio.gather(*readers)
            return code
        finally:
            for reader in readers:
                reader.cancel()
            for pair in pairs:
                for end in pair:
                    end.close()

    async def _ended(self, link: MonitorLink) -> int:
        try:
            return (await asyncio.shield(link.exited)).exit_code
        except asyncio.CancelledError:
            await asyncio.shield(spawn("end a step", _kill(link)))
            raise
        finally:
            link.close()

    def _container(self, step: Step) -> Container:
        limits = step.limits
        asked = HostConfig(
            network_mode="bridge" if step.network == "default" else step.network,
            extra_hosts=step.hosts or None,
            privileged=step.insecure,
            shm_size=limits.shm_size,
            memory=limits.memory,
            memory_swap=limits.memory_swap,
            cpu_shares=limits.cpu_shares,
            cpu_period=limits.cpu_period,
            cpu_quota=limits.cpu_quota,
            cpuset_cpus=limits.cpuset_cpus,
            cpuset_mems=limits.cpuset_mems,
            cgroup_parent=limits.cgroup_parent,
            security_opt=limits.security_opt or None,
            ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in limits.ulimits] or None,
            auto_remove=True,
        )
        config = Config(
            hostname=short_id(step.id),
            user=step.user,
            env=step.env,
            working_dir=step.directory,
            cmd=step.words,
        )
        if not step.words:
            raise InvalidArgument("no command specified")
        record = Record(
            config=config,
            host_config=merging.host_config(asked, self._context.defaults, this_host()),
            image_id="",
            created=0,
            path=step.words[0],
            args=step.words[1:],
            mounts=[
                _point(bind.kind, bind.source, bind.target, bind.writable, bind.size) for bind in step.binds
            ],
            log_driver="none",
        )
        run = self._context.paths.run(step.id)
        return Container(step.id, step.id, record, Status(), directory=step.bundle, run_directory=run)

    def _request(self, step: Step, container: Container) -> LaunchRequest:
        asked, defaults, host = container.host_config, self._context.defaults, this_host()
        security = parse_security(asked.security_opt or [], host)
        os.makedirs(container.run_directory, 0o700, exist_ok=True)
        networks = self._context.networks
        if Mode.parse(asked.network_mode).kind is ModeKind.CONTAINER:
            raise InvalidArgument("a build cannot join the network of a container")
        seats = seating.take(self._context, container)
        embedded = seating.embedded(seats)
        found = interfaces(seats)
        if embedded:
            seating.inform(self._context, container, seats)
            if found:
                found[0]["porter"] = [networks.porter.path, container.id]
        parent = asked.cgroup_parent or defaults.cgroup_parent
        cgroup = f"/{parent.strip('/')}/{container.id}"
        now = Circumstances(
            hostname=container.config.hostname,
            points=list(container.record.mounts),
            files=filesets.write(container, networks.files, seats, embedded=embedded),
            cgroup=cgroup,
            ulimits=defaults.ulimits,
            no_new_privileges=defaults.no_new_privileges,
        )
        names = capability_names(asked, host)
        return LaunchRequest(
            id=container.id,
            spec=specification(container, security, host, now),
            bundle=container.directory,
            directory=container.run_directory,
            log={"driver": "none", "path": "", "max_size": 0, "max_file": 1, "attrs": {}},
            rootfs={"lower": step.lower, "upper": step.upper, "work": step.work, "volatile": True},
            cgroup=cgroup,
            interfaces=found,
            seccomp_path=self._filters.path(security, names, privileged=asked.privileged),
        )


def _point(kind: str, source: str, target: str, writable: bool, size: int) -> MountPoint:
    if kind == "tmpfs":
        options = (f"size={size}",) if size else ()
        return MountPoint(type="tmpfs", destination=target, options=options)
    return MountPoint(type="bind", destination=target, source=source, rw=writable, recursive=False)


async def _read(sock: socket.socket, output: Output) -> None:
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    held = b""
    while data := await loop.sock_recv(sock, _PIECE):
        held += data
        end = cut(held)
        if end:
            output(held[:end])
        held = held[end:]
    if held:
        output(held)


async def _kill(link: MonitorLink) -> None:
    try:
        await link.signal(_KILL)
    except WharfieError:
        return  # it has ended by itself
    await link.exited
