"""Ways from one network into another, to ports that are for this machine alone, and to other people's names.

Each attack is tried with our rules, and again with the rule taken away that stands in its way: what does not
get through then either proves nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.network.answers import Place, ask
from tests.kernel.network.laboratory import (
    HOST_OUTSIDE,
    REFUSAL_WAIT,
    SERVER,
    container,
    listen,
    manager,
    reaches,
    uplink,
)
from tests.kernel.network.namespaces import Peer, in_new_netns
from tests.security.test_network_spoofing import (
    _HONEST,
    _LIE,
    _credulous,
    _datagram,
    _heard,
    _listener,
    _mac,
    _receive,
    _send_raw,
)
from wharfie.linux import conntrack, nft
from wharfie.linux import rtmessages as messages
from wharfie.linux.rtnetlink import Netlink
from wharfie.network import ports
from wharfie.network.creating import Wish
from wharfie.network.manager import NetworkManager
from wharfie.network.model import Subnet

ARP, IPV6 = b"\x08\x06", b"\x86\xdd"
APART = {"com.docker.network.bridge.enable_icc": "false"}


def _network(
    network: NetworkManager,
    name: str,
    number: int,
    *,
    options: dict[str, str] | None = None,
    internal: bool = False,
) -> None:
    subnets = (Subnet(f"10.{number}.0.0/24"), Subnet(f"fd{number}::/64"))
    wish = Wish(name=name, subnets=subnets, options=options or {}, ipv6=True, internal=internal)
    asyncio.run(network.create(wish))


def _bridge_mac(network: NetworkManager, name: str) -> str:
    return _mac(network.device(network.store.networks[name]))


# -- from network to network ------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["own", "neighbour", "gateway", "loopback"])
def test_no_packet_leads_from_one_network_into_another(tmp_path: Path, source: str) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        _network(network, "mine", 61)
        _network(network, "theirs", 62)
        with (
            container(network, "attacker", "mine") as attacker,
            container(network, "victim", "theirs") as victim,
        ):
            sources = {
                "own": "10.61.0.2",
                "neighbour": "10.62.0.9",
                "gateway": "10.62.0.1",
                "loopback": "127.0.0.1",
            }
            target = network.endpoints("victim")[0].address
            _credulous()

            def attack(arrives: bool = False) -> list[bytes]:
                server, port = victim.run(lambda: _listener(target))
                truth, truth_port = _listener("10.61.0.1")
                honest = _datagram("10.61.0.2", "10.61.0.1", truth_port, _HONEST)
                with server, truth:
                    lie = _datagram(sources[source], target, port, _LIE)
                    attacker.run(_send_raw("eth0", _bridge_mac(network, "mine"), lie, honest))
                    assert _receive(truth, 1) == [_HONEST]
                    return _heard(server, arrives)

            assert attack() == []
            # the source is looked at first, the way between the networks then
            nft.run("flush chain inet wharfie raw_prerouting")
            assert attack() == []
            nft.run("flush chain inet wharfie forward")
            # a container itself takes nothing that comes from its own address, or from 127.0.0.0/8
            arrives = source != "loopback"
            assert attack(arrives) == [_LIE] * arrives

    in_new_netns(work)


def test_ipv6_is_no_wider_than_ipv4(tmp_path: Path) -> None:
    """The same questions in both families: whoever is not answered in the one is not in the other."""

    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        _network(network, "mine", 61)
        _network(network, "theirs", 62)
        _network(network, "apart", 63, options=APART)
        _network(network, "closed", 64, internal=True)
        with ExitStack() as stack:
            outside = stack.enter_context(Peer())
            uplink(outside)
            # an address is usable at once only without duplicate address detection
            Path("/proc/sys/net/ipv6/conf/uplink/accept_dad").write_text("0")
            with Netlink() as netlink:
                netlink.add_address(netlink.link_index("uplink"), "2001:db8:113::1/64")
            outside.run(_with_routes)
            seats = (
                ("a", "mine"),
                ("b", "mine"),
                ("c", "theirs"),
                ("d", "apart"),
                ("e", "apart"),
                ("f", "closed"),
            )
            peers = {name: stack.enter_context(container(network, name, ref)) for name, ref in seats}
            servers = [peer.run(lambda: _both("::", 80)) for peer in (*peers.values(), outside)]
            inside = {name: network.endpoints(name)[0] for name in peers}
            for asker, target, wanted in (
                ("a", "b", True), ("a", "c", False), ("c", "a", False), ("d", "e", False), ("a", "f", False),
                ("f", "a", False), ("outside", "a", False), ("outside", "f", False), ("a", "outside", True),
                ("f", "outside", False),
            ):  # fmt: skip
                peer = outside if asker == "outside" else peers[asker]
                if target == "outside":
                    addresses = (SERVER, "2001:db8:113::2")
                else:
                    addresses = (inside[target].address, inside[target].address6)
                patience = 20.0 if wanted else REFUSAL_WAIT / 2
                answered = [peer.run(partial(reaches, one, 80, patience)) for one in addresses]
                assert answered == [wanted, wanted], f"{asker} to {target}"
            for server in servers:
                server.close()

    in_new_netns(work)


def _both(address: str, port: int) -> socket.socket:
    """A TCP server of both families."""
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((address, port))
    server.listen()
    return server


def _with_routes() -> None:
    """Outside: it knows the way to each network, so that what keeps it out is no missing route."""
    Path("/proc/sys/net/ipv6/conf/eth0/accept_dad").write_text("0")
    with Netlink() as netlink:
        netlink.add_address(netlink.link_index("eth0"), "2001:db8:113::2/64")
        for number in (61, 62, 63, 64):
            netlink.add_route(f"10.{number}.0.0/24", gateway=HOST_OUTSIDE)
            netlink.add_route(f"fd{number}::/64", gateway="2001:db8:113::1")


# -- ports that are for this machine alone ----------------------------------------------------------


def test_a_port_on_localhost_is_not_reached_by_who_routes_localhost_to_us(tmp_path: Path) -> None:
    """CVE-2020-8558's second half: packets to 127.0.0.1 from the wire, and Docker's CVE-2025-54388."""

    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as outside, container(network, "one") as one, container(network, "two") as two:
            uplink(outside)
            _credulous()
            asked = {"80/udp": [("127.0.0.1", "8080", "")], "81/udp": [("", "8081", "")]}
            network.publishing.add("one", ports.parse(asked))
            target = network.endpoints("one")[0].address
            closed, opened = one.run(lambda: (_at(target, 80), _at(target, 81)))

            def attack(peer: Peer, device: str, mac: str, source: str, arrives: bool = False) -> list[bytes]:
                lies = [
                    _datagram(source, address, 8080, _LIE)
                    for address in ("127.0.0.1", "127.0.0.9", HOST_OUTSIDE)
                ]
                honest = _datagram(source, HOST_OUTSIDE, 8081, _HONEST)
                peer.run(_send_raw(device, mac, *lies, honest))
                assert _receive(opened, 1) == [_HONEST], "the port that is for everybody is not reached"
                return _heard(closed, arrives)

            def routed() -> bool:
                """By a kernel that really has a route for 127.0.0.0/8, through us."""
                with Netlink() as netlink:
                    index = netlink.link_index("eth0")
                    netlink.add_route("127.64.0.0/10", gateway=HOST_OUTSIDE, index=index)
                Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1")
                return ask("udp", "127.64.0.1", 8080, REFUSAL_WAIT) is not None

            neighbour = network.endpoints("two")[0].address
            assert attack(outside, "eth0", _mac("uplink"), SERVER) == []
            assert attack(two, "eth0", _mac("wharfie0"), neighbour) == []
            assert not outside.run(routed)
            nft.run("flush chain inet wharfie prerouting")
            nft.run("flush chain inet wharfie raw_prerouting")
            nft.run(f"add rule inet wharfie prerouting udp dport 8080 dnat ip to {target}:80")
            nft.run(f"add rule inet wharfie prerouting udp dport 8081 dnat ip to {target}:81")
            with conntrack.Memory() as memory:
                memory.forget(memory.flows(socket.AF_INET, socket.IPPROTO_UDP, [8080]))
            assert attack(outside, "eth0", _mac("uplink"), SERVER, arrives=True) == [_LIE]
            closed.close()
            opened.close()

    in_new_netns(work)


def _at(address: str, port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))
    server.settimeout(20)
    return server


# -- who says that he is somebody else --------------------------------------------------------------


def _frames(kind: bytes, peer: Peer) -> socket.socket:
    def work() -> socket.socket:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(int.from_bytes(kind, "big")))
        wire.bind(("eth0", int.from_bytes(kind, "big")))
        wire.settimeout(20)
        return wire

    found: socket.socket = peer.run(work)
    return found


def _arp(own: bytes, claimed: str, asked: str) -> bytes:
    """An answer that nobody asked for: ``claimed`` is at ``own``."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    return head + own + socket.inet_aton(claimed) + b"\xff" * 6 + socket.inet_aton(asked)


def _advertisement(own: bytes, claimed: str, asked: str) -> bytes:
    """The same of IPv6: a neighbour advertisement that overrides (RFC 4861, 4.4)."""
    source, target = socket.inet_pton(10, claimed), socket.inet_pton(10, asked)
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + source + b"\x02\x01" + own
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + target + body


@pytest.mark.parametrize(("kind", "claimed"), [(ARP, "10.63.0.1"), (IPV6, "fd63::1")], ids=["arp", "nd"])
def test_a_container_apart_cannot_pose_as_the_gateway(tmp_path: Path, kind: bytes, claimed: str) -> None:
    """Where containers are kept apart, no frame of one reaches another: not even a lie about the gateway."""

    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        _network(network, "apart", 63, options=APART)
        with (
            container(network, "attacker", "apart") as attacker,
            container(network, "victim", "apart") as victim,
        ):
            seat, other = network.endpoints("victim")[0], network.endpoints("attacker")[0]
            own = bytes.fromhex(other.mac.replace(":", ""))
            lie = (
                _arp(own, claimed, seat.address)
                if kind == ARP
                else _advertisement(own, claimed, seat.address6)
            )
            heard = _frames(kind, victim)

            victims = bytes.fromhex(seat.mac.replace(":", ""))

            def send(device: str, *frames: bytes) -> None:
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                    wire.bind((device, int.from_bytes(kind, "big")))
                    for frame in frames:
                        wire.send(frame)

            def attack(end: bytes) -> bool:
                """Whether the lie is heard before ``end`` is, which the host says afterwards."""
                lies = [target + own + kind + lie for target in (victims, b"\xff" * 6)]
                attacker.run(lambda: send("eth0", *lies))
                send(seat.bridge, victims + own + kind + end)
                while True:
                    frame = heard.recv(200)
                    if lie in frame or end in frame:
                        return lie in frame

            assert not attack(b"the end of what is heard")
            with Netlink() as netlink:
                for one in (seat, other):
                    netlink.send(messages.bridge_port(one.host_interface, isolated=False))
            # where the kernel shows bridged packets to the filter, it has its own word about false sources
            nft.run("flush chain inet wharfie raw_prerouting")
            # the two come by different ways: one that is late is not missed
            assert any(attack(b"try %d" % number) for number in range(50)), "the attack is none"
            heard.close()

    in_new_netns(work)


def test_a_lie_about_an_address_stays_in_its_own_network(tmp_path: Path) -> None:
    """Whoever says that he is another network's container, or the host, is not believed by the host."""

    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        _network(network, "mine", 61)
        _network(network, "theirs", 62)
        with (
            container(network, "attacker", "mine") as attacker,
            container(network, "victim", "theirs") as victim,
        ):
            target = network.endpoints("victim")[0].address
            server = victim.run(lambda: listen("0.0.0.0", 80))
            own = bytes.fromhex(network.endpoints("attacker")[0].mac.replace(":", ""))

            def lie() -> None:
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                    wire.bind(("eth0", 0x0806))
                    for claimed in (target, "10.61.0.1", "10.62.0.1"):
                        wire.send(b"\xff" * 6 + own + ARP + _arp(own, claimed, "10.61.0.1"))

            attacker.run(lie)
            assert reaches(target, 80)
            attacker.run(lie)
            assert reaches(target, 80), "the host looks for the victim at the attacker's"
            known = Path("/proc/net/arp").read_text().splitlines()[1:]
            claimed = [
                line for line in known if network.endpoints("attacker")[0].mac in line and target in line
            ]
            assert claimed == []
            server.close()

    in_new_netns(work)


# -- names ------------------------------------------------------------------------------------------


def test_the_embedded_dns_answers_its_own_container_and_nobody_else(tmp_path: Path) -> None:
    """No open resolver, and no way out for questions of a network that has none (CVE-2024-29018)."""

    def work() -> None:
        with Peer() as outside:
            uplink(outside)
            heard: list[bytes] = []
            upstream = outside.run(lambda: _at(SERVER, 53))
            threading.Thread(target=lambda: _note(upstream, heard), daemon=True).start()
            with ours.engine(tmp_path, bridge="wa") as engine:
                _ask_everywhere(engine, outside, heard)
            upstream.close()

    in_new_netns(work)


def _note(upstream: socket.socket, heard: list[bytes]) -> None:
    while True:
        try:
            query, peer = upstream.recvfrom(512)
        except TimeoutError:
            continue
        except OSError:
            return
        heard.append(query)
        # there is nothing of this name, which is an answer too
        upstream.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:], peer)


def _ask_everywhere(engine: ours.Engine, outside: Peer, heard: list[bytes]) -> None:
    def run(*words: str) -> str:
        done = engine.cli(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    run("network", "create", "--subnet", "10.61.0.0/24", "open")
    run("network", "create", "--subnet", "10.64.0.0/24", "--internal", "closed")
    places = {}
    for name, network in (("asked", "open"), ("asker", "open"), ("shut", "closed")):
        run("run", "-d", "--name", name, "--network", network, "--dns", SERVER, "busybox", "sleep", "600")
        places[name] = Place(f"/proc/{run('inspect', '-f', '{{.State.Pid}}', name)}/ns/net")
    target = run("inspect", "-f", "{{.NetworkSettings.Networks.open.IPAddress}}", "asked")
    question = _question("elsewhere.example.com")
    assert places["asked"].run(_asks("127.0.0.11", question))[3] & 15 == 3
    assert heard, "the question was not forwarded at all"
    ways = [
        *((places["asker"].run, address) for address in (target, "10.61.0.1")),
        *((_here, address) for address in (target, "127.0.0.11", "10.61.0.1")),
        *((outside.run, address) for address in (target, HOST_OUTSIDE)),
    ]
    question = _question("strangers.example.com")
    for way, address in ways:
        assert way(_asks(address, question)) == b"", f"{address} answers strangers"
    # where there is no way out, questions have none either; names of one's own are found all the same
    assert places["shut"].run(_asks("127.0.0.11", _question("shut.example.com")))[3] & 15 == 2
    assert places["shut"].run(_asks("127.0.0.11", _question("shut")))[3] & 15 == 0
    assert places["shut"].run(_asks("127.0.0.11", _question("asked")))[3] & 15 == 2, "names of other networks"
    # where the answer is late, the same is asked twice
    assert all(b"elsewhere" in one for one in heard), "a question got out"


def _here(work: Callable[[], bytes]) -> bytes:
    return work()


def _question(name: str) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return b"\1\2\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def _asks(address: str, question: bytes) -> Callable[[], bytes]:
    def work() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30.0 if address == "127.0.0.11" else REFUSAL_WAIT)
            try:
                sock.connect((address, 53))
                sock.send(question)
                return sock.recv(512)
            except OSError:
                return b""

    return work
