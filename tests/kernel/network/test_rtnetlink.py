"""Our netlink messages, with pyroute2 and nft as the judges of what the kernel made of them."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from pyroute2 import IPRoute

from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.linux import nfrules, nft, rtmessages
from wharfie.linux.nfrules import Redirection
from wharfie.linux.rtnetlink import Netlink


def _links(ip: IPRoute) -> dict[str, Any]:
    return {link.get_attr("IFLA_IFNAME"): link for link in ip.get_links()}


def test_a_veth_is_made_whole_by_one_message_and_configured_inside() -> None:
    def work() -> None:
        with Netlink() as host, Peer() as peer:
            bridge = host.create_bridge("br0", "02:42:ac:1e:00:01")
            host.set_link(bridge, up=True)
            host.add_address(bridge, "172.30.0.1/16")
            host.create_veth(
                "veth1",
                "eth0",
                peer_netns=peer.netns,
                master=bridge,
                mac="02:00:00:00:00:01",
                peer_mac="02:42:ac:1e:00:02",
                mtu=1400,
            )

            def inside() -> None:
                with Netlink() as container:
                    index = container.configure("eth0", ["172.30.0.2/16"], "172.30.0.1")
                with IPRoute() as ip:
                    links = _links(ip)
                    assert set(links) >= {"lo", "eth0"}
                    eth0 = links["eth0"]
                    assert eth0["index"] == index
                    assert eth0.get_attr("IFLA_ADDRESS") == "02:42:ac:1e:00:02"
                    assert eth0.get_attr("IFLA_MTU") == 1400
                    assert eth0["flags"] & 1
                    assert links["lo"]["flags"] & 1
                    found = {(a["index"], a.get_attr("IFA_ADDRESS"), a["prefixlen"]) for a in ip.get_addr()}
                    assert found == {(1, "127.0.0.1", 8), (1, "::1", 128), (index, "172.30.0.2", 16)}
                    (entry,) = ip.get_addr(index=index)
                    assert entry.get_attr("IFA_BROADCAST") == "172.30.255.255"
                    (default,) = ip.get_default_routes(family=2)
                    assert default.get_attr("RTA_GATEWAY") == "172.30.0.1"
                    assert default.get_attr("RTA_OIF") == index

            peer.run(inside)
            with IPRoute() as ip:
                links = _links(ip)
                veth = links["veth1"]
                assert veth.get_attr("IFLA_MASTER") == links["br0"]["index"] == bridge
                assert veth.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:01"
                assert veth["flags"] & 1
                assert veth.get_attr("IFLA_MTU") == 1400
                assert links["br0"].get_attr("IFLA_ADDRESS") == "02:42:ac:1e:00:01"

    in_new_netns(work)


def test_what_we_list_is_what_pyroute2_lists() -> None:
    def work() -> None:
        with IPRoute() as ip, Netlink() as ours:
            ip.link("set", index=1, state="up")
            ip.link("add", ifname="br7", kind="bridge", address="02:00:00:00:00:07")
            index = ip.link_lookup(ifname="br7")[0]
            ip.link("set", index=index, state="up", mtu=1300)
            ip.addr("add", index=index, address="10.9.0.1", prefixlen=24)
            ip.addr("add", index=index, address="fd00:9::1", prefixlen=64)
            ip.route("add", dst="10.10.0.0/16", gateway="10.9.0.2")
            ip.route("add", dst="default", gateway="10.9.0.3")
            assert ours.link_index("br7") == index
            listed = {(x.index, x.name, x.mac, x.mtu, x.up, x.kind) for x in ours.links()}
            assert (index, "br7", "02:00:00:00:00:07", 1300, True, "bridge") in listed
            assert len(listed) == len(ip.get_links())
            cidrs = sorted(f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}" for a in ip.get_addr())
            assert sorted(a.cidr for a in ours.addresses()) == cidrs
            main = {
                (r.destination, r.gateway)
                for r in ours.routes()
                if r.table == 254 and ":" not in r.destination
            }
            assert main == {("10.9.0.0/24", ""), ("10.10.0.0/16", "10.9.0.2"), ("0.0.0.0/0", "10.9.0.3")}

    in_new_netns(work)


def test_links_change_and_go() -> None:
    def work() -> None:
        with Netlink() as ours, IPRoute() as ip:
            bridge = ours.create_bridge("br0")
            ours.create_veth("a", "b", up=False)
            index = ours.link_index("a")
            ours.set_link(index, master=bridge, mtu=1234, mac="02:00:00:00:00:aa", up=True)
            ours.set_link("b", up=True)
            link = _links(ip)["a"]
            assert link.get_attr("IFLA_MASTER") == bridge
            assert link.get_attr("IFLA_MTU") == 1234
            assert link.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:aa"
            ours.set_link(index, up=False, master=0)
            ours.set_link(index, name="renamed")
            link = _links(ip)["renamed"]
            assert link.get_attr("IFLA_MASTER") is None
            assert not link["flags"] & 1
            ours.add_address(bridge, "10.1.0.1/24")
            ours.set_link(bridge, up=True)
            ours.add_route("10.2.0.0/16", gateway="10.1.0.2")
            ours.add_route("10.3.0.0/16", index=bridge)
            destinations = {r.get_attr("RTA_DST") for r in ip.get_routes(table=254, family=2)}
            assert destinations == {"10.1.0.0", "10.2.0.0", "10.3.0.0"}
            ours.delete_address(bridge, "10.1.0.1/24")
            assert not list(ip.get_addr(index=bridge, family=2))
            ours.delete_link("renamed")
            assert set(_links(ip)) & {"renamed", "b"} == set()

    in_new_netns(work)


def test_errors_name_the_operation() -> None:
    def work() -> None:
        with Netlink() as ours:
            ours.create_bridge("br0")
            with pytest.raises(FileExistsError, match="cannot create the bridge br0: File exists"):
                ours.create_bridge("br0")
            with pytest.raises(
                OSError, match="cannot find the network device nope: No such device"
            ) as caught:
                ours.link_index("nope")
            assert caught.value.errno == errno.ENODEV
            with pytest.raises(OSError, match=r"cannot add the route to default: .*unreachable"):
                ours.add_route(gateway="10.0.0.1")
            with pytest.raises(ValueError, match="is not a MAC address"):
                ours.set_link("br0", mac="02:00")

    in_new_netns(work)


def test_a_batch_tries_everything_and_reports_the_first_failure() -> None:
    def work() -> None:
        with Netlink() as ours:
            with pytest.raises(OSError, match="change the network device nope"):
                ours.send(
                    rtmessages.bridge("br1"), rtmessages.link("nope", up=True), rtmessages.bridge("br2")
                )
            assert {"br1", "br2"} <= {link.name for link in ours.links()}
            # the socket is in step afterwards
            assert ours.link_index("br2") > 0

    in_new_netns(work)


def test_a_veth_that_cannot_join_its_bridge_does_not_stay() -> None:
    def work() -> None:
        with Netlink() as host, Peer() as peer:
            with pytest.raises(OSError, match="create the veth pair veth1 and eth0"):
                host.create_veth("veth1", "eth0", peer_netns=peer.netns, master=1)
            assert "veth1" not in {link.name for link in host.links()}

            def inside() -> set[str]:
                with Netlink() as container:
                    return {link.name for link in container.links()}

            assert "eth0" not in peer.run(inside)

    in_new_netns(work)


def test_rules_that_lead_elsewhere_are_those_that_nft_would_make() -> None:
    def work() -> None:
        pairs = [Redirection(17, "127.0.0.11", 53, 4321), Redirection(6, "127.0.0.11", 53, 4322)]
        text = "".join(
            f"ip daddr 127.0.0.11 {name} dport 53 dnat to 127.0.0.11:{port}\n"
            for name, port in (("udp", 4321), ("tcp", 4322))
        )
        hook = "type nat hook output priority -100; policy accept;"
        nft.run(f"table ip theirs {{ chain output {{ {hook}\n{text}}}\n}}")
        nfrules.redirect("ours", pairs, anew=False)
        nfrules.redirect("ours", pairs, anew=True)
        theirs = nft.run("list table ip theirs")
        assert nft.run("list table ip ours") == theirs.replace("theirs", "ours")

    in_new_netns(work)
