"""Making a container: everything is checked first, then directories, volumes and one row in the database.

::

    validate ─▶ merge with the image ─▶ collect mounts ─▶ directories ─▶ volumes + container (one commit)
                                                              ▲                    │ populate empty volumes
                                                              └── undone by any failure ◀──┘
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import platform as machine
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from wharfie.engine import links, logoptions, merging, seating, surroundings, trees, validate, writable
from wharfie.engine.container import Container, Record, Status
from wharfie.engine.context import Context
from wharfie.engine.oci import namespaces
from wharfie.engine.oci.host import Host, this_host
from wharfie.engine.registry import NameInUse
from wharfie.engine.removal import uses_volume
from wharfie.errors import InternalError, InvalidArgument, NotFound, WharfieError
from wharfie.images import snapshots
from wharfie.images.image import Image, ImageNotFound
from wharfie.linux.path import open_in_root
from wharfie.network.model import Mode, ModeKind
from wharfie.support.files import remove_tree
from wharfie.support.ids import new_id, short_id
from wharfie.support.names import random_name
from wharfie.volumes import mounts
from wharfie.volumes.copyup import populate
from wharfie.volumes.model import MountPoint
from wharfie.wire.config import Config, EndpointSettings, HostConfig
from wharfie.wire.containers import CreateContainer

_log = logging.getLogger(__name__)
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class CreateResult:
    """A new container, and what its creator should know."""

    id: str
    warnings: list[str] = field(default_factory=list)


class WrongPlatform(NotFound):
    """The image is there, but not for the platform that was asked for."""


class Creation:
    """The verb ``create``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def create(self, name: str | None, body: CreateContainer, platform: str = "") -> CreateResult:
        """Make a container; the daemon's event loop waits for nothing but volumes to be populated."""
        host = this_host()
        bare = validate.name(name) if name else ""
        if bare:
            self._context.registry.check_name(bare)
        asked = msgspec.convert(body, Config, from_attributes=True)
        if not asked.image:
            raise InvalidArgument("no image is given to make the container from")
        validate.config(asked, body.host_config)
        image = self._context.images.get(asked.image)
        warnings = _check_platform(image, asked.image, platform)
        host_config = merging.host_config(body.host_config, self._context.defaults, host)
        warnings += validate.host_config(host_config, host)
        validate.network(asked, host_config)
        self._check_references(host_config)
        host_config, discarded = validate.resources(host_config, host)
        warnings += discarded
        log_options = dict(host_config.log_config.config or {})
        logoptions.check(host_config.log_config.type, log_options)
        identifier = new_id()
        config = merging.config(asked, image.config, self._default_hostname(identifier, host_config))
        path, args = merging.command(config)
        validate.working_directory(config.working_dir)
        record = Record(
            config=config,
            host_config=host_config,
            networks=self._networks(body, host_config),
            image_id=image.id,
            created=time.time_ns(),
            path=path,
            args=args,
            mounts=self._mounts(config, host_config),
            log_driver=host_config.log_config.type,
            log_options=log_options,
            userns_base=self._user_namespace(host_config),
        )
        await self._make(identifier, bare, record, image, host)
        return CreateResult(identifier, warnings)

    # -- parts --------------------------------------------------------------------------------------

    def _check_references(self, asked: HostConfig) -> None:
        """The networks and containers that are named must be there."""
        mode = Mode.parse(asked.network_mode)
        links.check(self._context, list(asked.links or ()), asked.network_mode)
        if mode.kind is ModeKind.CONTAINER:
            self._context.registry.get(mode.name)
        for other in (asked.pid_mode, asked.ipc_mode):
            if other.startswith("container:"):
                self._context.registry.get(other.removeprefix("container:"))

    def _default_hostname(self, identifier: str, asked: HostConfig) -> str:
        if asked.network_mode == "host":
            return socket.gethostname()
        mode = Mode.parse(asked.network_mode)
        if mode.kind is ModeKind.CONTAINER:
            return self._context.registry.get(mode.name).config.hostname
        return short_id(identifier)

    def _mounts(self, config: Config, asked: HostConfig) -> list[MountPoint]:
        inherited: list[MountPoint] = []
        for spec in asked.volumes_from or ():
            ref, mode = mounts.parse_volumes_from(spec)
            inherited += mounts.inherited(self._context.registry.get(ref).record.mounts, mode)
        points = mounts.collect(
            binds=asked.binds or (),
            mounts=asked.mounts or (),
            tmpfs=asked.tmpfs,
            volumes=config.volumes or (),
            inherited_points=inherited,
            volume_driver=asked.volume_driver,
        )
        return [self._with_image(point) if point.type == "image" else point for point in points]

    def _with_image(self, point: MountPoint) -> MountPoint:
        try:
            return replace(point, image=self._context.images.get(point.source).id)
        except ImageNotFound as error:
            # a 404 would have the command lines pull the container's own image
            raise InvalidArgument(f'invalid mount config for type "image": {error.message}') from None

    def _networks(self, body: CreateContainer, asked: HostConfig) -> dict[str, EndpointSettings]:
        """What is asked of each network, by its name; the networks must be there, and able to give it."""
        given = (body.networking_config.endpoints_config or {}) if body.networking_config else {}
        mode = Mode.parse(asked.network_mode)
        if mode.kind is ModeKind.CONTAINER:
            if given:
                raise InvalidArgument(
                    "conflicting options: a container that joins another one's network has none of its own"
                )
            return {}
        networks = self._context.networks
        found: dict[str, EndpointSettings] = {}
        for ref, settings in given.items():
            network = networks.get("bridge" if ref == "default" else ref)
            found[network.name] = _plain(settings or EndpointSettings())
        own = networks.get(mode.name).name
        if body.mac_address and own not in found:
            found[own] = EndpointSettings(mac_address=body.mac_address)
        if len(found.keys() | {own}) > 1 and mode.kind in (ModeKind.HOST, ModeKind.NONE):
            raise InvalidArgument(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            )
        for name, settings in (found or {own: EndpointSettings(mac_address=body.mac_address)}).items():
            try:
                networks.check(name, seating.wish_of(settings, asked))
            except InvalidArgument as error:
                raise InvalidArgument(f"invalid config for network {name}: {error}") from None
        return found

    def _user_namespace(self, asked: HostConfig) -> int:
        if asked.userns_mode != "private":
            return 0
        return namespaces.free_base(merging.taken_bases(self._context.registry.all()))

    async def _make(self, identifier: str, name: str, record: Record, image: Image, host: Host) -> None:
        directory = self._context.paths.container(identifier)
        try:
            os.mkdir(directory, 0o710)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(directory), 0o710, exist_ok=True)
            os.mkdir(directory, 0o710)
        container = None
        made: list[str] = []
        try:
            await self._prepare(directory, image, record)
            with self._context.registry.transaction():
                record = msgspec.structs.replace(record, mounts=self._volumes(record.mounts, made))
                container = self._add(identifier, name, record, directory)
            async with container.lock:
                await self._populate(container, image)
        except BaseException as error:
            if container is not None and self._context.registry.knows(identifier):
                self._context.registry.remove(container)
            await self._undo(directory, made)
            if isinstance(error, OSError):
                raise InternalError(f"making a container failed: {error}") from error
            raise
        surroundings.made(self._context, made)
        self._context.registry.emit(container, "create")

    async def _prepare(self, directory: str, image: Image, record: Record) -> None:
        size = writable.asked_size(record.host_config.storage_opt)
        templates = self._context.paths.templates
        if size:
            await asyncio.to_thread(writable.prepare, directory, image.lower, size, templates)
        else:
            writable.prepare(directory, image.lower, size, templates)

    def _add(self, identifier: str, name: str, record: Record, directory: str) -> Container:
        for attempt in range(100):
            container = Container(
                identifier,
                name or random_name(attempt),
                record,
                Status(),
                directory=directory,
                run_directory=self._context.paths.run(identifier),
            )
            try:
                self._context.registry.add(container)
            except NameInUse:
                if name:
                    raise
                continue
            return container
        raise InternalError("no free container name was found in 100 attempts; give one with --name")

    def _volumes(self, points: list[MountPoint], made: list[str]) -> list[MountPoint]:
        """The mount points with the directories of their volumes, which are made where missing."""
        found = []
        known = {volume.name for volume in self._context.volumes.list()} if _any_volume(points) else set()
        for point in points:
            if point.type == "volume":
                volume = self._context.volumes.ensure(
                    point.name,
                    anonymous=point.anonymous,
                    driver=point.driver,
                    options=point.driver_options,
                    labels=point.labels,
                )
                if volume.name not in known:
                    made.append(volume.name)
                point = replace(point, source=volume.mountpoint, driver=volume.driver)
            found.append(point)
        return found

    async def _populate(self, container: Container, image: Image) -> None:
        """Fill empty volumes with what the image has in their places."""
        places: list[tuple[str, Callable[[], int], str]] = []
        for point in container.record.mounts:
            if point.type != "volume" or not point.copy or point.subpath:
                continue
            work = trees.opener(self._context, point)
            if work is not None:
                places.append((point.destination, work, ""))
            elif not os.listdir(point.source):
                opens = partial(os.open, point.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                places.append((point.destination, opens, os.path.dirname(point.source)))
        if places:
            await asyncio.to_thread(_copy_up, image.lower, container, places)

    async def _undo(self, directory: str, volumes: list[str]) -> None:
        for name in volumes:
            # another container may have been made with it meanwhile
            users = [other.id for other in self._context.registry.all() if uses_volume(other, name)]
            try:
                await self._context.volumes.remove(name, users=users, force=True)
            except WharfieError as error:
                _log.warning("volume %s of a container that could not be made stays: %s", name, error)
        await asyncio.to_thread(remove_tree, directory)


def _any_volume(points: list[MountPoint]) -> bool:
    return any(point.type == "volume" for point in points)


def _copy_up(
    lower: list[str], container: Container, places: Sequence[tuple[str, Callable[[], int], str]]
) -> None:
    """Give volumes their first content. A place: destination, what opens the volume, where to stage it."""
    with writable.opened(container) as own:
        root = snapshots.mount_read_only(lower, own.upper)
    try:
        for destination, opens, beside in places:
            try:
                source = open_in_root(root, destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                _fill(source, opens, beside)
            finally:
                os.close(source)
    finally:
        os.close(root)


def _fill(source: int, opens: Callable[[], int], beside: str) -> None:
    tree = opens()
    try:
        # a detached mount is no directory that can be read (O_PATH)
        target = os.open(f"/proc/self/fd/{tree}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            populate(target, source, beside)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
        finally:
            os.close(target)
    finally:
        os.close(tree)


def _check_platform(image: Image, ref: str, platform: str) -> list[str]:
    """Docker's warning for an image of another platform; WrongPlatform where one was asked for."""
    own = f"linux/{_GO_ARCHITECTURES.get(machine.machine(), machine.machine())}"
    actual = f"{image.os or 'linux'}/{image.architecture or own.partition('/')[2]}"
    if platform:
        wanted = platform if "/" in platform else f"linux/{platform}"
        if "/".join(wanted.split("/")[:2]) != actual:
            raise WrongPlatform(
                f"image with reference {ref} was found but does not match the specified platform: "
                f"wanted {wanted}, actual: {actual}"
            )
        return []
    if actual != own:
        return [
            f"The requested image's platform ({actual}) does not match the detected host platform ({own}) "
            "and no specific platform was requested"
        ]
    return []


def _plain(asked: EndpointSettings) -> EndpointSettings:
    """Only what can be asked for: a client may send back what it was shown."""
    return EndpointSettings(
        ipam_config=asked.ipam_config,
        links=asked.links,
        aliases=asked.aliases,
        mac_address=asked.mac_address,
        driver_opts=asked.driver_opts,
        gw_priority=asked.gw_priority,
    )
