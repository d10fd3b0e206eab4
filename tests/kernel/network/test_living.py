"""Networks of containers that run: changed, limited, held to a list, and left alone by the daemon's death."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.network.answers import Place, ask, serve_names
from tests.kernel.network.laboratory import (
    HOST_OUTSIDE,
    SERVER,
    Laboratory,
    devices,
    manager,
    porter,
    reaches,
    seat,
    with_laboratory,
)
from tests.kernel.network.namespaces import in_new_netns
from wharfie.errors import NotSupported
from wharfie.linux import conntrack, nft
from wharfie.network import ports

LONG = 20.0
SHORT = 0.3
MEGABIT = 125_000
BURST = 1 << 16


def test_ports_come_and_go_on_a_running_container(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        lab.container("web", "-p", "8080:80")
        assert _from_outside(lab, 8080) == SERVER
        lab.run("update", "--publish-add", "8081:80", "--publish-rm", "8080", "web")
        assert _from_outside(lab, 8081) == SERVER
        assert _from_outside(lab, 8080, SHORT) is None
        assert "8081" in lab.run("port", "web")
        assert "publishes nothing at port 8080" in lab.refused("update", "--publish-rm", "8080", "web")
        taken = socket.create_server(("0.0.0.0", 8082))
        refusal = lab.refused("update", "--publish-add", "8082:80", "--publish-rm", "8081", "web")
        assert "Bind for 0.0.0.0:8082 failed: address already in use by" in refusal
        assert f"(pid {os.getpid()})" in refusal
        taken.close()
        # what was refused has changed nothing
        assert _from_outside(lab, 8081) == SERVER
        lab.run("stop", "-t", "0", "web")
        lab.run("update", "--publish-add", "8083:80", "web")
        lab.run("start", "web")
        assert "0.0.0.0:8083" in lab.run("port", "web", "80")

    with_laboratory(tmp_path, work)


def test_a_range_of_thousands_of_ports_is_published_kept_and_let_go(tmp_path: Path) -> None:
    """More than one message holds, to the packet filter and to the porter."""

    def work(lab: Laboratory) -> None:
        web = lab.container("web", "-p", "20000-22499:20000-22499")
        inside = web.run(lambda: socket.create_server(("0.0.0.0", 22_400)))
        ours.until(lambda: _held(22_499) == "porter", "the porter never got the sockets")
        lab.kill_daemon()
        lab.engine.start()
        assert _held(22_400) == "porter"
        assert lab.outside.run(lambda: reaches(HOST_OUTSIDE, 22_400))
        inside.close()
        lab.run("rm", "-f", "web")
        ours.until(lambda: not _held(22_499) + _held(20_000), "the porter keeps ports of nobody's")

    with_laboratory(tmp_path, work)


def test_datagrams_follow_a_port_that_comes_goes_and_moves(tmp_path: Path) -> None:
    """One sender, one socket, no pause: the kernel's memory of it must not outlive the port."""

    def work(lab: Laboratory) -> None:
        memory = conntrack.Memory()
        sender = lab.outside.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.connect((HOST_OUTSIDE, 8090))
        forwarded = lab.outside.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

        def answered(patience: float) -> bool:
            """By the container itself, which sees who asks."""
            sender.settimeout(patience)
            try:
                sender.send(b"?")
                return sender.recv(100).decode() == SERVER
            except OSError:
                return False

        assert not answered(SHORT)
        first = lab.container("first", "-p", "8090:80/udp")
        assert answered(LONG), "what was sent before the port came kept the sender away from it"
        # what only passes through this machine to the same port elsewhere is nobody's port
        away = first.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        forwarded.bind((SERVER, 8090))
        away.connect((SERVER, 8090))
        away.send(b"!")
        assert forwarded.recvfrom(10)[1][0] == HOST_OUTSIDE
        kept = {flow.target for flow in memory.flows(socket.AF_INET, socket.IPPROTO_UDP, [8090])}
        assert kept == {HOST_OUTSIDE, SERVER}
        lab.run("update", "--publish-rm", "8090/udp", "first")
        assert not answered(SHORT), "the port is gone and its sender is led to the container still"
        kept = {flow.target for flow in memory.flows(socket.AF_INET, socket.IPPROTO_UDP, [8090])}
        assert SERVER in kept, "a connection of somebody else's was forgotten"
        lab.run("update", "--publish-add", "8090:80/udp", "first")
        assert answered(LONG)
        lab.run("rm", "-f", "first")
        lab.container("second", "-p", "8090:80/udp")
        assert answered(LONG), "the sender is led to a container that is gone"

    with_laboratory(tmp_path, work)


def test_a_port_of_a_protocol_that_the_kernel_lacks_is_refused(tmp_path: Path) -> None:
    def has_sctp() -> bool:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
        except OSError:
            return False
        return True

    def work() -> None:
        network = manager(tmp_path)
        network.setup()
        seat(network, "one")
        requests = ports.parse({"80/sctp": [("", "8091", "")], "80/tcp": [("", "8091", "")]})
        if has_sctp():
            assert {one.protocol for one in network.publishing.add("one", requests)} == {"tcp", "sctp"}
        else:
            with pytest.raises(NotSupported, match="80/sctp cannot be published: this kernel has no SCTP"):
                network.publishing.add("one", requests)
            assert network.ports.owners == {}
            assert network.endpoints("one")[0].published == ()
        network.teardown()

    in_new_netns(work)


def test_the_daemons_death_disturbs_nobody(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        lab.run("network", "create", "inner")
        lab.container("one", "--network", "inner", "-p", "8080:80")
        lab.container("two", "--network", "inner", "--network-alias", "second")
        ours.until(lambda: _held(8080) == "porter", "the porter never got the socket")
        lab.run("network", "create", "further")
        lab.run("network", "connect", "further", "two")
        two = lab.place("two")
        lab.kill_daemon()
        assert _from_outside(lab, 8080) == SERVER
        answers = two.run(lambda: _question("second"))
        assert answers[3] & 15 == 0, "names are not found while no daemon runs"
        lab.engine.start()
        assert _from_outside(lab, 8080) == SERVER
        assert lab.resolves("one", "second")
        assert lab.resolves("two", "one")
        lab.run("network", "disconnect", "inner", "two")
        assert not lab.resolves("one", "second")
        lab.kill_daemon(signal.SIGTERM)
        lab.engine.start()
        two.close()
        lab.run("rm", "-f", "one", "two")
        assert _from_outside(lab, 8080, SHORT) is None

    with_laboratory(tmp_path, work)


def test_an_interface_ends_with_its_container_whoever_holds_its_namespace(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        lab.run("network", "create", "--subnet", "10.96.0.0/24", "narrow")
        options = ("--network", "narrow", "--ip", "10.96.0.9", "--network-rate", "out=9mbit")
        first = lab.container("first", *options)
        lab.run("rm", "-f", "first")
        lab.container("second", *options)
        assert first.run(devices) == {"lo"}, "two interfaces have one address"
        lab.run("restart", "-t", "0", "second")
        others = {"lo", "uplink", lab.engine.bridge, lab.bridge("narrow")}
        ours.until(lambda: len(devices() - others) == 2, "the devices of the first life stay")
        (veth, shaper) = sorted(devices() - others)[::-1]
        assert veth.replace("veth", "ifb") == shaper
        held = lab.place("second")
        main = int(lab.run("inspect", "-f", "{{.State.Pid}}", "second"))
        lab.kill_daemon()
        os.kill(main, signal.SIGKILL)
        ours.until(lambda: not ours.alive(main), "the container does not end")
        assert veth in devices(), "this test is about a namespace that lives on"
        lab.engine.start()
        ours.until(lambda: not {veth, shaper} & devices(), "the devices of a container that ended stay")
        assert held.run(devices) == {"lo"}

    with_laboratory(tmp_path, work)


def test_another_porter_learns_everything(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        lab.run("network", "create", "inner")
        lab.container("one", "--network", "inner", "-p", "8080:80")
        assert lab.resolves("one", "one")
        ours.until(lambda: _held(8080) == "porter", "the porter never got the socket")
        first = porter()
        os.kill(first, signal.SIGKILL)
        ours.until(lambda: porter() not in (0, first), "no other porter came")
        ours.until(lambda: lab.resolves("one", "one"), "the other porter does not answer")
        ours.until(lambda: ask("tcp", "::1", 8080, LONG), "the other porter carries nothing")

    with_laboratory(tmp_path, work)


def test_a_flushed_rule_set_is_put_back_at_once(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        lab.container("web", "-p", "8080:80")
        nft.run("flush ruleset")
        ours.until(lambda: "anywhere4" in nft.run("list ruleset"), "the rules were not put back")
        assert _from_outside(lab, 8080) == SERVER

    with_laboratory(tmp_path, work)


def test_an_allow_list_lets_out_what_is_on_it(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        held = lab.container("held", "--egress", "allow=203.0.113.9,fd00::/8")
        free = lab.container("free")
        assert free.run(lambda: ask("tcp", SERVER, 80, LONG)) == HOST_OUTSIDE
        began = time.monotonic()
        assert held.run(lambda: ask("tcp", SERVER, 80, LONG)) is None
        assert time.monotonic() - began < LONG, "it was not refused, it was left waiting"
        assert held.run(lambda: ask("tcp", "172.17.0.1", 80, LONG)) is None
        address = lab.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "free")
        seen = held.run(lambda: ask("tcp", address, 80, LONG))
        assert seen == lab.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "held"), (
            "containers of one network do not reach each other because one has a list"
        )
        ours.until(lambda: SERVER in _events(lab, "egress-refused"), "the refusal was not told")
        lab.run("update", "--egress", "allow=203.0.113.0/24", "held")
        assert held.run(lambda: ask("tcp", SERVER, 80, LONG)) == HOST_OUTSIDE
        lab.run("update", "--egress", "none", "held")
        assert held.run(lambda: ask("udp", SERVER, 80, LONG)) == HOST_OUTSIDE
        assert "it must begin with allow=" in lab.refused("update", "--egress", "everything", "held")

    with_laboratory(tmp_path, work)


def _from_outside(lab: Laboratory, port: int, patience: float = LONG) -> str | None:
    found: str | None = lab.outside.run(lambda: ask("tcp", HOST_OUTSIDE, port, patience))
    return found


def _names(lab: Laboratory, **names: str) -> None:
    """The machine outside answers for ``names`` below example.com, for a day."""
    known = {f"{name}.example.com": address for name, address in names.items()}
    threading.Thread(target=lab.outside.run(lambda: serve_names(SERVER, known, 86_400)), daemon=True).start()


def _gets_out(lab: Laboratory, container: str) -> bool:
    """Whether a process of the container is answered; this process keeps nothing of its namespace alive."""
    return lab.engine.cli("exec", container, "nc", "-w", "20", SERVER, "80").stdout == HOST_OUTSIDE


def test_a_name_on_the_list_lets_out_to_what_it_stands_for(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        _names(lab, good=SERVER)
        lab.run("network", "create", "-o", "wharfie.egress=allow=good.example.com", "listed")
        options = ("--dns", SERVER, "busybox", "sleep", "600")
        lab.run("run", "-d", "--name", "by-network", "--network", "listed", *options)
        lab.run("run", "-d", "--name", "by-itself", "--egress", "allow=example.com", *options)
        for name in ("by-network", "by-itself"):
            assert not _gets_out(lab, name)
            assert lab.resolves(name, "good.example.com")
            assert _gets_out(lab, name)
            assert not lab.resolves(name, "elsewhere.org")
        ours.until(lambda: "elsewhere.org" in _events(lab, "egress-refused"), "the refusal was not told")
        # the name said a day: it is open for an hour
        (table,) = [item["table"]["name"] for item in nft.query("list tables") if "table" in item]
        (listed,) = nft.query(f"list set inet {table} answered4")
        assert {one["elem"]["timeout"] for one in listed["set"]["elem"]} == {3600}
        # no name is asked for again: not after the daemon's death, and not after a flush
        lab.kill_daemon()
        lab.engine.start()
        assert _gets_out(lab, "by-itself"), "the next daemon closed what a name had opened"
        nft.run("flush ruleset")
        ours.until(lambda: SERVER in _openings(), "the rules came back without what names had opened")
        assert _gets_out(lab, "by-network")

    with_laboratory(tmp_path, work)


def _openings() -> str:
    """What names have opened, as nft(8) shows it; empty while there is no table."""
    for item in nft.query("list tables"):
        if "table" in item:
            return nft.run(f"list set inet {item['table']['name']} answered4")
    return ""


def test_what_a_name_stood_for_ends_with_the_list_and_with_the_container(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        _names(lab, good=SERVER)
        # one address besides the gateway's: the next container has the same
        lab.run("network", "create", "--subnet", "10.97.0.0/30", "tiny")
        options = ("--network", "tiny", "--dns", SERVER, "busybox", "sleep", "600")
        lab.run("run", "-d", "--name", "first", "--egress", "allow=good.example.com", *options)
        assert lab.resolves("first", "good.example.com")
        assert _gets_out(lab, "first")
        # of equal priority, so the default route stays with the first by name
        lab.run("network", "create", "wider")
        lab.run("network", "connect", "wider", "first")
        assert _gets_out(lab, "first"), "another network took away what a name had opened"
        lab.run("update", "--egress", "allow=203.0.113.9", "first")
        assert not _gets_out(lab, "first"), "a name that is off the list still opens the way"
        lab.run("update", "--egress", "allow=good.example.com", "first")
        assert lab.resolves("first", "good.example.com")
        assert _gets_out(lab, "first")
        lab.run("rm", "-f", "first")
        lab.run("run", "-d", "--name", "second", "--egress", "allow=203.0.113.9", *options)
        assert not _gets_out(lab, "second"), "the next container inherits what a name had opened"
        assert (
            lab.run("inspect", "-f", "{{.NetworkSettings.Networks.tiny.IPAddress}}", "second") == "10.97.0.2"
        )

    with_laboratory(tmp_path, work)


def test_an_address_on_the_list_stays_when_a_name_stands_for_it_too(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        _names(lab, good=SERVER)
        lab.run("run", "-d", "--name", "both", "--egress", f"allow=example.com,{SERVER}", "--dns", SERVER,
                "busybox", "sleep", "600")  # fmt: skip
        assert lab.resolves("both", "good.example.com")
        assert _gets_out(lab, "both")
        table = next(item["table"]["name"] for item in nft.query("list tables") if "table" in item)
        listed = nft.run(f"list set inet {table} allowed4")
        assert f". {SERVER}" in listed
        assert "timeout" not in listed, "what is on the list itself ends with the answer"

    with_laboratory(tmp_path, work)


def test_a_rate_is_held_both_ways(tmp_path: Path) -> None:
    def work(lab: Laboratory) -> None:
        slow = lab.container("slow", "--network-rate", "in=40mbit,out=24mbit")
        sink = lab.outside.run(lambda: socket.create_server((SERVER, 99)))
        _kept_to(24, lambda: _carried(slow, (SERVER, 99), sink))
        sink_inside = slow.run(lambda: socket.create_server(("0.0.0.0", 99)))
        address = lab.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "slow")
        _kept_to(40, lambda: _carried(Place("/proc/self/ns/net"), (address, 99), sink_inside))
        lab.run("update", "--network-rate", "none", "slow")
        count, seconds = _carried(slow, (SERVER, 99), sink)
        assert count > 60 * MEGABIT * seconds
        assert "is no rate such as 10mbit" in lab.refused("update", "--network-rate", "in=fast", "slow")

    with_laboratory(tmp_path, work)


def _kept_to(megabits: int, measure: Callable[[], tuple[int, float]]) -> None:
    """A busy machine sends less than it may for a while, and never more than that and one burst."""
    allowed = megabits * MEGABIT
    seen: list[float] = []
    while len(seen) < 10:
        count, seconds = measure()
        seen.append(count / seconds / MEGABIT)
        assert count <= allowed * seconds + BURST, f"{seen} Mbit/s"
        if count > 0.92 * allowed * seconds:
            return
    raise AssertionError(f"{seen} Mbit/s")


def _carried(place: Place, address: tuple[str, int], sink: socket.socket) -> tuple[int, float]:
    """Bytes that arrive, and the seconds since before the first was sent: no pause makes that faster."""
    stop = threading.Event()

    def send() -> None:
        with socket.create_connection(address) as sock:
            block = bytes(1 << 16)
            while not stop.is_set():
                sock.sendall(block)

    sender = threading.Thread(target=lambda: place.run(send), daemon=True)
    began, count = time.monotonic(), 0
    sender.start()
    receiver, _ = sink.accept()
    with receiver:
        while time.monotonic() < began + 2:
            count += len(receiver.recv(1 << 16))
        seconds = time.monotonic() - began
        stop.set()
    return count, seconds


def _question(name: str) -> bytes:
    query = b"\1\2\1\0\0\1\0\0\0\0\0\0" + bytes((len(name),)) + name.encode() + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(LONG)
        sock.sendto(query, ("127.0.0.11", 53))
        return sock.recv(512)


def _events(lab: Laboratory, action: str) -> str:
    text = lab.run("events", "--since", "5m", "--until", f"{time.time():.6f}", "--format", "{{json .}}")
    return "\n".join(line for line in text.splitlines() if json.loads(line)["Action"] == action)


def _held(port: int) -> str:
    """Who has the port's listening socket: the porter, or somebody else."""
    from wharfie.network.holders import process_at

    by = process_at("tcp", port)
    pid = int(by.rpartition(" ")[2].rstrip(")") or 0) if by else 0
    return "porter" if pid and pid == porter() else by
