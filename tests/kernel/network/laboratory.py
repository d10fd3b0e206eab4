"""A network of namespaces: this process is the host, peers are containers and a server outside.

::

    container ── bridge ── host ── uplink ── server (203.0.113.2, knows no route to containers)
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import ours
from tests.kernel.network.answers import Answers, Place
from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.linux import nft
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


def reaches(address: str, port: int, timeout: float = 20.0) -> bool:
    """Whether a TCP connection from the present namespace succeeds."""
    try:
        with socket.create_connection((address, port), timeout=timeout):
            return True
    except OSError:
        return False


class Laboratory:
    """An engine, a machine outside, and a way to ask both."""

    def __init__(self, engine: ours.Engine, server: Peer) -> None:
        self.engine = engine
        self.answers = Answers()
        self.outside = Place(f"/proc/{server.pid}/ns/net")
        self.outside.run(self.answers.listen)
        threading.Thread(target=self.answers.serve, daemon=True).start()

    def run(self, *words: str) -> str:
        """What a command says; it must be done."""
        done = self.engine.cli(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def refused(self, *words: str) -> str:
        """Why a command is not done."""
        done = self.engine.cli(*words)
        assert done.returncode != 0, words
        return done.stderr

    def place(self, name: str) -> Place:
        """Where a container is."""
        return Place(f"/proc/{self.run('inspect', '-f', '{{.State.Pid}}', name)}/ns/net")

    def container(self, name: str, *options: str) -> Place:
        """One that answers on port 80; the sockets are this process's, and keep its namespace alive."""
        self.run("run", "-d", "--name", name, *options, "busybox", "sleep", "600")
        place = self.place(name)
        place.run(self.answers.listen)
        return place

    def bridge(self, network: str) -> str:
        """The device of a network."""
        return f"br-{self.run('network', 'inspect', '-f', '{{.Id}}', network)[:12]}"

    def resolves(self, container: str, name: str) -> bool:
        """Whether the container is told who has a name."""
        return "Name:" in self.engine.cli("exec", container, "nslookup", name).stdout

    def kill_daemon(self, number: int = signal.SIGKILL) -> None:
        """Containers live on."""
        self.engine.kill(number)

    def end(self) -> None:
        """Remove the containers, end the daemon: nothing of ours stays, not even the porter."""
        names = self.engine.cli("ps", "-aq").stdout.split()
        if names:
            self.run("rm", "-f", *names)
        self.kill_daemon(signal.SIGTERM)
        ours.until(lambda: not porter(), "the porter stays although nobody needs it")
        assert [item for item in nft.query("list tables") if "table" in item] == []
        ours.until(lambda: devices() == {"lo", "uplink"}, "network devices stay")


def with_laboratory(directory: Path, work: Callable[[Laboratory], None]) -> None:
    """Do ``work`` with one in a network of its own, and look that nothing stays."""

    def inside() -> None:
        with Peer() as server:
            uplink(server)
            with ours.engine(directory, bridge="wl") as engine:
                lab = Laboratory(engine, server)
                work(lab)
                lab.end()

    in_new_netns(inside)


def devices() -> set[str]:
    """The network devices that are here."""
    with Netlink() as netlink:
        return {link.name for link in netlink.links()}


def porter() -> int:
    """The porter of this network namespace; other engines of the machine have their own."""
    here = os.stat("/proc/self/ns/net").st_ino
    for pid, line in ours.processes().items():
        if "wharfie.porter.main" in line:
            with suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                    return pid
    return 0
