"""Packets that lie: to the host's loopback services and with other people's addresses (CVE-2020-8558,
CVE-2021-20199).

Each attack is sent raw from inside a container, then an honest packet on the same road. The host must
receive the honest one only; with our table taken away it must receive both, or the attack proves nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.network.laboratory import HOST_OUTSIDE, SERVER, container, manager, uplink
from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.linux import nft
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.manager import NetworkManager

_LIE, _HONEST = b"lie", b"honest"


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _datagram(source: str, destination: str, port: int, payload: bytes) -> bytes:
    """An IPv4 UDP packet; the UDP checksum is left out, which RFC 768 allows."""
    udp = struct.pack("!HHHH", 4444, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0) + addresses
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def _send_raw(interface: str, target_mac: str, *packets: bytes) -> Callable[[], None]:
    """Puts packets on the wire past the sender's own routing: what a container with CAP_NET_RAW can do."""

    def work() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((interface, 0x0800))
            own = wire.getsockname()[4]
            for packet in packets:
                wire.send(bytes.fromhex(target_mac.replace(":", "")) + own + b"\x08\x00" + packet)

    return work


def _credulous() -> None:
    """A host that checks nothing itself: only our rules stand between it and the lie."""
    for name in ("all", "default", "wharfie0", "uplink"):
        for switch, value in (("rp_filter", "0"), ("accept_local", "1"), ("route_localnet", "1")):
            path = Path(f"/proc/sys/net/ipv4/conf/{name}/{switch}")
            if path.exists():
                path.write_text(value)


def _mac(name: str) -> str:
    with Netlink() as netlink:
        return next(link.mac for link in netlink.links() if link.name == name)


def _receive(server: socket.socket, count: int) -> list[bytes]:
    server.settimeout(20)
    return [server.recv(100) for _ in range(count)]


def _heard(server: socket.socket, arrives: bool) -> list[bytes]:
    """What came of the lie, after the truth has come.

    They are handled in order as long as one CPU sends both: a lie that must arrive is waited for.
    """
    server.settimeout(20 if arrives else 0.02)
    try:
        return [server.recv(100)]
    except (BlockingIOError, TimeoutError):
        return []


def _listener(address: str) -> tuple[socket.socket, int]:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 0))
    return server, server.getsockname()[1]


def _attack(
    network: NetworkManager, one: Peer, source: str, destination: str, bound: str
) -> Callable[..., list[bytes]]:
    """Sends the lie and then the truth from container ``one``; gives what arrived of the lie."""

    def work(arrives: bool = False) -> list[bytes]:
        honest_from = network.endpoints("one")[0].address
        server, port = _listener(bound)
        truth, truth_port = _listener(network.gateway)
        with server, truth:
            one.run(
                _send_raw(
                    "eth0",
                    _mac("wharfie0"),
                    _datagram(source, destination, port, _LIE),
                    _datagram(honest_from, network.gateway, truth_port, _HONEST),
                )
            )
            assert _receive(truth, 1) == [_HONEST]
            return _heard(server, arrives)

    return work


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("", "127.0.0.1"),
        ("127.0.0.1", "gateway"),
        ("127.0.0.1", "127.0.0.1"),
        ("203.0.113.77", "gateway"),
        ("198.51.100.1", "gateway"),
    ],
    ids=["to-loopback", "from-loopback", "loopback-both", "neighbour-of-the-host", "stranger"],
)
def test_a_container_cannot_lie_to_the_host(tmp_path: Path, source: str, destination: str) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as outside, container(network, "one") as one:
            uplink(outside)
            _credulous()
            target = network.gateway if destination == "gateway" else destination
            attack = _attack(network, one, source or network.endpoints("one")[0].address, target, target)
            assert attack() == []
            nft.run("flush chain inet wharfie raw_prerouting")
            assert attack(arrives=True) == [_LIE]

    in_new_netns(work)


def test_a_neighbour_of_the_host_cannot_pose_as_a_container(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as outside, container(network, "one"):
            uplink(outside)
            _credulous()
            victim = network.endpoints("one")[0].address

            def attack(count: int) -> set[bytes]:
                server, port = _listener(HOST_OUTSIDE)
                with server:
                    packets = [
                        _datagram(victim, HOST_OUTSIDE, port, _LIE),
                        _datagram(SERVER, HOST_OUTSIDE, port, _HONEST),
                    ]
                    outside.run(_send_raw("eth0", _mac("uplink"), *packets))
                    return set(_receive(server, count))

            assert attack(1) == {_HONEST}
            nft.run("flush chain inet wharfie raw_prerouting")
            assert attack(2) == {_LIE, _HONEST}

    in_new_netns(work)


def test_route_localnet_is_never_switched_on(tmp_path: Path) -> None:
    def work() -> None:
        manager(tmp_path).setup()
        for switch in Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet"):
            assert switch.read_text() == "0\n", switch

    in_new_netns(work)


def test_the_bridge_offers_no_ipv6_road_to_the_host(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with container(network, "one") as one:
            with Netlink() as netlink:
                index = netlink.link_index("wharfie0")
                assert not [a.cidr for a in netlink.addresses() if a.index == index and ":" in a.cidr]
                # an address is usable at once only without duplicate address detection
                Path("/proc/sys/net/ipv6/conf/wharfie0/accept_dad").write_text("0")
                # even when somebody gives both sides addresses, nothing enters: IPv6 no wider than IPv4
                netlink.add_address(index, "fd00:77::1/64")

            def inside() -> None:
                with Netlink() as netlink:
                    netlink.add_address(netlink.link_index("eth0"), "fd00:77::2/64")

            one.run(inside)
            truth, truth_port = _listener(network.gateway)
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server, truth:
                server.bind(("::", 0))
                port = server.getsockname()[1]
                source, target = socket.inet_pton(10, "fd00:77::2"), socket.inet_pton(10, "fd00:77::1")
                udp = struct.pack("!HHHH", 4444, port, 8 + len(_LIE), 0) + _LIE
                pseudo = source + target + struct.pack("!II", len(udp), 17) + udp + b"\0" * (len(udp) % 2)
                udp = udp[:6] + struct.pack("!H", _checksum(pseudo)) + udp[8:]
                packet = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + source + target + udp
                honest = _datagram(network.endpoints("one")[0].address, network.gateway, truth_port, _HONEST)

                def attack(arrives: bool = False) -> list[bytes]:
                    def send() -> None:
                        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                            wire.bind(("eth0", 0x86DD))
                            mac = bytes.fromhex(bridge_mac.replace(":", "")) + wire.getsockname()[4]
                            wire.send(mac + b"\x86\xdd" + packet)

                    bridge_mac = _mac("wharfie0")
                    one.run(send)
                    one.run(_send_raw("eth0", bridge_mac, honest))
                    assert _receive(truth, 1) == [_HONEST]
                    return _heard(server, arrives)

                assert attack() == []
                nft.run("flush chain inet wharfie raw_prerouting")
                assert attack(arrives=True) == [_LIE]

    in_new_netns(work)
