"""The default network on a real kernel: NAT, isolation, repair, and no trace afterwards."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from pathlib import Path

import pytest

from tests.kernel.network.laboratory import (
    HOST_OUTSIDE,
    REFUSAL_WAIT,
    SERVER,
    container,
    listen,
    manager,
    reaches,
    seat,
    uplink,
)
from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.errors import InvalidArgument
from wharfie.linux import nft
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.creating import Wish
from wharfie.network.model import AddressUnavailable

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def _tables() -> set[str]:
    return {item["table"]["name"] for item in nft.query("list tables") if "table" in item}


def _links() -> set[str]:
    with Netlink() as netlink:
        return {link.name for link in netlink.links()}


def test_a_container_reaches_the_outside_with_the_hosts_address(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as outside, container(network, "one") as inside:
            uplink(outside)
            server = outside.run(lambda: listen(SERVER))
            assert inside.run(lambda: reaches(SERVER, server.getsockname()[1]))
            server.settimeout(20)
            _connection, source = server.accept()
            assert source[0] == HOST_OUTSIDE

    in_new_netns(work)


def test_containers_reach_each_other_and_the_host(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with container(network, "one") as one, container(network, "two") as two:
            address = network.endpoints("two")[0].address
            server = two.run(lambda: listen("0.0.0.0"))
            assert one.run(lambda: reaches(address, server.getsockname()[1]))
            assert reaches(address, server.getsockname()[1])
            host = listen(network.gateway)
            assert one.run(lambda: reaches(network.gateway, host.getsockname()[1]))

    in_new_netns(work)


def test_nobody_outside_reaches_a_container_that_publishes_nothing(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as outside, container(network, "one") as inside:
            uplink(outside)
            address = network.endpoints("one")[0].address
            server = inside.run(lambda: listen("0.0.0.0"))
            port = server.getsockname()[1]

            def attack() -> bool:
                with Netlink() as netlink:
                    netlink.add_route(network.get("bridge").subnet, gateway=HOST_OUTSIDE)
                return reaches(address, port, REFUSAL_WAIT)

            assert not outside.run(attack)
            # it is the rule that kept it away, not a mistake in this test
            nft.run("flush chain inet wharfie forward")
            assert outside.run(lambda: reaches(address, port))

    in_new_netns(work)


def test_two_daemons_side_by_side_do_not_touch_or_reach_each_other(tmp_path: Path) -> None:
    def work() -> None:
        first, second = manager(tmp_path, "wharfie0"), manager(tmp_path, "br-other.1")
        first.setup()
        second.setup()
        assert first.get("bridge").subnet != second.get("bridge").subnet
        with Peer() as outside, container(first, "one") as one, container(second, "two") as two:
            uplink(outside)
            server = outside.run(lambda: listen(SERVER))
            port = server.getsockname()[1]
            assert one.run(lambda: reaches(SERVER, port))
            assert two.run(lambda: reaches(SERVER, port))
            target = two.run(lambda: listen("0.0.0.0"))
            address = second.endpoints("two")[0].address
            assert not one.run(lambda: reaches(address, target.getsockname()[1], REFUSAL_WAIT))
            first.teardown()
            assert _tables() == {"wharfie_br-other.1"}
            assert FORWARD.read_text() == "1\n"
            assert two.run(lambda: reaches(SERVER, port))
        second.teardown()
        assert _tables() == set()

    in_new_netns(work)


def test_teardown_leaves_the_host_as_it_was(tmp_path: Path) -> None:
    def work() -> None:
        FORWARD.write_text("0")
        before = _links()
        network = manager(tmp_path)
        network.setup()
        assert FORWARD.read_text() == "1\n"
        assert _links() == {*before, "wharfie0"}
        network.teardown()
        assert _links() == before
        assert _tables() == set()
        assert FORWARD.read_text() == "0\n"
        left = [name for name in os.listdir(tmp_path / "wharfie0") if not name.startswith("state.db")]
        assert left == []
        network.teardown()

    in_new_netns(work)


def test_forwarding_that_was_on_stays_on(tmp_path: Path) -> None:
    def work() -> None:
        FORWARD.write_text("1")
        network = manager(tmp_path)
        network.setup()
        network.teardown()
        assert FORWARD.read_text() == "1\n"

    in_new_netns(work)


def test_switching_forwarding_on_does_not_make_the_host_a_router_for_others(tmp_path: Path) -> None:
    def attempt(before: str, patience: float) -> bool:
        FORWARD.write_text(before)
        network = manager(tmp_path / f"was-{before}")
        network.setup()
        with Peer() as left, Peer() as right:
            with Netlink() as netlink:
                for name, peer, address in (("left", left, "198.51.100"), ("right", right, "203.0.113")):
                    netlink.create_veth(name, "eth0", peer_netns=peer.netns)
                    netlink.add_address(netlink.link_index(name), f"{address}.1/24")

                    def inside(address: str = address) -> None:
                        with Netlink() as netlink:
                            netlink.configure("eth0", [f"{address}.2/24"], f"{address}.1")

                    peer.run(inside)
            server = right.run(lambda: listen("0.0.0.0"))
            return bool(left.run(lambda: reaches("203.0.113.2", server.getsockname()[1], patience)))

    def was_off() -> None:
        assert not attempt("0", REFUSAL_WAIT)

    def was_on() -> None:
        # the first packet may be lost, and the next one is a second later
        assert attempt("1", 10)

    in_new_netns(was_off)
    in_new_netns(was_on)


def test_setup_can_be_repeated_and_finds_its_subnet_again(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        subnet, rules = network.get("bridge").subnet, nft.run("list ruleset")
        network.setup()
        assert nft.run("list ruleset") == rules
        network.teardown()
        again = manager(tmp_path)
        with Netlink() as netlink:
            # now the first pool is taken by somebody, but it is not ours
            index = netlink.create_bridge("docker0")
            netlink.add_address(index, "172.31.0.1/16")
            netlink.set_link(index, up=True)
        again.setup()
        assert again.get("bridge").subnet == subnet
        assert again.get("bridge").id == network.get("bridge").id

    in_new_netns(work)


def test_the_subnet_avoids_what_the_host_routes(tmp_path: Path) -> None:
    def work() -> None:
        with Netlink() as netlink:
            index = netlink.create_bridge("docker0")
            netlink.add_address(index, "172.17.0.1/16")
            netlink.set_link(index, up=True)
            netlink.add_route("172.18.4.0/24", gateway="172.17.0.9")
        network = manager(tmp_path)
        network.setup()
        assert network.get("bridge").subnet == "172.19.0.0/16"
        assert network.gateway == "172.19.0.1"
        # and when the host takes it while the daemon is away, another one is found
        network.teardown()
        with Netlink() as netlink:
            netlink.add_address(netlink.link_index("docker0"), "172.19.5.1/24")
        again = manager(tmp_path)
        again.setup()
        assert again.get("bridge").subnet == "172.20.0.0/16"

    in_new_netns(work)


def test_bip_is_obeyed_and_can_be_changed(tmp_path: Path) -> None:
    def addresses() -> list[str]:
        with Netlink() as netlink:
            index = netlink.link_index("wharfie0")
            return [a.cidr for a in netlink.addresses() if a.index == index]

    def work() -> None:
        manager(tmp_path, bip="192.168.77.1/24").setup()
        assert addresses() == ["192.168.77.1/24"]
        network = manager(tmp_path, bip="192.168.78.9/25")
        network.setup()
        assert addresses() == ["192.168.78.9/25"]
        assert seat(network, "c", "bridge").address == "192.168.78.1"

    in_new_netns(work)


def test_the_default_bridge_gives_out_a_part_and_leads_through_another_gateway(tmp_path: Path) -> None:
    options = {"fixed_cidr": "10.99.0.128/28", "default_gateway": "10.99.0.254", "subnet6": "fd99::/64"}

    def work() -> None:
        network = manager(tmp_path, bip="10.99.0.1/24", default_gateway6="fd99::fe", **options)
        network.setup()
        shown = network.get("bridge").subnets
        assert (shown[0].subnet, shown[0].gateway, shown[0].range) == (
            "10.99.0.0/24",
            "10.99.0.1",
            "10.99.0.128/28",
        )
        assert shown[0].auxiliary == {"DefaultGatewayIPv4": "10.99.0.254"}
        assert shown[1].auxiliary == {"DefaultGatewayIPv6": "fd99::fe"}
        first = seat(network, "one")
        assert (first.cidr, first.gateway, first.gateway6) == ("10.99.0.128/24", "10.99.0.254", "fd99::fe")
        given = {seat(network, f"c{number}").address for number in range(15)}
        assert given == {f"10.99.0.{number}" for number in range(129, 144)}
        with pytest.raises(AddressUnavailable):
            seat(network, "too-many")
        network.teardown()
        # the part alone says the subnet, too
        network = manager(tmp_path, "wharfie7", fixed_cidr="10.98.0.0/24")
        network.setup()
        assert (network.get("bridge").subnet, network.gateway) == ("10.98.0.0/24", "10.98.0.1")
        for wrong, message in (
            ({"fixed_cidr": "10.77.0.0/24"}, "invalid --fixed-cidr 10.77.0.0/24"),
            ({"default_gateway": "10.77.0.1"}, "invalid --default-gateway 10.77.0.1"),
        ):
            with pytest.raises(InvalidArgument, match=message):
                manager(tmp_path, "wharfie8", bip="10.99.0.1/24", **wrong).setup()

    in_new_netns(work)


def test_repair_puts_back_what_was_flushed(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        assert not network.repair()
        rules = nft.run("list ruleset")
        nft.run("flush ruleset")
        assert network.repair()
        assert nft.run("list ruleset") == rules
        nft.run("flush chain inet wharfie forward")
        assert network.repair()
        assert nft.run("list ruleset") == rules
        with Peer() as outside, container(network, "one") as inside:
            uplink(outside)
            server = outside.run(lambda: listen(SERVER))
            with Netlink() as netlink:
                netlink.delete_link("wharfie0")
            assert network.repair()
            assert inside.run(lambda: reaches(SERVER, server.getsockname()[1]))

    in_new_netns(work)


def test_recovery_keeps_the_living_and_frees_the_rest(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        kept = seat(network, "kept", "bridge")
        seat(network, "gone", "bridge")
        again = manager(tmp_path)
        again.recover(["kept"])
        assert again.endpoints("kept") == [kept]
        assert again.endpoints("gone") == []
        assert seat(again, "new", "bridge").address != kept.address

    in_new_netns(work)


def test_a_foreign_policy_that_drops_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        nft.run(
            "add table ip filter\n"
            "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
        )
        foreign = nft.run("list table ip filter")
        with caplog.at_level(logging.WARNING):
            manager(tmp_path).setup()
        assert "drops forwarded packets by policy" in caplog.text
        assert nft.run("list table ip filter") == foreign
        caplog.clear()
        nft.run('add rule ip filter FORWARD iifname "wharfie0" accept')
        with caplog.at_level(logging.WARNING):
            manager(tmp_path).setup()
        assert caplog.text == ""

    in_new_netns(work)


def test_a_device_that_is_no_bridge_is_refused_and_one_that_is_not_ours_survives(tmp_path: Path) -> None:
    def work() -> None:
        with Netlink() as netlink:
            netlink.create_veth("wharfie0", "other")
            netlink.create_bridge("br0")
        with pytest.raises(Exception, match="wharfie0 exists and is no bridge"):
            manager(tmp_path).setup()
        assert _tables() == set()
        network = manager(tmp_path, "br0")
        network.setup()
        network.teardown()
        assert "br0" in _links()

    in_new_netns(work)


def test_bridge_none_touches_nothing(tmp_path: Path) -> None:
    def work() -> None:
        before = _links()
        network = manager(tmp_path, "none")
        network.setup()
        assert _links() == before
        assert _tables() == set()
        endpoint = seat(network, "c", "bridge")
        assert endpoint.interface() is None
        network.teardown()

    in_new_netns(work)


def test_a_new_network_keeps_clear_of_what_the_host_uses_by_then(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        with Peer() as peer, Netlink() as netlink:
            netlink.set_link(1, up=True)
            netlink.create_veth("tunnel", "eth0", peer_netns=peer.netns)
            tunnel = netlink.link_index("tunnel")
            netlink.add_address(tunnel, "198.51.100.1/32")

            numbers = itertools.count()

            def made() -> str:
                """The subnet of another network."""
                return asyncio.run(network.create(Wish(name=f"n{next(numbers)}"))).subnet

            assert made() == "172.18.0.0/24"
            assert made() == "172.18.1.0/24"
            netlink.add_address(tunnel, "172.18.2.77/32")
            assert made() == "172.18.3.0/24"
            # two halves of everything: a default route, by many a VPN
            for half in ("0.0.0.0/1", "128.0.0.0/1"):
                netlink.add_route(half, index=tunnel)
            netlink.add_route("172.18.4.0/23", index=tunnel)
            assert made() == "172.18.6.0/24"
            asyncio.run(network.remove("n0"))
            netlink.delete_address(tunnel, "172.18.2.77/32")
            assert [made(), made(), made()] == ["172.18.0.0/24", "172.18.2.0/24", "172.18.7.0/24"]
        network.teardown()

    in_new_netns(work)
