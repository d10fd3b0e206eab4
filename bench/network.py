"""``python -m bench.network [--write]``: how much a network carries, how well a limit holds, and 300 of them.

Streams are sent and taken by this process inside the containers' namespaces, with the same few lines for
every engine, by many short turns: what differs is only what lies between. Each engine has a network namespace
of its own, and TCP controls congestion as it does on nearly every machine (cubic): one that paces by time, as
bbr, measures its timer. ``--write`` puts the rows into the README.
"""

from __future__ import annotations

import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import report
from bench.engines import Engine, engines
from tests import ours
from tests.kernel.network.answers import Place
from tests.kernel.network.many import Crowd
from tests.kernel.network.namespaces import unshare_network

SECONDS, ROUNDS = 0.4, 31
NETWORKS, ENDS = 300, 20
RATES = (20, 200)
BLOCK = bytes(1 << 20)
_PATIENCE = 20
"""Seconds without a byte after which something is wrong."""
GIGABIT, MEGABIT = 125_000_000, 125_000
HEADERS = 1514 / 1448
"""A limit counts whole frames: what it lets through of them is data."""


def carried(sender: Place, target: tuple[str, int], sink: socket.socket, *, settle: float = 0.1) -> float:
    """Bytes per second that arrive, after a moment of settling."""
    stop = threading.Event()

    def send() -> None:
        try:
            with socket.create_connection(target, timeout=10) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
                while not stop.is_set():
                    sock.sendall(BLOCK)
        except OSError:
            return  # the other side has had enough

    rates: list[float] = []

    def take() -> None:
        taken, _ = sink.accept()
        room = bytearray(1 << 20)
        with taken:
            taken.settimeout(_PATIENCE)
            until = time.perf_counter() + settle
            while time.perf_counter() < until:
                taken.recv_into(room)
            began, count = time.perf_counter(), 0
            while time.perf_counter() < began + SECONDS:
                count += taken.recv_into(room)
            rates.append(count / (time.perf_counter() - began))
            stop.set()

    sink.settimeout(_PATIENCE)
    threads = [threading.Thread(target=lambda: sender.run(send), daemon=True), threading.Thread(target=take)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rates[0]


class Pair:
    """Two containers of an engine, one that publishes a port, and where the engine itself is."""

    def __init__(self, engine: Engine) -> None:
        self.places = {}
        for name, options in (("bench-a", ("-p", "8099:99")), ("bench-b", ())):
            engine.call("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")
            pid = engine.call("inspect", "--format", "{{.State.Pid}}", name)
            self.places[name] = Place(f"/proc/{pid}/ns/net")
        self.address = engine.call("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "bench-a")
        self.gateway = engine.call("inspect", "--format", "{{.NetworkSettings.Gateway}}", "bench-a")
        self.sender = self.places["bench-b"]
        self.host = Place(f"/proc/{engine.holder('bench-a')}/ns/net")
        self.sink: socket.socket = self.places["bench-a"].run(lambda: socket.create_server(("0.0.0.0", 99)))

    def close(self) -> None:
        """A namespace that is held here lives on."""
        self.sink.close()
        for place in (*self.places.values(), self.host):
            place.close()

    def between(self) -> float:
        """From one to the other, Gbit/s."""
        return carried(self.sender, (self.address, 99), self.sink) / GIGABIT

    def published(self) -> float:
        """From the host through the published port on an address of its own, Gbit/s."""
        return carried(self.host, (self.gateway, 8099), self.sink) / GIGABIT

    def local(self) -> float:
        """The same on localhost."""
        return carried(self.host, ("127.0.0.1", 8099), self.sink) / GIGABIT


def throughput(compared: dict[str, Engine]) -> list[report.Row]:
    """The rows of all ways, by turns; who begins changes from turn to turn."""
    pairs = {name: Pair(engine) for name, engine in compared.items()}
    ways: dict[str, Callable[[Pair], float]] = {
        "TCP, container to container": Pair.between,
        "TCP, host to a published port": Pair.published,
        "TCP, localhost to a published port": Pair.local,
    }
    samples: dict[str, dict[str, list[float]]] = {what: {name: [] for name in pairs} for what in ways}
    for turn in range(ROUNDS):
        for what, way in ways.items():
            for name in list(pairs)[:: -1 if turn % 2 else 1]:
                samples[what][name].append(way(pairs[name]))
    for what, found in samples.items():
        for name, values in found.items():
            print(f"{what}, {name}: {spread(values)} Gbit/s", flush=True)
    for name, engine in compared.items():
        pairs[name].close()
        engine.call("rm", "-f", "bench-a", "bench-b")
    return [
        report.Row(what, "Gbit/s", {name: statistics.median(values) for name, values in found.items()}, 1.0,
                   more=True)
        for what, found in samples.items()
    ]  # fmt: skip


def spread(values: Sequence[float]) -> str:
    """The median, and between which two half of the values are."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def limit(engine: Engine, wanted: int) -> tuple[float, float]:
    """What a limit lets in and out, as shares of it."""
    engine.call("run", "-d", "--name", "bench-r", "--network-rate", f"in={wanted}mbit,out={wanted}mbit",
                "busybox", "sleep", "1000")  # fmt: skip
    pid = engine.call("inspect", "--format", "{{.State.Pid}}", "bench-r")
    inside, host = Place(f"/proc/{pid}/ns/net"), Place(f"/proc/{engine.holder('bench-r')}/ns/net")
    address = engine.call("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "bench-r")
    gateway = engine.call("inspect", "--format", "{{.NetworkSettings.Gateway}}", "bench-r")
    shares = []
    for sender, target, sink in (
        (host, (address, 97), inside.run(lambda: socket.create_server(("0.0.0.0", 97)))),
        (inside, (gateway, 98), host.run(lambda: socket.create_server((gateway, 98)))),
    ):
        rates = [carried(sender, target, sink, settle=1.0) for _ in range(5)]
        shares.append(statistics.median(rates) * HEADERS / (wanted * MEGABIT))
        sink.close()
    inside.close()
    host.close()
    engine.call("rm", "-f", "bench-r")
    return shares[0], shares[1]


def published_start(engine: Engine, rounds: int = 41) -> None:
    """``run --rm`` with a published port, on the bridge alone, and without a network, by turns."""
    ways: dict[str, list[float]] = {"-p 8098:80": [], "the bridge alone": [], "--network none": []}
    options = (("-p", "8098:80"), (), ("--network", "none"))
    for turn in range(rounds + 2):
        for samples, words in list(zip(ways.values(), options, strict=True))[:: -1 if turn % 2 else 1]:
            elapsed = engine.timed("run", "--rm", *words, "busybox", "true") * 1000
            if turn >= 2:
                samples.append(elapsed)
            time.sleep(0.1)
    for what, samples in ways.items():
        print(f"run --rm, {what}: {spread(samples)} ms")
    alone = statistics.median(ways["--network none"])
    for what in list(ways)[:2]:
        print(f"{what} takes {statistics.median(ways[what]) / alone:.2f} × --network none (aim ≤ 1.15)")


def crowd(engine: ours.Engine, count: int = NETWORKS) -> None:
    """So many networks with a container each, one after another: the last twenty against the first twenty."""
    many = Crowd(engine, count)
    many.make()
    many.resolve()
    many.remove()
    first = last = 0.0
    for what, times in many.times._asdict().items():
        one, other = (statistics.median(part) * 1000 for part in (times[:ENDS], times[-ENDS:]))
        print(f"{count} {what}: {one:.1f} ms each, at the end {other:.1f} ms: {other / one:.2f}")
        first, last = first + one, last + other
    print(f"{count} altogether: {first:.1f} ms, at the end {last:.1f} ms: {last / first:.2f} (aim ≤ 1.2)")


def main() -> None:
    """Measure and print; further words choose: streams, starts, rates, many."""
    wanted = [word for word in sys.argv[1:] if word != "--write"] or ["streams", "starts", "rates", "many"]
    rows: list[report.Row] = []
    subprocess.run([str(report.ROOT / "bench" / "peers.sh")], check=True)
    # the real ones get a namespace each; what others have set up on this machine would slow down ours alone
    unshare_network()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as directory:
        if wanted != ["many"]:
            with engines(Path(directory) / "all") as found:
                if "streams" in wanted:
                    rows = throughput({name: found[name] for name in ("wharfie", "docker") if name in found})
                    print(report.table(rows), flush=True)
                if "starts" in wanted:
                    published_start(found["wharfie"])
                for rate in RATES if "rates" in wanted else ():
                    inward, outward = limit(found["wharfie"], rate)
                    print(f"a limit of {rate} Mbit/s: in {inward:.3f} of it, out {outward:.3f}", flush=True)
        if "many" in wanted:
            with ours.engine(Path(directory) / "many", bridge="whm") as engine:
                crowd(engine)
    if "--write" in sys.argv[1:] and rows:
        report.put(rows)
    print(f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
