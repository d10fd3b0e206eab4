"""Links, gateways by priority, containers kept apart, networks of IPv6 alone, macvlan in its modes."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from tests import ours
from tests.kernel.network.answers import Answers, Place, ask
from tests.kernel.network.laboratory import HOST_OUTSIDE, SERVER, container, listen, manager, reaches, uplink
from tests.kernel.network.namespaces import Peer, in_new_netns
from wharfie.linux.rtnetlink import Netlink

LONG, SHORT = 5.0, 0.2


class Bench:
    """One engine and a machine outside, for all of it."""

    def __init__(self, engine: ours.Engine, server: Peer) -> None:
        self.engine = engine
        self.answers = Answers()
        self.outside = Place(f"/proc/{server.pid}/ns/net")
        self.outside.run(self.answers.listen)
        threading.Thread(target=self.answers.serve, daemon=True).start()

    def run(self, *words: str) -> str:
        done = self.engine.cli(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def refused(self, *words: str) -> str:
        done = self.engine.cli(*words)
        assert done.returncode != 0, words
        return done.stderr

    def container(self, name: str, *options: str) -> Place:
        self.run("run", "-d", "--name", name, *options, "busybox", "sleep", "600")
        place = self.place(name)
        place.run(self.answers.listen)
        return place

    def place(self, name: str) -> Place:
        return Place(f"/proc/{self.run('inspect', '-f', '{{.State.Pid}}', name)}/ns/net")

    def resolves(self, name: str, asked: str) -> bool:
        return "Name:" in self.engine.cli("exec", name, "nslookup", asked).stdout

    def default_routes(self, name: str) -> list[str]:
        text = self.run("exec", name, "ip", "route") + "\n" + self.run("exec", name, "ip", "-6", "route")
        return [line.split()[2] for line in text.splitlines() if line.startswith("default")]


def test_modes_that_are_asked_for_by_options(tmp_path: Path) -> None:
    def work() -> None:
        with Peer() as server:
            uplink(server)
            with ours.engine(tmp_path, bridge="wk") as engine:
                bench = Bench(engine, server)
                links_on_the_default_bridge(bench)
                links_in_a_network(bench)
                the_default_route_is_the_priority_s(bench)
                a_network_of_ipv6_alone(bench)
                macvlan_private_and_passthru(bench)

    in_new_netns(work)


def links_on_the_default_bridge(bench: Bench) -> None:
    bench.run("run", "-d", "--name", "db", "-e", "SECRET=x", "--expose", "5432", "busybox", "sleep", "600")
    address = bench.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db")
    script = "cat /etc/hosts; env | sort"
    shown = bench.run("run", "--rm", "--name", "app", "--link", "db:store", "busybox", "sh", "-c", script)
    hostname = bench.run("inspect", "-f", "{{.Config.Hostname}}", "db")
    assert f"{address}\tstore {hostname} db\n" in shown
    for line in (
        f"STORE_PORT=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP_ADDR={address}",
        "STORE_NAME=/app/store",
        "STORE_ENV_SECRET=x",
    ):
        assert line in shown.splitlines(), line
    bench.run("stop", "-t", "0", "db")
    refusal = bench.refused("run", "--rm", "--name", "app", "--link", "db:store", "busybox", "true")
    assert "Cannot link to a non running container: /db AS /app/store" in refusal
    bench.run("rm", "-f", "app", "db")


def links_in_a_network(bench: Bench) -> None:
    bench.run("network", "create", "wired")
    bench.container("db", "--network", "wired")
    bench.container("app", "--network", "wired", "--link", "db:store")
    bench.container("other", "--network", "wired")
    assert bench.resolves("app", "store")
    assert bench.resolves("app", "db")
    assert not bench.resolves("other", "store"), "an alias of one container alone is known to another"
    bench.run("rm", "-f", "db", "app", "other")
    bench.run("network", "rm", "wired")


def the_default_route_is_the_priority_s(bench: Bench) -> None:
    for number in (51, 52, 53):
        bench.run("network", "create", "--subnet", f"10.{number}.0.0/24", f"n{number}")
    networks = ("--network", "name=n51,gw-priority=1", "--network", "name=n52,gw-priority=5")
    bench.container("many", *networks, "-p", "8070:80")
    assert bench.default_routes("many") == ["10.52.0.1"]
    bench.run("network", "connect", "--gw-priority", "9", "n53", "many")
    assert bench.default_routes("many") == ["10.53.0.1"]
    # what is published goes where the gateway is: the answer finds its way back
    assert bench.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8070, LONG)) == SERVER
    bench.run("network", "disconnect", "n53", "many")
    assert bench.default_routes("many") == ["10.52.0.1"]
    bench.run("network", "disconnect", "n52", "many")
    assert bench.default_routes("many") == ["10.51.0.1"]
    assert bench.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8070, LONG)) == SERVER
    bench.run("restart", "-t", "0", "many")
    assert bench.default_routes("many") == ["10.51.0.1"]
    bench.run("rm", "-f", "many")
    bench.run("network", "rm", "n51", "n52", "n53")


def a_network_of_ipv6_alone(bench: Bench) -> None:
    bench.run("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd66::/64", "six")
    bench.container("one", "--network", "six", "--ip6", "fd66::10", "-p", "8060:80")
    two = bench.container("two", "--network", "six")
    shown = bench.run("exec", "two", "ip", "-o", "addr", "show", "eth0")
    assert "inet " not in shown
    assert "inet6 fd66::" in shown
    assert two.run(lambda: ask("tcp", "fd66::10", 80, LONG))
    assert "fd66::10" in bench.engine.cli("exec", "two", "nslookup", "one").stdout
    # IPv4 of the host is carried to it by a process, which is whom it sees
    assert bench.outside.run(lambda: ask("tcp", HOST_OUTSIDE, 8060, LONG)) == "fd66::1"
    assert Place("/proc/self/ns/net").run(lambda: ask("tcp", "::1", 8060, LONG))
    assert "IPv4 or IPv6 must be enabled" in bench.refused("network", "create", "--ipv4=false", "none6")
    bench.run("rm", "-f", "one", "two")
    bench.run("network", "rm", "six")


def macvlan_private_and_passthru(bench: Bench) -> None:
    """Asked by the containers' own processes: a device goes when nobody holds its namespace any more."""

    def make(mode: str) -> None:
        bench.run("network", "create", "-d", "macvlan", "-o", "parent=uplink", "-o", f"macvlan_mode={mode}",
                  "--subnet", "203.0.113.0/24", "--ip-range", "203.0.113.64/26", "mac")  # fmt: skip

    server = ("busybox", "sh", "-c", "while true; do echo here | nc -l -p 80; done")
    for number, (mode, heard) in enumerate((("bridge", True), ("private", False), ("vepa", False))):
        make(mode)
        addresses = [f"203.0.113.{70 + 2 * number + place}" for place in (0, 1)]
        for name, address in zip(("one", "two"), addresses, strict=True):
            bench.run("run", "-d", "--name", name, "--network", "mac", "--ip", address, *server)
        done = bench.engine.cli("exec", "two", "nc", "-w", "5", SERVER, "80")
        assert done.stdout == addresses[1], (mode, done)
        # the server listens anew after each who asked
        ours.until(lambda: _heard(bench, "one", "127.0.0.1"), "one does not answer itself")
        if heard:
            ours.until(partial(_heard, bench, "two", addresses[0]), mode)
        else:
            assert not _heard(bench, "two", addresses[0]), mode
        bench.run("rm", "-f", "one", "two")
        bench.run("network", "rm", "mac")
    make("passthru")
    first = ("run", "-d", "--name", "one", "--network", "mac", "busybox", "sleep", "600")

    def alone() -> bool:
        """The kernel gives the device to one only, when the last of the others has gone."""
        done = bench.engine.cli(*first).returncode == 0
        if not done:
            bench.run("rm", "-f", "one")
        return done

    ours.until(alone, "the device is not given to the only container there is")
    refusal = bench.refused("run", "--name", "two", "--network", "mac", "busybox", "true")
    assert "cannot create the" in refusal, refusal
    bench.run("rm", "-f", "one", "two")
    bench.run("network", "rm", "mac")


def _heard(bench: Bench, asker: str, address: str) -> bool:
    return bench.engine.cli("exec", asker, "nc", "-w", "1", address, "80").stdout == "here\n"


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
