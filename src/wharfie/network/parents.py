"""The device that a macvlan network is on: it belongs to the host, and must be there."""

from __future__ import annotations

from wharfie.errors import InvalidArgument
from wharfie.network.bridge import View


def check(parent: str) -> None:
    """Whether containers may get devices on it; raises InvalidArgument."""
    if not parent:
        raise InvalidArgument("a macvlan network needs the device it is on: --opt parent=eth0")
    if parent == "lo":
        raise InvalidArgument("loopback interface is not a valid macvlan parent link")
    links = View.now().links
    if parent in links:
        return
    base, _, number = parent.rpartition(".")
    if base not in links:
        raise InvalidArgument(f"the requested parent interface {parent} was not found on this host")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= 4094):
        raise InvalidArgument(f"invalid subinterface vlan name {parent}, example formatting is eth0.10")
    raise InvalidArgument(
        f"the requested parent interface {parent} was not found on this host; it is made by: "
        f"ip link add link {base} name {parent} type vlan id {number}"
    )
