"""Interfaces of containers that run already: made, configured and removed from outside.

A network namespace belongs to a thread, so the part inside is done by one that lives no longer than the work
(setns(2)); the daemon's other threads stay where they are. Removing a device waits for the kernel's grace
periods: call this from a thread of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from wharfie.linux import process
from wharfie.linux import rtmessages as messages
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.model import Endpoint, gateways
from wharfie.support.faults import point

_T = TypeVar("_T")
_MAIN, _UNICAST = 254, 1


def inside(pid: int, work: Callable[[], _T]) -> _T:
    """Run ``work`` in the network namespace of a process; raises what it raises, and OSError."""
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    results: list[_T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            process.setns(netns, process.CLONE_NEWNET)
            results.append(work())
        except BaseException as error:
            problems.append(error)

    try:
        thread = threading.Thread(target=run, name="in a container's network")
        thread.start()
        thread.join()
    finally:
        os.close(netns)
    if problems:
        raise problems[0]
    return results[0]


def attach(pid: int, endpoint: Endpoint, all_of_it: Sequence[Endpoint]) -> None:
    """Give a running container the interface of ``endpoint``; raises OSError with nothing left."""
    interface = endpoint.interface()
    if interface is None:
        return
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with Netlink() as netlink:
            netlink.create_interface(interface, netns=netns)
    finally:
        os.close(netns)
    point("an interface is made")

    def configure() -> None:
        with Netlink() as netlink:
            netlink.configure(interface["name"], interface["addresses"])
            _route(netlink, all_of_it)

    try:
        inside(pid, configure)
        point("an interface is configured")
    except BaseException:
        detach(pid, endpoint, [seat for seat in all_of_it if seat is not endpoint])
        raise


def hairpin(endpoint: Endpoint) -> None:
    """It publishes ports now, and may reach them itself; raises OSError."""
    if endpoint.host_interface:
        with Netlink() as netlink:
            netlink.send(
                messages.bridge_port(endpoint.host_interface, isolated=endpoint.isolated, hairpin=True)
            )


def detach(pid: int, endpoint: Endpoint, rest: Sequence[Endpoint]) -> None:
    """Take the interface away again; one that is gone already is no error. Raises OSError."""
    if endpoint.host_interface:
        with Netlink() as netlink:
            netlink.delete_link(endpoint.host_interface)
        point("an interface is removed")

    def tidy() -> None:
        with Netlink() as netlink:
            if not endpoint.host_interface and endpoint.interface() is not None:
                netlink.delete_link(endpoint.interface_name)
            _route(netlink, rest)

    try:
        inside(pid, tidy)
        point("the routes lead elsewhere")
    except (FileNotFoundError, ProcessLookupError):
        return  # it ended meanwhile, and its namespace with it


def _route(netlink: Netlink, endpoints: Sequence[Endpoint]) -> None:
    """Lead the default routes where they belong now."""
    four, six = gateways(endpoints)
    for seat, gateway, default in (
        (four, four.gateway if four else "", "0.0.0.0/0"),
        (six, six.gateway6 if six else "", "::/0"),
    ):
        index = netlink.link_index(seat.interface_name) if seat else 0
        present = [
            route
            for route in netlink.routes()
            if route.destination == default
            and route.table == _MAIN
            and route.kind == _UNICAST
            and route.gateway
        ]
        if any(route.gateway == gateway and route.index == index for route in present):
            continue
        for route in present:
            netlink.send(messages.without_route(default, gateway=route.gateway, index=route.index))
        if seat:
            netlink.send(messages.route(gateway=gateway, index=index))
