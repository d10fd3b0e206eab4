"""Links, gateways by priority, containers kept apart, networks of IPv6 alone, macvlan in its modes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests import ours
from tests.kernel.network.answers import Place, ask
from tests.kernel.network.laboratory import (
    HOST_OUTSIDE,
    SERVER,
    Laboratory,
    container,
    listen,
    manager,
    reaches,
    uplink,
    with_laboratory,
)
from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.linux.rtnetlink import Netlink

LONG, SHORT = 20.0, 0.2


def test_modes_that_are_asked_for_by_options(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        links_on_the_default_bridge(lab)
        links_in_a_network(lab)
        the_default_route_is_the_priority_s(lab)
        a_network_of_ipv6_alone(lab)
        macvlan_private_and_passthru(lab)
        what_is_kept_on_a_bridge_is_refused_without_one(lab)

    with_laboratory(tmp_path, work)


def links_on_the_default_bridge(lab: Laboratory) -> None:
    lab.run("run", "-d", "--name", "db", "-e", "SECRET=x", "--expose", "5432", "busybox", "sleep", "600")
    address = lab.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db")
    script = "cat /etc/hosts; env | sort"
    shown = lab.run("run", "--rm", "--name", "app", "--link", "db:store", "busybox", "sh", "-c", script)
    hostname = lab.run("inspect", "-f", "{{.Config.Hostname}}", "db")
    assert f"{address}\tstore {hostname} db\n" in shown
    for line in (
        f"STORE_PORT=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP_ADDR={address}",
        "STORE_NAME=/app/store",
        "STORE_ENV_SECRET=x",
    ):
        assert line in shown.splitlines(), line
    lab.run("stop", "-t", "0", "db")
    refusal = lab.refused("run", "--rm", "--name", "app", "--link", "db:store", "busybox", "true")
    assert "Cannot link to a non running container: /db AS /app/store" in refusal
    lab.run("rm", "-f", "app", "db")


def links_in_a_network(lab: Laboratory) -> None:
    lab.run("network", "create", "wired")
    lab.container("db", "--network", "wired")
    lab.container("app", "--network", "wired", "--link", "db:store")
    lab.container("other", "--network", "wired")
    assert lab.resolves("app", "store")
    assert lab.resolves("app", "db")
    assert not lab.resolves("other", "store"), "an alias of one container alone is known to another"
    lab.run("rm", "-f", "db", "app", "other")
    lab.run("network", "rm", "wired")


def the_default_route_is_the_priority_s(lab: Laboratory) -> None:
    for number in (51, 52, 53):
        lab.run("network", "create", "--subnet", f"10.{number}.0.0/24", f"n{number}")
    networks = ("--network", "name=n51,gw-priority=1", "--network", "name=n52,gw-priority=5")
    lab.container("many", *networks, "-p", "8070:80")
    assert _default_routes(lab, "many") == ["10.52.0.1"]
    lab.run("network", "connect", "--gw-priority", "9", "n53", "many")
    assert _default_routes(lab, "many") == ["10.53.0.1"]
    # what is published goes where the gateway is: the answer finds its way back
    assert lab.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8070, LONG)) == SERVER
    lab.run("network", "disconnect", "n53", "many")
    assert _default_routes(lab, "many") == ["10.52.0.1"]
    lab.run("network", "disconnect", "n52", "many")
    assert _default_routes(lab, "many") == ["10.51.0.1"]
    assert lab.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8070, LONG)) == SERVER
    lab.run("restart", "-t", "0", "many")
    assert _default_routes(lab, "many") == ["10.51.0.1"]
    lab.run("rm", "-f", "many")
    lab.run("network", "rm", "n51", "n52", "n53")


def _default_routes(lab: Laboratory, name: str) -> list[str]:
    text = lab.run("exec", name, "ip", "route") + "\n" + lab.run("exec", name, "ip", "-6", "route")
    return [line.split()[2] for line in text.splitlines() if line.startswith("default")]


def a_network_of_ipv6_alone(lab: Laboratory) -> None:
    lab.run("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd66::/64", "six")
    lab.container("one", "--network", "six", "--ip6", "fd66::10", "-p", "8060:80")
    two = lab.container("two", "--network", "six")
    shown = lab.run("exec", "two", "ip", "-o", "addr", "show", "eth0")
    assert "inet " not in shown
    assert "inet6 fd66::" in shown
    assert two.run(lambda: ask("tcp", "fd66::10", 80, LONG))
    assert "fd66::10" in lab.engine.cli("exec", "two", "nslookup", "one").stdout
    # IPv4 of the host is carried to it by a process, which is whom it sees
    assert lab.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8060, LONG)) == "fd66::1"
    assert Place("/proc/self/ns/net").run(lambda: ask("tcp", "::1", 8060, LONG))
    assert "IPv4 or IPv6 must be enabled" in lab.refused("network", "create", "--ipv4=false", "none6")
    lab.run("rm", "-f", "one", "two")
    lab.run("network", "rm", "six")


def macvlan_private_and_passthru(lab: Laboratory) -> None:
    """Asked by the containers' own processes: a device goes when nobody holds its namespace any more."""

    def make(mode: str) -> None:
        lab.run("network", "create", "-d", "macvlan", "-o", "parent=uplink", "-o", f"macvlan_mode={mode}",
                  "--subnet", "203.0.113.0/24", "--ip-range", "203.0.113.64/26", "mac")  # fmt: skip

    server = ("busybox", "sh", "-c", "while true; do echo here | nc -l -p 80; done")
    for number, (mode, heard) in enumerate((("bridge", True), ("private", False), ("vepa", False))):
        make(mode)
        addresses = [f"203.0.113.{70 + 2 * number + place}" for place in (0, 1)]
        for name, address in zip(("one", "two"), addresses, strict=True):
            lab.run("run", "-d", "--name", name, "--network", "mac", "--ip", address, *server)
        done = lab.engine.cli("exec", "two", "nc", "-w", "20", SERVER, "80")
        assert done.stdout == addresses[1], (mode, done)
        # the server listens anew after each who asked
        ours.until(lambda: _heard(lab, "one", "127.0.0.1"), "one does not answer itself")
        if heard:
            ours.until(partial(_heard, lab, "two", addresses[0]), mode)
        else:
            assert not _heard(lab, "two", addresses[0]), mode
        lab.run("rm", "-f", "one", "two")
        lab.run("network", "rm", "mac")
    make("passthru")
    first = ("run", "-d", "--name", "one", "--network", "mac", "busybox", "sleep", "600")

    def alone() -> bool:
        """The kernel gives the device to one only, when the last of the others has gone."""
        done = lab.engine.cli(*first).returncode == 0
        if not done:
            lab.run("rm", "-f", "one")
        return done

    ours.until(alone, "the device is not given to the only container there is")
    refusal = lab.refused("run", "--name", "two", "--network", "mac", "busybox", "true")
    assert "cannot create the" in refusal, refusal
    lab.run("rm", "-f", "one", "two")
    lab.run("network", "rm", "mac")


def what_is_kept_on_a_bridge_is_refused_without_one(lab: Laboratory) -> None:
    macvlan = ("network", "create", "-d", "macvlan", "-o", "parent=uplink", "--subnet", "203.0.113.0/24")
    held = (("--network-rate", "out=1mbit"), ("--egress", "allow=10.0.0.0/8"))
    for options in held:
        assert "is kept on a bridge" in lab.refused(*macvlan, *options, "mac")
    lab.run(*macvlan, "mac")
    for network in ("mac", "host", "none"):
        for options in held:
            refusal = lab.refused("run", "-d", "--network", network, *options, "busybox", "sleep", "600")
            assert f"is kept on a bridge, and the network {network} has none" in refusal
    assert lab.run("ps", "-aq") == "", "what was refused is there"
    lab.run("run", "-d", "--name", "free", "--network", "mac", "busybox", "sleep", "600")
    lab.run("run", "-d", "--name", "slow", "--network-rate", "out=1mbit", "busybox", "sleep", "600")
    assert "is kept on a bridge" in lab.refused("update", "--egress", "allow=10.0.0.0/8", "free")
    assert "is kept on a bridge" in lab.refused("network", "connect", "mac", "slow")
    lab.run("rm", "-f", "free", "slow")
    assert "lo" in lab.refused(*macvlan[:5], "parent=lo", "other")
    assert "ip link add link uplink name uplink.7" in lab.refused(*macvlan[:5], "parent=uplink.7", "other")
    lab.run("network", "rm", "mac")


def _heard(lab: Laboratory, asker: str, address: str) -> bool:
    return lab.engine.cli("exec", asker, "nc", "-w", "1", address, "80").stdout == "here\n"


def test_containers_of_a_bridge_without_icc_reach_the_outside_and_not_each_other(tmp_path: Path) -> None:
    def work() -> None:
        network = manager(tmp_path, icc=False)
        network.setup()
        with Peer() as outside, container(network, "one") as one, container(network, "two") as two:
            uplink(outside)
            address = network.endpoints("two")[0].address
            inside = two.run(lambda: listen("0.0.0.0", 80))
            server = outside.run(lambda: listen(SERVER, 80))
            assert one.run(lambda: reaches(SERVER, 80))
            assert reaches(address, 80), "the host does not reach its containers"
            assert not one.run(lambda: reaches(address, 80, SHORT))
            with Netlink() as netlink:
                assert netlink.link_index(network.device(network.store.networks["bridge"]))
            inside.close()
            server.close()

    in_new_netns(work)
