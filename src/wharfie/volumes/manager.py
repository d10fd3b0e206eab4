"""The daemon's volumes: named and anonymous directories below ``<data-root>/volumes``.

::

    create   directory <name>/_data → row in the database
    remove   directory renamed to .removed-<hex> → row → directory      recover() sweeps what a crash left

A directory without a row (the database was lost, or a crash came in between) is a volume again after
recover(): what somebody kept in it is worth more than our bookkeeping.

What the options mean is said in ``options.py``, and what is mounted from a volume in ``trees.py``.
Who uses a volume is the engine's knowledge: it says so to :meth:`remove` and :meth:`prune`.
"""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from wharfie.errors import InternalError, InvalidArgument
from wharfie.state.db import Database
from wharfie.support import json
from wharfie.support.faults import point
from wharfie.support.files import remove_tree
from wharfie.support.ids import new_id
from wharfie.volumes import disks
from wharfie.volumes.copyup import STAGING
from wharfie.volumes.model import (
    DriverNotFound,
    InvalidVolume,
    Volume,
    VolumeInUse,
    VolumeNotFound,
)
from wharfie.volumes.options import Kind, check, kind
from wharfie.volumes.usage import directory_size

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_REMOVED = ".removed-"
_ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune removed."""

    names: tuple[str, ...]
    bytes: int


class VolumeManager:
    """The ``local`` driver and the catalog of volumes."""

    def __init__(self, db: Database, root: str) -> None:
        """``root`` is ``<data-root>/volumes``; it is made when the first volume is."""
        self._db = db
        self._root = root

    def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give the one of this name, whatever its options; without a name it is anonymous.

        Raises:
            InvalidVolume: the name or the options cannot be.
            DriverNotFound: there is no such driver.
        """
        anonymous = not name
        name = name or new_id()
        if driver not in ("", "local"):
            raise DriverNotFound(name, driver)
        options = dict(options or {})
        _check_name(name)
        try:
            check(options)
        except InvalidArgument as error:
            raise InvalidVolume(f"create {name}: {error}") from None
        known = self._load(name)
        if known is not None:
            return known
        labels = dict(labels or {})
        if anonymous:
            labels[_ANONYMOUS_LABEL] = ""
        return self._make(name, options, labels, time.time_ns())

    def ensure(
        self,
        name: str,
        *,
        anonymous: bool,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """The volume of a container's mount point, made if it is not there; raises as :meth:`create`."""
        marked = {**(labels or {}), _ANONYMOUS_LABEL: ""} if anonymous else labels
        return self.create(name, driver=driver, options=options, labels=marked)

    def get(self, name: str) -> Volume:
        """A volume by its name; raises VolumeNotFound."""
        volume = self._load(name)
        if volume is None:
            raise VolumeNotFound(name)
        return volume

    def find(self, name: str) -> Volume | None:
        """A volume by its name, or None."""
        return self._load(name)

    def list(self) -> list[Volume]:
        """All volumes by name."""
        rows = self._db.rows("SELECT name, record FROM volumes ORDER BY name")
        return [self._read(name, record) for name, record in rows]

    async def remove(self, name: str, *, users: Sequence[str] = (), force: bool = False) -> None:
        """Remove a volume and what it holds (not a directory that its options bind).

        Name and row are gone before anything is awaited; what may be millions of files goes in a thread.

        Raises:
            VolumeNotFound: there is none (nothing happens then with ``force``).
            VolumeInUse: ``users`` (ids of containers) is not empty.
        """
        if self._load(name) is None:
            if force:
                self._discard_empty(name)
                return
            raise VolumeNotFound(name)
        if users:
            raise VolumeInUse(name, list(users))
        directory = os.path.join(self._root, name)
        doomed = os.path.join(self._root, _REMOVED + new_id())
        try:
            os.rename(directory, doomed)
        except FileNotFoundError:
            doomed = ""
        except OSError as error:
            raise InternalError(f"remove {name}: {error.strerror}: {error.filename}") from error
        point("a volume's directory is out of the way")
        self._db.execute("DELETE FROM volumes WHERE name = ?", (name,))
        point("a volume's row is gone")
        if doomed:
            await asyncio.to_thread(_clear, name, doomed)
        point("a volume is gone")

    def recover(self) -> None:
        """Sweep what a crash amid :meth:`remove` or a first copy left; adopt directories without a row."""
        try:
            entries = os.listdir(self._root)
        except FileNotFoundError:
            return
        left = [os.path.join(self._root, entry) for entry in entries if entry.startswith(_REMOVED)]
        left += glob.glob(os.path.join(self._root, disks.TEMPLATES, "*.tmp"))
        for volume in self.list():
            if kind(volume.options) in (Kind.PLAIN, Kind.DISK) and not os.path.isdir(
                os.path.join(self._root, volume.name)
            ):
                # its removal came as far as the directory
                self._db.execute("DELETE FROM volumes WHERE name = ?", (volume.name,))
        for entry in entries:
            directory = os.path.join(self._root, entry)
            if entry.startswith(".") or (self._load(entry) is None and self._discard_empty(entry)):
                # without a row and empty: a creation that was cut short
                continue
            if _NAME.fullmatch(entry) and os.path.isdir(os.path.join(directory, "_data")):
                if self._load(entry) is None:
                    self._make(entry, _adopted(directory), {}, os.stat(directory).st_mtime_ns)
                left += [
                    os.path.join(directory, inner)
                    for inner in os.listdir(directory)
                    if inner.startswith(STAGING) or inner.endswith(".tmp")
                ]
        for path in left:
            try:
                remove_tree(path)
            except OSError as error:
                _log.warning("what is left of a removed volume cannot be cleared: %s", error)

    def _discard_empty(self, name: str) -> bool:
        """Remove the directory of a volume whose row was never written, if nothing is in it."""
        if not _NAME.fullmatch(name):
            return False
        directory = os.path.join(self._root, name)
        try:
            if set(os.listdir(directory)) - {"_data"}:
                return False
            for path in (f"{directory}/_data", directory):
                if os.path.lexists(path):
                    os.rmdir(path)
        except OSError:
            return False
        return True

    async def prune(self, candidates: Collection[str], users: Callable[[str], Sequence[str]]) -> Pruned:
        """Remove those of ``candidates`` that have no ``users`` (ids of containers) when it is their turn.

        One that resists does not stop the rest.
        """
        removed = []
        freed = 0
        for name in candidates:
            size = await asyncio.to_thread(self.size, name)
            try:
                await self.remove(name, users=users(name))
            except (InternalError, VolumeInUse, VolumeNotFound):
                continue
            removed.append(name)
            freed += size
        return Pruned(tuple(removed), freed)

    def size(self, name: str) -> int:
        """The bytes of disk a volume takes, hard links counted once; 0 for what its options mount."""
        directory = os.path.join(self._root, name)
        try:
            return os.stat(os.path.join(directory, disks.FILE)).st_blocks * 512
        except FileNotFoundError:
            return directory_size(os.path.join(directory, "_data"))

    def _make(self, name: str, options: dict[str, str], labels: dict[str, str], created: int) -> Volume:
        directory = os.path.join(self._root, name)
        record = {"created": created, "labels": labels, "options": options}
        try:
            data = os.path.join(directory, "_data")
            # not searchable for others: a set-uid file of a container is nothing for users of the host
            os.makedirs(self._root, mode=0o700, exist_ok=True)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.makedirs(data, exist_ok=True)
            # the umask must not decide what an unprivileged user of a container can read
            os.chmod(data, 0o755)
            point("a volume has its directory")
            self._db.execute("INSERT INTO volumes (name, record) VALUES (?, ?)", (name, json.dumps(record)))
            point("a volume is recorded")
        except OSError as error:
            raise InternalError(f"create {name}: {error.strerror}: {error.filename}") from error
        return self._read(name, json.dumps(record))

    def _load(self, name: str) -> Volume | None:
        row = self._db.row("SELECT record FROM volumes WHERE name = ?", (name,))
        return self._read(name, row[0]) if row else None

    def _read(self, name: str, record: str) -> Volume:
        data = json.loads(record)
        options = data["options"]
        return Volume(
            name=name,
            mountpoint=os.path.join(self._root, name, "_data"),
            created_ns=data["created"],
            labels=data["labels"],
            options=options,
            anonymous=_ANONYMOUS_LABEL in data["labels"],
        )


def _clear(name: str, directory: str) -> None:
    try:
        remove_tree(directory)
    except OSError as error:
        raise InternalError(f"remove {name}: {error.strerror}: {error.filename}") from error


def _adopted(directory: str) -> dict[str, str]:
    """The options of a volume that is there although no row knows it."""
    try:
        return {"size": str(os.stat(os.path.join(directory, disks.FILE)).st_size)}
    except FileNotFoundError:
        return {}


def _check_name(name: str) -> None:
    if len(name.encode(errors="surrogateescape")) == 1:
        raise InvalidVolume(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name) or len(name) > 255:
        shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
        raise InvalidVolume(
            f'create {name}: "{shown}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute '
            "path"
        )
