"""A network of namespaces: this process is the host, peers are containers and a server outside.

::

    container ── bridge ── host ── uplink ── server (203.0.113.2, knows no route to containers)
"""

from __future__ import annotations

import os
import socket
from typing import Any

from tests.kernel.network.namespaces import Peer
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.manager import NetworkManager, NetworkSettings
from wharfie.network.model import Endpoint
from wharfie.network.seating import SeatWish
from wharfie.state.db import Database

HOST_OUTSIDE, SERVER = "203.0.113.1", "203.0.113.2"
REFUSAL_WAIT = 0.4


def manager(directory: Any, bridge: str = "wharfie0", **options: Any) -> NetworkManager:
    """A manager with its own database and runtime directory."""
    root = os.path.join(str(directory), bridge)
    os.makedirs(root, exist_ok=True)
    settings = NetworkSettings(bridge=bridge, **options)
    return NetworkManager(Database(os.path.join(root, "state.db")), exec_root=root, settings=settings)


def seat(network: NetworkManager, container: str, ref: str = "bridge", **wishes: Any) -> Endpoint:
    """A seat for ``container`` in the network ``ref``."""
    return network.seat(ref, SeatWish(container=container, **wishes))


def uplink(server: Peer) -> None:
    """Connect the host with the server outside."""
    with Netlink() as netlink:
        netlink.set_link(1, up=True)
        netlink.create_veth("uplink", "eth0", peer_netns=server.netns)
        netlink.add_address(netlink.link_index("uplink"), f"{HOST_OUTSIDE}/24")

    def outside() -> None:
        with Netlink() as netlink:
            netlink.configure("eth0", [f"{SERVER}/24"])

    server.run(outside)


def container(network: NetworkManager, name: str, ref: str = "bridge") -> Peer:
    """A namespace with the interface that the manager gives the container ``name``."""
    interface = seat(network, name, ref, hostname=name).interface()
    assert interface is not None
    peer = Peer()
    with Netlink() as netlink:
        netlink.create_interface(interface, netns=peer.netns)

    def inside() -> None:
        with Netlink() as netlink:
            gateways = (interface["gateway"], interface.get("gateway6", ""))
            netlink.configure(interface["name"], interface["addresses"], *gateways)

    peer.run(inside)
    return peer


def listen(address: str, port: int = 0) -> socket.socket:
    """A TCP server in the present namespace."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    return server


def reaches(address: str, port: int, timeout: float = 5.0) -> bool:
    """Whether a TCP connection from the present namespace succeeds."""
    try:
        with socket.create_connection((address, port), timeout=timeout):
            return True
    except OSError:
        return False
