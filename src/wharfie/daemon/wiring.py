"""Puts the parts together: the only place that knows them all.

Built from the bottom up, the sockets last: who can connect finds a daemon that has recovered its
containers. Taken down in the opposite order, every step tried; containers and their monitors are left
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wharfie.api.answers import set_experimental
from wharfie.api.backends import Backends
from wharfie.api.server import Server
from wharfie.api.services.builds import BuildService
from wharfie.api.services.images import ImageService
from wharfie.api.services.networks import NetworkService
from wharfie.api.services.processes import ProcessService
from wharfie.api.services.registries import RegistryService
from wharfie.api.services.store import StoreService
from wharfie.api.services.volumes import VolumeService
from wharfie.api.table import all_routes
from wharfie.build.builder import Builder
from wharfie.daemon import reloading
from wharfie.daemon.buildsteps import StepRunner
from wharfie.daemon.config import Config
from wharfie.daemon.pidfile import PidFile
from wharfie.daemon.sockets import Listener, open_listeners, take_passed
from wharfie.engine.attach import Streams
from wharfie.engine.commit import ContainerFiles
from wharfie.engine.containers import Containers
from wharfie.engine.context import EngineDefaults, EnginePaths
from wharfie.engine.events import EventBus
from wharfie.engine.execs import Execs
from wharfie.engine.spawners import SpawnerHolder
from wharfie.engine.system import System, SystemFacts
from wharfie.errors import WharfieError
from wharfie.images.distribution import Distribution
from wharfie.images.registry.settings import Proxies, Settings
from wharfie.images.store import ImageStore
from wharfie.network.manager import NetworkManager, NetworkSettings
from wharfie.network.porter import PorterProcess
from wharfie.network.refusals import Refusal, Refusals
from wharfie.network.ruleswatch import RulesWatch
from wharfie.runtime.seccomp_cache import ProgramCache
from wharfie.state.containers import ContainerStore
from wharfie.state.db import Database
from wharfie.support.tasks import cancel_all, spawn
from wharfie.volumes.manager import VolumeManager

_log = logging.getLogger(__name__)
_REPAIR_INTERVAL = 30.0


class RunningDaemon:
    """A daemon that serves, in this process."""

    def __init__(self, config: Config, ended: asyncio.Event) -> None:
        self.config = config
        self.ended = ended
        """Set when somebody asked for the daemon's end."""
        self.undo = contextlib.AsyncExitStack()
        self.passed = take_passed()
        self.containers: Containers
        self.images: ImageStore
        self.distribution: Distribution
        self.system: System
        self.events: EventBus

    def on_close(self, what: str, step: Callable[[], Awaitable[None] | None]) -> None:
        """Note how to take a part down; a failure is logged and stops nothing."""

        async def guarded() -> None:
            try:
                result = step()
                if result is not None:
                    await result
            except Exception:
                _log.exception("at the daemon's end: %s", what)

        self.undo.push_async_callback(guarded)

    def reload(self, words: Sequence[str]) -> None:
        """Read the configuration again and change what may change; what cannot be is only logged."""
        try:
            config = self.config = reloading.reread(self.config, words)
        except WharfieError as error:
            _log.error("the configuration is not reloaded: %s", error)
            return
        reloading.set_level(config)
        self.distribution.reconfigure(_registries(config))
        self.system.reconfigure(
            debug=config.debug,
            labels=config.labels,
            insecure_registries=config.insecure_registries,
            registry_mirrors=config.registry_mirrors,
            buildkit=config.buildkit,
        )
        told = {"name": socket.gethostname(), **reloading.attributes(config)}
        self.events.emit("daemon", "reload", self.system.id, told)
        _log.info("the configuration is reloaded: %s", told)

    async def close(self) -> None:
        """Stop serving. Containers live on."""
        await self.undo.aclose()


async def serve(config: Config, ended: asyncio.Event | None = None) -> RunningDaemon:
    """Start a daemon in this process.

    Raises:
        WharfieError: it cannot run; what was begun is undone.
    """
    daemon = RunningDaemon(config, ended or asyncio.Event())
    try:
        await _build(daemon)
    except BaseException:
        await daemon.close()
        raise
    return daemon


async def _build(daemon: RunningDaemon) -> None:
    config = daemon.config
    if config.ignored:
        _log.warning("nothing is done for these directives: %s", ", ".join(config.ignored))
    _make_directories(config)
    for path, what in (
        (config.pid_path, f"the pidfile {config.pid_path}"),
        (f"{config.data_root}/daemon.lock", f"the data root {config.data_root}"),
    ):
        daemon.on_close("release a lock", PidFile(path, what).release)
    database = Database(f"{config.data_root}/state.db")
    daemon.on_close("close the database", database.close)
    images = daemon.images = ImageStore(config.data_root, database)
    volumes = VolumeManager(database, f"{config.data_root}/volumes")
    volumes.recover()
    events = daemon.events = EventBus()
    porter = PorterProcess(config.exec_root)
    daemon.on_close("let go of the porter", porter.close)
    networks = _networks(config, database, porter)
    spawner = SpawnerHolder(
        exec_root=config.exec_root,
        interpreter=[sys.executable],
        log_path=f"{config.exec_root}/spawner.log",
    )
    daemon.on_close("end the background tasks", cancel_all)
    daemon.on_close("end the spawner", spawner.close)
    await spawner.start()
    containers = daemon.containers = Containers(
        paths=EnginePaths(config.data_root, config.exec_root),
        store=ContainerStore(database),
        images=images,
        networks=networks,
        volumes=volumes,
        spawner=spawner,
        events=events,
        seccomp=ProgramCache(f"{config.data_root}/seccomp"),
        defaults=_defaults(config),
    )
    daemon.on_close("let go of the monitors", containers.close)
    networks.ports.container_name = _name_of(containers)
    porter.on_event = _told(containers)
    porter.on_loss = lambda: spawn("tell another porter", containers.networking.porter_lost())
    await porter.find()
    await containers.recover()
    refusals = Refusals(_refused(containers, networks))
    daemon.on_close("hear of refusals no more", refusals.close)
    watch = RulesWatch(lambda: _mend(networks))
    daemon.on_close("watch the rules no more", watch.close)
    daemon.on_close("remove the networks of nobody", lambda: _tidy(containers, networks))
    backends = _backends(daemon, networks, volumes, events)
    spawn("keep in order", _keep_in_order(networks, containers))
    await _listen(daemon, backends, events)


def _networks(config: Config, database: Database, porter: PorterProcess) -> NetworkManager:
    settings = NetworkSettings(
        bridge=config.bridge,
        bip=config.bip,
        subnet6=config.subnet6,
        fixed_cidr=config.fixed_cidr,
        default_gateway=config.default_gateway,
        default_gateway6=config.default_gateway6,
        mtu=config.mtu,
        icc=config.icc,
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
        host_gateway=config.host_gateway,
        host_binding=config.host_binding,
        host_rules=config.publish_firewall == "host",
        firewall=config.iptables,
        forward=config.ip_forward,
        masquerade=config.ip_masq,
        pools=config.address_pools,
    )
    return NetworkManager(database, exec_root=config.exec_root, settings=settings, porter=porter)


def _backends(
    daemon: RunningDaemon, networks: NetworkManager, volumes: VolumeManager, events: EventBus
) -> Backends:
    config, containers, images = daemon.config, daemon.containers, daemon.images
    facts = SystemFacts(
        data_root=config.data_root,
        debug=config.debug,
        experimental=config.experimental,
        labels=config.labels,
        log_driver=config.log_driver,
        insecure_registries=config.insecure_registries,
        registry_mirrors=config.registry_mirrors,
        proxies=(config.http_proxy, config.https_proxy, config.no_proxy),
        firewall="nftables" if config.iptables else "none",
        pools=tuple((str(base), size) for base, size in config.address_pools),
        buildkit=config.buildkit,
        request_shutdown=daemon.ended.set,
    )
    distribution = daemon.distribution = Distribution(images, _registries(config))
    builder = Builder(images, StepRunner(containers._context), config.data_root, config.exec_root)
    system = daemon.system = System(
        facts=facts, containers=containers, images=images, volumes=volumes, events=events
    )
    return Backends(
        containers=containers,
        checkpoints=containers.checkpoints,
        processes=ProcessService(containers._context.registry),
        streams=Streams(containers),
        execs=Execs(containers),
        files=ContainerFiles(containers, images),
        images=ImageService(images, distribution, system, events),
        registries=RegistryService(distribution, events),
        store=StoreService(images, system, events),
        builds=BuildService(
            builder, images, distribution, events, lambda: config.host_gateway or networks.gateway
        ),
        volumes=VolumeService(volumes, containers.volume_files, system, events),
        networks=NetworkService(networks, containers),
        system=system,
    )


async def _listen(daemon: RunningDaemon, backends: Backends, events: EventBus) -> None:
    config = daemon.config
    listeners: list[Listener] = []

    def remove() -> None:
        for listener in listeners:
            listener.remove()

    daemon.on_close("remove the sockets", remove)
    for host in config.sockets:
        listeners += open_listeners(host, group=config.group, tls=config.tls, passed=daemon.passed)
    set_experimental(config.experimental)
    server = Server(all_routes(backends))
    daemon.on_close("stop serving", server.close)
    daemon.on_close("end the event streams", events.close)
    for listener in listeners:
        await server.listen(listener.socket, listener.tls)
        _log.info("the API listens on %s", listener.name)
    if config.metrics_address:
        from wharfie.daemon import metrics

        published = await metrics.listen(config.metrics_address, daemon.system, daemon.containers, events)
        daemon.on_close("stop serving metrics", published.close)


def _make_directories(config: Config) -> None:
    os.umask(0o022)
    for path, mode in (
        (config.data_root, 0o711),
        (f"{config.data_root}/containers", 0o711),
        (f"{config.data_root}/seccomp", 0o700),
        (f"{config.data_root}/tmp", 0o700),
        (config.exec_root, 0o711),
        (f"{config.exec_root}/containers", 0o700),
    ):
        os.makedirs(path, mode=mode, exist_ok=True)
        os.chmod(path, mode)


def _registries(config: Config) -> Settings:
    return Settings(
        mirrors=config.registry_mirrors,
        insecure=config.insecure_registries,
        proxies=Proxies(config.http_proxy, config.https_proxy, config.no_proxy),
        downloads=config.max_concurrent_downloads,
        uploads=config.max_concurrent_uploads,
        attempts=config.max_download_attempts,
    )


def _defaults(config: Config) -> EngineDefaults:
    return EngineDefaults(
        log_driver=config.log_driver,
        log_opts=config.log_opts,
        cgroup_parent=config.cgroup_parent,
        shm_size=config.shm_size,
        ipc_mode=config.ipc_mode,
        cgroupns_mode=config.cgroupns_mode,
        init=config.init,
        init_path=config.init_path,
        ulimits=config.ulimits,
        no_new_privileges=config.no_new_privileges,
        seccomp_profile=config.seccomp_profile,
        experimental=config.experimental,
    )


def _mend(networks: NetworkManager) -> None:
    try:
        networks.repair()
    except Exception as error:
        _log.warning("the network cannot be repaired: %s", error)


async def _keep_in_order(networks: NetworkManager, containers: Containers) -> None:
    """Put the firewall back when another program flushed it; write what a full disk did not take."""
    while True:
        await asyncio.sleep(_REPAIR_INTERVAL)
        containers.registry.save()
        _mend(networks)


def _name_of(containers: Containers) -> Callable[[str], str]:
    def name(identifier: str) -> str:
        known = containers.registry.knows(identifier)
        return containers.get(identifier).name if known else identifier[:12]

    return name


def _told(containers: Containers) -> Callable[[dict[str, Any]], None]:
    """What the porter has to tell."""

    def told(event: dict[str, Any]) -> None:
        identifier = event.get("container", "")
        if event.get("event") == "refused" and containers.registry.knows(identifier):
            containers.emit(containers.get(identifier), "egress-refused", destination=event["name"])

    return told


def _refused(containers: Containers, networks: NetworkManager) -> Callable[[Refusal], None]:
    """A packet that an allow-list kept in, as an event of its container."""

    def refused(refusal: Refusal) -> None:
        for seat in networks.store.all():
            if refusal.source in (seat.address, seat.address6) and containers.registry.knows(seat.container):
                containers.emit(
                    containers.get(seat.container),
                    "egress-refused",
                    destination=refusal.destination,
                    protocol=refusal.protocol,
                    port=str(refusal.port),
                )
                return

    return refused


def _tidy(containers: Containers, networks: NetworkManager) -> None:
    """Where no container runs, nothing of ours stays in the kernel while no daemon does."""
    if not any(container.status.running for container in containers.all()):
        networks.teardown()
