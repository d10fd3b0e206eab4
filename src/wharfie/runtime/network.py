"""A container's network devices: new veth pairs, and devices of the host that move in.

The parent makes or moves them while the child mounts; the child, in its network namespace, gives them their
addresses and brings them up. A device loses its addresses when it moves (rtnetlink(7)), so the parent notes
them first. Loaded only for a container that has devices.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import rtnetlink
from wharfie.runtime import resolving
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PERMANENT = 0x80
_LONGEST = 15


class Moved:
    """A device of the host that moves into the container."""

    __slots__ = ("addresses", "host", "index", "name")

    def __init__(self, host: str, device: dict[str, Any] | None) -> None:
        """Raises LaunchError."""
        self.host = host
        self.name: str = (device or {}).get("name") or host
        self.index = 0
        self.addresses: list[str] = []
        for text in (host, self.name):
            if not _is_device_name(text):
                raise LaunchError(f"linux.netDevices: {text!r} cannot be the name of a network device")


class Network:
    """The devices of one container."""

    __slots__ = ("_interfaces", "_moved")

    def __init__(self, interfaces: list[dict[str, Any]], moved: dict[str, Any]) -> None:
        """``moved`` is OCI's ``linux.netDevices``; raises LaunchError."""
        self._interfaces = interfaces
        self._moved = [Moved(name, device) for name, device in moved.items()]

    def prepare(self) -> None:
        """In the parent, before the clone: look at the devices that will move."""
        if not self._moved:
            return
        with rtnetlink.Netlink() as netlink:
            addresses = netlink.addresses()
            for device in self._moved:
                try:
                    device.index = netlink.link_index(device.host)
                except OSError as error:
                    raise LaunchError(f"linux.netDevices: {device.host}: {describe(error)}") from None
                device.addresses = [
                    found.cidr
                    for found in addresses
                    if found.index == device.index and found.flags & _PERMANENT and not found.scope
                ]

    def make(self, pid: int) -> None:
        """In the parent: make and move devices into the namespace of ``pid``; raises OSError, LaunchError."""
        with rtnetlink.Netlink() as netlink:
            for interface in self._interfaces:
                try:
                    netlink.create_interface(interface, pid=pid)
                except OSError as error:
                    if error.errno == errno.ESRCH:
                        raise
                    raise LaunchError(
                        f"failed to create network interface {interface['name']}: {describe(error)}"
                    ) from None
            if self._moved:
                self._move(netlink, pid)
        if self._interfaces and self._interfaces[0].get("porter"):
            path, container = self._interfaces[0]["porter"]
            resolving.announce(path, container, pid)

    def _move(self, netlink: rtnetlink.Netlink, pid: int) -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for device in self._moved:
                try:
                    netlink.set_link(device.index, up=False)
                    netlink.set_link(device.index, name=device.name, netns=namespace)
                except OSError as error:
                    raise LaunchError(
                        f"linux.netDevices: {device.host} cannot be moved into the container: "
                        f"{describe(error)}"
                    ) from None
        finally:
            os.close(namespace)

    def configure(self) -> None:
        """In the child, once the devices are there."""
        with rtnetlink.Netlink() as netlink:
            for interface in self._interfaces:
                gateway, gateway6 = interface.get("gateway") or "", interface.get("gateway6") or ""
                netlink.configure(interface["name"], interface["addresses"], gateway, gateway6)
            for device in self._moved:
                netlink.configure(device.name, device.addresses)


def _is_device_name(name: str) -> bool:
    """As the kernel's dev_valid_name()."""
    return (
        0 < len(name.encode()) <= _LONGEST
        and name not in (".", "..")
        and not any(character in "/:%" or character.isspace() for character in name)
    )
