"""The words of this package: a volume, a mount point of a container, and what can be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from wharfie.errors import Conflict, InvalidArgument, NotFound


class VolumeNotFound(NotFound):
    """There is no volume of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")


class VolumeInUse(Conflict):
    """A container, running or not, still has the volume."""

    def __init__(self, name: str, users: list[str]) -> None:
        super().__init__(f"remove {name}: volume is in use - [{', '.join(users)}]")


class InvalidVolume(InvalidArgument):
    """The name or the options of a volume cannot be."""


class DriverNotFound(NotFound):
    """No volume driver of this name."""

    def __init__(self, volume: str, driver: str) -> None:
        super().__init__(
            f'create {volume}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )


class InvalidMount(InvalidArgument):
    """A mount that was asked for cannot be."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: ``mountpoint`` is its directory, where Docker mounts what the options name (``trees.py``)."""

    name: str
    mountpoint: str
    created_ns: int
    driver: str = "local"
    scope: str = "local"
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One mount of a container, whichever way it was asked for.

    ``source`` is a host path for ``bind``; for ``volume`` it is empty until the volume exists (``name`` says
    which), for ``image`` the image's name (``image`` its id); ``options`` are the mount options of a
    ``tmpfs``, beside the defaults.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    anonymous: bool = False
    copy: bool = False
    create_source: bool = False
    recursive: bool = True
    readonly_recursive: str = "if-possible"
    subpath: str = ""
    image: str = ""
    idmap: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    driver_options: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    via_mount: bool = False
