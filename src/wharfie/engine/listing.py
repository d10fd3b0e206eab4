"""``docker ps``: which containers, and what is told of each."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from wharfie.engine import endpoints, filters, publishing, writable
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.words import mount_points, status_words
from wharfie.errors import InvalidArgument, NotFound
from wharfie.images.store import ImageStore
from wharfie.wire.containers import (
    ContainerSummary,
    HostConfigSummary,
    NetworkSettingsSummary,
    Port,
)

_FALSE = frozenset(("0", "false", "False"))


class Listing:
    """The verb ``list``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(
        self, *, all: bool, limit: int | None, size: bool, filters: Mapping[str, Sequence[str]]
    ) -> builtins.list[ContainerSummary]:
        """Newest first; the running ones unless ``all``, a limit or a filter on the state say otherwise."""
        most = limit if limit is not None and limit > 0 else None
        chosen = [*islice(self._chosen(all or most is not None, filters), most)]
        sizes: dict[str, int] = {}
        if size:
            for container in chosen:
                # a container may have written millions of files
                sizes[container.id] = await asyncio.to_thread(writable.written_size, container)
            chosen = [container for container in chosen if self._context.registry.knows(container.id)]
        names = _ImageNames(self._context.images)
        return [self._summary(container, names, sizes.get(container.id)) for container in chosen]

    def _chosen(self, all: bool, given: Mapping[str, Sequence[str]]) -> Iterator[Container]:
        filters.check(given, filters.LISTED)
        states, codes = filters.statuses(given), filters.exit_codes(given)
        for value in given.get("health", ()):
            if value not in ("none", "starting", "healthy", "unhealthy"):
                raise InvalidArgument(f"unrecognized filter value for health: {value}")
        for kind in ("publish", "expose"):
            for value in given.get(kind, ()):
                _check_ports(kind, value)
        tasks = given.get("is-task", ())
        if tasks and all_true(tasks):
            return
        images = self._ancestors(given.get("ancestor", ()))
        before = self._moment(given.get("before", ()))
        since = self._moment(given.get("since", ()))
        for container in self._context.registry.all():
            status = container.status
            if not (status.active or all or states or codes):
                continue
            if states and status.state.value not in states:
                continue
            if codes and (status.exit_code not in codes or status.running or not status.started_at):
                continue
            if before is not None and container.created >= before:
                continue
            if since is not None and container.created <= since:
                continue
            if images is not None and not self._descends(container, images):
                continue
            if self._matches(container, given):
                yield container

    def _matches(self, container: Container, given: Mapping[str, Sequence[str]]) -> bool:
        ids, names = given.get("id", ()), given.get("name", ())
        if ids and not any(container.id.startswith(item) for item in ids):
            return False
        if names and not filters.matches_name(names, container.name):
            return False
        wanted = given.get("health", ())
        if wanted and (container.health.status if container.health else "none") not in wanted:
            return False
        if not filters.has_labels(given.get("label", ()), container.config.labels or {}):
            return False
        volumes = given.get("volume", ())
        if volumes and not any(
            item in (point.name, point.source, point.destination)
            for item in volumes
            for point in container.record.mounts
        ):
            return False
        exposed = given.get("expose", ())
        if exposed and not any(
            _is_port(item, port) for item in exposed for port in container.config.exposed_ports or ()
        ):
            return False
        published = given.get("publish", ())
        if published:
            seats = self._context.networks.endpoints(container.id)
            names = [one.name for seat in seats for one in seat.published]
            names += [name for name, wanted in (container.host_config.port_bindings or {}).items() if wanted]
            if not any(_is_port(item, name) for item in published for name in names):
                return False
        networks = given.get("network", ())
        if networks:
            joined = endpoints.of_container(self._context, container)
            return any(
                item == name or (seat.network_id and seat.network_id.startswith(item))
                for item in networks
                for name, seat in joined.items()
            )
        return True

    def _ancestors(self, refs: Sequence[str]) -> builtins.list[tuple[str, builtins.list[str]]] | None:
        """Id and layers of each image named; those unknown match nothing."""
        if not refs:
            return None
        found = []
        for ref in refs:
            try:
                image = self._context.images.get(ref)
            except NotFound:
                continue
            found.append((image.id, image.diff_ids))
        return found

    def _descends(self, container: Container, images: builtins.list[tuple[str, builtins.list[str]]]) -> bool:
        for identifier, layers in images:
            if container.image_id == identifier:
                return True
            try:
                own = self._context.images.by_id(container.image_id).diff_ids
            except NotFound:
                continue
            if layers and own[: len(layers)] == layers:
                return True
        return False

    def _moment(self, refs: Sequence[str]) -> int | None:
        return self._context.registry.get(refs[0]).created if refs else None

    def _summary(self, container: Container, names: _ImageNames, own: int | None) -> ContainerSummary:
        status, config = container.status, container.config
        seats = endpoints.of_container(self._context, container)
        return ContainerSummary(
            id=container.id,
            names=[f"/{container.name}"],
            image=names.of(container),
            image_id=container.image_id,
            command=command_text(container),
            created=container.created // 1_000_000_000,
            ports=self._ports(container) if status.running else [],
            size_rw=own or 0,
            size_root_fs=0 if own is None else own + self._context.images.by_id(container.image_id).size,
            labels=config.labels or {},
            state=status.state.value,
            status=status_words(status, health=container.health),
            host_config=HostConfigSummary(
                network_mode=container.host_config.network_mode,
                annotations=container.host_config.annotations,
            ),
            network_settings=NetworkSettingsSummary(
                networks={
                    # as Docker: what it is called there is for an inspection to tell
                    name: msgspec.structs.replace(seat, aliases=None, dns_names=None)
                    for name, seat in seats.items()
                }
            ),
            mounts=mount_points(container),
        )

    def _ports(self, container: Container) -> builtins.list[Port]:
        seats = self._context.networks.endpoints(container.id)
        return publishing.listed(
            container.config.exposed_ports or (), [one for seat in seats for one in seat.published]
        )


class _ImageNames:
    """What containers' images are called; each name is looked up once."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._found: dict[str, str] = {}

    def of(self, container: Container) -> str:
        """As it was named, while that name still stands for the same image; its id otherwise."""
        name = container.config.image
        identifier = self._found.get(name)
        if identifier is None:
            try:
                identifier = self._images.find(name)[0].id
            except NotFound:
                identifier = ""
            self._found[name] = identifier
        return name if identifier == container.image_id else container.image_id


def all_true(values: Sequence[str]) -> bool:
    """Whether a boolean filter asks for yes."""
    return not any(value in _FALSE for value in values)


def command_text(container: Container) -> str:
    """Program and arguments in a row; arguments with blanks in quotes, as Docker shows them."""
    words = [container.record.path]
    for argument in container.record.args:
        words.append(f"'{argument}'" if " " in argument else argument)
    return " ".join(words)


def _check_ports(kind: str, value: str) -> None:
    for part in value.partition("/")[0].split("-"):
        if not (part.isascii() and part.isdigit()):
            problem = f'strconv.ParseUint: parsing "{part}": invalid syntax'
            raise InvalidArgument(f"error while looking up for {kind} {value}: {problem}")


def _is_port(wanted: str, port: str) -> bool:
    found = publishing.number_of(port)
    span, _, kind = wanted.partition("/")
    first, _, last = span.partition("-")
    low, high = publishing.number_of(first), publishing.number_of(last or first)
    if found is None or low is None or high is None or (kind and kind != found[1]):
        return False
    return low[0] <= found[0] <= high[0]
