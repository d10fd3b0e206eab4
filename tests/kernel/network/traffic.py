"""Who reaches whom, and under which address: a table of real connections through a whole engine.

::

    outside (203.0.113.2, 2001:db8:113::2) ── uplink ── host ── bridges of every kind ── containers

Every container answers on port 80, TCP and UDP, both families, with the address it was asked from; a case
names who asks, what, and whose address is seen (``None``: nobody answers). :func:`play` plays it on any
engine; what it gave on real Docker is recorded (``./check peers``).
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence

from tests.kernel.network.answers import Answers, Place, ask
from tests.kernel.network.laboratory import HOST_OUTSIDE, SERVER
from tests.kernel.network.namespaces import Peer
from wharfie.linux.rtnetlink import Netlink

HOST6, SERVER6 = "2001:db8:113::1", "2001:db8:113::2"
PATIENCE = 0.25
NETWORKS = {
    "dual": ["--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd91::/64"],
    "other": ["--subnet", "10.92.0.0/24"],
    "closed": ["--internal", "--subnet", "10.93.0.0/24"],
    "apart": ["--subnet", "10.94.0.0/24", "-o", "com.docker.network.bridge.enable_icc=false"],
    "bare": ["--subnet", "10.95.0.0/24", "-o", "com.docker.network.bridge.enable_ip_masquerade=false"],
    "narrow": ["--subnet", "10.96.0.0/24", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1"],
    "mac": [
        *("-d", "macvlan", "-o", "parent=uplink"),
        *("--subnet", "203.0.113.0/24", "--ip-range", "203.0.113.64/26"),
    ],
}  # fmt: skip
PORTS = ["-p", "{0}0:80", "-p", "{0}0:80/udp", "-p", "127.0.0.1:{0}1:80", "-p", "203.0.113.1:{0}2:80",
         "-p", "[::1]:{0}3:80", "-p", "[2001:db8:113::1]:{0}4:80"]  # fmt: skip
CONTAINERS: dict[str, tuple[str, list[str]]] = {
    "d1": ("bridge", [word.format("800") for word in PORTS]),
    "d2": ("bridge", []),
    "u1": ("dual", ["--ip", "10.91.0.10", "--ip6", "fd91::10", *(word.format("810") for word in PORTS)]),
    "u2": ("dual", ["--ip", "10.91.0.11", "--ip6", "fd91::11"]),
    "o1": ("other", ["--ip", "10.92.0.10", *(word.format("820") for word in PORTS)]),
    "c1": ("closed", ["--ip", "10.93.0.10", "-p", "8300:80"]),
    "c2": ("closed", ["--ip", "10.93.0.11"]),
    "i1": ("apart", ["--ip", "10.94.0.10", "-p", "8400:80"]),
    "i2": ("apart", ["--ip", "10.94.0.11"]),
    "b1": ("bare", ["--ip", "10.95.0.10", "-p", "8500:80"]),
    "n1": ("narrow", ["--ip", "10.96.0.10", "-p", "8600:80"]),
    "m1": ("mac", ["--ip", "203.0.113.70"]),
    "m2": ("mac", ["--ip", "203.0.113.71"]),
    "h1": ("host", []),
    "x1": ("none", []),
    "j1": ("container:u1", []),
}
Case = tuple[str, str, str, int, str | None]


def cases() -> list[Case]:
    """(who asks, protocol, address, port, the address that is seen or None)."""
    gateways = {"bridge": "172.17.0.1", "dual": "10.91.0.1", "other": "10.92.0.1"}
    found: list[Case] = []
    both = ("tcp", "udp")
    for protocol in both:
        # within a network: as it is
        found += [
            ("d2", protocol, "@d1", 80, "@d2"),
            ("u2", protocol, "10.91.0.10", 80, "10.91.0.11"),
            ("u2", protocol, "fd91::10", 80, "fd91::11"),
            ("c2", protocol, "10.93.0.10", 80, "10.93.0.11"),
            ("m2", protocol, "203.0.113.70", 80, "203.0.113.71"),
            ("j1", protocol, "10.91.0.11", 80, "10.91.0.10"),
            ("u2", protocol, "10.91.0.10", 80, "10.91.0.11"),
            ("j1", protocol, "127.0.0.1", 80, "127.0.0.1"),
            ("x1", protocol, "127.0.0.1", 80, "127.0.0.1"),
            ("h1", protocol, "127.0.0.1", 80, "127.0.0.1"),
        ]
        # apart: not each other
        found += [("i2", protocol, "10.94.0.10", 80, None), ("i1", protocol, "10.94.0.11", 80, None)]
        # between networks: never by their own addresses
        for asker, _gateway in (("d2", 0), ("u2", 0), ("o1", 0), ("i2", 0), ("b1", 0), ("c2", 0)):
            for target in ("@d1", "10.91.0.10", "10.92.0.10", "10.93.0.10", "10.95.0.10"):
                own = {"d2": "@d1", "u2": "10.91.0.10", "o1": "10.92.0.10", "b1": "10.95.0.10",
                       "c2": "10.93.0.10"}.get(asker)  # fmt: skip
                if target != own:
                    found.append((asker, protocol, target, 80, None))
        found += [("x1", protocol, "10.91.0.10", 80, None), ("x1", protocol, HOST_OUTSIDE, 80, None)]
        # the host reaches its containers
        for target, seen in (
            ("@d1", "172.17.0.1"),
            ("10.91.0.10", "10.91.0.1"),
            ("10.92.0.10", "10.92.0.1"),
            ("10.93.0.10", "10.93.0.1"),
            ("10.94.0.10", "10.94.0.1"),
            ("fd91::10", "fd91::1"),
        ):
            found.append(("host", protocol, target, 80, seen))
        # the way out: under the host's address, where it is masqueraded, and not from inside an internal one
        for asker in ("d1", "u1", "o1", "i1", "n1", "j1"):
            found.append((asker, protocol, SERVER, 80, HOST_OUTSIDE))
        found += [
            ("u1", protocol, SERVER6, 80, HOST6),
            ("b1", protocol, SERVER, 80, "10.95.0.10"),
            ("c1", protocol, SERVER, 80, None),
            ("m1", protocol, SERVER, 80, "203.0.113.70"),
            ("h1", protocol, SERVER, 80, HOST_OUTSIDE),
            ("d1", protocol, SERVER6, 80, None),
            ("o1", protocol, SERVER6, 80, None),
            ("x1", protocol, SERVER, 80, None),
        ]
        # from outside, nothing is reached by a container's own address
        for target in ("@d1", "10.91.0.10", "10.92.0.10", "10.93.0.10", "fd91::10"):
            found.append(("outside", protocol, target, 80, None))
        # published: from outside with its own source, from the host's addresses, from containers
        for base, gateway in (
            (8000, gateways["bridge"]),
            (8100, gateways["dual"]),
            (8200, gateways["other"]),
        ):
            found += [
                ("outside", protocol, HOST_OUTSIDE, base, SERVER),
                ("host", protocol, HOST_OUTSIDE, base, "@any"),
                ("host", protocol, "127.0.0.1", base, "@any"),
                ("host", protocol, "::1", base, "@any"),
                ("host", protocol, gateway, base, "@any"),
                ("u2", protocol, HOST_OUTSIDE, base, "@any"),
                ("d2", protocol, HOST_OUTSIDE, base, "@any"),
                ("d1", protocol, HOST_OUTSIDE, base, "@any"),
                ("u1", protocol, HOST_OUTSIDE, base, "@any"),
                ("outside", protocol, HOST6, base, SERVER6 if base == 8100 else "@any"),
            ]
    for base in (8000, 8100, 8200):
        found += [
            ("host", "tcp", "127.0.0.1", base + 1, "@any"),
            ("host", "tcp", HOST_OUTSIDE, base + 1, None),
            ("outside", "tcp", HOST_OUTSIDE, base + 1, None),
            ("d2", "tcp", HOST_OUTSIDE, base + 1, None),
            ("outside", "tcp", HOST_OUTSIDE, base + 2, SERVER),
            ("host", "tcp", "127.0.0.1", base + 2, None),
            ("host", "tcp", "::1", base + 3, "@any"),
            ("outside", "tcp", HOST6, base + 3, None),
            ("outside", "tcp", HOST6, base + 4, SERVER6 if base == 8100 else "@any"),
            ("outside", "tcp", HOST_OUTSIDE, base + 4, None),
        ]
    found += [
        ("outside", "tcp", HOST_OUTSIDE, 8300, None),
        ("host", "tcp", "127.0.0.1", 8300, None),
        ("outside", "tcp", HOST_OUTSIDE, 8400, SERVER),
        ("outside", "tcp", HOST_OUTSIDE, 8500, SERVER),
        ("host", "tcp", "127.0.0.1", 8600, "@any"),
        ("outside", "tcp", HOST_OUTSIDE, 8600, None),
        ("c2", "tcp", "10.93.0.1", 8000, None),
    ]
    return found


def outside(server: Peer) -> None:
    with Netlink() as netlink:
        netlink.add_address(netlink.link_index("uplink"), f"{HOST6}/64")

    def inside() -> None:
        with Netlink() as netlink:
            index = netlink.link_index("eth0")
            netlink.add_address(index, f"{SERVER6}/64")
            # it knows the way to the containers: what keeps it out is not a missing route
            for subnet in ("172.17.0.0/16", "10.91.0.0/24", "10.92.0.0/24", "10.93.0.0/24", "10.95.0.0/24"):
                netlink.add_route(subnet, gateway=HOST_OUTSIDE)
            netlink.add_route("fd91::/64", gateway=HOST6)

    server.run(inside)


def play(program: Sequence[str], server: Peer) -> dict[Case, str | None]:
    """The table on the engine that ``program`` is the command line of: the address seen in each case."""

    def run(*words: str) -> str:
        done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    for name, options in NETWORKS.items():
        run("network", "create", *options, name)
    answers = Answers()
    places = {"host": Place("/proc/self/ns/net"), "outside": Place(f"/proc/{server.pid}/ns/net")}
    addresses = {}
    for name, (network, options) in CONTAINERS.items():
        run("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "600")
        pid = run("inspect", "-f", "{{.State.Pid}}", name)
        places[name] = Place(f"/proc/{pid}/ns/net")
        if network == "bridge":
            addresses[f"@{name}"] = run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)
    gateway = run("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    assert gateway == "172.17.0.1"
    for name, place in places.items():
        if name not in ("host", "j1"):
            place.run(answers.listen)
    threading.Thread(target=answers.serve, daemon=True).start()
    names = {address: name for name, address in addresses.items()}
    found = {}
    for case in dict.fromkeys(cases()):
        asker, protocol, target, port, seen = case
        patience = PATIENCE if seen is None else 20.0
        got = places[asker].run(_asking(protocol, addresses.get(target, target), port, patience))
        found[case] = names.get(got, got)
    return found


def as_it_should_be(case: Case, got: str | None) -> bool:
    """Whether the answer is what the table says."""
    return got == case[4] or (case[4] == "@any" and bool(got))


def _asking(protocol: str, address: str, port: int, patience: float) -> Callable[[], str | None]:
    return lambda: ask(protocol, address, port, patience)
