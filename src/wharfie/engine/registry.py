"""All containers in memory, by id and name, and the one way to change what the database says of them.

Everything here runs on the event loop's thread without awaiting: a name is free or taken, never in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from wharfie.engine.container import Container, Record, State, Status
from wharfie.engine.events import EventBus
from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.state.containers import ContainerRow, ContainerStore
from wharfie.state.db import StateUnwritable

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_records = msgspec.json.Decoder(Record)
_statuses = msgspec.json.Decoder(Status)
Place = Callable[[str], tuple[str, str]]


class NoSuchContainer(NotFound):
    """Nothing answers to the name or id."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such container: {ref}")


class AmbiguousId(InvalidArgument):
    """A prefix that several ids have."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"multiple IDs found with provided prefix: {ref}")


class NameInUse(Conflict):
    """Another container has the name."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


class Registry:
    """The containers of this daemon."""

    def __init__(self, store: ContainerStore, events: EventBus) -> None:
        self._store = store
        self._events = events
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}
        self._unsaved: set[str] = set()

    def load(self, place: Place) -> None:
        """Read the database; ``place`` gives a container's directories."""
        for row in self._store.all():
            directory, run_directory = place(row.id)
            container = Container(
                row.id,
                row.name,
                _records.decode(row.record),
                _statuses.decode(row.status),
                directory=directory,
                run_directory=run_directory,
            )
            self._by_id[row.id] = container
            self._by_name[row.name] = row.id

    # -- finding ------------------------------------------------------------------------------------

    def get(self, ref: str) -> Container:
        """By full id, name with or without slash, or unique prefix of an id.

        Raises:
            NoSuchContainer, AmbiguousId
        """
        found = self._by_id.get(ref)
        if found is not None:
            return found
        owner = self._by_name.get(ref.removeprefix("/"))
        if owner is not None:
            return self._by_id[owner]
        matches = [identifier for identifier in self._by_id if identifier.startswith(ref)] if ref else []
        if not matches:
            raise NoSuchContainer(ref)
        if len(matches) > 1:
            raise AmbiguousId(ref)
        return self._by_id[matches[0]]

    def all(self) -> list[Container]:
        """Every container, newest first."""
        return sorted(self._by_id.values(), key=lambda container: container.created, reverse=True)

    def knows(self, identifier: str) -> bool:
        """Whether this full id is a container's."""
        return identifier in self._by_id

    def check_name(self, name: str) -> None:
        """Raises NameInUse."""
        owner = self._by_name.get(name)
        if owner is not None:
            raise NameInUse(name, owner)

    # -- changing -----------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are one commit; nothing may be awaited in it."""
        with self._store.db.transaction():
            yield

    def add(self, container: Container) -> None:
        """Take in a new container; raises NameInUse."""
        self.check_name(container.name)
        row = ContainerRow(container.id, container.name, _text(container.record), _text(container.status))
        self._store.insert(row)
        self._by_id[container.id] = container
        self._by_name[container.name] = container.id

    def set_status(self, container: Container, status: Status) -> None:
        """Replace a status, in memory and in the database.

        What happened has happened: a disk that is full only delays that it is written down.
        """
        container.status = status
        # REMOVING lives in memory only: after a crash the container is what it was
        if status.state is not State.REMOVING and container.id in self._by_id:
            self._unsaved.add(container.id)
            self.save()

    def save(self) -> None:
        """Write the statuses that are not written yet, if that is possible now."""
        for identifier in tuple(self._unsaved):
            container = self._by_id.get(identifier)
            try:
                if container is not None and container.status.state is not State.REMOVING:
                    self._store.set_status(identifier, _text(container.status))
            except StateUnwritable as error:
                _log.warning("the state of container %s is not saved: %s", identifier[:12], error)
                return
            self._unsaved.discard(identifier)

    def set_record(self, container: Container, record: Record) -> None:
        """Replace a record, in memory and in the database."""
        self._store.set_record(container.id, _text(record))
        container.record = record

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name; raises NameInUse."""
        self.check_name(name)
        self._store.set_name(container.id, name)
        del self._by_name[container.name]
        container.name = name
        self._by_name[name] = container.id

    def remove(self, container: Container) -> None:
        """Forget a container: from now on its name is free."""
        self._store.delete(container.id)
        self._by_id.pop(container.id, None)
        if self._by_name.get(container.name) == container.id:
            del self._by_name[container.name]

    def emit(self, container: Container, action: str, attributes: Mapping[str, str] | None = None) -> None:
        """Say that something happened to a container."""
        self._events.emit("container", action, container.id, {**container.attributes(), **(attributes or {})})


def _text(value: Record | Status) -> str:
    return _encoder.encode(value).decode()
