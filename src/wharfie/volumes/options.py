"""The options of the driver ``local``: what may be asked for, and what kind of volume it makes.

::

    none               PLAIN   a directory of ours
    size               DISK    a file of ours with a file system of that size in it
    type=none, o=bind  BIND    a directory of the host
    type, device, o    MOUNT   any file system the kernel can mount, in mount(8)'s words

They come from whoever may talk to the daemon, never from an image.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from enum import Enum

from wharfie.linux.mount import MS_BIND, MS_REC
from wharfie.spec.mounts import SUPERBLOCK_FLAGS, Options, parse_options
from wharfie.volumes import disks
from wharfie.volumes.model import InvalidVolume

_KNOWN = ("type", "o", "device", "size")
_REQUIRED = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
IN_MEMORY = frozenset(("tmpfs", "ramfs"))
"""File systems that begin empty and are gone with their last mount."""
_RESOLVED = ("nfs", "nfs4", "cifs", "smb3")


class Kind(Enum):
    """What a volume is made of."""

    PLAIN = "plain"
    DISK = "disk"
    BIND = "bind"
    MOUNT = "mount"


def check(options: Mapping[str, str]) -> None:
    """Raises InvalidVolume, in Docker's words, for what no volume can have."""
    for option in options:
        if option not in _KNOWN:
            raise InvalidVolume(f'invalid option: "{option}"')
    if "size" in options:
        disks.read_size(options["size"])
    for option, needed in _REQUIRED.items():
        for other in needed:
            if option in options and other not in options:
                raise InvalidVolume(f'missing required option: "{other}"')
    if "size" in options and "type" in options:
        raise InvalidVolume(
            "size makes a file system of its own: leave it out with type and device, or give the size in o"
        )
    if any("\0" in value for value in options.values()):
        raise InvalidVolume("an option has a NUL character in it")
    if kind(options) is Kind.BIND and not options["device"].startswith("/"):
        raise InvalidVolume(f"invalid device {options['device']}: it must be an absolute path")


def kind(options: Mapping[str, str]) -> Kind:
    """Which kind of volume valid options make."""
    if options.get("size"):
        return Kind.DISK
    if not options.get("type") and not options.get("device"):
        return Kind.PLAIN
    return Kind.BIND if parsed(options).bind else Kind.MOUNT


def parsed(options: Mapping[str, str]) -> Options:
    """The option ``o``."""
    return parse_options([word for word in options.get("o", "").split(",") if word])


def superblock(options: Mapping[str, str]) -> tuple[tuple[str, str | None], ...]:
    """What a new file system is configured with; a server's name becomes its address. Raises OSError."""
    found: list[tuple[str, str | None]] = [("source", options["device"])]
    asked = parsed(options)
    for name, value in asked.data:
        if name == "addr" and value and options["type"] in _RESOLVED:
            value = _address(value)
        found.append((name, None if name in SUPERBLOCK_FLAGS else value))
    if "ro" in options.get("o", "").split(","):
        found.append(("ro", None))
    return tuple(found)


def _address(server: str) -> str:
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        return str(socket.getaddrinfo(server, None, type=socket.SOCK_STREAM)[0][4][0])


def described(options: Mapping[str, str]) -> str:
    """The option ``o`` as an error tells it: mount(2)'s flags and data, without a password."""
    asked = parsed(options)
    # the first of mount_setattr(2)'s attributes have the numbers of mount(2)'s flags
    flags = asked.set & 0xF | (0, MS_BIND, MS_BIND | MS_REC)[asked.bind]
    words = [name if value is None else f"{name}={_concealed(name, value)}" for name, value in asked.data]
    return (f", flags: {flags:#x}" if flags else "") + (f", data: {','.join(words)}" if words else "")


def _concealed(name: str, value: str) -> str:
    return "********" if name == "password" else value
